"""Trimming the records of queues of the in-memory store that have bounds of their own."""

from __future__ import annotations

from penstock.model import limits
from penstock.model.flow import QueueRecord
from penstock.model.retention import Excess, excess, to_trim
from penstock.model.states import TERMINAL, State
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_table import Row, Table


class QueueTrimming:
    """A chore. Which bounds there are: what is declared of queues."""

    def __init__(self, table: Table, moves: Moves, declared: Limits) -> None:
        self._table = table
        self._moves = moves
        self._declared = declared

    def step(self) -> int:
        """Throw away the oldest records of the queues that have too many, or too much. Answers how many went."""
        room = limits.TICK_STEP_JOBS
        for queue in self._declared.declared_queues():
            over = self._excess(queue)
            size_bytes = over.size_bytes
            for is_dead, too_many in ((False, over.records), (True, over.dead)):
                oldest = [row for row in self._records(queue) if (row.state is State.DEAD) is is_dead]
                oldest.sort(key=lambda row: (row.keep_until, row.number))
                going = oldest[: min(room, to_trim(map(_size_bytes, oldest), too_many, size_bytes))]
                for row in going:
                    self._moves.trim(row)
                room -= len(going)
                size_bytes -= sum(map(_size_bytes, going))
        return limits.TICK_STEP_JOBS - room

    def is_due(self) -> bool:
        """Whether there is something to throw away."""
        return any(any(self._excess(queue)) for queue in self._declared.declared_queues())

    def _excess(self, queue: QueueRecord) -> Excess:
        counts = self._table.counts.get(queue.name)
        if counts is None or queue.retention is None:
            return Excess()
        kept = [row for row in self._finished(queue) if row.part is not None]
        dead = sum(row.state is State.DEAD for row in kept)
        size_bytes = sum(map(_size_bytes, self._records(queue)))
        return excess(queue.retention, counts, size_bytes, len(kept) - dead, dead)

    def _records(self, queue: QueueRecord) -> list[Row]:
        """Those that may go. Those of jobs of workflows go with these."""
        return [row for row in self._finished(queue) if row.part is None]

    def _finished(self, queue: QueueRecord) -> list[Row]:
        return [row for row in self._table.rows.values() if row.queue == queue.name and row.state in TERMINAL]


def _size_bytes(row: Row) -> int:
    return len(row.body) + len(row.result or b"")
