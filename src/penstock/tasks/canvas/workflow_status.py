"""Workflows and their steps as they were when somebody asked, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.model.ids import id_text
from penstock.model.job import JobError
from penstock.model.workflow_views import StepState, StepView, WorkflowState, WorkflowView


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """Members of groups."""

    total: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStatus:
    """A workflow as it was when asked. Times are in UTC; None: not yet, or there is none.

    Attributes:
        paused: no step starts until it is resumed.
        error: of one that fails or has failed: the first failure, with the step's name.
        steps: how many there are, by state.
        members: of all groups together.
        result_bytes: what the results of its steps take.
        forked_from: the id of the workflow that it repeats the beginning of.
    """

    id: str
    name: str
    state: WorkflowState
    created_at: datetime
    finished_at: datetime | None
    deadline_at: datetime | None
    paused: bool
    error: JobError | None
    steps: dict[str, int]
    members: MemberCounts
    result_bytes: int
    forked_from: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """A step as it was when asked. Times are in UTC; None: not yet, or there is none.

    Attributes:
        number: in the order of the canvas, from 0.
        kind: ``job`` or ``group``.
        task: of a job, its task.
        job: the id of its job.
        needs: the numbers of the steps that it waits for, those that have ended included.
        total: of a group: how many members it has; None: it is open.
        members: of a group.
        reason: why it waits; None: it does not.
    """

    number: int
    name: str
    kind: str
    task: str | None
    state: StepState
    job: str | None
    needs: tuple[int, ...]
    total: int | None
    members: MemberCounts | None
    started_at: datetime | None
    finished_at: datetime | None
    error: JobError | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a workflow: ``what`` such as ``clean: succeeded``."""

    at: datetime
    what: str


def workflow_status(view: WorkflowView) -> WorkflowStatus:
    """What a store says, as people read it."""
    return WorkflowStatus(
        id=id_text(view.id),
        name=view.name,
        state=view.state,
        created_at=datetime.fromtimestamp(view.created_at, UTC),
        finished_at=_moment(view.finished_at),
        deadline_at=_moment(view.deadline_at),
        paused=view.paused,
        error=view.error,
        steps=view.steps,
        members=MemberCounts(*view.members),
        result_bytes=view.result_bytes,
        forked_from=None if view.forked_from is None else id_text(view.forked_from),
    )


def step_status(view: StepView) -> StepStatus:
    """What a store says, as people read it."""
    return StepStatus(
        number=view.number,
        name=view.name,
        kind=view.kind,
        task=view.task,
        state=view.state,
        job=None if view.job is None else id_text(view.job),
        needs=tuple(view.needs),
        total=view.total,
        members=None if view.members is None else MemberCounts(*view.members),
        started_at=_moment(view.started_at),
        finished_at=_moment(view.finished_at),
        error=view.error,
        reason=view.reason,
    )


def timeline_of(workflow: WorkflowStatus, steps: list[StepStatus]) -> list[Moment]:
    """What happened when, the earliest first."""
    moments = [Moment(workflow.created_at, f"{workflow.name}: started")]
    for step in steps:
        if step.started_at is not None:
            moments.append(Moment(step.started_at, f"{step.name}: started"))
        if step.finished_at is not None:
            why = f" ({step.error.type}: {step.error.message})" if step.error is not None else ""
            moments.append(Moment(step.finished_at, f"{step.name}: {step.state.value}{why}"))
    if workflow.finished_at is not None:
        moments.append(Moment(workflow.finished_at, f"{workflow.name}: {workflow.state.value}"))
    return sorted(moments, key=lambda moment: moment.at)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
