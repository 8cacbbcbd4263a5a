"""What a store does with schedules: what applications declare, and what people ask for. Pure.

A schedule is two things: what it says (`Schedule`, rarely written), and how it stands (`Standing`, written at each
firing).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption, ScheduleNotFound
from penstock.model.schedules import Cause, RunsPage, Schedule, ScheduleRun, SchedulesPage, ScheduleView
from penstock.workflow.schedule_checks import check_declared, check_fires, checked
from penstock.workflow.schedule_rows import Standing, Told
from penstock.workflow.schedule_runs import UNREADABLE, Runs
from penstock.workflow.slots import bounded_after, slot_text, slots_of

_encode: Final = msgspec.msgpack.Encoder().encode
_AT_ONCE: Final = 0.001
"""Less than there is between two slots."""


class Scheduler(Runs):
    """The schedules of one store."""

    # --- people ask --------------------------------------------------------------------------------------------------
    def put(self, wanted: Schedule, by: str | None) -> ScheduleView:
        """See `penstock.ports.ScheduleStore.put_schedule`."""
        now = self.effects.time()
        schedule = replace(checked(wanted, now), declared_by=None)
        standing = self.rows.standing(schedule.name)
        if standing is None:
            check_fires(schedule, now)
            self._check_room()
            standing = self._made(Told(schedule), now)
        else:
            told = self.rows.told(standing.number) or Told(Schedule(standing.name))
            schedule = replace(schedule, declared_by=standing.declared_by)
            if schedule == told.in_force:
                return self._view(standing)
            check_fires(schedule, now)
            standing = replace(standing, is_changed=told.declared is not None and schedule != told.declared)
            standing = self._replaced(standing, told, Told(schedule, told.declared), now)
        self.effects.note(by, "schedule", schedule.name, _time_text(schedule))
        return self._view(standing)

    def _made(self, told: Told, now: float) -> Standing:
        schedule = told.in_force
        number = self.rows.new_number()
        standing = Standing(
            number,
            schedule.name,
            now,
            _handled(schedule, now),
            is_declared=told.declared is not None,
            declared_by=schedule.declared_by,
        )
        self.rows.save_told(number, told)
        standing = self.planned(standing, told, now)
        self.rows.save(standing)
        return standing

    def _replaced(self, standing: Standing, before: Told, told: Told, now: float) -> Standing:
        """Let a schedule say something else from now on. Other times count from now; otherwise no slot is lost."""
        if _times(told.in_force) != _times(before.in_force):
            handled = _handled(told.in_force, now)
            if told.in_force.at is None:
                handled = max(handled, standing.handled)
            standing = replace(standing, made_at=now, handled=handled)
        standing = self.planned(replace(standing, problem=None), told, now)
        self.rows.save_told(standing.number, told)
        self.rows.save(standing)
        return standing

    def remove(self, name: str, by: str | None) -> ScheduleView | None:
        """See `penstock.ports.ScheduleStore.remove_schedule`."""
        standing = self._found(name)
        if not standing.is_declared:
            self.rows.remove(standing)
            self.effects.note(by, "remove", name)
            return None
        if not standing.is_changed:
            raise Conflict(
                f"The schedule {name!r} is declared by {standing.declared_by}, and its next worker would make it again:"
                " take it out of the code, or pause it."
            )
        told, now = self._told(standing), self.effects.time()
        assert told.declared is not None, "what was changed was declared"
        standing = self._replaced(replace(standing, is_changed=False), told, Told(told.declared, told.declared), now)
        self.effects.note(by, "restore", name)
        return self._view(standing)

    def pause(self, name: str, by: str | None) -> ScheduleView:
        """See `penstock.ports.ScheduleStore.pause_schedule`."""
        standing = self._found(name)
        if not standing.is_paused:
            standing = replace(standing, is_paused=True, look_at=None, next_slot=None, forget_at=None)
            self.rows.save(standing)
            self.effects.note(by, "pause", name)
        return self._view(standing)

    def resume(self, name: str, by: str | None) -> ScheduleView:
        """See `penstock.ports.ScheduleStore.resume_schedule`."""
        standing = self._found(name)
        if standing.is_paused:
            now = self.effects.time()
            standing = replace(standing, is_paused=False, handled=max(standing.handled, now))
            standing = self.planned(standing, self._told(standing), now)
            self.rows.save(standing)
            self.effects.note(by, "resume", name)
        return self._view(standing)

    def run(self, name: str, by: str | None) -> ScheduleRun:
        """See `penstock.ports.ScheduleStore.run_schedule`."""
        now = self.effects.time()
        standing = self._found(name)
        (run,) = self.by_hand(standing, self._told(standing).in_force, [now], Cause.HAND, now)
        self.effects.note(by, "run", name)
        return run

    def backfill(self, name: str, since: float, until: float, by: str | None) -> int:
        """See `penstock.ports.ScheduleStore.backfill_schedule`."""
        standing = self._found(name)
        now = self.effects.time()
        if not since <= until <= now:
            raise InvalidOption("A backfill is of a time that has passed: since <= until <= now.", field="until")
        schedule = self._told(standing).in_force
        slots = slots_of(schedule, standing.made_at)
        found: list[float] = []
        slot = bounded_after(schedule, slots, since - _AT_ONCE)
        while slot is not None and slot <= until:
            found.append(slot)
            if len(found) > limits.BACKFILL_SLOTS_MAX:
                raise InvalidOption(
                    f"There are more than {limits.BACKFILL_SLOTS_MAX} slots in this time (BACKFILL_SLOTS_MAX): fill it"
                    " in parts.",
                    field="since",
                )
            slot = bounded_after(schedule, slots, slot)
        if found:
            self.by_hand(standing, schedule, found, Cause.BACKFILL, now)
            self.effects.note(by, "backfill", name, f"{len(found)} slots")
        return len(found)

    def register(self, schedules: Sequence[Schedule], application: str | None) -> None:
        """See `penstock.ports.Store.register_tasks`: what this application declares now, all of it."""
        if application is None and not schedules:
            return
        now = self.effects.time()
        declared = check_declared(schedules, application, now)
        known = {schedule.name: self.rows.standing(schedule.name) for schedule in declared}
        self._check_room(sum(standing is None for standing in known.values()))
        assert application is not None, "somebody declares them"
        for standing in self.rows.declared_by(application):
            if standing.name not in known and standing.is_declared:
                self.rows.save(replace(standing, is_declared=False))
        for schedule in declared:
            there = known[schedule.name]
            if there is None:
                self._made(Told(schedule, schedule), now)
            else:
                self._declare(there, schedule, now)

    def _declare(self, standing: Standing, schedule: Schedule, now: float) -> None:
        """Let a schedule that there is be declared so. What was changed by hand stays as it is."""
        told = self.rows.told(standing.number) or Told(Schedule(standing.name), schedule)
        by_hand = standing.is_changed or told.declared is None
        in_force = replace(told.in_force, declared_by=schedule.declared_by) if by_hand else schedule
        changed = replace(standing, is_declared=True, is_changed=in_force != schedule, declared_by=schedule.declared_by)
        if told != Told(in_force, schedule):
            self._replaced(changed, told, Told(in_force, schedule), now)
        elif changed != standing:
            self.rows.save(changed)

    def _check_room(self, more: int = 1) -> None:
        if more and self.rows.count() + more > limits.SCHEDULES_MAX:
            raise InvalidOption(f"There are {limits.SCHEDULES_MAX} schedules already (SCHEDULES_MAX).", field="name")

    # --- looking -----------------------------------------------------------------------------------------------------
    def view(self, name: str) -> ScheduleView | None:
        """See `penstock.ports.ScheduleStore.schedule`."""
        standing = self.rows.standing(name)
        return None if standing is None else self._view(standing)

    def page(self, cursor: str | None, limit: int) -> SchedulesPage:
        """See `penstock.ports.ScheduleStore.schedules`."""
        limit = max(1, min(limit, limits.PAGE_SCHEDULES_MAX))
        found = self.rows.page(cursor or "", limit + 1)
        views: list[ScheduleView] = []
        size_bytes = 0
        for standing in found[:limit]:
            views.append(self._view(standing))
            size_bytes += len(_encode(views[-1]))
            if size_bytes > limits.ANSWER_BYTES_MAX // 2:
                break
        return SchedulesPage(views, views[-1].schedule.name if len(views) < len(found) else None)

    def history(self, name: str, cursor: str | None, limit: int) -> RunsPage:
        """See `penstock.ports.ScheduleStore.schedule_runs`."""
        standing = self._found(name)
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 15):
            raise InvalidOption(f"{cursor[:80]!r} is no cursor of a schedule's history.", field="cursor")
        limit = max(1, min(limit, limits.PAGE_SCHEDULES_MAX))
        below = standing.runs + 1 if cursor is None else int(cursor)
        found = self.rows.runs(standing.number, below, limit + 1)
        return RunsPage(found[:limit], str(found[limit - 1].number) if len(found) > limit else None)

    def _view(self, standing: Standing) -> ScheduleView:
        told = self.rows.told(standing.number)
        unreadable = Schedule(standing.name, declared_by=standing.declared_by)
        return ScheduleView(
            told.in_force if told is not None else unreadable,
            standing.made_at,
            standing.is_paused,
            standing.is_declared,
            standing.is_changed,
            standing.next_slot,
            None if standing.next_slot is None else standing.look_at,
            self.rows.run(standing.number, standing.runs) if standing.runs else None,
            standing.problem if told is not None else UNREADABLE,
        )

    def _found(self, name: str) -> Standing:
        standing = self.rows.standing(name)
        if standing is None:
            raise ScheduleNotFound(f"There is no schedule {name[:80]!r}.")
        return standing

    def _told(self, standing: Standing) -> Told:
        told = self.rows.told(standing.number)
        if told is None:
            raise ScheduleNotFound(f"What the schedule {standing.name!r} says cannot be read: put it anew.")
        return told


def _handled(schedule: Schedule, now: float) -> float:
    """Up to where the slots of a schedule that is made now are done with."""
    if schedule.at is not None and now - limits.SCHEDULE_LATE_S < schedule.at <= now:
        # Its time came on the way here.
        return schedule.at - _AT_ONCE
    return now


def _times(schedule: Schedule) -> tuple[object, ...]:
    return (
        schedule.cron,
        schedule.timezone,
        schedule.every_s,
        schedule.at,
        schedule.start_at,
        schedule.end_at,
    )


def _time_text(schedule: Schedule) -> str:
    """When it fires, in short."""
    if schedule.cron is not None:
        return f"cron {schedule.cron} {schedule.timezone}"
    return f"every {schedule.every_s:g} s" if schedule.at is None else f"at {slot_text(schedule.at)}"
