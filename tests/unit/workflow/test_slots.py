"""The slots of schedules: intervals, one-off times, cron, and clocks that are changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.errors import InvalidOption
from penstock.model.schedules import Schedule
from penstock.workflow.slots import Every, bounded_after, bounded_up_to, cron_slots, slots_of, zone_of

PARIS = ZoneInfo("Europe/Paris")
MINUTE = 60.0


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(slots, begin, end, zone="UTC"):
    """The slots after ``begin``, up to ``end``, by the wall clock of the zone."""
    found = []
    slot = slots.after(begin)
    while slot is not None and slot <= end:
        found.append(datetime.fromtimestamp(slot, ZoneInfo(zone)).strftime("%m-%d %H:%M %Z"))
        slot = slots.after(slot)
    return found


def of_day(expression, day, zone):
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = begin.replace(tzinfo=None) + timedelta(days=1, seconds=-1)
    return shown(
        cron_slots(expression, zone), begin.timestamp() - 1, end.replace(tzinfo=ZoneInfo(zone)).timestamp(), zone
    )


# --- cron -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * *", ["03-01 03:00 UTC"]),
        ("15,45 9-10 * * MON-FRI", []),  # the first of March 2026 is a Sunday
        ("*/30 22 * MAR sun", ["03-01 22:00 UTC", "03-01 22:30 UTC"]),
        ("0 12 L * *", []),
        ("0 12 1 * SUN#1", ["03-01 12:00 UTC"]),
    ],
)
def test_five_fields_and_names(expression, expected):
    assert of_day(expression, "2026-03-01", "UTC") == expected


def test_either_day_fits_when_both_are_given():
    slots = cron_slots("0 0 13 * FRI", "UTC")
    assert shown(slots, at("2026-03-01"), at("2026-03-15")) == ["03-06 00:00 UTC", "03-13 00:00 UTC"]


def test_the_leap_day_comes_every_four_years():
    slots = cron_slots("0 0 29 2 *", "UTC")
    found = [slots.after(at("2026-01-01"))]
    found.append(slots.after(found[0]))
    assert [datetime.fromtimestamp(slot, UTC).date().isoformat() for slot in found] == ["2028-02-29", "2032-02-29"]
    assert slots.up_to(found[1] - 1) == found[0]
    assert slots.up_to(at("2027-12-31")) == at("2024-02-29")


SPRING, AUTUMN = "2026-03-29", "2026-10-25"
"""When Paris changes its clocks: from two to three, and from three to two."""


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        # A fixed time that is left out comes at the moment of the change, and several of them come as one.
        ("30 2 * * *", SPRING, ["03-29 03:00 CEST"]),
        ("0,30 2,3 * * *", SPRING, ["03-29 03:00 CEST", "03-29 03:30 CEST"]),
        ("0 3 * * *", SPRING, ["03-29 03:00 CEST"]),
        # One that comes twice has its slot the first time.
        ("30 2 * * *", AUTUMN, ["10-25 02:30 CEST"]),
        ("0,30 1-3 * * *", AUTUMN, [f"10-25 {time}" for time in (
            "01:00 CEST", "01:30 CEST", "02:00 CEST", "02:30 CEST", "03:00 CET", "03:30 CET")]),
        # A recurring time goes by the hours that there are.
        ("*/30 2 * * *", SPRING, []),
        ("*/30 2 * * *", AUTUMN, [f"10-25 {time}" for time in (
            "02:00 CEST", "02:30 CEST", "02:00 CET", "02:30 CET")]),
        ("0 */2 * * *", SPRING, ["03-29 00:00 CET", *(f"03-29 {hour:02}:00 CEST" for hour in range(4, 24, 2))]),
    ],
)  # fmt: skip
def test_both_changes_of_the_clock(expression, day, expected):
    assert of_day(expression, day, "Europe/Paris") == expected


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_every_ten_minutes_stays_every_ten_minutes(day):
    slots = cron_slots("*/10 * * * *", "Europe/Paris")
    slot, found = at(f"{day}T00:00", "Europe/Paris"), []
    for _ in range(30):
        found.append(slots.after(slot) - slot)
        slot += found[-1]
    assert set(found) == {600.0}


def test_a_moment_within_the_hour_that_is_repeated_repeats_nothing():
    slots = cron_slots("15 2 * * *", "Europe/Paris")
    first = at("2026-10-25T02:15", "Europe/Paris")
    for later_s in (0, MINUTE, 30 * MINUTE, 60 * MINUTE, 90 * MINUTE):
        assert slots.after(first + later_s) == at("2026-10-26T02:15", "Europe/Paris")
        assert slots.up_to(first + later_s) == first


ZONES = {
    "Europe/Paris": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "America/Havana": ("2026-03-08", "2026-11-01"),  # at midnight
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),  # by half an hour
    "America/Santiago": ("2026-09-06", "2026-04-05"),
    "Asia/Kathmandu": ("2026-03-08", "2026-11-01"),  # never
    "Pacific/Apia": ("2011-12-29", "2011-12-31"),  # left out a day
}


def by_the_rules(minutes, hours, *, recurs, zone, begin, end):
    """What the module says of slots, asked of every minute there is, as slowly as it takes."""
    tz = ZoneInfo(zone)
    seen, found = set(), []
    before = None
    for number in range(int(begin // MINUTE) - 2 * 1440, int(end // MINUTE) + 1):
        moment = number * MINUTE
        wall = datetime.fromtimestamp(moment, tz).replace(tzinfo=None, fold=0)
        skipped = [] if before is None or wall <= before + timedelta(minutes=1) else [
            before + timedelta(minutes=ahead) for ahead in range(1, int((wall - before).total_seconds() // 60))
        ]  # fmt: skip
        fits = wall.minute in minutes and wall.hour in hours
        if recurs:
            is_slot = fits
        else:
            is_slot = (fits and wall not in seen) or any(one.minute in minutes and one.hour in hours for one in skipped)
        seen.add(wall)
        before = wall
        if is_slot and begin < moment <= end:
            found.append(moment)
    return found


@given(
    zone=st.sampled_from(sorted(ZONES)),
    change=st.integers(0, 1),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.sets(st.integers(0, 4) | st.integers(0, 23), min_size=1, max_size=4),
    step=st.sampled_from([None, 7, 20, 40]),
    begin_s=st.integers(-7_200, 36_000),
)
def test_slots_are_those_of_the_rules(zone, change, minutes, hours, step, begin_s):
    begin = datetime.fromisoformat(ZONES[zone][change]).replace(tzinfo=ZoneInfo(zone)).timestamp() + begin_s
    end = begin + 12 * 3_600
    minutes = set(range(0, 60, step)) if step else minutes
    first = f"*/{step}" if step else ",".join(map(str, minutes))
    slots = cron_slots(f"{first} {','.join(map(str, hours))} * * *", zone)
    expected = by_the_rules(minutes, hours, recurs=step is not None, zone=zone, begin=begin, end=end)
    found, slot = [], slots.after(begin)
    while slot is not None and slot <= end:
        found.append(slot)
        slot = slots.after(slot)
    assert found == expected
    # And the same ones, seen from behind.
    back, slot = [], slots.up_to(end)
    while slot is not None and slot > begin:
        back.append(slot)
        slot = slots.up_to(slot - 1)
    assert back[::-1] == expected


@given(
    moment=st.floats(0, 4e9),
    expression=st.sampled_from(
        ["0 3 * * *", "*/5 * * * *", "0 0 29 2 *", "30 1-2 * * *", "0 0 L * *", "@", "59 23 31 12 *"]
    ),
    zone=st.sampled_from(sorted(ZONES)),
)
def test_next_and_latest_meet(moment, expression, zone):
    slots = cron_slots(expression.replace("@", "0 * * * *"), zone)
    following = slots.after(moment)
    assert following > moment
    latest = slots.up_to(moment)
    assert latest is None or latest <= moment + 1e-6
    assert slots.up_to(following) == following
    assert slots.up_to(following - 1) == latest or slots.after(following - 1) == following


@pytest.mark.parametrize(
    ("expression", "timezone", "field"),
    [
        ("", "UTC", "cron"),
        ("* * * *", "UTC", "cron"),
        ("* * * * * *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("60 * * * *", "UTC", "cron"),
        ("x * * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("0 0 31 2,4 *", "UTC", "cron"),
        ("0 3 * * *", "Mars/Olympus", "timezone"),
        ("0 3 * * *", "", "timezone"),
        ("0 3 * * *", "../etc/passwd", "timezone"),
        ("0 3 * * *", "\0", "timezone"),
    ],
)
def test_what_is_no_cron_or_no_zone_is_refused(expression, timezone, field):
    with pytest.raises(InvalidOption) as raised:
        cron_slots(expression, timezone)
    assert raised.value.field == field


@given(st.text(alphabet="0123456789*/-,L#W MONJAN", max_size=30))
def test_any_text_is_a_cron_or_refused(text):
    try:
        slots = cron_slots(text, "Europe/Paris")
    except InvalidOption:
        return
    slots.after(0.0)
    slots.up_to(1e9)


# --- intervals and one-off times ------------------------------------------------------------------------------------
@given(st.floats(0, 2e9), st.floats(1, 1e7), st.floats(-1e6, 1e9))
def test_intervals_never_give_a_slot_twice(anchor, every_s, ahead_s):
    slots = Every(anchor, every_s)
    moment = anchor + ahead_s
    slot = slots.after(moment)
    assert slot > moment
    assert slots.after(slot) > slot
    assert slots.up_to(slot) == slot
    assert slot - moment <= every_s * 1.001 + max(0.0, -ahead_s)


def test_an_interval_begins_at_its_anchor():
    slots = Every(100.0, 30.0)
    assert slots.up_to(99.0) is None
    assert slots.after(0.0) == 100.0
    assert slots.after(100.0) == 130.0
    assert slots.up_to(1e9) == 100.0 + 30.0 * ((1_000_000_000 - 100) // 30)


def test_a_one_off_time_has_one_slot():
    slots = slots_of(Schedule("s", at=50.0), 0.0)
    assert (slots.after(49.0), slots.after(50.0)) == (50.0, None)
    assert (slots.up_to(49.0), slots.up_to(50.0)) == (None, 50.0)


@pytest.mark.parametrize("given_times", [{}, {"cron": "* * * * *", "every_s": 5.0}, {"every_s": 5.0, "at": 3.0}])
def test_one_kind_of_time_is_given(given_times):
    with pytest.raises(InvalidOption, match="one of cron, every_s and at"):
        slots_of(Schedule("s", **given_times), 0.0)


# --- bounds ---------------------------------------------------------------------------------------------------------
def test_bounds_belong_to_the_slots():
    schedule = Schedule("s", every_s=10.0, start_at=100.0, end_at=130.0)
    slots = slots_of(schedule, 7.0)
    assert bounded_after(schedule, slots, 0.0) == 100.0
    assert bounded_after(schedule, slots, 100.0) == 110.0
    assert bounded_after(schedule, slots, 120.0) == 130.0
    assert bounded_after(schedule, slots, 130.0) is None
    assert bounded_up_to(schedule, slots, 99.0) is None
    assert bounded_up_to(schedule, slots, 1e9) == 130.0


def test_cron_starts_at_its_bound_too():
    noon = at("2026-03-01T12:00")
    schedule = Schedule("s", cron="0 12 * * *", start_at=noon)
    slots = slots_of(schedule, 0.0)
    assert bounded_after(schedule, slots, 0.0) == noon
    assert bounded_after(schedule, slots, noon) == noon + 86_400


def test_a_zone_is_known_by_its_name():
    assert zone_of("Europe/Paris") == PARIS
