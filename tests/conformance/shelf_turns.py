"""Fairness on the shelf: whose turn a job has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.model import limits
from penstock.model.fair_turns import NOBODY, next_rank, tenant_of, turn_of
from penstock.model.states import State

if TYPE_CHECKING:
    from tests.conformance.shelf_store import ShelfStore as Base
else:
    Base = object


class ShelfTurns(Base):
    """A part of `ShelfStore`. `_begin_turns` makes what it keeps."""

    def _begin_turns(self):
        self._passed = {}
        self._given = {}

    def _fair_rule(self, job):
        record = self._records.get(job.task)
        return record.flow.fair if record is not None and record.flow is not None else None

    def _give_rank(self, job):
        """It joins its line, or one of others, and has the next turn of its tenant there."""
        rule, where = self._fair_rule(job), (job.queue, job.priority)
        job.rank = 0
        if rule is None and not any(queue == job.queue for queue, _ in self._passed):
            return
        passed = self._passed.setdefault(where, 0)
        tenant = tenant_of(rule, job.entry.values)
        turn = turn_of(rule, tenant)
        ahead = {name for (*at, name), rank in self._given.items() if tuple(at) == where and rank > passed}
        if tenant not in ahead and len(ahead) >= limits.FAIR_TENANTS_MAX:
            tenant = NOBODY
        job.rank = self._given[*where, tenant] = next_rank(passed, self._given.get((*where, tenant), 0), turn)

    def _pass_rank(self, job):
        """It is leased."""
        where = (job.queue, job.priority)
        if job.rank:
            self._passed[where] = max(job.rank, self._passed.get(where, 0))

    def _take_rank_back(self, job):
        """It is not to be leased from where it waits."""
        if job.rank and job.state in (State.READY, State.BLOCKED):
            tenant = tenant_of(self._fair_rule(job), job.entry.values)
            if (job.queue, job.priority, tenant) in self._given:
                self._given[job.queue, job.priority, tenant] -= turn_of(self._fair_rule(job), tenant)

    def _forget_ranks(self):
        """Queues in which no job has a place begin anew."""
        used = {job.queue for job in self._jobs.values() if job.state in (State.READY, State.BLOCKED, State.RUNNING)}
        self._passed = {where: rank for where, rank in self._passed.items() if where[0] in used}
        self._given = {where: rank for where, rank in self._given.items() if where[0] in used}
