"""A store that must not pass: what follows from a call is written after the call was answered.

Systems that keep the results of jobs in one place, and the counters of their groups or the history of a job in another,
are like that. An owner that is killed in between takes along what it has acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.model.durable_steps import JobRecords, Recorded
from penstock.store.sqlite.chores import Other
from penstock.store.sqlite.store import SqliteStore
from penstock.store.sqlite.transactions import Transactions

LATE_S: Final = 0.5


class LateStore(SqliteStore):
    """What jobs record, and what the ends of jobs mean for their workflows, is written half a second later."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._unwritten: list[JobRecords] = []
        self._due: float | None = None
        super().__init__(*args, **kwargs)
        self._chores.others.append(Other("writing late", self._write, lambda: self._due))

    def after_call(self) -> None:
        """As in any store, but that workflows do not go on."""
        Transactions.after_call(self)
        if self._due is None:
            self._due = self.clock.monotonic() + LATE_S

    def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """Say that it is recorded."""
        self._unwritten += jobs
        return [Recorded(held=True) for _ in jobs]

    def _write(self) -> int:
        self._due, unwritten, self._unwritten = None, self._unwritten, []
        super().record(unwritten)
        self._workflows.ends.after_call()
        return 1
