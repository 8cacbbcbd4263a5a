"""Which slots are due, and that none is fired twice, whatever the clock does."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.schedules import Missed, Schedule
from penstock.workflow.firing import due_at, fires_at
from penstock.workflow.slots import bounded_after, slots_of

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
NOON = 1_772_366_400.0
"""12:00 UTC, on a day without a change of clocks."""


def due(schedule, handled, now, made_at=NOON):
    return due_at(schedule, slots_of(schedule, made_at), handled, now)


HOURLY = Schedule("hourly", cron="0 * * * *")


def hourly(missed, **options):
    return Schedule("hourly", cron="0 * * * *", missed=missed, **options)


def test_nothing_is_due_before_its_time():
    found = due(HOURLY, NOON, NOON + HOUR - 0.01)
    assert (found.missed, found.on_time, found.passed) == ([], [], None)
    assert (found.handled, found.next_slot) == (NOON, NOON + HOUR)


@pytest.mark.parametrize("late_s", [0.0, 0.02, limits.SCHEDULE_LATE_S - 0.01])
@pytest.mark.parametrize("missed", Missed)
def test_a_slot_that_is_looked_at_soon_enough_is_on_time(missed, late_s):
    found = due(hourly(missed), NOON, NOON + HOUR + late_s)
    assert (found.missed, found.on_time, found.passed) == ([], [NOON + HOUR], None)
    assert (found.handled, found.next_slot) == (NOON + HOUR, NOON + 2 * HOUR)


@pytest.mark.parametrize(
    ("missed", "made_up", "passed"),
    [
        (Missed.NONE, [], (1, 4)),
        (Missed.LAST, [4], (1, 3)),
        (Missed.ALL, [1, 2, 3, 4], None),
    ],
)
def test_what_was_missed_is_made_up_for_as_it_says(missed, made_up, passed):
    found = due(hourly(missed), NOON, NOON + 4.5 * HOUR)
    assert found.missed == [NOON + hour * HOUR for hour in made_up]
    assert found.on_time == []
    assert found.passed == (None if passed is None else tuple(NOON + hour * HOUR for hour in passed))
    assert (found.handled, found.next_slot) == (NOON + 4 * HOUR, NOON + 5 * HOUR)


def test_so_many_are_made_up_for_and_no_more():
    found = due(hourly(Missed.ALL, missed_max=2), NOON, NOON + 4.5 * HOUR)
    assert found.missed == [NOON + 3 * HOUR, NOON + 4 * HOUR]
    assert found.passed == (NOON + HOUR, NOON + 2 * HOUR)


def test_a_slot_that_is_on_time_makes_up_for_those_before_it():
    found = due(hourly(Missed.LAST), NOON, NOON + 4 * HOUR + 1)
    assert (found.missed, found.on_time) == ([], [NOON + 4 * HOUR])
    assert found.passed == (NOON + HOUR, NOON + 3 * HOUR)
    both = due(hourly(Missed.ALL), NOON, NOON + 4 * HOUR + 1)
    assert (len(both.missed), both.on_time) == (3, [NOON + 4 * HOUR])


def test_an_owner_that_was_busy_has_missed_nothing():
    schedule = Schedule("s", every_s=1.0, missed=Missed.NONE)
    found = due(schedule, NOON, NOON + 2.5)
    assert (found.missed, found.on_time) == ([], [NOON + 1, NOON + 2])


@pytest.mark.parametrize("missed", Missed)
def test_a_year_without_an_owner_costs_no_more_than_a_minute(missed):
    schedule = Schedule("s", every_s=1.0, missed=missed, missed_max=5)
    looked = 0

    class Counted:
        def __init__(self, slots):
            self.slots = slots

        def after(self, moment):
            nonlocal looked
            looked += 1
            return self.slots.after(moment)

        def up_to(self, moment):
            nonlocal looked
            looked += 1
            return self.slots.up_to(moment)

    found = due_at(schedule, Counted(slots_of(schedule, NOON)), NOON, NOON + 365 * DAY + 0.5)
    assert looked < 60
    assert found.handled == NOON + 365 * DAY
    if missed is Missed.ALL:
        assert len(found.missed) == 5
        assert found.passed == (NOON + 1, found.missed[0] - 1)


def test_chance_puts_a_slot_off_always_by_the_same():
    schedule = Schedule("s", cron="0 * * * *", jitter_s=600.0)
    slot = NOON + HOUR
    fires = fires_at(schedule, slot)
    assert slot <= fires < slot + 600.0
    assert fires_at(schedule, slot) == fires
    assert len({fires_at(schedule, NOON + hour * HOUR) - NOON - hour * HOUR for hour in range(50)}) == 50
    early = due(schedule, NOON, fires - 0.01)
    assert (early.on_time, early.next_slot) == ([], slot)
    assert due(schedule, NOON, fires).on_time == [slot]


def test_different_schedules_are_put_off_differently():
    offs = {fires_at(Schedule(f"s{number}", jitter_s=60.0), NOON) for number in range(100)}
    assert len(offs) == 100


def test_bounds_end_a_schedule():
    schedule = hourly(Missed.ALL, end_at=NOON + 2.5 * HOUR)
    found = due(schedule, NOON, NOON + 10 * HOUR)
    assert found.missed == [NOON + HOUR, NOON + 2 * HOUR]
    assert found.next_slot is None
    again = due(schedule, found.handled, NOON + 11 * HOUR)
    assert (again.missed, again.on_time, again.passed, again.next_slot) == ([], [], None, None)


# --- whatever the clock does ----------------------------------------------------------------------------------------
SCHEDULES = st.builds(
    lambda time, jitter_s, missed, most: Schedule(
        "s", jitter_s=jitter_s, missed=missed, missed_max=most, timezone="Europe/Paris", **time
    ),
    st.sampled_from(
        [
            {"cron": "* * * * *"},
            {"cron": "30 2 * * *"},
            {"cron": "0,30 1-3 * * *"},
            {"cron": "*/20 2 * * *"},
            {"every_s": 7.5},
            {"every_s": 3_600.0},
            {"at": NOON + 40.0},
        ]
    ),
    st.sampled_from([0.0, 5.0]),
    st.sampled_from(Missed),
    st.integers(0, 5),
)
JUMPS = st.lists(
    st.sampled_from([0.5, 1.0, 20.0, 61.0, 600.0, HOUR, -HOUR, -61.0, -1.0, DAY]) | st.floats(-4_000, 4_000),
    min_size=1,
    max_size=40,
)
STARTS = st.sampled_from(
    [
        NOON,
        datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Paris")).timestamp(),
        datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/Paris")).timestamp(),
        datetime(2028, 2, 28, 23, 30, tzinfo=ZoneInfo("Europe/Paris")).timestamp(),
    ]
)


@given(SCHEDULES, STARTS, JUMPS)
def test_each_slot_is_fired_at_most_once_and_accounted_for_once(schedule, start, jumps):
    slots = slots_of(schedule, start)
    now = handled = start
    fired = []
    for jump in jumps:
        now += jump
        found = due_at(schedule, slots, handled, now)
        assert found.handled >= handled
        accounted = found.missed + found.on_time
        assert accounted == sorted(set(accounted))
        for slot in accounted:
            assert handled < slot <= found.handled
            assert fires_at(schedule, slot) <= now
            assert bounded_after(schedule, slots, slot - 0.5) == slot, "it is a slot"
        if schedule.missed is Missed.ALL and found.passed is not None:
            assert len(found.missed) == schedule.missed_max
        if found.passed is not None and accounted:
            assert handled < found.passed[0] <= found.passed[1] < accounted[0]
        if accounted == [] and found.passed is None:
            assert found.handled == handled
        fired += accounted
        handled = found.handled
        assert found.next_slot is None or fires_at(schedule, found.next_slot) > now
    assert fired == sorted(set(fired))


@given(SCHEDULES, STARTS)
def test_a_clock_that_only_goes_on_fires_every_slot_once(schedule, start):
    slots = slots_of(schedule, start)
    now = handled = start
    fired = []
    while now < start + 3 * HOUR:
        found = due_at(schedule, slots, handled, now)
        assert found.missed == []
        fired += found.on_time
        handled = found.handled
        if found.next_slot is None:
            break
        now = fires_at(schedule, found.next_slot)
    expected, slot = [], bounded_after(schedule, slots, start)
    while slot is not None and slot <= handled:
        expected.append(slot)
        slot = bounded_after(schedule, slots, slot)
    assert fired == expected
