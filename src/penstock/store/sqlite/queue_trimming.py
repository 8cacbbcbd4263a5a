"""Trimming the records of queues that have bounds of their own: a chore in short steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from penstock.model import limits
from penstock.model.retention import Excess, excess, to_trim
from penstock.store.sqlite.in_memory import Books

TRIM_QUEUES: Final = "trimming the records of queues"
Drop = Callable[[Sequence[tuple[int, int, str, int]]], None]
"""Throws away records: seq, line, state, interest."""


class QueueTrimming:
    """Looks at the queues whose records have changed, and throws away the oldest of those that have too many, or too
    much."""

    def __init__(self, books: Books, drop: Drop) -> None:
        self.books = books
        self.database = books.database
        self._drop = drop

    @property
    def _queues(self) -> set[int]:
        return self.books.finished.retained.touched

    def step(self) -> int:
        """One step. Answers how many records went.

        It takes as many as were made since the last step, and a quarter more, if these are many: so it keeps up with
        jobs that end fast, as the store's own trimming does.
        """
        retained = self.books.finished.retained
        if not retained:
            return 0
        now = self.books.clock.monotonic()
        if retained.unmarked and not retained.mark_some(self._queue_of, lambda: self._is_before(now + limits.SLICE_S)):
            return 0
        until = now + limits.TRIM_S
        room = max(limits.TICK_STEP_JOBS, retained.entered * 5 // 4)
        retained.entered = 0
        trimmed = 0
        for queue in sorted(self._queues):
            trimmed += self._trim(queue, room - trimmed, until)
            if trimmed >= room or not self._is_before(until):
                break
        return trimmed

    def next_at(self) -> float | None:
        """When the next step is due, in monotonic seconds: at once, or never."""
        retained = self.books.finished.retained
        return self.books.clock.monotonic() if retained.unmarked or self._queues else None

    def _is_before(self, until: float) -> bool:
        return self.books.clock.monotonic() < until

    def _queue_of(self, line: int) -> int | None:
        found = self.books.lines.get(line)
        return None if found is None else found.queue

    def _trim(self, queue: int, room: int, until: float) -> int:
        """Throw away the oldest of a queue. Answers how many went; when none is too many, the queue is done with."""
        trimmed = 0
        while trimmed < room and (not trimmed or self._is_before(until)):
            over = self._excess(queue)
            part = self._trim_part(queue, min(room - trimmed, limits.TICK_STEP_JOBS), over) if any(over) else 0
            trimmed += part
            if not part:
                # Nothing is too many; or the file is damaged, and fewer records are found than are counted.
                self._queues.discard(queue)
                break
        return trimmed

    def _excess(self, queue: int) -> Excess:
        retained, found = self.books.finished.retained, self.books.queues[queue]
        bounds = retained.declared.get(found.name)
        if bounds is None:
            return Excess()
        ours = self.books.finished.of_workflows.of_queue(queue)
        return excess(bounds, found.counts, retained.sizes[queue], *ours)

    def _trim_part(self, queue: int, part: int, over: Excess) -> int:
        count, size_bytes = 0, over.size_bytes
        for dead, too_many in ((0, over.records), (1, over.dead)):
            rows: list[Any] = []
            if too_many or size_bytes > 0:
                rows = self.database.rows("oldest_retained", queue, dead, part - count)
            going = to_trim([row[4] for row in rows], too_many, size_bytes)
            self._drop([row[:4] for row in rows[:going]])
            count += going
            size_bytes -= sum(row[4] for row in rows[:going])
            if count == part:
                break
        return count
