"""What stores answer about workflows: views of rows, and the cursors of their pages. Pure."""

from __future__ import annotations

import re
from typing import Final

from penstock.model.errors import InvalidOption
from penstock.model.workflow_plan import WorkflowPlan
from penstock.model.workflow_views import StepState, StepView, WorkflowView
from penstock.workflow.rows import StepFacts, StepRow, WorkflowRow

_CURSOR: Final = re.compile(r"([ws])(\d{1,18})")
_ABOVE_ALL: Final = (1 << 62) - 1


def workflow_view(workflow: bytes, plan: WorkflowPlan, row: WorkflowRow) -> WorkflowView:
    """A workflow as it is now."""
    return WorkflowView(
        workflow,
        plan.name,
        row.state,
        row.created_at,
        row.finished_at,
        row.deadline_at,
        row.paused,
        row.error,
        {state.value: count for state, count in row.counts.items() if count},
        row.members,
        row.result_bytes,
        row.forked_from,
        None if row.finished_at is None else row.finished_at + plan.keep_s,
    )


def step_view(number: int, facts: StepFacts, row: StepRow, workflow: WorkflowRow) -> StepView:
    """A step as it is now."""
    plan, group = facts.plan, row.group
    planned = None if plan.call is None else plan.call.jobs[0].id
    has_job = plan.call is not None and row.started_at is not None and not row.inherited
    return StepView(
        number,
        plan.name,
        "job" if plan.group is None else "group",
        None if plan.call is None else plan.call.task,
        row.state,
        (row.job or planned) if has_job else None,
        sorted(plan.needs()),
        None if group is None else group.total,
        None if group is None else (group.there, group.succeeded, group.failed, group.cancelled),
        row.started_at,
        row.finished_at,
        row.error,
        _reason(facts, row, workflow),
        None if plan.block is None else plan.block.owner,
    )


def _reason(facts: StepFacts, row: StepRow, workflow: WorkflowRow) -> str | None:
    """Why a step waits, in words; None: it does not."""
    group = row.group
    if row.state is StepState.RUNNING and group is not None:
        if group.held and workflow.paused:
            return "the workflow is paused"
        if group.total is None and group.ended == group.there:
            return "it is open: its producer may add members"
        return None
    if row.state is not StepState.WAITING:
        return None
    if workflow.ending is not None:
        return f"the workflow is going to be {workflow.ending.value}"
    needs = facts.plan.needs()
    if row.unmet and needs:
        return f"for {row.unmet} of the {len(needs)} steps that it needs" if len(needs) > 1 else "for the step it needs"
    if row.unmet:
        return "it stands by, or what it is inside of has not started"
    return "the workflow is paused" if workflow.paused else "it is about to start"


# --- cursors ---------------------------------------------------------------------------------------------------------
def cursor_before_workflow(number: int) -> str:
    """The cursor that goes on with the workflows that were started before this one."""
    return f"w{number}"


def workflow_before(cursor: str | None) -> int:
    """The number below which a page goes on.

    Raises:
        InvalidOption: `cursor_before_workflow` makes no such cursor.
    """
    return _number(cursor, "w", _ABOVE_ALL)


def cursor_after_step(number: int) -> str:
    """The cursor that goes on with the step behind this one."""
    return f"s{number}"


def step_after(cursor: str | None) -> int:
    """The number of the first step of a page.

    Raises:
        InvalidOption: `cursor_after_step` makes no such cursor.
    """
    return _number(cursor, "s", -1) + 1


def _number(cursor: str | None, kind: str, without: int) -> int:
    if cursor is None:
        return without
    found = _CURSOR.fullmatch(cursor)
    if found is None or found[1] != kind:
        raise InvalidOption(
            f"{cursor[:80]!r} is no cursor of this call; pass the one that the page before gave.", field="cursor"
        )
    return int(found[2])
