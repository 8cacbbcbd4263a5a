"""How many finished records belong to workflows, by queue.

Such a record goes with its workflow and in no other way, so its time never comes (`KEPT`). It is not counted where a
queue, or the store, has too many records: else those of others would have to go for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final

from penstock.store.sqlite.database import Database

KEPT: Final = inf
"""When the record of a job of a workflow may go."""


class WorkflowRecords:
    """The counts, as they are in the open transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._counts: dict[tuple[int, int], int] = {}
        self._changed: set[tuple[int, int]] = set()
        self._totals = [0, 0]

    def load(self) -> None:
        """Read everything from the file."""
        self._counts = {(queue, dead): count for queue, dead, count in self.database.rows("load_workflow_records")}
        self._changed.clear()
        self._totals = [0, 0]
        for (_, dead), count in self._counts.items():
            self._totals[dead] += count

    def of_queue(self, queue: int) -> tuple[int, int]:
        """How many of a queue are not dead, and how many are."""
        return self._counts.get((queue, 0), 0), self._counts.get((queue, 1), 0)

    def total(self, dead: int) -> int:
        """How many there are of all queues, of dead ones (1) or of others (0)."""
        return self._totals[dead]

    def add(self, numbers: Mapping[int, int], *, dead: bool) -> None:
        """So many were made of each queue, or so many less than none are going."""
        for queue, number in numbers.items():
            kind = (queue, int(dead))
            self._counts[kind] = self._counts.get(kind, 0) + number
            self._totals[dead] += number
            self._changed.add(kind)

    def save(self) -> None:
        """Write what has changed, in the open transaction."""
        for kind in self._changed:
            if self._counts[kind]:
                self.database.run("save_workflow_records", *kind, self._counts[kind])
            else:
                del self._counts[kind]
                self.database.run("delete_workflow_records", *kind)
        self._changed.clear()
