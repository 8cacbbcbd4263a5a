"""The calls of a store about workflows, over the embedded file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.model.audit import check_by
from penstock.model.errors import Conflict
from penstock.model.ids import id_text
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import (
    MembersAdded,
    ResultsPage,
    StepsPage,
    WorkflowsPage,
    WorkflowStarted,
    WorkflowState,
    WorkflowView,
)
from penstock.store.sqlite.transactions import Transactions, atomic, draining
from penstock.store.sqlite.workflow_chores import WorkflowChores
from penstock.store.sqlite.workflow_decisions import Deciding
from penstock.store.sqlite.workflow_ends import WorkflowEnds
from penstock.store.sqlite.workflow_landing import Landing
from penstock.store.sqlite.workflow_reading import WorkflowReading
from penstock.store.sqlite.workflow_rows import find_workflow
from penstock.store.sqlite.workflow_starting import Starting
from penstock.workflow.machine import Machine


class Workflows(NamedTuple):
    """The parts of the engine that have to do with workflows."""

    deciding: Deciding
    starting: Starting
    ends: WorkflowEnds
    landing: Landing
    chores: WorkflowChores
    reading: WorkflowReading


class WorkflowCalls(Transactions):
    """The calls of `penstock.store.sqlite.store.SqliteStore` that have to do with workflows."""

    _workflows: Workflows

    @atomic
    def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members] = ()) -> WorkflowStarted:
        """See `penstock.ports.Store.start_workflow`."""
        return self._workflows.starting.start(plan, members)

    @atomic
    def add_members(self, workflow: bytes, members: Sequence[Members], *, close: Sequence[int] = ()) -> MembersAdded:
        """See `penstock.ports.Store.add_members`."""
        return self._workflows.starting.add(self._workflows.reading.find(workflow), members, close)

    def workflow(self, workflow: bytes) -> WorkflowView | None:
        """See `penstock.ports.Store.workflow`."""
        self.catch_up()
        return self._workflows.reading.view(workflow)

    def workflows(
        self,
        *,
        state: WorkflowState | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> WorkflowsPage:
        """See `penstock.ports.Store.workflows`."""
        self.catch_up()
        return self._workflows.reading.page(state, name, cursor, limit)

    def steps(self, workflow: bytes, *, cursor: str | None = None, limit: int = 100) -> StepsPage:
        """See `penstock.ports.Store.steps`."""
        self.catch_up()
        return self._workflows.reading.steps(workflow, cursor, limit)

    def results(self, workflow: bytes, step: int | None, *, first: int = 0, limit: int = 1_000) -> ResultsPage:
        """See `penstock.ports.Store.results`."""
        self.catch_up()
        return self._workflows.reading.results(workflow, step, first, limit)

    @draining
    def cancel_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `penstock.ports.Store.cancel_workflow`."""
        return self._drive(workflow, "cancel", by, Machine.cancel)

    @draining
    def pause_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `penstock.ports.Store.pause_workflow`."""
        return self._drive(workflow, "pause", by, Machine.pause)

    @draining
    def resume_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `penstock.ports.Store.resume_workflow`."""
        return self._drive(workflow, "resume", by, Machine.resume)

    @draining
    def retry_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `penstock.ports.Store.retry_workflow`."""
        return self._drive(workflow, "retry", by, Machine.retry)

    def _drive(
        self, workflow: bytes, verb: str, by: str | None, tell: Callable[[Machine], object]
    ) -> WorkflowState | None:
        check_by(by)
        stored = find_workflow(self.database, workflow)
        if stored is None:
            return None
        self._line.write_all()
        self._workflows.deciding.drive(stored, tell)
        # Jobs that it has ended belong to what has become of it.
        self._workflows.ends.after_call()
        if by is not None:
            self._records.note(by, verb, f"workflow:{id_text(workflow)}")
        after = find_workflow(self.database, workflow)
        return None if after is None else after.workflow().state

    @atomic
    def fork_workflow(self, workflow: bytes, step: int, new: bytes, *, by: str | None = None) -> WorkflowStarted:
        """See `penstock.ports.Store.fork_workflow`."""
        check_by(by)
        started = self._workflows.starting.fork(self._workflows.reading.find(workflow), step, new)
        if by is not None and not started.duplicate:
            self._records.note(by, "fork", f"workflow:{id_text(workflow)}", None, id_text(new))
        return started

    @draining
    def delete_workflow(self, workflow: bytes, *, by: str | None = None) -> bool:
        """See `penstock.ports.Store.delete_workflow`."""
        check_by(by)
        stored = find_workflow(self.database, workflow)
        if stored is None or not stored.workflow().is_over:
            return False
        if not self._workflows.chores.forget(stored):
            raise Conflict(f"The workflow {id_text(workflow)} is kept as long as those that were forked from it.")
        if by is not None:
            self._records.note(by, "delete", f"workflow:{id_text(workflow)}")
        return True
