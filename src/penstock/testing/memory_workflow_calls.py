"""The calls of the in-memory store that are about workflows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.audit import check_by
from penstock.model.errors import Conflict, InvalidOption, PenstockError, WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.workflow_plan import Members, StepPlan, WorkflowPlan
from penstock.model.workflow_views import (
    MembersAdded,
    ResultsPage,
    StepsPage,
    WorkflowsPage,
    WorkflowStarted,
    WorkflowState,
    WorkflowView,
)
from penstock.ports import Clock
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_workflow_rows import WorkflowRecord
from penstock.testing.memory_workflows import Workflows
from penstock.workflow.checks import calls_of, check_first_members, check_members, check_plan
from penstock.workflow.forking import fork
from penstock.workflow.hand_over import as_result
from penstock.workflow.machine import Machine
from penstock.workflow.values import block_value, value, workflow_value
from penstock.workflow.views import (
    cursor_after_step,
    cursor_before_workflow,
    step_after,
    step_view,
    workflow_before,
    workflow_view,
)

_PAGE_MAX: Final = 1_000
"""Workflows, steps or results in one page."""


class WorkflowCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` that is about workflows."""

    _clock: Clock
    _queues: Queues
    _operators: Operators
    _workflows: Workflows

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    def _record(self, workflow: bytes) -> WorkflowRecord:
        self._open()
        if workflow not in self._workflows.records:
            raise WorkflowNotFound(f"There is no workflow {id_text(workflow)} (any more).")
        return self._workflows.records[workflow]

    # --- starting ----------------------------------------------------------------------------------------------------
    @serving
    def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members] = ()) -> WorkflowStarted:
        """Accept a workflow."""
        self._open()
        check_plan(plan, self._clock.time())
        check_members(dict(enumerate(plan.steps)).get, members, self._clock.time())
        check_first_members(plan, members)
        if plan.id in self._workflows.records:
            return WorkflowStarted(plan.id, duplicate=True)
        first = self._workflows.first_of_key(plan)
        if first is not None:
            same = first.identity == plan.identity
            return WorkflowStarted(first.id, duplicate=same, conflict=not same)
        groups = calls_of(plan, members)
        self._operators.holds.check_intake(groups)
        self._queues.admit({group.queue for group in groups})
        self._land_workflow(plan, members)
        return WorkflowStarted(plan.id)

    def _land_workflow(self, plan: WorkflowPlan, members: Sequence[Members]) -> None:
        """Start a workflow that was looked at.

        Raises:
            InvalidOption: its groups do not take these members; nothing has changed.
        """
        workflows = self._workflows
        record = workflows.new_record(plan)
        machine = workflows.machine(record)
        machine.begin(plan)
        try:
            placed = [one for more in members for one in workflows.place(record, machine, more, at_start=True)]
        except PenstockError:
            del workflows.records[plan.id]
            raise
        workflows.put(record, machine, placed)
        workflows.remember_key(plan)
        workflows.carry_out(record, machine)

    @serving
    def add_members(self, workflow: bytes, members: Sequence[Members], *, close: Sequence[int] = ()) -> MembersAdded:
        """Add bare members to open groups, and close groups."""
        record, workflows = self._record(workflow), self._workflows
        steps = record.workflow().steps

        def step_of(number: int) -> StepPlan | None:
            return record.step(number)[0].plan if 0 <= number < steps else None

        check_members(step_of, [*members, *(Members(number, []) for number in close)], self._clock.time())
        machine = workflows.machine(record)
        placed = [one for more in members for one in workflows.place(record, machine, more)]
        groups = [one.call for one in placed]
        self._operators.holds.check_intake(groups)
        self._queues.admit({group.queue for group in groups})
        for number in close:
            machine.close_group(number)
        workflows.put(record, machine, placed)
        workflows.carry_out(record, machine)
        changed = [record.step(number)[1].group for number in {*close, *(more.step for more in members)}]
        return MembersAdded(len(placed), sum(group.there for group in changed if group is not None))

    @serving
    def fork_workflow(self, workflow: bytes, step: int, new: bytes, *, by: str | None = None) -> WorkflowStarted:
        """Start a copy in which this step, and all that needs it, runs anew."""
        check_by(by)
        source, workflows = self._record(workflow), self._workflows
        if len(new) != 16:
            raise InvalidOption("The id of a workflow has 16 bytes.", field="new")
        if new in workflows.records:
            return WorkflowStarted(new, duplicate=True)
        made = fork(source, source.id, step, self._clock.time(), source.new_job_id)
        record = workflows.new_record(replace(source.plan, id=new), source)
        machine = workflows.machine(record)
        machine.begin_with(made.workflow, made.steps)
        for number in made.copied:
            record.copy_members(number)
        workflows.carry_out(record, machine)
        if by is not None:
            self._operators.note(by, "fork", f"workflow:{id_text(workflow)}", None, id_text(new))
        return WorkflowStarted(new)

    # --- acting ------------------------------------------------------------------------------------------------------
    @serving
    def cancel_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Cancel all of it."""
        return self._drive(workflow, "cancel", by, Machine.cancel)

    @serving
    def pause_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Let no step of it start."""
        return self._drive(workflow, "pause", by, Machine.pause)

    @serving
    def resume_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Let steps start again."""
        return self._drive(workflow, "resume", by, Machine.resume)

    @serving
    def retry_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Let a failed or cancelled workflow go on."""
        return self._drive(workflow, "retry", by, Machine.retry)

    def _drive(
        self, workflow: bytes, verb: str, by: str | None, tell: Callable[[Machine], object]
    ) -> WorkflowState | None:
        self._open()
        check_by(by)
        record = self._workflows.records.get(workflow)
        if record is None:
            return None
        self._workflows.drive(record, tell)
        self._workflows.go_on()
        if by is not None:
            self._operators.note(by, verb, f"workflow:{id_text(workflow)}")
        return record.workflow().state

    @serving
    def delete_workflow(self, workflow: bytes, *, by: str | None = None) -> bool:
        """Throw away the record of a workflow that is over."""
        self._open()
        check_by(by)
        record = self._workflows.records.get(workflow)
        if record is None or not record.workflow().is_over:
            return False
        if not self._workflows.forget(record):
            raise Conflict(f"The workflow {id_text(workflow)} is kept as long as those that were forked from it.")
        if by is not None:
            self._operators.note(by, "delete", f"workflow:{id_text(workflow)}")
        return True

    # --- asking ------------------------------------------------------------------------------------------------------
    def workflow(self, workflow: bytes) -> WorkflowView | None:
        """One workflow; None: there is none of this id (any more)."""
        self._open()
        record = self._workflows.records.get(workflow)
        return None if record is None else _view(record)

    def workflows(
        self,
        *,
        state: WorkflowState | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> WorkflowsPage:
        """Workflows, newest first, in pages."""
        self._open()
        below, limit = workflow_before(cursor), max(1, min(limit, _PAGE_MAX))
        newest = sorted(self._workflows.records.values(), key=lambda record: -record.number)
        found = [
            record
            for record in newest
            if record.number < below and state in {None, record.workflow().state} and name in {None, record.plan.name}
        ]
        page = found[:limit]
        return WorkflowsPage(
            [_view(record) for record in page],
            cursor_before_workflow(page[-1].number) if len(found) > limit else None,
        )

    def steps(self, workflow: bytes, *, cursor: str | None = None, limit: int = 100) -> StepsPage:
        """The steps of a workflow, by number, in pages."""
        record = self._record(workflow)
        first, row = step_after(cursor), record.workflow()
        behind = min(row.steps, first + max(1, min(limit, _PAGE_MAX)))
        views = [step_view(number, *record.step(number), row) for number in range(first, behind)]
        return StepsPage(views, cursor_after_step(behind - 1) if behind < row.steps else None)

    def results(self, workflow: bytes, step: int | None, *, first: int = 0, limit: int = 1_000) -> ResultsPage:
        """Results of a step, in pages, or the workflow's own."""
        record = self._record(workflow)
        row = record.workflow()
        if step is None:
            is_over = row.state is WorkflowState.SUCCEEDED
            return ResultsPage([as_result(workflow_value(record)) if is_over else None], total=1)
        if not 0 <= step < row.steps:
            raise WorkflowNotFound(f"The workflow {id_text(workflow)} has no step {step}.")
        while record.step(step)[1].inherited:
            record = record.origin()
        standing = record.step(step)[1]
        if standing.group is None or standing.value_from is not None:
            has_value = standing.state == "succeeded"
            return ResultsPage([as_result(value(record, step)) if has_value else None], total=1)
        first, limit = max(0, first), max(1, min(limit, _PAGE_MAX))
        results = [_result(record, member) for member in record.members(step)]
        behind = first + limit
        page = _bounded(results[first:behind])
        behind = first + len(page)
        return ResultsPage(page, first, behind if behind < len(results) else None, len(results))


def _view(record: WorkflowRecord) -> WorkflowView:
    return workflow_view(record.id, record.plan, record.workflow())


def _result(record: WorkflowRecord, member: bytes | int | None) -> bytes | None:
    if not isinstance(member, int):
        return member
    block = record.step(member)[1].block
    return as_result(block_value(record, member)) if block is not None and block.has_succeeded else None


def _bounded(results: list[bytes | None]) -> list[bytes | None]:
    """Of these, as many as may stand in one page: the one that reaches the bound is its last."""
    size_bytes, page = 0, list[bytes | None]()
    for result in results:
        page.append(result)
        size_bytes += len(result or b"")
        if size_bytes >= limits.ANSWER_BYTES_MAX // 4:
            break
    return page
