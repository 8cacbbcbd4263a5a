"""Limits of the embedded engine: what is undone with a transaction, and what the file has of buckets."""

import math

import pytest

from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, TaskRecord, checksum
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import BODY, group, ids_of, put, settle, take, take_one

ONE, TWO = ConcurrencyRule(1), ConcurrencyRule(2)
SLOW = RateRule(2, per_s=10.0)


def levels(store):
    return dict(store.database.connection.execute("SELECT scope, level FROM bucket"))


def test_limits_that_were_put_are_undone_with_their_transaction(store, audit):
    put(store, 5)
    store.register_tasks([TaskRecord("app.work", flow=TaskFlow((TWO,)))])
    store.begin()
    store.put_limits("task:app.work", [ONE])
    store.put_limits("queue:default", [ONE])
    store.register_tasks([], [QueueRecord("default", (TWO,))])
    assert len(take(store)) == 1
    store.rollback()
    audit(store)
    assert [(view.scope, view.rule) for view in store.limits()] == [("task:app.work", TWO)]
    assert len(take(store)) == 2
    audit(store)


def test_limits_that_were_restored_hold_again_after_a_rollback(store, audit):
    put(store, 5)
    store.put_limits("queue:default", [ONE])
    assert len(take(store)) == 1
    store.begin()
    store.restore_limits("queue:default")
    assert len(take(store, 2)) == 2
    store.rollback()
    audit(store)
    assert take(store) == []


def test_places_and_tokens_of_leases_that_were_undone_are_free(store, audit):
    store.put_limits("queue:default", [TWO])
    store.put_limits("task:app.work", [RateRule(2, per_s=10.0)])
    put(store, 5)
    store.begin()
    assert len(take(store)) == 2
    assert take(store) == []
    store.rollback()
    audit(store)
    assert len(take(store)) == 2


def test_places_of_settlements_that_were_undone_are_taken(store, audit):
    store.put_limits("queue:default", [ONE])
    put(store, 3)
    held = take_one(store)
    store.begin()
    settle(store, forgotten=[held.fence])
    assert len(take(store)) == 1
    store.rollback()
    audit(store)
    assert take(store) == []
    settle(store, forgotten=[held.fence])
    assert len(take(store)) == 1
    audit(store)


def test_a_token_that_came_in_meanwhile_is_not_lost_by_a_rollback(store, clock):
    store.put_limits("queue:default", [SLOW])
    put(store, 9)
    assert len(take(store)) == 2
    clock.advance(5.0)
    store.begin()
    assert len(take(store)) == 1
    store.rollback()
    assert len(take(store)) == 1


def test_how_full_a_bucket_is_is_written_with_what_takes_tokens_alone(store, clock):
    store.put_limits("queue:a", [SLOW])
    store.put_limits("queue:b", [ONE])
    assert levels(store) == {"queue:a": 2.0}
    put(store, 3, queue="a")
    put(store, 3, queue="b")
    take_one(store, queues=["a"])
    assert levels(store) == {"queue:a": 1.0}
    clock.advance(1.0)
    take(store, queues=["b"])
    put(store)
    assert levels(store) == {"queue:a": 1.0}
    store.restore_limits("queue:a")
    assert levels(store) == {}


@pytest.mark.parametrize("grouped", [False, True])
def test_a_rate_that_was_taken_away_comes_again_with_a_full_bucket(store, audit, grouped):
    store.put_limits("queue:default", [SLOW, TWO])
    put(store, 9)
    held = take(store)
    settle(store, forgotten=[one.fence for one in held])
    if grouped:
        store.begin()
    store.restore_limits("queue:default")
    store.put_limits("queue:default", [TWO])
    store.put_limits("queue:default", [SLOW])
    if grouped:
        store.commit()
        store.tidy()
    assert len(take(store)) == 2
    audit(store)


def test_the_bucket_of_another_owner_goes_on_by_the_wall_clock(store, path, clock):
    store.put_limits("queue:default", [SLOW])
    put(store, 9)
    assert len(take(store)) == 2
    store.close()
    clock.advance(5.0)
    again = SqliteStore(path, clock=clock)
    assert len(take(again)) == 1
    again.close()
    clock.jump(-3_600.0)
    again = SqliteStore(path, clock=clock)
    assert take(again) == []
    clock.advance(5.0)
    assert len(take(again)) == 1
    again.close()


def test_a_queue_with_the_number_of_one_that_was_removed_has_its_own_limits(store, audit):
    store.put_limits("queue:a", [ONE])
    put(store, 2, queue="a")
    take_one(store)
    number = store.books.lines_of(store.books.queue_by_name["a"].id)[0].id
    assert store.books.limits.of_line(number)
    store.books.limits.forget_line(number)
    assert store.books.limits.of_line(number)[0].scope == "queue:a"
    audit(store)


@pytest.mark.parametrize("scope", ["queue:q", "task:app.work"])
def test_a_limit_that_comes_goes_and_comes_again_finds_the_jobs_that_wait(store, audit, scope):
    jobs = put(store, 6, queue="q")
    assert ids_of(take(store, 1)) == jobs[:1]
    store.put_limits(scope, [ONE])
    assert take(store) == []
    audit(store)
    store.restore_limits(scope)
    assert ids_of(take(store, 1)) == jobs[1:2]
    store.put_limits(scope, [ConcurrencyRule(3)])
    assert ids_of(take(store)) == jobs[2:3]
    audit(store)
    store.put_limits(scope, [ConcurrencyRule(4)])
    assert ids_of(take(store)) == jobs[3:4]
    audit(store)


class BrokenError(Exception):
    """What a fault in the engine raises."""


@pytest.mark.parametrize("in_group", [False, True], ids=["by itself", "in a group"])
@pytest.mark.parametrize("place", ["_sound", "_few_tasks", "_insert_running", "_task_table", "_leave_room"])
def test_a_lease_that_fails_midway_uses_up_no_room(store, clock, audit, monkeypatch, place, in_group):
    """What would follow the lease is not done: the transaction is undone, and all of it is reckoned anew."""
    store.put_limits("queue:default", [RateRule(3, per_s=30.0), ConcurrencyRule(3)])
    store.put_limits("queue:other", [RateRule(1, per_s=10.0)])
    put(store, 2, queue="other")
    assert len(take(store)) == 1
    put(store, 5)
    # The token that comes in opens the other queue, in the lease that fails.
    clock.advance(10.1)
    damaged = JobEntry(new_ids(1)[0], BODY, checksum(b"other"))
    store.enqueue([group(damaged, priority=5)])
    held = len(store.books.by_fence)

    def fail(*_):
        raise BrokenError

    for _ in range(3):
        with monkeypatch.context() as broken:
            broken.setattr(store._leasing, place, fail)
            if in_group:
                store.begin()
            with pytest.raises(BrokenError):
                take(store)
            if in_group:
                store.rollback()
        audit(store)
        assert len(store.books.by_fence) == held
        assert store.opens_at == math.inf, "nothing waits for a token"
    assert sorted(job.queue for job in (one.job for one in take(store))) == ["default"] * 3 + ["other"]
    assert take(store) == []
    audit(store)
