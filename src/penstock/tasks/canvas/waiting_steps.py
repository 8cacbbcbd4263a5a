"""Why the steps of a workflow do not get on: what a store says of a step, and of its job, where it has one.

A store says why a step waits for others. A step that has begun may wait all the same: its job sleeps, waits for an
event, is held back by a limit, or no worker takes it. That stands with the job, which is looked up by whoever shows the
step. It does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from penstock.model.job import JobView
from penstock.model.states import State
from penstock.model.step_history import shown
from penstock.model.workflow_views import StepState, StepView

_NAMED: Final = 4
"""Steps that are named of those that one waits for."""


def jobs_to_look_up(steps: Iterable[StepView]) -> list[bytes]:
    """The ids of the jobs that say why steps which have begun do not get on."""
    return [step.job for step in steps if step.state is StepState.RUNNING and step.job is not None]


def with_reasons(steps: Sequence[StepView], jobs: Iterable[JobView | None]) -> list[StepView]:
    """The same steps, with why their jobs wait. ``jobs``: what a store has answered for `jobs_to_look_up`; more may be
    among them."""
    found = {job.id: job for job in jobs if job is not None}
    return [_with_reason(step, found) for step in steps]


def needs_named(needs: Iterable[int], open_steps: Mapping[int, str]) -> str:
    """Which steps one waits for, behind its reason: `` (clean, count)``. ``open_steps``: the names of those that have
    not ended; others are not waited for."""
    named = [open_steps[need] for need in needs if need in open_steps]
    if not named:
        return ""
    return f" ({', '.join([*named[:_NAMED], *(['…'] if len(named) > _NAMED else [])])})"


def _with_reason(step: StepView, jobs: Mapping[bytes, JobView]) -> StepView:
    job = jobs.get(step.job) if step.state is StepState.RUNNING and step.job is not None else None
    reason = None if job is None else job_reason(job)
    return step if reason is None else replace(step, reason=reason)


def job_reason(view: JobView) -> str | None:
    """Why a job does not run, in words; None: it runs, or has ended for good."""
    job = shown(view)
    failed = "" if job.error is None else f" ({job.error.type}: {job.error.message})"
    if job.state is State.BLOCKED:
        return job.reason
    if job.state is State.READY:
        return job.reason or f"no worker of queue {job.queue!r} has started it yet{failed}"
    if job.state is State.SCHEDULED:
        what = job.reason or ("it is tried again" if job.error is not None else "it is delayed")
        until = "" if job.run_at is None else f", until {datetime.fromtimestamp(job.run_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{what}{until}{failed}"
    return "what its job has returned runs in its place" if job.state is State.SUCCEEDED else None
