"""What people and applications do to schedules, as far as the conformance suite does not go."""

import pytest

from penstock.model.errors import InvalidOption
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.scheduling import job, minutely
from penstock.testing.memory import MemoryStore

NAMES = [f"s{number}" for number in range(5)]


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def store(clock):
    return MemoryStore(clock)


@pytest.mark.parametrize("cursor", ["x", "-1", "1" * 40, "٣"])
def test_a_cursor_of_no_history_is_refused(store, cursor):
    store.put_schedule(minutely())
    with pytest.raises(InvalidOption) as raised:
        store.schedule_runs("s", cursor=cursor)
    assert raised.value.field == "cursor"


def test_pages_are_as_large_as_they_may_be(store):
    for name in NAMES:
        store.put_schedule(minutely(name))
    assert len(store.schedules(limit=0).schedules) == 1
    assert len(store.schedules(limit=1 << 40).schedules) == len(NAMES)


def test_the_audit_log_has_when_it_fires(store):
    store.put_schedule(minutely(every_s=90.0), by="ann")
    store.put_schedule(minutely(every_s=None, cron="0 3 * * *", timezone="Europe/Paris"), by="ann")
    store.put_schedule(minutely(every_s=None, at=2e9), by="ann")
    assert [one.note for one in store.audit().entries] == [
        "at 2033-05-18T03:33:20Z",
        "cron 0 3 * * * Europe/Paris",
        "every 90 s",
    ]


def test_a_number_is_never_given_to_another(store, clock):
    """Else the end of a run would be noted with a schedule that came later."""
    store.put_schedule(minutely("a"))
    run = store.run_schedule("a")
    store.remove_schedule("a")
    store.put_schedule(minutely("b"))
    store.cancel([run.id])
    assert store.schedule_runs("b").runs == []


def test_a_call_of_many_arguments_travels_whole(store):
    call = job(headers={"x": "y"}, tags=["t"], priority=5, queue="q", expires_s=9.0)
    assert store.put_schedule(minutely(call=call)).schedule.call == call
