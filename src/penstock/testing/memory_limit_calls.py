"""Registering tasks and queues, and limiting them, in the in-memory store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from penstock.model.audit import check_by
from penstock.model.flow import QueueRecord, Rule
from penstock.model.job import TaskRecord
from penstock.model.limits_in_force import LimitView, check_registration, rule_text
from penstock.model.schedules import Schedule
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_slots import WithSlots, serving
from penstock.workflow.scheduler import Scheduler


class LimitCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` that knows tasks, and limits them and queues."""

    _tasks: dict[str, TaskRecord]
    _limits: Limits
    _refusals: Refusals
    _operators: Operators
    _scheduler: Scheduler

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @serving
    def register_tasks(
        self,
        tasks: Sequence[TaskRecord],
        queues: Sequence[QueueRecord] = (),
        *,
        schedules: Sequence[Schedule] = (),
        application: str | None = None,
    ) -> None:
        """Record tasks and queues; the latest record of a name stands."""
        self._open()
        check_registration(tasks, queues)
        self._scheduler.register(schedules, application)
        self._tasks.update((task.name, task) for task in tasks)
        self._limits.register(tasks, queues)
        self._refusals.learn(task.name for task in tasks)
        self.slots.review()

    def tasks(self) -> list[TaskRecord]:
        """The recorded tasks, by name."""
        self._open()
        return [self._tasks[name] for name in sorted(self._tasks)]

    def declared_queues(self) -> list[QueueRecord]:
        """The recorded queues, by name."""
        self._open()
        return self._limits.declared_queues()

    @serving
    def put_limits(self, scope: str, rules: Sequence[Rule], *, by: str = "") -> None:
        """Put live limits over what is declared."""
        self._open()
        check_by(by)
        self._limits.put(scope, rules)
        self._operators.note(by, "limit", scope, note="; ".join(map(rule_text, rules)))
        self.slots.review()

    @serving
    def restore_limits(self, scope: str, per: str | None = None, *, by: str = "") -> None:
        """Take live limits away."""
        self._open()
        check_by(by)
        if self._limits.restore(scope, per):
            self._operators.note(by, "restore", scope, note=None if per is None else f"per {per}")
            self.slots.review()

    def limits(self) -> list[LimitView]:
        """Every limit that is in force."""
        self._open()
        return [view if view.rule.per is None else self.slots.shown(view) for view in self._limits.views()]
