"""Limits on the queues and tasks of the in-memory store: which are in force, and what room they leave.

The rules are those of `penstock.model.limits_in_force` and `penstock.model.line_limit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, QueueRecord, Rule
from penstock.model.job import TaskRecord
from penstock.model.limits_in_force import LimitsInForce, LimitView, check_scope, queue_scope, task_scope
from penstock.model.line_limit import ROOM_MAX, LineLimit
from penstock.model.states import State
from penstock.ports import Clock
from penstock.testing.memory_table import Line, Row, Table


class Limits:
    """What may be leased of each line."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._in_force = LimitsInForce()
        self._by_scope: dict[str, LineLimit] = {}
        self._queues: dict[str, QueueRecord] = {}

    def register(self, tasks: Iterable[TaskRecord], queues: Iterable[QueueRecord]) -> None:
        """The limits that these records declare are in force, and no others of theirs."""
        for task in tasks:
            self._in_force.declare(task_scope(task.name), () if task.flow is None else task.flow.limits)
        for queue in queues:
            self._in_force.declare(queue_scope(queue.name), queue.limits)
            self._queues[queue.name] = queue
        self._change()

    def declared_queues(self) -> list[QueueRecord]:
        """See `penstock.ports.Store.declared_queues`."""
        return [self._queues[name] for name in sorted(self._queues)]

    def put(self, scope: str, rules: Sequence[Rule]) -> None:
        """See `penstock.ports.Store.put_limits`."""
        self._in_force.put(scope, rules)
        self._change()

    def restore(self, scope: str, per: str | None) -> bool:
        """See `penstock.ports.Store.restore_limits`. Answers whether there were some."""
        changed = self._in_force.restore(scope, per)
        self._change()
        return changed

    def _change(self) -> None:
        """Keep one `LineLimit` for each scope that has limits."""
        scopes = self._in_force.scopes()
        self._by_scope = {scope: self._by_scope.get(scope) or LineLimit(scope) for scope in scopes}
        for scope, limit in self._by_scope.items():
            limit.change(self._in_force.rules(scope), self._clock.monotonic())

    def rules(self, scope: str) -> Iterable[Rule]:
        """The limits in force of a scope."""
        return self._in_force.rules(scope)

    # --- leasing -----------------------------------------------------------------------------------------------------
    def has_room(self, line: Line) -> bool:
        """Whether one more job of this line may be leased."""
        return min((limit.room(self._clock.monotonic()) for limit in self._of(line)), default=ROOM_MAX) > 0

    def is_limited(self, line: Line) -> bool:
        """Whether limits hold for its jobs, of whatever kind."""
        return bool(self._of(line))

    def is_anything(self) -> bool:
        """Whether any limit is in force."""
        return bool(self._by_scope)

    def begin(self, line: Line) -> None:
        """A job of this line is leased."""
        for limit in self._of(line):
            limit.begin(1, self._clock.monotonic())

    def reason_of(self, line: Line) -> str | None:
        """Why nothing of this line is given out; None: there is room."""
        reasons = [limit.reason(self._clock.monotonic()) for limit in self._of(line)]
        return next((reason for reason in reasons if reason is not None), None)

    def next_at(self) -> float | None:
        """When a token comes in where none is left, in monotonic seconds; None: nothing waits for one."""
        times = [limit.next_free_at(self._clock.monotonic()) for limit in self._by_scope.values()]
        return min((at for at in times if at is not None), default=None)

    def _of(self, line: Line) -> list[LineLimit]:
        """The limits of the queue, then those of the task."""
        if not self._by_scope:
            return []
        queue, task = line
        found = [self._by_scope.get(queue_scope(queue)), self._by_scope.get(task_scope(task))]
        limits_of_line = [limit for limit in found if limit is not None]
        for limit in limits_of_line:
            limit.running = self._count(limit.scope, State.RUNNING)
        return limits_of_line

    def _count(self, scope: str, *states: State) -> int:
        return sum(row.state in states and _stands_in(row, scope) for row in self._table.rows.values())

    # --- showing -----------------------------------------------------------------------------------------------------
    def views(self) -> list[LimitView]:
        """See `penstock.ports.Store.limits`."""
        return [view for scope in self._in_force.scopes() for view in self._views_of(scope)]

    def _views_of(self, scope: str) -> list[LimitView]:
        limit, now = self._by_scope[scope], self._clock.monotonic()
        waiting = min(self._count(scope, State.READY), limits.LIMIT_WAITING_MAX)
        free_at = limit.next_free_at(now)
        shown_at = None if free_at is None else self._clock.time() + free_at - now
        views = []
        for rule, source, declared in self._in_force.of(scope):
            if rule.per is not None:
                views.append(LimitView(scope, rule, source, declared=declared))
            elif isinstance(rule, ConcurrencyRule):
                running = self._count(scope, State.RUNNING)
                views.append(LimitView(scope, rule, source, running, waiting, declared=declared))
            else:
                views.append(LimitView(scope, rule, source, limit.tokens_in_use(now), waiting, shown_at, declared))
        return views


def _stands_in(row: Row, scope: str) -> bool:
    queue, task = check_scope(scope)
    return row.queue == queue or row.task == task
