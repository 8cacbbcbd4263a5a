"""What is counted of dead records: a small table beside `finished`, and the same in memory.

A dead record's row in `finished` has the number of the kind that it was counted in. Whoever makes such a row enters it
here, and whoever deletes one lets it leave first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.model.dead_kinds import DeadKinds
from penstock.store.sqlite.database import Database


class DeadRecords:
    """The kinds of dead records, with their counts.

    Attributes:
        kinds: the counts as they are in the open transaction.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.kinds = DeadKinds()

    def load(self, task_names: Mapping[int, str]) -> None:
        """Read everything from the file. ``task_names``: the tasks by their numbers."""
        self.kinds = DeadKinds()
        for number, task, error, count in self.database.rows("load_dead_kinds"):
            self.kinds.restore(number, task_names.get(task, ""), error, count)

    def leave(self, seqs: Iterable[int]) -> None:
        """The records of these dead jobs are about to be deleted."""
        for seq in seqs:
            self.kinds.leave(self.database.value("kind_of", seq) or 0)

    def save(self, task_ids: Mapping[str, int]) -> None:
        """Write what has changed, in the open transaction."""
        for number in self.kinds.changed:
            kept = self.kinds.kept(number)
            if kept is None:
                self.database.run("delete_dead_kind", number)
            else:
                task, error, count = kept
                self.database.run("save_dead_kind", number, task_ids.get(task, 0), error, count)
        self.kinds.changed.clear()
