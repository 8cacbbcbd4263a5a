"""How many finished records a step of trimming takes, and how many a queue has too many. Pure.

A step is small, so that it holds up no lease. While one such step is not enough, the next is as large as what was added
in between, and a part more, so that records come down to as many as may be kept however fast jobs end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from penstock.model import limits
from penstock.model.counts import QueueStats
from penstock.model.flow import Retention

_GAIN: Final = 4
"""The part more: one n-th."""


class Excess(NamedTuple):
    """What a queue has more than it may have.

    Attributes:
        records: finished ones that are not dead.
        dead: dead ones.
        size_bytes: of both together. Those that are not dead make up for it first.
    """

    records: int = 0
    dead: int = 0
    size_bytes: int = 0


def excess(
    bounds: Retention, counts: QueueStats, size_bytes: int, of_workflows: int = 0, dead_of_workflows: int = 0
) -> Excess:
    """What has to go.

    Args:
        bounds: of the queue.
        counts: its counts.
        size_bytes: results and bodies of its finished jobs together.
        of_workflows, dead_of_workflows: how many of those that are counted as finished, or as dead, belong to
            workflows. They go with these.
    """
    return Excess(
        _over(counts.succeeded + counts.cancelled + counts.expired - of_workflows, bounds.records),
        _over(counts.dead - dead_of_workflows, bounds.dead),
        _over(size_bytes, bounds.size_bytes),
    )


def _over(there: int, most: int | None) -> int:
    return 0 if most is None else max(0, there - most)


def to_trim(sizes_bytes: Iterable[int], too_many: int, too_much_bytes: int) -> int:
    """How many of the oldest records go, of which these are the sizes: those that are too many, and as many more as it
    takes until so many bytes have gone."""
    count = 0
    for size_bytes in sizes_bytes:
        if count >= too_many and too_much_bytes <= 0:
            break
        count += 1
        too_much_bytes -= size_bytes
    return count


class TrimPace:
    """The steps for one kind of records."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: int | None = None

    def step(self, kept: int) -> int:
        """How many to trim at most, of ``kept`` that there are now."""
        added = 0 if self._left is None else kept - self._left
        return max(limits.TICK_STEP_JOBS, added + added // _GAIN)

    def trimmed(self, count: int, *, kept: int) -> None:
        """So many were, of ``kept`` that there were."""
        self._left = kept - count if count >= limits.TICK_STEP_JOBS else None

    def forget(self) -> None:
        """What was trimmed last is there again."""
        self._left = None
