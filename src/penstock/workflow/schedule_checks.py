"""What a schedule may be. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.acceptance import check_groups
from penstock.model.entry import JobGroup
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.schedules import Missed, Schedule
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.workflow.checks import check_first_members, check_members, check_plan
from penstock.workflow.schedule_rows import Standing
from penstock.workflow.slot_calls import calls_of, run_ids, without_ids, workflow_of
from penstock.workflow.slots import EARLIEST, LATEST, bounded_after, slots_of

_encode: Final = msgspec.msgpack.Encoder().encode
_NAME: Final = re.compile(rf"[A-Za-z0-9_.:-]{{1,{limits.SCHEDULE_NAME_CHARS_MAX}}}")


def check_schedule_name(name: str) -> None:
    """Pass when a schedule may be called so.

    Raises:
        InvalidOption: it may not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            f"{name[:80]!r} is no name for a schedule: 1 to {limits.SCHEDULE_NAME_CHARS_MAX} of A-Z a-z 0-9 _ . : -",
            field="name",
        )


def checked(schedule: Schedule, now: float) -> Schedule:
    """The schedule as it is kept: without the ids of its jobs, so that the same one is known again.

    Raises:
        InvalidOption: it is not what it may be; ``field`` names what is to blame.
        BodyTooLarge: the arguments of its job are too large.
    """
    check_times(schedule, now)
    if (schedule.call is None) == (schedule.plan is None):
        raise InvalidOption(f"The schedule {schedule.name!r} starts one thing: a job or a workflow.", field="call")
    if schedule.call is not None:
        _check_call(schedule.name, schedule.call)
    else:
        _check_workflow(schedule, now)
    check_groups(calls_of(schedule, now), now)
    kept = without_ids(schedule)
    size_bytes = len(_encode(kept))
    if size_bytes > limits.SCHEDULE_BYTES_MAX:
        raise BodyTooLarge(
            f"The schedule {schedule.name!r} has {size_bytes} bytes; the limit (SCHEDULE_BYTES_MAX) is"
            f" {limits.SCHEDULE_BYTES_MAX}: let its job fetch what it needs, or a step return the group."
        )
    return kept


def check_times(schedule: Schedule, now: float) -> None:
    """Pass when a schedule may have this name and these times, whatever it starts.

    Raises:
        InvalidOption: it may not; ``field`` names what is to blame.
    """
    check_schedule_name(schedule.name)
    _check_numbers(schedule)
    slots_of(schedule, now)


def check_fires(schedule: Schedule, now: float) -> None:
    """Pass when a schedule that is made now has a slot before it.

    Raises:
        InvalidOption: it has none.
    """
    start = now if schedule.at is None else now - limits.SCHEDULE_LATE_S
    if bounded_after(schedule, slots_of(schedule, now), start) is None:
        said = "at" if schedule.at is not None else "end_at"
        raise InvalidOption(
            f"The schedule {schedule.name!r} would never fire: {said} has passed. Enqueue the job instead, or give a"
            " later time.",
            field=said,
        )


def check_declared(schedules: Sequence[Schedule], application: str | None, now: float) -> list[Schedule]:
    """The schedules that an application declares, as they are kept.

    Raises:
        InvalidOption: one is not what it may be, two have the same name, they are too many, or nobody declares them.
        BodyTooLarge: the arguments of one are too large.
    """
    if schedules and not application:
        raise InvalidOption("Say which application declares these schedules.", field="application")
    if application is not None and len(application) > limits.APPLICATION_CHARS_MAX:
        raise InvalidOption(
            f"The name of an application has at most {limits.APPLICATION_CHARS_MAX} characters.", field="application"
        )
    if len(schedules) > limits.SCHEDULES_DECLARED_MAX:
        raise InvalidOption(
            f"{len(schedules)} schedules in one application; the limit (SCHEDULES_DECLARED_MAX) is"
            f" {limits.SCHEDULES_DECLARED_MAX}. Make them at run time instead.",
            field="schedules",
        )
    kept = [replace(checked(schedule, now), declared_by=application) for schedule in schedules]
    names = {schedule.name for schedule in kept}
    if len(names) < len(kept):
        raise InvalidOption("Two schedules of an application have the same name.", field="name")
    return kept


def _check_numbers(schedule: Schedule) -> None:
    name = schedule.name
    for field in ("at", "start_at", "end_at"):
        moment = getattr(schedule, field)
        if moment is not None and not EARLIEST <= moment <= LATEST:
            raise InvalidOption(f"{field} of the schedule {name!r} is not a time that can be reached.", field=field)
    start, end = schedule.start_at, schedule.end_at
    if start is not None and end is not None and end < start:
        raise InvalidOption(f"end_at of the schedule {name!r} is before its start_at.", field="end_at")
    every_s = schedule.every_s
    if every_s is not None and not limits.SCHEDULE_EVERY_S_MIN <= every_s <= limits.DELAY_S_MAX:
        raise InvalidOption(
            f"every_s of the schedule {name!r} is {limits.SCHEDULE_EVERY_S_MIN:g} to {limits.DELAY_S_MAX:.0f} seconds,"
            f" not {every_s!r}.",
            field="every_s",
        )
    most = limits.SCHEDULE_JITTER_S_MAX if every_s is None else min(every_s, limits.SCHEDULE_JITTER_S_MAX)
    if math.isnan(schedule.jitter_s) or not 0 <= schedule.jitter_s <= most:
        raise InvalidOption(
            f"jitter_s of the schedule {name!r} is 0 to {most:g} seconds, not {schedule.jitter_s!r}.", field="jitter_s"
        )
    if schedule.missed is Missed.ALL and not 1 <= schedule.missed_max <= limits.SCHEDULE_MISSED_MAX:
        raise InvalidOption(
            f"missed_max of the schedule {name!r} is 1 to {limits.SCHEDULE_MISSED_MAX} slots, not"
            f" {schedule.missed_max}.",
            field="missed_max",
        )


def _check_call(name: str, call: JobGroup) -> None:
    if len(call.jobs) != 1:
        raise InvalidOption(f"The schedule {name!r} starts one job, not {len(call.jobs)}.", field="call")
    if call.delay_s is not None or call.run_at is not None:
        raise InvalidOption(
            f"The job of the schedule {name!r} starts at its slots: leave out delay_s and run_at, and give other times,"
            " or jitter_s.",
            field="delay_s" if call.delay_s is not None else "run_at",
        )
    if call.jobs[0].idempotency_key is not None:
        raise _has_key(name, "job")


def _check_workflow(schedule: Schedule, now: float) -> None:
    """Pass when it can be started as it is, at every slot."""
    name = schedule.name
    plan, members = workflow_of(schedule, now, run_ids(Standing(0, name, now, now), 0, now))
    if plan.idempotency_key is not None:
        raise _has_key(name, "workflow")
    check_plan(plan, now)
    for number, step in enumerate(plan.steps):
        if step.group is not None and step.group.total != _members_of(plan, number, members):
            raise InvalidOption(
                f"The workflow of the schedule {name!r} has not all members of the group {step.name!r}, and nobody adds"
                " them when it has been started: give all of them, or let a task return the group.",
                field="plan",
            )
    check_members(dict(enumerate(plan.steps)).get, members, now)
    check_first_members(plan, members)


def _members_of(plan: WorkflowPlan, group: int, members: Sequence[Members]) -> int:
    """How many members of a group there are: bare ones, and blocks of steps."""
    instead = plan.steps[group].alternative
    found = [step.block for step in plan.steps if step.block is not None and step.block.owner == group]
    blocks = {block.place for block in found if block != instead}
    bare = sum(len(calls.jobs) for added in members if added.step == group for calls in added.groups)
    return len(blocks) + bare


def _has_key(name: str, what: str) -> InvalidOption:
    return InvalidOption(
        f"The schedule {name!r} starts a {what} once for each slot by itself: leave out its idempotency key.",
        field="idempotency_key",
    )
