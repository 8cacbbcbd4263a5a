"""The names of the in-memory store's queues: how many there may be, and which go because nobody uses them any more."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from penstock.model import limits
from penstock.model.acceptance import check_new_queues
from penstock.model.counts import added
from penstock.model.empty_queues import EmptyQueues
from penstock.model.lines import ClosedLines
from penstock.ports import Clock
from penstock.testing.memory_table import Table


class Queues:
    """Which queues there are."""

    def __init__(self, table: Table, closed: ClosedLines, clock: Clock) -> None:
        self._table = table
        self._closed = closed
        self._clock = clock
        self._empty = EmptyQueues[str](table.counts.get, self._is_closed)

    def _is_closed(self, name: str) -> bool:
        return any(line.queue == name for line in self._closed.all())

    def admit(self, names: AbstractSet[str]) -> None:
        """Make sure that these queues are there or can be: where names run short, empty queues go.

        Raises:
            InvalidOption: there are too many queues, and too few of them are empty.
        """
        counts = self._table.counts
        too_many = len(counts.keys() | names) - limits.QUEUES_MAX
        if too_many <= 0 or names <= counts.keys():
            return
        self._note()
        spare = self._empty.spare(self._clock.monotonic(), too_many, names)
        check_new_queues(len(counts) - len(spare), len(names - counts.keys()))
        for name in spare:
            self._remove(name)

    def step(self) -> None:
        """Remove queues that have been empty for long."""
        now = self._clock.monotonic()
        self._note()
        self._empty.look(now)
        for name in self._empty.due(now, limits.TICK_STEP_JOBS):
            self._remove(name)

    def next_at(self) -> float | None:
        """When one is to be removed next, in monotonic seconds; None: none is empty."""
        return self._empty.next_at()

    def _note(self) -> None:
        self._empty.note(self._table.changed)
        self._table.changed.clear()

    def _remove(self, name: str) -> None:
        self._table.removed = added([self._table.removed, self._table.counts.pop(name)])
        self._empty.forget(name)
