"""Whether a live limit that somebody asks for would hold for any job. Pure; asked at the doors that operators come to.

A store takes a limit for whatever scope, for it may be put before the first job or worker is there. A person who asks
for one has more often mistyped a name, and would wait for an effect that never comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from penstock.model.errors import InvalidOption
from penstock.model.flow import QueueRecord, Rule
from penstock.model.flow_acceptance import names_in
from penstock.model.holds import check_there
from penstock.model.job import TaskRecord
from penstock.model.limits_in_force import check_scope


class KnownScopes:
    """What is known of the queues and tasks of a store.

    Args:
        records: the tasks that workers have recorded.
        declared: the queues that applications declare.
        with_jobs: names of queues that there are jobs or records in.
    """

    def __init__(
        self, records: Iterable[TaskRecord], declared: Iterable[QueueRecord], with_jobs: Collection[str]
    ) -> None:
        self._tasks = {record.name: record for record in records}
        self._declared = {record.name: record for record in declared}
        self._queues = {*with_jobs, *self._declared, *(record.queue for record in self._tasks.values())}

    def check(self, scope: str, rules: Sequence[Rule]) -> None:
        """Pass when these limits would hold for some jobs.

        Args:
            scope: ``queue:NAME`` or ``task:NAME``.
            rules: what is asked for.

        Raises:
            InvalidOption: that is no scope, or the jobs do not tell the name that a limit counts by.
            QueueNotFound: there is no such queue.
            UnknownTask: no worker has recorded such a task.
        """
        self.check_there(scope)
        told = self._told(*check_scope(scope))
        for rule in rules:
            if rule.per is not None and rule.per not in told:
                there = f" What they tell is {', '.join(sorted(told))}." if told else ""
                raise InvalidOption(
                    f"{scope}: its jobs do not tell {rule.per!r}; producers send what a declared limit counts by."
                    f"{there} Declare one, such as Concurrency(1_000_000, per={rule.per!r}), and change it here.",
                    field="per",
                )

    def check_there(self, scope: str) -> None:
        """Pass when there is such a queue or task.

        Raises:
            InvalidOption: that is no scope.
            QueueNotFound, UnknownTask: there is none of that name.
        """
        queue, task = check_scope(scope)
        check_there(queue, task, self._queues, self._tasks)

    def _told(self, queue: str | None, task: str | None) -> set[str]:
        """The names whose texts come with jobs of a queue or a task, by what is declared of them."""
        if task is not None:
            records = [self._tasks[task]]
            queues = {records[0].queue}
        else:
            records = [record for record in self._tasks.values() if record.queue == queue]
            queues = {str(queue)}
        names = {name for one in queues if one in self._declared for name in names_in(self._declared[one].limits)}
        for record in records:
            if record.flow is not None:
                names.update(names_in(record.flow.limits, record.flow.fair))
        return names
