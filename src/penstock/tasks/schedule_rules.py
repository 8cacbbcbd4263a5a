"""What is scheduled, as it is written in code, and as stores have it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.schedules import Missed, Overlap, Schedule
from penstock.tasks import names
from penstock.tasks.canvas.composition import Canvas, Signature
from penstock.tasks.entries import check_same, entry_of, group_of
from penstock.tasks.options import unix_seconds
from penstock.tasks.store_connection import StoreConnection

Moment = datetime | float
"""An aware datetime, or Unix seconds."""
OverlapRule = Literal["skip", "queue", "replace"]
MissedRule = Literal["none", "last", "all"]


class ScheduleOptions(TypedDict, total=False):
    """When a schedule fires, and what becomes of slots that cannot: see `penstock.tasks.app_schedules`."""

    cron: str | None
    every_s: float | None
    at: Moment | None
    timezone: str
    overlap: OverlapRule
    missed: MissedRule
    missed_max: int
    jitter_s: float
    start_at: Moment | None
    end_at: Moment | None


_TEXTS: Final = ("cron", "timezone")
_MOMENTS: Final = ("at", "start_at", "end_at")


def times_of(name: object, options: ScheduleOptions) -> Schedule:
    """A schedule that starts nothing yet: its name and its times, checked.

    Raises:
        InvalidOption: one is not what it may be; ``field`` names it.
    """
    from penstock.workflow.schedule_checks import check_times

    if not isinstance(name, str):
        names.refuse("name", f"is {names.shown(name)}: give a text")
    given: dict[str, Any] = dict(options)
    for field in _TEXTS:
        if given.get(field) is not None and not isinstance(given[field], str):
            names.refuse(field, f"is {names.shown(given[field])}: give a text")
    for field in _MOMENTS:
        if given.get(field) is not None:
            given[field] = unix_seconds(given[field], field)
    for field in ("every_s", "jitter_s"):
        if given.get(field) is not None:
            given[field] = names.check_seconds(field, given[field])
    for field, kind in (("overlap", Overlap), ("missed", Missed)):
        if field in given:
            given[field] = _word(field, given[field], kind)
    most = given.get("missed_max", 100)
    if not isinstance(most, int) or isinstance(most, bool):
        names.refuse("missed_max", f"is {names.shown(most)}: give a whole number")
    schedule = Schedule(name, **given)
    check_times(schedule, time.time())
    return schedule


def _word(field: str, given: object, kind: type[Overlap | Missed]) -> Overlap | Missed:
    words = [word.value for word in kind]
    if not isinstance(given, str) or given not in words:
        names.refuse(field, f"is {names.shown(given)}: give one of {', '.join(words)}")
    return kind(given)


def started_by(schedule: Schedule, connection: StoreConnection, canvas: object) -> Schedule:
    """The schedule with what it starts: a job where the canvas is nothing but a call, otherwise a workflow.

    Raises:
        InvalidOption: it is no canvas of this application, or too large.
        InvalidArguments: arguments do not fit.
        BodyTooLarge: they are too large.
    """
    from penstock.workflow.schedule_checks import checked

    if not isinstance(canvas, Canvas):
        names.refuse(
            "canvas", f"is {names.shown(canvas)}: give a call, such as task.s(…), or what is composed of calls"
        )
    return checked(_with_canvas(schedule, connection, canvas), time.time())


def _with_canvas(schedule: Schedule, connection: StoreConnection, canvas: Canvas[Any]) -> Schedule:
    from msgspec.structs import replace

    if isinstance(canvas, Signature) and canvas.is_bare and not canvas.each:
        task = canvas.task
        check_same(connection, task)
        entry = entry_of(task, canvas.args, canvas.kwargs, canvas.job_options)
        return replace(schedule, call=group_of(task, [entry], canvas.job_options))
    if canvas.connection() is not connection:
        raise InvalidOption(f"{canvas.described()} is of another application.", field="canvas")
    built = canvas.build()
    if built.streams:
        raise InvalidOption(
            f"{canvas.described()} is too large for a schedule, which keeps all of it: at most"
            f" {limits.BATCH_JOBS_MAX} jobs (BATCH_JOBS_MAX). Let a task return the group when it runs.",
            field="canvas",
        )
    return replace(schedule, plan=built.plan, members=built.members)


class DeclaredSchedule:
    """A schedule in the code of an application. What it starts is encoded when a worker asks for it, as the types of
    its arguments may be defined further down."""

    def __init__(self, connection: StoreConnection, name: object, canvas: object, options: ScheduleOptions) -> None:
        """Raises:
        InvalidOption: an option is not what it may be.
        """
        self.times = times_of(name, options)
        if not isinstance(canvas, Canvas):
            names.refuse(
                "canvas", f"is {names.shown(canvas)}: give a call, such as task.s(…), or what is composed of calls"
            )
        self._make: Callable[[], Schedule] = lambda: started_by(self.times, connection, canvas)
        self._made: Schedule | None = None

    def record(self) -> Schedule:
        """As stores have it.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: as `started_by`.
        """
        if self._made is None:
            # Once: the members of a group may come from an iterator, which can be gone through only once.
            self._made = self._make()
        return self._made
