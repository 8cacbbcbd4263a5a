"""Room under limits, without a file: what a lease may take, what is shut, and when it opens."""

import math

import pytest

from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.line_limit import ROOM_MAX, LineLimit
from penstock.store.sqlite.line_room import LineRoom
from penstock.testing.clock import VirtualClock

NAMES = {1: ("a", "app.one"), 2: ("a", "app.two"), 3: ("b", "app.one"), 4: ("b", "app.two")}


@pytest.fixture
def clock():
    return VirtualClock()


def limited(clock, **rules):
    room = LineRoom(clock, NAMES.__getitem__)
    for name, rule in rules.items():
        kind, _, rest = name.partition("_")
        scope = f"{kind}:{rest}" if kind == "queue" else f"task:app.{rest}"
        limit = room.by_scope[scope] = LineLimit(scope)
        limit.change([rule], clock.monotonic())
    return room


def scopes(limits):
    return sorted(limit.scope for limit in limits)


def lease(room, line, number, limited=None):
    """Lease up to so many jobs of one line. Answers how many there was room for."""
    room.begin_lease(limited)
    limits = room.of_line(line)
    count = room.most(limits, number)
    assert room.take(limits, count)
    room.grant({line: count} if count else {})
    room.end_lease()
    return count


def test_a_line_has_the_limits_of_its_queue_and_its_task(clock):
    room = limited(clock, queue_a=ConcurrencyRule(2), task_one=ConcurrencyRule(3))
    assert [scopes(room.of_line(line)) for line in NAMES] == [
        ["queue:a", "task:app.one"],
        ["queue:a"],
        ["task:app.one"],
        [],
    ]


def test_a_lease_takes_what_all_its_limits_have_room_for(clock):
    room = limited(clock, queue_a=ConcurrencyRule(2), task_one=ConcurrencyRule(3))
    assert lease(room, 1, 9) == 2
    assert scopes(room.shut) == ["queue:a"]
    assert lease(room, 3, 9) == 1
    assert scopes(room.shut) == ["queue:a", "task:app.one"]
    assert lease(room, 4, 9) == 9


def test_what_is_put_back_can_be_taken_again_within_the_lease(clock):
    room = limited(clock, queue_a=ConcurrencyRule(2))
    room.begin_lease(None)
    limits = room.of_line(1)
    assert room.take(limits, 2)
    assert not room.has_room(limits)
    room.put_back(limits, 1)
    assert room.has_room(limits)
    assert room.take(limits)
    assert not room.take(limits)


def test_what_is_put_back_of_lines_without_limits_makes_no_room(clock):
    room = limited(clock, queue_a=ConcurrencyRule(2))
    room.begin_lease(0)
    room.put_back(room.of_line(4), 3)
    assert not room.takes_limited


def test_a_lease_that_comes_to_nothing_leaves_all_open(clock):
    room = limited(clock, queue_a=ConcurrencyRule(1))
    room.begin_lease(None)
    assert room.take(room.of_line(1))
    room.end_lease()
    assert not room.shut


def test_of_limited_lines_a_lease_takes_no_more_than_it_says(clock):
    room = limited(clock, queue_a=ConcurrencyRule(9))
    assert lease(room, 1, 5, limited=2) == 2
    assert lease(room, 1, 5, limited=0) == 0
    assert lease(room, 4, 5, limited=None) == 5
    room.begin_lease(0)
    assert not room.takes_limited
    assert room.most((), 5) == 0


def test_the_end_of_a_lease_opens_what_it_held(clock):
    room = limited(clock, queue_a=ConcurrencyRule(2), task_one=ConcurrencyRule(2))
    lease(room, 1, 2)
    assert scopes(room.end({1: 1})) == ["queue:a", "task:app.one"]
    assert room.end({1: 1}) == []
    assert not room.shut


def test_the_end_of_a_lease_opens_nothing_that_waits_for_a_token(clock):
    room = limited(clock, queue_a=RateRule(1, per_s=10.0))
    lease(room, 1, 1)
    assert room.end({1: 1}) == []
    assert room.opens_at == pytest.approx(clock.monotonic() + 10.0)


def test_a_token_opens_when_it_comes_in(clock):
    room = limited(clock, queue_a=RateRule(1, per_s=10.0), queue_b=RateRule(1, per_s=4.0))
    assert (room.opens_at, room.wakes_at) == (math.inf, math.inf)
    lease(room, 1, 1)
    lease(room, 3, 1)
    assert room.open_due(clock.monotonic()) == []
    clock.advance(4.0)
    assert scopes(room.open_due(clock.monotonic())) == ["queue:b"]
    clock.advance(6.0)
    assert scopes(room.begin_lease(None)) == ["queue:a"]
    assert room.opens_at == math.inf


def test_one_token_is_timed_once_however_often_it_is_looked_at(clock):
    room = limited(clock, queue_a=RateRule(1, per_s=10.0))
    lease(room, 1, 1)
    for _ in range(50):
        room.look_at(room.by_scope.values())
    clock.advance(10.0)
    assert len(room.open_due(clock.monotonic())) == 1
    assert room.opens_at == math.inf


def test_workers_are_woken_for_several_tokens_where_the_bucket_has_room_for_them(clock):
    room = limited(clock, queue_a=RateRule(1_000, burst=100), queue_b=RateRule(1_000, burst=1))
    lease(room, 1, 100)
    assert room.wakes_at - clock.monotonic() == pytest.approx(0.01)
    assert room.opens_at - clock.monotonic() == pytest.approx(0.001)
    room = limited(clock, queue_b=RateRule(1_000, burst=1))
    lease(room, 3, 1)
    assert room.wakes_at == room.opens_at


def test_what_turned_is_told_once(clock):
    room = limited(clock, queue_a=ConcurrencyRule(1), task_one=ConcurrencyRule(1))
    lease(room, 1, 1)
    room.end({1: 1})
    lease(room, 1, 1)
    assert scopes(room.turned()) == ["queue:a", "task:app.one"]
    assert room.turned() == []


def test_names_alone_are_no_room_to_run_out_of(clock):
    room = limited(clock, queue_a=ConcurrencyRule(1, per="tenant"))
    assert lease(room, 1, 50) == 50
    assert room.of_line(1)[0].room(clock.monotonic()) == ROOM_MAX
    assert not room.shut
