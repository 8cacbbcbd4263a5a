"""What is counted of finished records beside the ledgers: how many are dead of what, how much is kept of the queues
that have bounds of their own, and how many are of workflows.

Whoever makes a row of `finished` enters it here, and whoever deletes one lets it leave first. Both cost nothing for
jobs that succeed in queues without such bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.model.dead_kinds import DeadKinds
from penstock.model.flow import QueueRecord
from penstock.model.states import State
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.retained_queues import Numbered, RetainedQueues
from penstock.store.sqlite.workflow_records import WorkflowRecords


class FinishedRecords:
    """The counts, as they are in the open transaction.

    Attributes:
        kinds: of dead records.
        retained: of the queues with bounds of their own.
        of_workflows: of jobs of workflows.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.kinds = DeadKinds()
        self.retained = RetainedQueues(database)
        self.of_workflows = WorkflowRecords(database)

    def load(
        self, task_names: Mapping[int, str], queue_records: Iterable[QueueRecord], queues: Mapping[str, Numbered]
    ) -> None:
        """Read everything from the file.

        Args:
            task_names: the tasks by their numbers.
            queue_records: what is declared of queues.
            queues: by their names.
        """
        self.kinds = DeadKinds()
        for number, task, error, count in self.database.rows("load_dead_kinds"):
            self.kinds.restore(number, task_names.get(task, ""), error, count)
        self.of_workflows.load()
        self.retained.load()
        self.retained.declare(queue_records, queues)

    def leave(self, records: Iterable[tuple[int, str]]) -> None:
        """These records are about to be deleted: the number of each row, and its state."""
        retained = bool(self.retained)
        for seq, state in records:
            if state == State.DEAD.value:
                self.kinds.leave(self.database.value("kind_of", seq) or 0)
            if retained:
                self.retained.leave(seq)

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
        if self.retained.changed:
            self.retained.save()
        self.of_workflows.save()
