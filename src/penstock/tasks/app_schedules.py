"""The part of an application that has to do with schedules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Unpack

from penstock.model.errors import InvalidOption, ScheduleNotFound
from penstock.model.schedules import Schedule, ScheduleRun, ScheduleView
from penstock.tasks.canvas.composition import Canvas
from penstock.tasks.options import unix_seconds
from penstock.tasks.schedule_rules import (
    DeclaredSchedule,
    MissedRule,
    Moment,
    OverlapRule,
    ScheduleOptions,
    started_by,
    times_of,
)
from penstock.tasks.store_connection import StoreConnection

_PAGE = 100


class AppSchedules:
    """What `penstock.tasks.app.Penstock` offers for schedules.

    Attributes:
        declared_schedules: those that `schedule` has declared, by name; read-only.
    """

    _connection: StoreConnection

    def __init__(self) -> None:
        super().__init__()
        self._declared_schedules: dict[str, DeclaredSchedule] = {}
        self.declared_schedules: Mapping[str, DeclaredSchedule] = MappingProxyType(self._declared_schedules)

    def schedule(
        self,
        name: str,
        canvas: Canvas[object],
        *,
        cron: str | None = None,
        every_s: float | None = None,
        at: Moment | None = None,
        timezone: str = "UTC",
        overlap: OverlapRule = "skip",
        missed: MissedRule = "last",
        missed_max: int = 100,
        jitter_s: float = 0.0,
        start_at: Moment | None = None,
        end_at: Moment | None = None,
    ) -> None:
        """Declare what is started when: ``app.schedule("nightly", report.s(), cron="0 3 * * *",
        timezone="Europe/Paris")``.

        Workers record it in the store when they start, and the store fires it, once for each slot however many workers
        there are. One that leaves the code goes on until it is removed (`remove_schedule`). A change that is made while
        they run (`put_schedule`) wins over it.

        The job is told in its headers ``schedule`` and ``slot`` which schedule and which slot it is for.

        Args:
            name: unique in the store; 1 to 200 of A-Z a-z 0-9 _ . : -
            canvas: a call of a task, which becomes a job at each slot, or what is composed of calls, which becomes a
                workflow.
            cron: five fields, names allowed: minute, hour, day of the month, month, day of the week. What happens when
                clocks are changed: `penstock.workflow.slots`.
            every_s: at least 1; counted from ``start_at``, or from when the schedule was recorded first.
            at: once.
            timezone: the IANA name of the zone in whose wall clock ``cron`` is.
            overlap: when what an earlier slot started has not ended: ``skip`` this one, ``queue`` it until that ends
                (of several the latest), or ``replace`` the earlier one, which is cancelled.
            missed: what of the slots at whose time no owner ran is made up for: ``none``, the ``last``, or ``all``, of
                these the latest ``missed_max``. A slot up to ten seconds late is not missed.
            missed_max: 1 to 1,000.
            jitter_s: each slot starts up to this much later, by chance, always by the same; at most an hour, and at
                most ``every_s``.
            start_at, end_at: no slot before, or after. None: no bound.

        Raises:
            InvalidOption: an option is not what it may be, not exactly one of ``cron``, ``every_s`` and ``at`` is
                given, or there is a schedule of this name; ``field`` names what is to blame.
        """
        options: ScheduleOptions = {
            "cron": cron,
            "every_s": every_s,
            "at": at,
            "timezone": timezone,
            "overlap": overlap,
            "missed": missed,
            "missed_max": missed_max,
            "jitter_s": jitter_s,
            "start_at": start_at,
            "end_at": end_at,
        }
        declared = DeclaredSchedule(self._connection, name, canvas, options)
        if name in self._declared_schedules:
            raise InvalidOption(f"The schedule {name!r} is declared already: give one another name.", field="name")
        self._declared_schedules[name] = declared

    def schedule_records(self) -> list[Schedule]:
        """The declared schedules as stores have them. For tools.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: what one starts is not what it may be.
        """
        return [declared.record() for declared in self._declared_schedules.values()]

    # --- at run time -------------------------------------------------------------------------------------------------
    def put_schedule(self, name: str, canvas: Canvas[object], **options: Unpack[ScheduleOptions]) -> ScheduleView:
        """Make a schedule, or let the one of this name be this from now on. It is in force when this returns. The
        options are those of `schedule`.

        Other times count from now; where only what is started changes, no slot is lost. The same again changes nothing.
        One that the code declares is as it is put until `remove_schedule`.

        Raises:
            InvalidOption: an option is not what it may be, or it would never fire.
            InvalidArguments: arguments do not fit.
            BodyTooLarge: they are too large.
            StoreFull: there is no room.
            StoreUnavailable: the store cannot be reached.
        """
        wanted = started_by(times_of(name, options), self._connection, canvas)
        return self._connection.store().put_schedule(wanted)

    async def put_schedule_async(
        self, name: str, canvas: Canvas[object], **options: Unpack[ScheduleOptions]
    ) -> ScheduleView:
        """`put_schedule` for a coroutine."""
        wanted = started_by(times_of(name, options), self._connection, canvas)
        store = await self._connection.async_store()
        return await store.put_schedule(wanted)

    def schedules(self) -> Iterator[ScheduleView]:
        """All schedules in the store, by name, read in pages.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        page = self._connection.store().schedules(limit=_PAGE)
        yield from page.schedules
        while page.cursor is not None:
            page = self._connection.store().schedules(cursor=page.cursor, limit=_PAGE)
            yield from page.schedules

    async def schedules_async(self) -> AsyncIterator[ScheduleView]:
        """`schedules` for a coroutine: ``async for``."""
        cursor: str | None = None
        while True:
            store = await self._connection.async_store()
            page = await store.schedules(cursor=cursor, limit=_PAGE)
            for view in page.schedules:
                yield view
            cursor = page.cursor
            if cursor is None:
                return

    def get_schedule(self, name: str) -> ScheduleView:
        """A schedule as it is now.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        return _found(name, self._connection.store().schedule(name))

    async def get_schedule_async(self, name: str) -> ScheduleView:
        """`get_schedule` for a coroutine."""
        store = await self._connection.async_store()
        return _found(name, await store.schedule(name))

    def remove_schedule(self, name: str) -> ScheduleView | None:
        """Remove a schedule with its history. What it has started goes on. Of one that the code declares, what was put
        over it is removed: answers what it is then. None: there is none of this name any more.

        Raises:
            ScheduleNotFound: there is none of this name.
            Conflict: the code of an application declares it so, and would make it again: take it out there, or pause
                it.
        """
        return self._connection.store().remove_schedule(name)

    async def remove_schedule_async(self, name: str) -> ScheduleView | None:
        """`remove_schedule` for a coroutine."""
        store = await self._connection.async_store()
        return await store.remove_schedule(name)

    def run_schedule(self, name: str) -> ScheduleRun:
        """Start a run now, whatever runs. Its slot is now.

        Raises:
            ScheduleNotFound: there is none of this name.
            Conflict: too many of its runs have not ended.
            QueueDraining, StoreFull: the store does not take its job.
        """
        return self._connection.store().run_schedule(name)

    async def run_schedule_async(self, name: str) -> ScheduleRun:
        """`run_schedule` for a coroutine."""
        store = await self._connection.async_store()
        return await store.run_schedule(name)

    def pause_schedule(self, name: str) -> ScheduleView:
        """Let it not fire until `resume_schedule`. Raises ScheduleNotFound."""
        return self._connection.store().pause_schedule(name)

    async def pause_schedule_async(self, name: str) -> ScheduleView:
        """`pause_schedule` for a coroutine."""
        store = await self._connection.async_store()
        return await store.pause_schedule(name)

    def resume_schedule(self, name: str) -> ScheduleView:
        """Let it fire again, from the next slot on. Raises ScheduleNotFound."""
        return self._connection.store().resume_schedule(name)

    async def resume_schedule_async(self, name: str) -> ScheduleView:
        """`resume_schedule` for a coroutine."""
        store = await self._connection.async_store()
        return await store.resume_schedule(name)

    def backfill_schedule(self, name: str, since: Moment, until: Moment) -> int:
        """Start a run for each slot of a time that has passed, both ends included, whatever runs and whether or not it
        had one. Answers how many.

        Raises:
            ScheduleNotFound: there is none of this name.
            InvalidOption: the time lies ahead, or has more than 1,000 slots.
            Conflict: too many of its runs would not have ended.
            QueueDraining, StoreFull: the store does not take its jobs.
        """
        bounds = unix_seconds(since, "since"), unix_seconds(until, "until")
        return self._connection.store().backfill_schedule(name, *bounds)

    async def backfill_schedule_async(self, name: str, since: Moment, until: Moment) -> int:
        """`backfill_schedule` for a coroutine."""
        bounds = unix_seconds(since, "since"), unix_seconds(until, "until")
        store = await self._connection.async_store()
        return await store.backfill_schedule(name, *bounds)

    def schedule_runs(self, name: str) -> Iterator[ScheduleRun]:
        """The history of a schedule, newest first, read in pages: the last 100 entries, and runs that have not ended.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        page = self._connection.store().schedule_runs(name, limit=_PAGE)
        yield from page.runs
        while page.cursor is not None:
            page = self._connection.store().schedule_runs(name, cursor=page.cursor, limit=_PAGE)
            yield from page.runs

    async def schedule_runs_async(self, name: str) -> AsyncIterator[ScheduleRun]:
        """`schedule_runs` for a coroutine: ``async for``."""
        cursor: str | None = None
        while True:
            store = await self._connection.async_store()
            page = await store.schedule_runs(name, cursor=cursor, limit=_PAGE)
            for run in page.runs:
                yield run
            cursor = page.cursor
            if cursor is None:
                return


def _found(name: str, view: ScheduleView | None) -> ScheduleView:
    if view is None:
        raise ScheduleNotFound(f"There is no schedule {name!r}.")
    return view
