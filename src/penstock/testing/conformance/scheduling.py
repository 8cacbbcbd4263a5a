"""Claims about schedules: what fires when, once, and what becomes of slots that cannot."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.job import JobEntry, checksum
from penstock.model.schedules import Cause, Missed, RunState, Schedule, ScheduleRun, ScheduleView
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    StoreClaims,
    counted,
    group,
    leap,
    rest,
    see,
    settle,
    succeeded,
    take,
)

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


def job(**options: Any) -> Any:
    """One job, as a schedule has it."""
    return group(JobEntry(bytes(16), BODY, checksum(BODY)), **options)


def minutely(name: str = "s", **options: Any) -> Schedule:
    """A schedule with a slot every minute from when it is made."""
    return Schedule(name, **({"call": job(), "every_s": MINUTE} | options))


def there(store: Store, name: str = "s") -> ScheduleView:
    """A schedule that must be there."""
    view = store.schedule(name)
    assert view is not None
    return view


def history(store: Store, name: str = "s") -> list[ScheduleRun]:
    """All of a schedule's history, oldest first."""
    return store.schedule_runs(name, limit=1_000).runs[::-1]


def told(store: Store, name: str = "s") -> list[tuple[str, str]]:
    """The history in short: why, and what became of it."""
    return [(run.cause.value, run.state.value) for run in history(store, name)]


def pass_by(store: Store, clock: VirtualClock, duration_s: float) -> None:
    """Let time pass from one thing that is due to the next. Leases are held anew at each, as after a pause."""
    end = clock.monotonic() + duration_s
    rest(store)
    while clock.monotonic() < end:
        next_s = store.tick().next_s
        left_s = end - clock.monotonic()
        clock.advance(left_s if next_s is None else min(max(next_s, limits.TICK_GAP_S), left_s))
        rest(store)


def finish(store: Store, clock: VirtualClock) -> None:
    """Let all that is ready succeed."""
    held = take(store)
    settle(store, succeeded=[succeeded(one.fence, clock) for one in held])


class FiringClaims(StoreClaims):
    """When slots fire."""

    def test_a_slot_fires_at_its_time_and_not_before(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        made_at = clock.time()
        pass_by(store, clock, MINUTE - 0.5)
        assert take(store) == []
        assert store.tick().next_s == pytest.approx(0.5)
        clock.advance(0.5)
        store.tick()
        (held,) = take(store)
        assert (held.task, held.job.queue, held.job.body) == ("app.work", "default", BODY)
        (run,) = history(store)
        assert (run.slot, run.cause, run.state, run.id) == (
            made_at + MINUTE,
            Cause.SLOT,
            RunState.STARTED,
            held.job.id,
        )

    def test_the_job_is_told_its_schedule_and_its_slot(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(call=job(queue="q", priority=3, headers={"a": "b"}, tags=["t"])))
        pass_by(store, clock, MINUTE)
        (run,) = history(store)
        assert run.id is not None
        view = see(store, run.id)
        assert view.headers is not None
        assert (view.queue, view.priority, view.tags, view.headers["a"]) == ("q", 3, ["t"], "b")
        assert view.headers["schedule"] == "s"
        assert view.headers["slot"].endswith("Z")

    def test_every_slot_has_its_run(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        made_at = clock.time()
        for _ in range(5):
            pass_by(store, clock, MINUTE)
            finish(store, clock)
        assert [run.slot for run in history(store)] == [made_at + number * MINUTE for number in range(1, 6)]
        assert {run.state for run in history(store)} == {RunState.SUCCEEDED}

    def test_a_one_off_fires_once_and_goes_after_a_time(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(Schedule("s", call=job(), at=clock.time() + 30.0))
        pass_by(store, clock, 31.0)
        assert len(take(store)) == 1
        assert there(store).next_slot is None
        leap(store, clock, DAY)
        assert len(history(store)) == 1
        leap(store, clock, limits.SCHEDULE_KEEP_S)
        assert store.schedule("s") is None

    def test_a_time_that_came_on_the_way_is_not_lost(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(Schedule("s", call=job(), at=clock.time() - 1.0))
        rest(store)
        assert told(store) == [("slot", "started")]

    def test_bounds_end_a_schedule(self, store: Store, clock: VirtualClock) -> None:
        begin = clock.time()
        store.put_schedule(minutely(start_at=begin + 5 * MINUTE, end_at=begin + 6 * MINUTE))
        pass_by(store, clock, 10 * MINUTE)
        assert [run.slot - begin for run in history(store)] == [5 * MINUTE, 6 * MINUTE]

    def test_jitter_moves_the_start_and_not_the_slot(self, store: Store, clock: VirtualClock) -> None:
        begin = clock.time()
        view = store.put_schedule(minutely(jitter_s=30.0))
        assert view.next_slot == begin + MINUTE
        assert view.next_at is not None
        put_off = view.next_at - begin - MINUTE
        assert 0 < put_off < 30.0
        pass_by(store, clock, MINUTE + put_off - 0.1)
        assert history(store) == []
        pass_by(store, clock, 0.2)
        (run,) = history(store)
        assert run.slot == begin + MINUTE

    def test_a_schedule_in_force_costs_nothing_until_it_is_due(self, store: Store, clock: VirtualClock) -> None:
        for number in range(50):
            store.put_schedule(minutely(f"s{number:02}", every_s=MINUTE + number))
        pass_by(store, clock, MINUTE + 9.5)
        assert counted(store)["accepted_total"] == 10

    def test_more_than_one_step_of_them_are_all_fired(self, store: Store, clock: VirtualClock) -> None:
        count = limits.SCHEDULE_STEP_RUNS + 20
        for number in range(count):
            store.put_schedule(minutely(f"s{number}"))
        clock.advance(MINUTE)
        assert store.tick().next_s == 0
        rest(store)
        assert counted(store)["accepted_total"] == count

    def test_all_stands_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        store.put_schedule(minutely("other"))
        store.pause_schedule("other")
        pass_by(store, clock, MINUTE)
        before = store.schedules().schedules
        again = self.take_over(store, clock)
        assert again.schedules().schedules == before
        rest(again)
        assert len(history(again)) == 1
        pass_by(again, clock, MINUTE)
        assert len(history(again)) == 2
        assert history(again, "other") == []


class ClockClaims(StoreClaims):
    """Each slot at most once, whatever the clock does."""

    @pytest.mark.parametrize("jump_s", [HOUR, -HOUR, 61.0, -61.0, -1.0])
    def test_a_jump_of_the_clock_fires_nothing_twice(self, store: Store, clock: VirtualClock, jump_s: float) -> None:
        store.put_schedule(minutely(missed=Missed.ALL, missed_max=100))
        begin = clock.time()
        for jump in (0.0, 0.0, jump_s, *[0.0] * 80):
            clock.jump(jump)
            rest(store)
            finish(store, clock)
            pass_by(store, clock, MINUTE)
        runs = history(store)
        # One that is on time after a jump meets those that are made up for.
        assert [run.cause for run in runs if run.state is RunState.SKIPPED] in ([], [Cause.SLOT])
        slots = [run.slot for run in runs]
        assert slots == sorted(set(slots))
        assert runs[-1].number == (clock.time() - begin) // MINUTE, "each slot up to now has one entry"

    def test_a_clock_that_is_set_back_into_a_handled_minute_waits_for_the_next(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.put_schedule(Schedule("s", call=job(), cron="* * * * *"))
        pass_by(store, clock, MINUTE)
        finish(store, clock)
        (run,) = history(store)
        clock.jump(run.slot - clock.time() - 30.0)
        pass_by(store, clock, 35.0)
        assert len(history(store)) == 1
        pass_by(store, clock, MINUTE)
        assert [one.slot for one in history(store)] == [run.slot, run.slot + MINUTE]

    @pytest.mark.parametrize(
        ("begin", "expression", "zone", "runs"),
        [
            # One night of each change of the clock, and the leap day, in Paris.
            ("2026-03-28T12:00", "30 2 * * *", "Europe/Paris", 1),
            ("2026-10-24T12:00", "30 2 * * *", "Europe/Paris", 1),
            ("2026-03-28T12:00", "0 * * * *", "Europe/Paris", 24),
            ("2026-10-24T12:00", "0 * * * *", "Europe/Paris", 24),
            ("2028-02-28T12:00", "0 0 29 2 *", "Europe/Paris", 1),
            ("2027-02-28T12:00", "0 0 29 2 *", "Europe/Paris", 0),
        ],
    )
    def test_changes_of_the_clock_and_leap_days(
        self, store: Store, clock: VirtualClock, begin: str, expression: str, zone: str, runs: int
    ) -> None:
        clock.jump(datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp() - clock.time())
        store.put_schedule(Schedule("s", call=job(), cron=expression, timezone=zone))
        for _ in range(24):
            pass_by(store, clock, HOUR)
            finish(store, clock)
        assert told(store) == [("slot", "succeeded")] * runs

    def test_leases_stand_whatever_the_wall_clock_does(self, store: Store, clock: VirtualClock) -> None:
        store.enqueue([group()])
        (held,) = take(store)
        for jump_s in (HOUR, -2 * HOUR):
            clock.jump(jump_s)
            rest(store)
            assert take(store) == []
        settle(store, succeeded=[succeeded(held.fence, clock)])


class MissedClaims(StoreClaims):
    """Slots at whose time there was no owner."""

    @pytest.mark.parametrize(
        ("missed", "runs", "passed"),
        [
            (Missed.NONE, [], (1, 5)),
            (Missed.LAST, [5], (1, 4)),
            (Missed.ALL, [3, 4, 5], (1, 2)),
        ],
    )
    def test_the_next_start_goes_by_what_it_says(
        self, store: Store, clock: VirtualClock, missed: Missed, runs: list[int], passed: tuple[int, int]
    ) -> None:
        store.put_schedule(minutely(missed=missed, missed_max=3))
        begin = clock.time()
        clock.advance(5.5 * MINUTE)
        rest(store)
        skipped, *made_up = history(store)
        assert (skipped.state, skipped.cause) == (RunState.SKIPPED, Cause.MISSED)
        assert (skipped.slot - begin, (skipped.until or 0.0) - begin) == (passed[0] * MINUTE, passed[1] * MINUTE)
        assert [(run.slot - begin) / MINUTE for run in made_up] == runs
        assert {run.cause for run in made_up} <= {Cause.MISSED}
        assert counted(store).get("accepted_total", 0) == len(runs)
        rest(store)
        pass_by(store, clock, MINUTE)
        assert history(store)[-1].slot == begin + 6 * MINUTE

    def test_an_outage_of_a_year_is_no_more_work_than_one_of_a_minute(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(every_s=1.0, missed=Missed.ALL, missed_max=150))
        leap(store, clock, 365 * DAY + 0.5)
        assert counted(store)["accepted_total"] == 150
        assert told(store)[-2:] == [("missed", "started"), ("slot", "skipped")]
        assert there(store).next_slot == clock.time() + 0.5

    def test_what_was_missed_across_a_take_over_is_made_up_for(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(missed=Missed.LAST))
        clock.advance(3.5 * MINUTE)
        again = self.take_over(store, clock)
        rest(again)
        assert told(again) == [("missed", "skipped"), ("missed", "started")]

    def test_an_owner_that_is_back_at_once_has_missed_nothing(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(missed=Missed.NONE))
        clock.advance(MINUTE - 1.0)
        again = self.take_over(store, clock)
        clock.advance(3.0)
        rest(again)
        assert told(again) == [("slot", "started")]
