"""What the machine decides that a store is to do, in the transaction in which it decided it, in order.

Bodies are made by `penstock.workflow.values`, when they are needed.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.model.job_error import JobError
from penstock.model.workflow_plan import Callback
from penstock.model.workflow_views import WorkflowState


class StartJob(NamedTuple):
    """Enqueue the job of a step (`values.step_body`), or run it again with this body when it has ended already: a
    workflow that is retried. ``job``: its id."""

    step: int
    job: bytes


class OpenMembers(NamedTuple):
    """Enqueue the members of a group that are held (`values.MemberBodies`), in bounded steps, and tell
    `Machine.members_started` of each of these steps.

    Attributes:
        again: the workflow is retried: besides, members whose jobs have ended otherwise than well run again.
        anew: those that succeeded as well.
    """

    step: int
    again: bool = False
    anew: bool = False


class CancelJob(NamedTuple):
    """Cancel the job of a step, or ask who runs it to end it. Its end is told as any other."""

    step: int
    job: bytes


class CancelMembers(NamedTuple):
    """Cancel the jobs that are members of a group, in bounded steps; their ends are told as any others. Members that
    are held are not opened any more, and stay: the machine counts them as cancelled."""

    step: int


class Call(NamedTuple):
    """Enqueue the job of a callback (`values.callback_body`), without any further interest in it.

    Attributes:
        job: its id.
        step: whose end it is about; None: the workflow's.
        error: after a failure.
        is_block: it is about the end of the block that begins with the step.
    """

    callback: Callback
    job: bytes
    step: int | None
    error: JobError | None = None
    is_block: bool = False


class Compensate(NamedTuple):
    """Enqueue the compensation of a step (`values.compensation_body`). It is a job of the workflow, as those of steps
    are, and no member of anything; its end is told as `Machine.compensation_ended`. ``job``: its id."""

    step: int
    job: bytes


class SetAlarm(NamedTuple):
    """Call `Machine.alarm` at this time. One for each step and one for the workflow (None): it takes the place of the
    one before. ``at`` None: not any more."""

    step: int | None
    at: float | None


class Over(NamedTuple):
    """The workflow has ended: who waits for it is told, and its record is kept for its time."""

    state: WorkflowState


Decision = StartJob | OpenMembers | CancelJob | CancelMembers | Call | Compensate | SetAlarm | Over
