"""What a schedule starts at a slot: its job, or its workflow, with ids of their own. Pure.

The ids follow from the schedule, the number of the run and the time: whoever does the same step again makes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import count
from typing import Final

from msgspec.structs import replace

from penstock.model.entry import JobGroup
from penstock.model.schedules import Schedule
from penstock.model.workflow_plan import Callback, Members, StepPlan, WorkflowPlan
from penstock.workflow.schedule_rows import Standing
from penstock.workflow.slots import slot_text

NO_ID: Final = bytes(16)
"""Stands in a schedule for the id of a job, or a workflow, that is made anew at each firing."""
SCHEDULE_HEADER: Final = "schedule"
SLOT_HEADER: Final = "slot"
"""Headers that tell a job which schedule started it, and for which slot (RFC 3339)."""

Headers = dict[str, str]


def run_ids(standing: Standing, run: int, now: float) -> Iterator[bytes]:
    """Ids for one run of a schedule, UUIDv7 of this moment: the first is that of its job, or its workflow."""
    milliseconds = (int(now * 1_000) & 0xFFFF_FFFF_FFFF).to_bytes(6, "big")
    for place in count():
        seed = f"{standing.name}\n{standing.number}\n{standing.made_at!r}\n{run}\n{place}\n{now!r}"
        number = int.from_bytes(blake2b(seed.encode(), digest_size=10).digest(), "big")
        high = 7 << 12 | number >> 62 & 0xFFF
        low = 2 << 62 | number & (1 << 62) - 1
        yield milliseconds + high.to_bytes(2, "big") + low.to_bytes(8, "big")


def job_of(schedule: Schedule, slot: float, ids: Iterator[bytes]) -> JobGroup:
    """The job that a schedule starts at a slot."""
    assert schedule.call is not None, "it starts a job"
    return _call(schedule.call, _headers(schedule, slot), ids)


def workflow_of(schedule: Schedule, slot: float, ids: Iterator[bytes]) -> tuple[WorkflowPlan, list[Members]]:
    """The workflow that a schedule starts at a slot, and the members of its groups."""
    assert schedule.plan is not None, "it starts a workflow"
    return _plan(schedule.plan, schedule.members, _headers(schedule, slot), ids)


def without_ids(schedule: Schedule) -> Schedule:
    """The schedule as it is kept, so that the same one is known again."""
    none = iter(lambda: NO_ID, None)
    if schedule.call is not None:
        return replace(schedule, call=_call(schedule.call, {}, none))
    if schedule.plan is None:
        return schedule
    plan, members = _plan(schedule.plan, schedule.members, {}, none)
    return replace(schedule, plan=replace(plan, identity=None), members=members)


def calls_of(schedule: Schedule, slot: float) -> list[JobGroup]:
    """All jobs that it starts, or may start, as they are at this slot."""
    none = iter(lambda: NO_ID, None)
    if schedule.call is not None:
        return [job_of(schedule, slot, none)]
    plan, members = workflow_of(schedule, slot, none)
    callbacks = [*plan.on_success, *plan.on_error]
    for step in plan.steps:
        callbacks += [*step.on_success, *step.on_error]
        if step.compensation is not None:
            callbacks.append(step.compensation)
    calls = [step.call for step in plan.steps if step.call is not None]
    return calls + [one.call for one in callbacks] + [group for added in members for group in added.groups]


def _headers(schedule: Schedule, slot: float) -> Headers:
    return {SCHEDULE_HEADER: schedule.name, SLOT_HEADER: slot_text(slot)}


def _plan(
    plan: WorkflowPlan, members: list[Members], headers: Headers, ids: Iterator[bytes]
) -> tuple[WorkflowPlan, list[Members]]:
    plan = replace(
        plan,
        id=next(ids),
        steps=[_step(step, headers, ids) for step in plan.steps],
        on_success=_callbacks(plan.on_success, headers, ids),
        on_error=_callbacks(plan.on_error, headers, ids),
    )
    added = [replace(one, groups=[_call(group, headers, ids) for group in one.groups]) for one in members]
    return plan, added


def _step(step: StepPlan, headers: Headers, ids: Iterator[bytes]) -> StepPlan:
    return replace(
        step,
        call=None if step.call is None else _call(step.call, headers, ids),
        compensation=None if step.compensation is None else _callbacks([step.compensation], headers, ids)[0],
        on_success=_callbacks(step.on_success, headers, ids),
        on_error=_callbacks(step.on_error, headers, ids),
    )


def _callbacks(callbacks: list[Callback], headers: Headers, ids: Iterator[bytes]) -> list[Callback]:
    return [replace(one, call=_call(one.call, headers, ids)) for one in callbacks]


def _call(call: JobGroup, headers: Headers, ids: Iterator[bytes]) -> JobGroup:
    jobs = [replace(entry, id=next(ids)) for entry in call.jobs]
    return replace(call, jobs=jobs, headers={**(call.headers or {}), **headers} or None)
