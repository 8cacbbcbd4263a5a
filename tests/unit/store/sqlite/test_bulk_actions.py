"""Bulk actions and the engine's records of operators, where things fail: a job that cannot be handled, a full disk, a
transaction that is undone, a record that cannot be read."""

import apsw
import pytest

from penstock.model import limits
from penstock.model.actions import ActionRequest, ActionState, Verb
from penstock.model.errors import QueueDraining
from penstock.model.ids import new_id
from penstock.model.job import Filter
from penstock.model.states import State
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite.queue_names import SEVERAL
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import counted, group, put, states, take


def start(store, verb=Verb.CANCEL, where=Filter(queue="default"), **options):  # noqa: B008 - a filter does not change
    return store.start_action(ActionRequest(new_id(), verb, where, **options), by="ann")


def now_of(store, action):
    (found,) = store.actions([action.id])
    return found


def go_on(store, clock, ticks=50):
    for _ in range(ticks):
        clock.advance(1.1)
        store.tick()


def test_an_action_that_meets_a_damaged_job_ends_and_others_go_on(store, clock, monkeypatch, audit):
    bad = put(store, 3, queue="bad")
    good = put(store, 3, queue="good")
    first = start(store, where=Filter(queue="bad"))
    second = start(store, where=Filter(queue="good"))
    cancel = store._operating.cancels
    monkeypatch.setattr(store._operating, "cancels", lambda job: 1 / 0 if job == bad[1] else cancel(job), raising=False)
    go_on(store, clock)
    monkeypatch.undo()
    failed, done = now_of(store, first), now_of(store, second)
    assert (failed.state, failed.error) == (ActionState.FAILED, "ZeroDivisionError: division by zero")
    assert (done.state, done.changed) == (ActionState.DONE, 3)
    assert set(states(store, good)) == {State.CANCELLED}
    assert 1 <= store.health().fault_counts["doing bulk actions"] <= limits.ACTION_FAILURES_MAX
    # What comes after that is done as if nothing had been.
    go_on(store, clock, 3)
    assert start(store, where=Filter(queue="bad"), dry_run=True).matched == 3
    audit(store)


def test_a_new_queue_that_jobs_are_moved_into_counts_for_nobody(store, clock):
    put(store, 3)
    moved = start(store, Verb.MOVE, to="other")
    # Small enqueues of several clients are done together, before the chores of their group.
    store.asking = SEVERAL
    go_on(store, clock, 3)
    assert (now_of(store, moved).state, now_of(store, moved).error) == (ActionState.DONE, None)
    assert counted(store, "other")["ready"] == 3


def test_a_step_that_is_undone_is_as_if_it_had_not_been(store, clock, audit):
    ids = put(store, 20)
    action = start(store, per_s=20.0)
    before = (now_of(store, action), store.audit().entries)
    store.begin()
    clock.advance(1.0)
    store.tick()
    assert now_of(store, action).changed == 10
    store.rollback()
    assert (now_of(store, action), store.audit().entries) == before
    assert set(states(store, ids)) == {State.READY}
    go_on(store, clock, 5)
    assert now_of(store, action).state is ActionState.DONE
    assert counted(store)["cancelled_total"] == 20
    audit(store)


def test_a_hold_that_is_undone_holds_nothing(store, audit):
    put(store, queue="q")
    store.begin()
    store.pause(queue="q", by="ann")
    store.drain(queue="q", by="ann")
    store.rollback()
    assert store.holds() == store.closed_lines() == []
    put(store, queue="q")
    assert len(take(store)) == 2
    store.drain(queue="q")
    store.begin()
    store.resume(queue="q")
    store.rollback()
    with pytest.raises(QueueDraining):
        put(store, queue="q")
    assert [entry.verb for entry in store.audit().entries] == ["drain"]
    audit(store)


def test_nothing_is_deferred_past_a_queue_that_drains(path, clock):
    store = SqliteStore(path, clock=clock)
    put(store)

    def defer(number):
        return store.defer([DeferredEnqueue(b"c" * 16, number, b"", [group()])])

    assert defer(1)
    store.drain(queue="default")
    assert not defer(2)
    store.resume(queue="default")
    assert defer(3)
    assert counted(store)["ready"] == 3
    store.close()


def test_records_that_cannot_be_read_keep_no_store_from_opening(path, clock):
    store = SqliteStore(path, clock=clock)
    put(store)
    action = start(store, per_s=0.1)
    store.database.connection.execute("INSERT INTO action (number, record) VALUES (7, x'c1')")
    store.close()
    store = SqliteStore(path, clock=clock)
    assert [one.id for one in store.actions()] == [action.id]
    later = start(store, dry_run=True)
    assert [one.id for one in store.actions()] == [later.id, action.id]
    store.close()


def test_a_step_on_a_full_disk_is_tried_again_when_there_is_room(store, clock, monkeypatch, audit):
    put(store, 5)
    action = start(store)
    save = store._records.save_action

    def full(_):
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(store._records, "save_action", full)
    go_on(store, clock, 2 * limits.ACTION_FAILURES_MAX)
    monkeypatch.setattr(store._records, "save_action", save)
    assert now_of(store, action).state is ActionState.RUNNING
    go_on(store, clock, 5)
    assert (now_of(store, action).state, now_of(store, action).changed) == (ActionState.DONE, 5)
    audit(store)
