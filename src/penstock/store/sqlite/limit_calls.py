"""The calls of `penstock.store.sqlite.store.SqliteStore` that are about limits on queues and tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from penstock.model import limits
from penstock.model.audit import check_by
from penstock.model.flow import ConcurrencyRule, QueueRecord, Rule
from penstock.model.job import TaskRecord
from penstock.model.keyed_limits import kind_of
from penstock.model.limits_in_force import LimitView, check_registration, check_scope, rule_text
from penstock.model.line_limit import LineLimit
from penstock.model.schedules import Schedule
from penstock.store.sqlite.slot_review import SlotReview
from penstock.store.sqlite.transactions import Transactions, atomic, draining
from penstock.workflow.scheduler import Scheduler

_encode_json = msgspec.json.Encoder().encode


class LimitCalls(Transactions):
    """Registering, which declares limits; live limits; and what is used of them."""

    _review: SlotReview
    _scheduler: Scheduler

    @atomic
    def register_tasks(
        self,
        tasks: Sequence[TaskRecord],
        queues: Sequence[QueueRecord] = (),
        *,
        schedules: Sequence[Schedule] = (),
        application: str | None = None,
    ) -> None:
        """See `penstock.ports.Store.register_tasks`."""
        check_registration(tasks, queues)
        self._scheduler.register(schedules, application)
        changed = self.books.limits.register(tasks, queues)
        if queues:
            self.books.finished.retained.declare(queues, self.books.queue_by_name)
        self._refusals.learn(self.books.register(tasks))
        self._change_limits(changed)

    def declared_queues(self) -> list[QueueRecord]:
        """See `penstock.ports.Store.declared_queues`."""
        found = self.books.limits.queue_records
        return [found[name] for name in sorted(found)]

    @draining
    def put_limits(self, scope: str, rules: Sequence[Rule], *, by: str = "") -> None:
        """See `penstock.ports.Store.put_limits`."""
        check_by(by)
        self.books.limits.put(scope, rules)
        self._records.note(by, "limit", scope, note="; ".join(map(rule_text, rules)))
        self._change_limits({scope})

    @draining
    def restore_limits(self, scope: str, per: str | None = None, *, by: str = "") -> None:
        """See `penstock.ports.Store.restore_limits`."""
        check_by(by)
        if self.books.limits.restore(scope, per):
            self._records.note(by, "restore", scope, note=None if per is None else f"per {per}")
            self._change_limits({scope})

    def limits(self) -> list[LimitView]:
        """See `penstock.ports.Store.limits`."""
        self.catch_up()
        self._line.write_all()
        scopes = self.books.limits.in_force.scopes()
        return [view for scope in scopes for view in self._views(self.books.limits.by_scope[scope])]

    @property
    def is_particular(self) -> bool:
        """Whether what one holder is not given may still be for another: some have refused jobs, or may start fewer
        jobs of limited lines."""
        return self._refusals.matters or bool(self.books.limits)

    @property
    def has_limits(self) -> bool:
        """Whether some queue or task has limits."""
        return bool(self.books.limits)

    @property
    def opens_at(self) -> float:
        """When a rate lets jobs start that wait for it, by the monotonic clock; infinity: none waits. Then the owner
        calls `open_due`, if leases are parked."""
        return self.books.limits.wakes_at

    def open_due(self) -> None:
        """Note as readied what rates let start by now. In a group."""
        self._endings.note_open(self.books.limits.open_due(self.clock.monotonic()))

    def _change_limits(self, scopes: Collection[str]) -> None:
        """The limits of these scopes have changed: their lines may have become limited, or have room by now."""
        if scopes:
            opened = self.books.limits.update(scopes)
            for queue, task in map(check_scope, scopes):
                self._line.recheck(queue, task)
            self._endings.note_open(opened)
            self._review.rules_changed(scopes)

    def _views(self, limit: LineLimit) -> list[LimitView]:
        """Every limit of a scope."""
        now = self.clock.monotonic()
        waiting, free_at = self._waiting(limit.scope), limit.next_free_at(now)
        shown_at = None if free_at is None else self.clock.time() + free_at - now
        views = []
        for rule, source, declared in self.books.limits.in_force.of(limit.scope):
            if rule.per is not None:
                used = self._joining.used(kind_of(limit.scope, rule), rule, limits.LIMIT_WAITING_MAX)
                views.append(LimitView(limit.scope, rule, source, *used, declared=declared))
            elif isinstance(rule, ConcurrencyRule):
                views.append(LimitView(limit.scope, rule, source, limit.running, waiting, declared=declared))
            else:
                in_use = limit.tokens_in_use(now)
                views.append(LimitView(limit.scope, rule, source, in_use, waiting, shown_at, declared))
        return views

    def _waiting(self, scope: str) -> int:
        """How many ready jobs a queue or a task has, counted up to `limits.LIMIT_WAITING_MAX`."""
        books, most = self.books, limits.LIMIT_WAITING_MAX
        queue, task = check_scope(scope)
        if queue is not None:
            found = books.queue_by_name.get(queue)
            return 0 if found is None else min(found.counts.ready, most)
        number = books.task_ids.get(task or "")
        lines = [line.id for line in books.lines.values() if line.task == number]
        count = self._refusals.waiting_in(lines)
        if count < most:
            count += self.database.value("count_ready_of_lines", _encode_json(lines).decode(), most - count)
        return min(count, most)
