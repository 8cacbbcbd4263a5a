"""How many finished records a step of trimming takes. Pure.

A step is small, so that it holds up no lease. While one such step is not enough, the next is as large as what was added
in between, and a part more, so that records come down to as many as may be kept however fast jobs end.
"""

from __future__ import annotations

from typing import Final

from penstock.model import limits

_GAIN: Final = 4
"""The part more: one n-th."""


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
