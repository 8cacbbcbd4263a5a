"""Schedules as JSON: as they are asked for, and as they are shown. The command line prints the same."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from penstock.gate.job_json import JobRequest, job_id_text, time_text
from penstock.gate.problems import Problem
from penstock.model.entry import JobGroup
from penstock.model.schedules import Missed, Overlap, Schedule, ScheduleRun, ScheduleView

_Time = Annotated[datetime, Meta(tz=True)]
_SHOWN: Final = 60


class ScheduleJson(Struct, forbid_unknown_fields=True):
    """A schedule as a client puts it: the job that it starts, as in ``POST /v1/jobs``, and when. None and absent mean
    the same: what the task says, or what is usual. The times are those of `penstock.tasks.app_schedules`; moments are
    RFC 3339 with an offset."""

    task: str
    args: Raw = Raw(b"[]")
    kwargs: Raw = Raw(b"{}")
    queue: str | None = None
    priority: int | None = None
    expires_s: float | None = None
    headers: dict[str, str] | None = None
    tags: list[str] | None = None
    cron: str | None = None
    every_s: float | None = None
    at: _Time | None = None
    timezone: str | None = None
    overlap: str | None = None
    missed: str | None = None
    missed_max: int | None = None
    jitter_s: float | None = None
    start_at: _Time | None = None
    end_at: _Time | None = None

    def job(self) -> JobRequest:
        """The job that it starts."""
        return JobRequest(
            self.task,
            self.args,
            self.kwargs,
            self.queue,
            self.priority,
            expires_s=self.expires_s,
            headers=self.headers,
            tags=self.tags,
        )

    def schedule(self, name: str, call: JobGroup) -> Schedule:
        """The schedule.

        Raises:
            Problem: ``invalid-option``: there is no such word for what it says.
        """
        plain = Schedule(name)
        return Schedule(
            name,
            call,
            cron=self.cron,
            timezone=plain.timezone if self.timezone is None else self.timezone,
            every_s=self.every_s,
            at=_seconds(self.at),
            start_at=_seconds(self.start_at),
            end_at=_seconds(self.end_at),
            jitter_s=plain.jitter_s if self.jitter_s is None else self.jitter_s,
            overlap=plain.overlap if self.overlap is None else Overlap(_word("overlap", self.overlap, Overlap)),
            missed=plain.missed if self.missed is None else Missed(_word("missed", self.missed, Missed)),
            missed_max=plain.missed_max if self.missed_max is None else self.missed_max,
        )


class BackfillJson(Struct, forbid_unknown_fields=True):
    """The time of which the slots are to be filled, both ends included."""

    since: _Time
    until: _Time


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _word(field: str, given: str, kind: type[Overlap | Missed]) -> str:
    words = [word.value for word in kind]
    if given not in words:
        raise Problem("invalid-option", f"`{field}` is one of {', '.join(words)}; not {given[:_SHOWN]!r}.", field=field)
    return given


def schedule_json(view: ScheduleView) -> dict[str, Any]:
    """A schedule as it is shown. Arguments are not: they may be large, or nobody's business."""
    schedule = view.schedule
    call, plan = schedule.call, schedule.plan
    return {
        "name": schedule.name,
        "task": None if call is None else call.task,
        "workflow": None if plan is None else plan.name,
        "queue": None if call is None else call.queue,
        "priority": None if call is None else call.priority,
        "cron": schedule.cron,
        "timezone": None if schedule.cron is None else schedule.timezone,
        "every_s": schedule.every_s,
        "at": time_text(schedule.at),
        "start_at": time_text(schedule.start_at),
        "end_at": time_text(schedule.end_at),
        "jitter_s": schedule.jitter_s,
        "overlap": schedule.overlap.value,
        "missed": schedule.missed.value,
        "missed_max": schedule.missed_max if schedule.missed is Missed.ALL else None,
        "paused": view.is_paused,
        "declared_by": schedule.declared_by,
        "declared": view.is_declared,
        "changed": view.is_changed,
        "next_slot": time_text(view.next_slot),
        "next_at": time_text(view.next_at),
        "latest": None if view.latest is None else run_json(view.latest),
        "problem": view.problem,
    }


def run_json(run: ScheduleRun) -> dict[str, Any]:
    """An entry of a history."""
    found = None if run.id is None else job_id_text(run.id)
    return {
        "slot": time_text(run.slot),
        "until": time_text(run.until),
        "cause": run.cause.value,
        "state": run.state.value,
        "job": None if run.is_workflow else found,
        "workflow": found if run.is_workflow else None,
        "at": time_text(run.at),
        "ended_at": time_text(run.ended_at),
        "note": run.note,
    }
