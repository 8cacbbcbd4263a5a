"""What a store offers for schedules. Each call is one atomic step; the tick fires what is due.

It is a part of the contract of a store (`penstock.ports.Store`), whose ``register_tasks`` takes those that an
application declares. What a schedule is: `penstock.model.schedules`; when it fires: `penstock.workflow`. ``by`` is who
asks by hand, for the audit log; None: a program does, and nothing is noted there.
"""

from __future__ import annotations

from typing import Protocol

from penstock.model.schedules import RunsPage, Schedule, ScheduleRun, SchedulesPage, ScheduleView
from penstock.ports.effects import reads


class ScheduleStore(Protocol):
    """The calls about schedules."""

    def put_schedule(self, schedule: Schedule, *, by: str | None = None) -> ScheduleView:
        """Make a schedule, or let the one of this name say this from now on.

        Its slots are those from now on; where only something else than its times changes, none is lost. The same again
        changes nothing. One that an application declares stays as it is put, whatever workers register, until
        `remove_schedule`. A paused one stays paused. Who declares it is not asked of ``schedule``.

        Raises:
            InvalidOption: it is not what it may be, it would never fire, or there are too many
                (`limits.SCHEDULES_MAX`).
            BodyTooLarge: the arguments of its job are.
        """
        ...

    def remove_schedule(self, name: str, *, by: str | None = None) -> ScheduleView | None:
        """Remove a schedule with its history; None. What it has started goes on. Of one that is declared, and was
        changed by hand, the change is removed: answers what it is then.

        Raises:
            ScheduleNotFound: there is none of this name.
            Conflict: an application declares it so.
        """
        ...

    @reads
    def schedule(self, name: str) -> ScheduleView | None:
        """One schedule; None: there is none of this name."""
        ...

    @reads
    def schedules(self, *, cursor: str | None = None, limit: int = 100) -> SchedulesPage:
        """Schedules, by name, in pages of at most ``limit`` (and at most `limits.PAGE_SCHEDULES_MAX`)."""
        ...

    def run_schedule(self, name: str, *, by: str | None = None) -> ScheduleRun:
        """Start a run now, whatever runs, and whether or not it is paused. Its slot is now. Answers it.

        Raises:
            ScheduleNotFound: there is none of this name.
            Conflict: too many of its runs have not ended (`limits.SCHEDULE_RUNNING_MAX`).
            QueueDraining, StoreFull: the store does not take its job.
        """
        ...

    def pause_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """Let it not fire until `resume_schedule`. What it has started goes on.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        ...

    def resume_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """Let it fire again, from the next slot on: those that passed while it was paused are not missed.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        ...

    def backfill_schedule(self, name: str, since: float, until: float, *, by: str | None = None) -> int:
        """Start a run for each slot from ``since`` to ``until`` (Unix seconds, both included, not later than now),
        whatever runs, and whether or not it had one. Answers how many.

        Raises:
            ScheduleNotFound: there is none of this name.
            InvalidOption: the time lies ahead, or has too many slots (`limits.BACKFILL_SLOTS_MAX`).
            Conflict: too many of its runs would not have ended (`limits.SCHEDULE_RUNNING_MAX`).
            QueueDraining, StoreFull: the store does not take its jobs.
        """
        ...

    @reads
    def schedule_runs(self, name: str, *, cursor: str | None = None, limit: int = 100) -> RunsPage:
        """Its history, newest first, in pages: the last `limits.SCHEDULE_RUNS_KEPT` entries, and runs that have not
        ended.

        Raises:
            ScheduleNotFound: there is none of this name.
            InvalidOption: the cursor is none of this call's.
        """
        ...
