"""Buckets of keys in the file: rates that change while there are very many of them, and tokens that come back."""

import random

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import RateRule
from penstock.model.job import LeaseRequest, Outcomes
from penstock.model.keyed_limits import Key
from penstock.model.states import State
from penstock.store.sqlite import joining, key_buckets, unblocking
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.keyed import TASK, declare, keyed, put_for
from penstock.testing.conformance.kit import HOLDER, elapse, group, ids_of, rest, settle, states, take, take_one
from penstock.testing.memory import MemoryStore

SCOPE = f"task:{TASK}"


def rate(count, per_s=100.0, **options):
    return RateRule(count, per_s, per="tenant", **options)


def rows(store):
    return store.database.connection.execute("SELECT count(*) FROM key_bucket").get


def notes(store):
    return store.database.value("get_meta", "former_rates")


def spend(store, tenants, number=1):
    """Of each of these buckets so many tokens are taken."""
    store.enqueue([group(*(keyed({"tenant": tenant}) for tenant in tenants for _ in range(number)))])
    while held := take(store):
        settle(store, forgotten=[one.fence for one in held])


@pytest.fixture
def reopen(path, clock):
    """Close a store, as an owner that is killed leaves it, and open it again."""
    opened = []

    def reopened(store):
        store.close()
        opened.append(SqliteStore(path, clock=clock))
        return opened[-1]

    yield reopened
    for store in opened:
        store.close()


@pytest.mark.parametrize("change", ["other", "gone", "declared"])
def test_a_change_of_a_rate_writes_a_bounded_number_of_buckets(store, audit, change):
    store.put_limits(SCOPE, [rate(2)])
    number = 3 * limits.TICK_STEP_JOBS
    spend(store, [f"t{at}" for at in range(number)])
    assert rows(store) == number
    before = store.database.connection.total_changes()
    if change == "other":
        store.put_limits(SCOPE, [rate(3)])
    elif change == "gone":
        store.restore_limits(SCOPE)
    else:
        store.restore_limits(SCOPE)
        declare(store, rate(4))
    # A row is written anew, and the time when to look at it.
    assert store.database.connection.total_changes() - before <= 5 * limits.TICK_STEP_JOBS
    assert notes(store)
    rest(store)
    assert notes(store) is None
    assert rows(store) == (number if change == "other" else 0)
    audit(store)


def test_what_is_noted_of_a_rate_that_changes_often_is_bounded(store, clock, monkeypatch):
    monkeypatch.setattr(key_buckets, "_RENEWED_AT_ONCE", 1)
    store.put_limits(SCOPE, [rate(10)])
    tenants = [f"t{at}" for at in range(30)]
    spend(store, tenants)
    for at in range(40):
        clock.advance(0.01)
        store.put_limits(SCOPE, [rate(20 + at)])
    assert [len(former) for former in key_buckets._decode(notes(store)).values()] == [key_buckets._FORMER_MAX]
    buckets = [store._joining.buckets.of(Key(f"rate\n{SCOPE}\ntenant", one), rate(59)) for one in tenants]
    assert {bucket.tokens(clock.monotonic()) for bucket in buckets} == {9}
    rest(store)
    assert notes(store) is None


def test_a_rate_that_comes_again_begins_with_full_buckets_whatever_rows_are_left(store, monkeypatch):
    monkeypatch.setattr(key_buckets, "_RENEWED_AT_ONCE", 1)
    tenants = ["", "a", "b", "c"]
    store.put_limits(SCOPE, [rate(1)])
    spend(store, tenants)
    store.restore_limits(SCOPE)
    store.put_limits(SCOPE, [rate(1)])
    assert rows(store) > 0
    store.enqueue([group(*(keyed({"tenant": tenant}) for tenant in tenants * 2))])
    assert len(take(store)) == len(tenants)
    # What was taken at the same time of the clock was taken after the change.
    assert notes(store)
    store.rollback()
    rest(store)
    assert take(store) == []


@pytest.mark.parametrize("seed", range(8))
def test_buckets_that_are_changed_in_steps_are_as_full_as_those_that_are_changed_at_once(  # noqa: C901 - a kind of step is a branch
    path, clock, monkeypatch, seed
):
    """The twin changes all of them with the rate."""
    monkeypatch.setattr(key_buckets, "_RENEWED_AT_ONCE", 2)
    chance = random.Random(seed)
    store, twin = SqliteStore(path, clock=clock), MemoryStore(clock, epoch=3)
    held = []
    tenants = ["", *(f"t{at}" for at in range(9))]
    for step in range(120):
        act = chance.choice(["put", "enqueue", "lease", "lease", "back", "settle", "wait", "tick", "refused", "open"])
        if act == "put":
            rule = rate(chance.choice([1, 2, 5]), chance.choice([1.0, 10.0]), burst=chance.choice([None, 1, 3]))
            asked = chance.choice([[rule], [rule], []])
            for one in (store, twin):
                one.put_limits(SCOPE, asked) if asked else one.restore_limits(SCOPE)
        elif act == "enqueue":
            entries = [keyed({"tenant": chance.choice(tenants)}) for _ in range(chance.randint(1, 8))]
            for one in (store, twin):
                one.enqueue([group(*entries)])
        elif act == "lease":
            request = LeaseRequest(HOLDER, chance.randint(1, 6), lease_s=3_000.0)
            ours, theirs = store.lease(request), twin.lease(request)
            assert [job.id for job in ours.jobs] == [job.id for job in theirs.jobs], step
            held += [(ours.first_fence + at, theirs.first_fence + at) for at in range(len(ours.jobs))]
        elif act in ("back", "settle") and held:
            fences = held.pop(chance.randrange(len(held)))
            for one, fence in zip((store, twin), fences, strict=True):
                one.settle(Outcomes(HOLDER, **{"released" if act == "back" else "forgotten": [fence]}))
        elif act == "wait":
            clock.advance(chance.choice([0.1, 0.6, 3.0]))
            for one in (store, twin):
                one.tick()
        elif act == "tick":
            store.tick()
        elif act == "refused":
            # Undoes a transaction.
            with pytest.raises(InvalidOption):
                store.put_limits("wrong", [rate(1)])
        elif not held:
            store.close()
            store = SqliteStore(path, clock=clock)
            rest(store)
        for one in (store, twin):
            one.tick()
        used, expected = ([(view.in_use, view.waiting) for view in one.limits()] for one in (store, twin))
        assert used == expected, (step, act)
    store.close()


def test_a_job_that_a_review_has_not_come_to_brings_no_token(store, monkeypatch):
    ids = put_for(store, "acme", 12)
    monkeypatch.setattr(limits, "TICK_STEP_JOBS", 3)
    store.put_limits(SCOPE, [rate(2, 3_600.0)])
    held = take(store)
    assert ids_of(held)[:2] == ids[:2]
    assert len(held) > 3, "the review has not come to the others"
    settle(store, released=[held[-1].fence])
    rest(store)
    settle(store, released=[held[-2].fence])
    assert take(store) == []
    assert states(store, [held[-1].job.id]) == [State.BLOCKED]


def test_it_is_remembered_whose_tokens_are_missing_when_all_else_is_forgotten(store, monkeypatch):
    monkeypatch.setattr(unblocking, "_KEYS_MAX", 5)
    declare(store, rate(2, 3_600.0))
    ids = put_for(store, "acme", 5)
    held = take(store)
    spend(store, [f"t{at}" for at in range(10)])
    with pytest.raises(InvalidOption):
        store.put_limits("wrong", [rate(1)])
    settle(store, released=[held[0].fence])
    assert ids_of(take(store)) == ids[:1]
    monkeypatch.setattr(joining, "_FENCES_MAX", 5)
    spend(store, [f"u{at}" for at in range(10)])
    settle(store, released=[held[1].fence])
    # It is not known any more who took it, so it comes in with time.
    assert take(store) == []


def test_a_lease_from_before_a_take_over_brings_no_token(store, clock, reopen):
    declare(store, rate(1, 3_600.0))
    first, second = put_for(store, "acme", 2)
    fence = take_one(store).fence
    again = reopen(store)
    settle(again, released=[fence])
    assert take(again) == []
    elapse(again, clock, 3_601.0)
    assert ids_of(take(again)) == [first]
    assert states(again, [second]) == [State.BLOCKED]
