"""The names of the in-memory store's queues: how many there may be, and which go because nobody uses them any more."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from penstock.model import limits
from penstock.model.acceptance import check_new_queues
from penstock.model.counts import added
from penstock.model.empty_queues import EmptyQueues
from penstock.model.holds import Holds
from penstock.model.job import QueueStats
from penstock.model.lines import ClosedLines
from penstock.model.topics import is_of_topic
from penstock.ports import Clock
from penstock.testing.memory_table import Table


class Queues:
    """Which queues there are."""

    def __init__(self, table: Table, closed: ClosedLines, holds: Holds, clock: Clock) -> None:
        self._table = table
        self._closed = closed
        self._holds = holds
        self._clock = clock
        self._empty = EmptyQueues[str](table.counts.get, self._is_kept)

    def _is_kept(self, name: str) -> bool:
        """Whether a queue stays although it is empty: somebody has closed or holds it, or it is a topic's."""
        return is_of_topic(name) or self._closed.keeps(name) or name in self._holds.queue_names()

    def admit(self, names: AbstractSet[str]) -> None:
        """Make sure that these queues are there or can be: where names run short, empty queues go.

        Raises:
            InvalidOption: there are too many queues, and too few of them are empty.
        """
        known = {name for name in self._table.counts if not is_of_topic(name)}
        too_many = len(known | names) - limits.QUEUES_MAX
        if too_many <= 0 or names <= known:
            return
        self._note()
        spare = self._empty.spare(self._clock.monotonic(), too_many, names)
        check_new_queues(len(known) - len(spare), len(names - known))
        for name in spare:
            self.remove(name)

    def step(self) -> None:
        """Remove queues that have been empty for long."""
        now = self._clock.monotonic()
        self._note()
        self._empty.look(now)
        for name in self._empty.due(now, limits.TICK_STEP_JOBS):
            self.remove(name)

    def next_at(self) -> float | None:
        """When one is to be removed next, in monotonic seconds; None: none is empty."""
        return self._empty.next_at()

    def _note(self) -> None:
        self._empty.note(self._table.changed)
        self._table.changed.clear()

    def counts_of(self, name: str | None) -> QueueStats:
        """The counts of a queue, or of all together when none is named."""
        if name is None:
            return added(self._table.counts.values())
        return self._table.counts.get(name, QueueStats())

    def remove(self, name: str) -> None:
        """Remove a queue that is empty, and count it among the removed."""
        self._table.removed = added([self._table.removed, self._table.counts.pop(name)])
        self._empty.forget(name)
