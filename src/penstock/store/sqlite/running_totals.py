"""The sum of the counts of all queues, kept up to date at a cost that does not depend on how many queues there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add, sub
from typing import Final, Protocol

from msgspec.structs import astuple

from penstock.model.counts import ADDED_UP
from penstock.model.job import QueueStats

_SUMMED: Final = len(ADDED_UP)
Counts = tuple[int, ...]


class HasCounts(Protocol):
    """A queue in memory."""

    counts: QueueStats


class RunningTotals:
    """Remembers what each queue counted when it was last summed, and adds the difference for those that changed since.

    Args:
        queues: those that are there, by number. The mapping is the engine's own, and is looked into later.
        removed: what was counted of queues that are not there any more.
    """

    def __init__(self, queues: Mapping[int, HasCounts], removed: QueueStats) -> None:
        self._queues = queues
        self._counted = {number: kept(queue.counts) for number, queue in queues.items()}
        self._sum = [sum(column) for column in zip(kept(removed), *self._counted.values(), strict=True)]
        self._changed: set[int] = set()

    def note(self, numbers: Iterable[int]) -> None:
        """The counts of these queues change, or have changed."""
        self._changed.update(numbers)

    def counts(self) -> QueueStats:
        """The sum as it is now."""
        for number in self._changed:
            queue = self._queues.get(number)
            if queue is not None:
                now = kept(queue.counts)
                before = self._counted.get(number)
                self._sum = list(map(add, self._sum, now if before is None else map(sub, now, before)))
                self._counted[number] = now
        self._changed.clear()
        return QueueStats(*self._sum)

    def forget(self, number: int) -> None:
        """A queue is being removed. Its counts go on as part of the removed ones, so the sum stays as it is."""
        self.note([number])
        self.counts()
        self._counted.pop(number, None)


def kept(counts: QueueStats) -> Counts:
    """The counts that add up over queues."""
    return astuple(counts)[:_SUMMED]
