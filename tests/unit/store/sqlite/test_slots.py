"""Slots of keys in the file: through take-overs, undone groups, long reviews, and with little memory."""

import pytest

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule, TaskFlow
from penstock.model.job import Outcomes, Retried, TaskRecord
from penstock.model.lines import Closed
from penstock.model.states import State
from penstock.store.sqlite import keyed_rules, slot_review, unblocking
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.keyed import TASK, declare, keyed, per_tenant, put_for
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    counted,
    elapse,
    group,
    ids_of,
    rest,
    see,
    settle,
    states,
    take,
    take_one,
)
from tests.unit.store.sqlite.conftest import steps_of


def rows(store, table):
    return store.database.connection.execute(f"SELECT count(*) FROM {table}").get


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


def test_no_slot_is_left_when_all_is_done(store, clock, audit):
    declare(store, per_tenant(2), RateRule(5, per="tenant"))
    for at in range(30):
        put_for(store, f"t{at % 3}")
    done = 0
    while done < 30:
        held = take(store)
        settle(store, forgotten=[one.fence for one in held])
        done += len(held)
        audit(store)
        elapse(store, clock, 1.0)
    assert [rows(store, table) for table in ("slot", "blocked", "ready", "job")] == [0, 0, 0, 0]
    elapse(store, clock, 5.0)
    assert rows(store, "key_bucket") == 0, "a full bucket needs no row"


def test_a_group_that_is_undone_takes_no_slot_and_frees_none(store, audit):
    declare(store, per_tenant(1))
    first, second = put_for(store, "acme", 2)
    fence = take_one(store).fence
    store.begin()
    settle(store, forgotten=[fence])
    put_for(store, "acme")
    put_for(store, "bolt", 2)
    assert states(store, [second]) == [State.READY]
    store.rollback()
    audit(store)
    assert states(store, [first, second]) == [State.RUNNING, State.BLOCKED]
    rest(store)
    settle(store, forgotten=[fence])
    assert ids_of(take(store)) == [second]
    audit(store)


def test_keys_that_were_not_served_before_a_group_was_undone_are_served_after_it(store, audit, monkeypatch):
    monkeypatch.setattr(limits, "TICK_STEP_JOBS", 3)
    declare(store, per_tenant(1))
    ids = put_for(store, "acme", 12)
    declare(store, per_tenant(20))
    assert states(store, ids).count(State.READY) < 12
    store.begin()
    put_for(store, "acme")
    store.rollback()
    rest(store)
    assert states(store, ids) == [State.READY] * 12
    audit(store)


@pytest.mark.parametrize("change", ["lower", "new", "paused"])
def test_a_review_that_an_owner_does_not_live_to_end_is_done_by_the_next(store, reopen, audit, monkeypatch, change):
    monkeypatch.setattr(limits, "TICK_STEP_JOBS", 4)
    if change != "new":
        declare(store, per_tenant(100))
    ids = put_for(store, "acme", 40)
    assert states(store, ids) == [State.READY] * 40
    if change == "paused":
        store.close_lines(Closed.PAUSED, queue="default")
    else:
        declare(store, per_tenant(2))
    again = reopen(store)
    left = 0 if change == "paused" else 2
    rest(again)
    assert counted(again) == {"blocked": 40 - left, "accepted_total": 40} | ({"ready": left} if left else {})
    audit(again)
    assert again.database.value("get_meta", "slot_review") is None
    if change == "paused":
        again.open_lines(queue="default")
        rest(again)
        assert counted(again) == {"ready": 40, "accepted_total": 40}
    else:
        assert len(take(again)) == 2
    audit(again)


def test_a_key_with_very_many_slots_is_reduced_in_steps_from_its_end(store, audit, monkeypatch):
    monkeypatch.setattr(slot_review, "_HOLDERS_AT_ONCE", 3)
    monkeypatch.setattr(slot_review, "_LAST_MAX", 5)
    declare(store, per_tenant(100))
    ids = put_for(store, "acme", 40)
    first, other = take(store, 2)
    declare(store, per_tenant(4))
    assert states(store, ids) == [State.RUNNING] * 2 + [State.READY] * 38
    rest(store)
    assert states(store, ids) == [State.RUNNING] * 2 + [State.READY] * 2 + [State.BLOCKED] * 36
    audit(store)
    settle(store, forgotten=[first.fence, other.fence])
    assert ids_of(take(store)) == ids[2:6]


def test_jobs_that_keep_their_slots_while_they_wait_hold_up_no_other_key(store, audit, clock, monkeypatch):
    monkeypatch.setattr(limits, "TICK_STEP_JOBS", 2)
    declare(store, per_tenant(10, order="fifo"))
    later = put_for(store, "acme", 6)
    settle(store, retried=[Retried(held.fence, 1_000.0, ERROR) for held in take(store)])
    ids = put_for(store, "other", 6)
    declare(store, per_tenant(1, order="fifo"))
    for _ in range(50):
        store.tick()
    assert states(store, later) == [State.SCHEDULED] * 6
    assert states(store, ids) == [State.READY] + [State.BLOCKED] * 5
    assert store.database.value("get_meta", "slot_review") is None
    audit(store)


def test_a_change_of_limits_writes_no_bucket_that_it_does_not_concern(store, monkeypatch):
    declare(store, RateRule(2, per="tenant", per_s=100.0))
    put_for(store, "acme", 1)
    assert len(take(store)) == 1
    written, run = [], store.database.run
    monkeypatch.setattr(store.database, "run", lambda name, *values: (written.append(name), run(name, *values)))
    store.put_limits("task:app.other", [ConcurrencyRule(2, per="tenant")])
    assert "save_key_bucket" not in written
    store.put_limits(f"task:{TASK}", [RateRule(3, per="tenant", per_s=100.0)])
    assert "save_key_bucket" in written


def test_what_is_remembered_of_keys_is_bounded(store, audit, clock, monkeypatch):
    monkeypatch.setattr(unblocking, "_KEYS_MAX", 10)
    monkeypatch.setattr(keyed_rules, "_NEEDS_MAX", 10)
    declare(store, per_tenant(1), RateRule(100, per="tenant"))
    for _ in range(3):
        store.enqueue([group(*(keyed({"tenant": f"t{at}"}) for at in range(50)))])
        assert len(store._joining.slots) + len(store._joining.buckets) <= 10
    assert counted(store) == {"ready": 50, "blocked": 100, "accepted_total": 150}
    for _ in range(3):
        held = take(store)
        assert len(held) == 50
        settle(store, forgotten=[one.fence for one in held])
        assert len(store._joining.slots) + len(store._joining.buckets) <= 10
        audit(store)
    assert counted(store) == {"accepted_total": 150, "succeeded_total": 150}


def test_a_job_whose_limit_kept_its_slot_takes_no_second_one_when_the_limit_has_changed(store, clock, reopen, audit):
    declare(store, per_tenant(1, order="fifo"))
    first, second = put_for(store, "acme", 2)
    settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
    declare(store, per_tenant(1))
    again = reopen(store)
    audit(again)
    elapse(again, clock, 6.0)
    held = take_one(again)
    assert held.job.id == first
    settle(again, forgotten=[held.fence])
    assert ids_of(take(again)) == [second]
    audit(again)


def test_buckets_of_a_former_owner_fill_by_the_wall_clock_and_go_when_they_are_full(store, clock, reopen):
    declare(store, RateRule(2, 10.0, per="tenant"))
    for at in range(20):
        put_for(store, f"t{at}", 2)
    settle(store, forgotten=[held.fence for held in take(store)])
    assert rows(store, "key_bucket") == 20
    again = reopen(store)
    rest(again)
    (waits,) = put_for(again, "t0")
    assert see(again, waits).reason == "over the rate of tenant t0: 2 per 10 s"
    elapse(again, clock, 5.1)
    assert states(again, [waits]) == [State.READY]
    elapse(again, clock, 5.1)
    assert rows(again, "key_bucket") == 0


def test_limits_of_two_scopes_and_a_declaration_that_is_taken_back(store, audit):
    store.register_tasks(
        [TaskRecord(TASK, flow=TaskFlow(limits=(per_tenant(2),)))], [QueueRecord("default", limits=(per_tenant(1),))]
    )
    ids = put_for(store, "acme", 4)
    assert states(store, ids) == [State.READY] + [State.BLOCKED] * 3
    store.register_tasks([], [QueueRecord("default")])
    assert states(store, ids) == [State.READY] * 2 + [State.BLOCKED] * 2
    assert see(store, ids[3]).reason == "2 of 2 running for tenant acme"
    audit(store)


def test_a_queue_that_is_removed_leaves_no_rules_to_another_line_of_its_number(store, clock, audit):
    store.register_tasks([], [QueueRecord("narrow", limits=(per_tenant(1),))])
    put_for(store, "acme", 2, queue="narrow")
    for _ in range(2):
        settle(store, forgotten=[take_one(store).fence])
    clock.advance(2 * limits.QUEUE_EMPTY_S)
    rest(store)
    clock.advance(2 * limits.QUEUE_EMPTY_S)
    rest(store)
    assert "narrow" not in store.stats().queues
    ids = put_for(store, "acme", 3, queue="wide")
    assert states(store, ids) == [State.READY] * 3
    audit(store)


def test_those_that_wait_are_not_looked_at_by_who_frees_one(store, audit):
    declare(store, per_tenant(1), ConcurrencyRule(2, per="user"))

    def one_ends():
        settle(store, forgotten=[take_one(store).fence])

    put_for(store, "acme", 20)
    one_ends()
    among_few = steps_of(store, one_ends)
    put_for(store, "acme", 2_000)
    one_ends()
    assert steps_of(store, one_ends) < among_few + 200
    assert store.settle(Outcomes(HOLDER, forgotten=[1])).stale == [1]
    audit(store)
