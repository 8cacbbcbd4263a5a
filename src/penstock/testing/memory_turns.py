"""The turns of tenants in the in-memory store. The rules are those of `penstock.model.fair_turns`."""

from __future__ import annotations

from collections import defaultdict

from penstock.model import limits
from penstock.model.fair_turns import NOBODY, next_rank, tenant_of, turn_of
from penstock.model.flow import FairRule
from penstock.model.job import TaskRecord
from penstock.model.states import State
from penstock.testing.memory_table import Row, Table

Where = tuple[str, int]
"""A queue and a priority."""


class Turns:
    """Which queues are fair, and how far each tenant is in them."""

    def __init__(self, table: Table, tasks: dict[str, TaskRecord]) -> None:
        self._table = table
        self._tasks = tasks
        self._fair: set[str] = set()
        self._leased: defaultdict[Where, int] = defaultdict(int)
        self._last: defaultdict[Where, dict[str, int]] = defaultdict(dict)

    def _rule(self, row: Row) -> FairRule | None:
        record = self._tasks.get(row.task)
        return None if record is None or record.flow is None else record.flow.fair

    def take(self, row: Row) -> None:
        """A job joins its line: it has the next turn of its tenant."""
        rule = self._rule(row)
        row.rank = 0
        if rule is None and row.queue not in self._fair:
            return
        self._fair.add(row.queue)
        leased, last = self._leased[row.queue, row.priority], self._last[row.queue, row.priority]
        tenant = tenant_of(rule, row.values)
        turn = turn_of(rule, tenant)
        ahead = [name for name, rank in last.items() if rank > leased]
        if tenant not in ahead and len(ahead) >= limits.FAIR_TENANTS_MAX:
            tenant = NOBODY
        row.rank = last[tenant] = next_rank(leased, last.get(tenant, 0), turn)

    def give_back(self, row: Row) -> None:
        """A job that waits is not to be leased from where it stands: its tenant has one turn less."""
        if row.rank and row.state in (State.READY, State.BLOCKED):
            rule, last = self._rule(row), self._last[row.queue, row.priority]
            tenant = tenant_of(rule, row.values)
            if tenant in last:
                last[tenant] -= turn_of(rule, tenant)

    def leased(self, row: Row) -> None:
        """A job is leased, and those that came before it."""
        where = (row.queue, row.priority)
        self._leased[where] = max(row.rank, self._leased[where])

    def step(self) -> int:
        """Queues in which no job has a place begin anew."""
        for queue in list(self._fair):
            counts = self._table.counts.get(queue)
            if counts is None or not counts.ready + counts.blocked + counts.running:
                self._fair.discard(queue)
                for known in (self._leased, self._last):
                    for where in [where for where in known if where[0] == queue]:
                        del known[where]
        return 0
