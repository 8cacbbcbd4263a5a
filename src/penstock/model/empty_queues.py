"""Which queues have been empty for how long, so that the names of those that nobody uses any more can go. Pure.

A queue is empty when it has no jobs, and no records of jobs that have ended. Every store keeps one `EmptyQueues`. It
notes which queues' counts change, looks at them with each tick, and removes those that have been empty for
`limits.QUEUE_EMPTY_S`, or earlier when all names are taken and a new one is asked for. What they counted in all goes on
as part of the store's totals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Generic, TypeVar

from penstock.model import limits
from penstock.model.job import QueueStats

K = TypeVar("K", int, str)
"""What a store calls a queue: its number or its name. Of those that became empty with one tick the lower goes first."""


def is_empty(counts: QueueStats) -> bool:
    """Whether a queue with these counts has neither jobs nor records."""
    return not (
        counts.scheduled
        or counts.blocked
        or counts.ready
        or counts.running
        or counts.succeeded
        or counts.dead
        or counts.cancelled
        or counts.expired
    )


class EmptyQueues(Generic[K]):
    """Since when which queues have been empty, in monotonic seconds.

    Args:
        counts_of: the counts of a queue as they are; None: there is no such queue.
        is_kept: says whether a queue must stay although it is empty: it is closed, and would come back open.
    """

    def __init__(self, counts_of: Callable[[K], QueueStats | None], is_kept: Callable[[K], bool]) -> None:
        self._counts_of: Callable[[K], QueueStats | None] = counts_of
        self._is_kept: Callable[[K], bool] = is_kept
        self._changed: set[K] = set()
        self._since: dict[K, tuple[float, int]] = {}
        """Since when, and how many jobs had come in by then; in the order of time."""

    def note(self, queues: Iterable[K]) -> None:
        """The counts of these queues may have changed, or the queues are new, or have been removed."""
        self._changed.update(queues)

    def look(self, now: float) -> None:
        """Look at the queues that may have changed since the last look. One that is empty, and was not or had jobs in
        between, counts as empty from now on."""
        for queue in sorted(self._changed):
            counts = self._counts_of(queue)
            if counts is None or not is_empty(counts):
                self._since.pop(queue, None)
                continue
            came_in = counts.accepted_total + counts.moved_in_total
            before = self._since.get(queue)
            if before is None or before[1] != came_in:
                self._stamp(queue, now, came_in)
        self._changed.clear()

    def _stamp(self, queue: K, now: float, came_in: int) -> None:
        self._since.pop(queue, None)
        self._since[queue] = (now, came_in)

    def due(self, now: float, limit: int) -> list[K]:
        """At most so many queues that are to be removed now, because they have been empty for long enough.

        One that must stay counts as empty from now on, so that it is not in the way of others.
        """
        next_at = self.next_at()
        if next_at is None or next_at > now:
            return []
        found: list[K] = []
        for queue, (since, came_in) in list(self._since.items()):
            if since + limits.QUEUE_EMPTY_S > now or len(found) == limit:
                break
            if self._is_kept(queue):
                self._stamp(queue, now, came_in)
            else:
                found.append(queue)
        return found

    def next_at(self) -> float | None:
        """When a queue is to be removed next; None: none is empty."""
        first = next(iter(self._since.values()), None)
        return None if first is None else first[0] + limits.QUEUE_EMPTY_S

    def spare(self, now: float, count: int, wanted: Collection[K] = ()) -> list[K]:
        """At most so many queues that can be removed to make room for other names, those empty for longest first.

        Args:
            now: monotonic seconds.
            count: how many at most.
            wanted: queues that are about to be used.
        """
        self.look(now)
        usable = (queue for queue in self._since if queue not in wanted and not self._is_kept(queue))
        return list(islice(usable, count))

    def forget(self, queue: K) -> None:
        """The queue has been removed, for good."""
        self._since.pop(queue, None)
        self._changed.discard(queue)
