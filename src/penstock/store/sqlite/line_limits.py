"""What queues and tasks may have leased: which limits are in force, and how much of them is used.

The declared limits are part of the records of tasks and queues, the live ones have a table of their own; both are read
again after a rollback. How many jobs are leased is counted from the leases. How full a bucket is, is written with every
transaction that takes tokens; between two owners a bucket fills by the wall clock, in one owner by the clock that never
goes backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from penstock.model.flow import QueueRecord, RateRule, Rule
from penstock.model.job import TaskRecord
from penstock.model.limits_in_force import LimitsInForce, check_new_queue_records, queue_scope, task_scope
from penstock.model.line_limit import LineLimit
from penstock.ports import Clock
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.line_room import LineRoom

Leased = Callable[[], Mapping[int, int]]
"""How many jobs of each line are leased."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_queue: Final = msgspec.msgpack.Decoder(QueueRecord).decode
_decode_rules: Final = msgspec.msgpack.Decoder(list[Rule]).decode


class LineLimits(LineRoom):
    """The limits of all queues and tasks.

    Attributes:
        in_force: which they are.
        queue_records: what applications have declared of queues, by name.

    Args:
        names: of a line's queue and task.
        leased: how many jobs of each line are.
    """

    def __init__(
        self, database: Database, clock: Clock, *, names: Callable[[int], tuple[str, str]], leased: Leased
    ) -> None:
        super().__init__(clock, names)
        self._database = database
        self._leased = leased
        self.in_force = LimitsInForce()
        self.queue_records: dict[str, QueueRecord] = {}

    def load(self, tasks: Iterable[TaskRecord]) -> None:
        """Read everything from the file. What a transaction that is undone did to the buckets is undone. ``tasks``: all
        that are recorded."""
        for limit, bucket in self._before.items():
            limit.bucket = bucket
        self._before.clear()
        self.queue_records = {name: _decode_queue(packed) for name, packed in self._database.rows("load_queue_records")}
        self.in_force = LimitsInForce()
        self._declare(tasks, self.queue_records.values())
        for scope, packed in self._database.rows("load_live_limits"):
            self.in_force.put(scope, _decode_rules(packed))
        self._update({*self.by_scope, *self.in_force.scopes()})
        self._before.clear()

    # --- which are in force ------------------------------------------------------------------------------------------
    def register(self, tasks: Sequence[TaskRecord], queues: Sequence[QueueRecord]) -> set[str]:
        """Record queues, and let what these records declare be in force. Answers the scopes in which that changes
        something; the caller says `update`.

        Raises:
            InvalidOption: there are too many queues; nothing has changed.
        """
        check_new_queue_records(self.queue_records, queues)
        for queue in queues:
            if self.queue_records.get(queue.name) != queue:
                self.queue_records[queue.name] = queue
                self._database.run("save_queue_record", queue.name, _encode(queue))
        return self._declare(tasks, queues)

    def _declare(self, tasks: Iterable[TaskRecord], queues: Iterable[QueueRecord]) -> set[str]:
        changed = set[str]()
        for task in tasks:
            if self.in_force.declare(task_scope(task.name), () if task.flow is None else task.flow.limits):
                changed.add(task_scope(task.name))
        for queue in queues:
            if self.in_force.declare(queue_scope(queue.name), queue.limits):
                changed.add(queue_scope(queue.name))
        return changed

    def put(self, scope: str, rules: Sequence[Rule]) -> None:
        """See `penstock.ports.Store.put_limits`; the caller says `update`."""
        self.in_force.put(scope, rules)
        self._save_live(scope)

    def restore(self, scope: str, per: str | None) -> bool:
        """See `penstock.ports.Store.restore_limits`; the caller says `update`. Answers whether there were some."""
        changed = self.in_force.restore(scope, per)
        self._save_live(scope)
        return changed

    def _save_live(self, scope: str) -> None:
        live = self.in_force.live(scope)
        if live:
            self._database.run("save_live_limits", scope, _encode(live))
        else:
            self._database.run("delete_live_limits", scope)

    def update(self, scopes: Iterable[str]) -> list[LineLimit]:
        """The limits of these scopes have changed, in the open transaction. Answers those that were shut and have room
        by now."""
        had_rate = {scope for scope, limit in self.by_scope.items() if limit.bucket is not None}
        opened = self._update(scopes)
        for scope in had_rate:
            limit = self.by_scope.get(scope)
            if limit is None or limit.bucket is None:
                # A rate that comes again begins with a full bucket.
                self._database.run("delete_level", scope)
        return opened

    def _update(self, scopes: Iterable[str]) -> list[LineLimit]:
        """As `update`, or the limits are known for the first time."""
        self._of_line.clear()
        changed, now = set(scopes), self._clock.monotonic()
        known = set(self.in_force.scopes())
        gone = [self.by_scope.pop(scope) for scope in self.by_scope.keys() - known]
        for limit in gone:
            self.note_before(limit)
            limit.change((), now)
        for scope in sorted(known & (changed | (known - self.by_scope.keys()))):
            level = None
            if scope not in self.by_scope:
                self.by_scope[scope] = LineLimit(scope)
                level = self._stored_level(scope)
            limit = self.by_scope[scope]
            self.note_before(limit)
            limit.change(self.in_force.rules(scope), now, level)
            limit.running = 0
        for line, number in self._leased().items() if known & changed else ():
            for limit in self.of_line(line):
                if limit.scope in changed:
                    limit.running += number
        return self.look_at([*gone, *(self.by_scope[scope] for scope in known & changed)])

    # --- buckets -----------------------------------------------------------------------------------------------------
    def _stored_level(self, scope: str) -> float | None:
        """How full the bucket of a scope is: it has filled since it was last written. None: it never was."""
        row = self._database.row("level", scope)
        rate = next(
            (rule for rule in self.in_force.rules(scope) if isinstance(rule, RateRule) and rule.per is None), None
        )
        if row is None or rate is None:
            return None
        level, at = row
        return float(level + max(0.0, self._clock.time() - at) * rate.count / rate.per_s)

    @property
    def is_changed(self) -> bool:
        """Whether the open transaction has changed buckets: then `save` comes before its commit."""
        return bool(self._before)

    def save(self) -> None:
        """Write how full the buckets are that were changed."""
        now, time = self._clock.monotonic(), self._clock.time()
        for limit in self._before:
            if limit.bucket is not None:
                self._database.run("save_level", limit.scope, limit.bucket.level(now), time)

    def committed(self) -> None:
        """The transaction is durable."""
        self._before.clear()
