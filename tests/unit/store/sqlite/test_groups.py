"""Calls that share a transaction: what one adds, the next may lease, move, cancel or settle before the commit."""

import apsw
import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.model.job import Extension, Filter, Outcomes, Progress, Retried
from penstock.model.states import State
from penstock.testing.conformance.kit import ERROR, HOLDER, elapse, put, see, settle, states, succeeded, take
from penstock.testing.conformance.workflow_kit import call, end, job, plan, result_of, returned, start


def test_what_a_group_adds_and_leases_is_running_after_it(store, audit):
    store.begin()
    ids = put(store, 5)
    held = take(store, 3)
    store.commit()
    assert [one.job.id for one in held] == ids[:3]
    assert states(store, ids) == [State.RUNNING] * 3 + [State.READY] * 2
    audit(store)


def test_what_a_group_adds_leases_and_settles_is_gone_after_it(store, clock, audit):
    store.begin()
    ids = put(store, 4)
    held = take(store, 4)
    store.settle(Outcomes(HOLDER, forgotten=[one.fence for one in held[:2]], released=[held[2].fence]))
    store.settle(Outcomes(HOLDER, succeeded=[succeeded(held[3].fence, clock)]))
    store.commit()
    assert states(store, ids) == [None, None, State.READY, State.SUCCEEDED]
    audit(store)


def test_what_a_group_adds_can_be_acted_on_in_it(store, audit):
    store.begin()
    ids = put(store, 5)
    store.cancel(ids[:1])
    store.move(ids[1:2], "other")
    store.delete(ids[2:3])
    store.edit(ids[3:4], priority=7)
    seen = states(store, ids)
    store.commit()
    assert states(store, ids) == seen == [State.CANCELLED, State.READY, None, State.READY, State.READY]
    audit(store)
    assert [one.job.id for one in take(store, queues=["default"])] == ids[3:]


def test_what_a_group_adds_is_searched_and_counted_in_it(store, audit):
    store.begin()
    ids = put(store, 3, tags=["new"])
    assert [view.id for view in store.query(Filter(state=State.READY, tag="new")).jobs] == ids[::-1]
    assert store.stats().queues["default"].ready == 3
    assert store.stats().queues["default"].oldest_ready_age_s == 0.0
    store.commit()
    audit(store)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_group_that_is_undone_leaves_what_was_there_before_in_its_order(store, audit, steps):
    before = put(store, 3)
    store.begin()
    put(store, 3, priority=9)
    if steps > 1:
        take(store, 4)
    if steps > 2:
        store.reconcile(HOLDER, [])
    store.rollback()
    audit(store)
    put(store)
    assert [one.job.id for one in take(store)][:3] == before
    audit(store)


def test_a_group_after_one_that_failed_starts_from_the_file(disk, faulty_store, audit):
    store = faulty_store
    (first,) = put(store)
    disk.fail_at(1, apsw.IOError)
    store.begin()
    lost = put(store, 3)
    take(store, 2)
    with pytest.raises(StoreUnavailable):
        store.commit()
    disk.heal()
    store.begin()
    new = put(store, 2)
    held = take(store)
    store.commit()
    assert [one.job.id for one in held] == [first, *new]
    assert states(store, lost) == [None] * 3
    audit(store)


# --- leases that a group ended, and that go on because the group was undone -------------------------------------------
ENDINGS = {
    "settled in a range": lambda store, clock, fences: store.settle(Outcomes(HOLDER, forgotten=fences)),
    "settled one by one": lambda store, clock, fences: store.settle(
        Outcomes(HOLDER, retried=[Retried(fence, 1.0, ERROR) for fence in fences])
    ),
    "settled with results": lambda store, clock, fences: store.settle(
        Outcomes(HOLDER, succeeded=[succeeded(fence, clock, b"m\x01") for fence in fences])
    ),
    "released": lambda store, clock, fences: store.settle(Outcomes(HOLDER, released=fences)),
    "not listed": lambda store, clock, fences: store.reconcile(HOLDER, []),
}


def undone(store, clock, end, held):
    store.begin()
    ENDINGS[end](store, clock, [one.fence for one in held])
    store.rollback()
    assert states(store, [one.job.id for one in held]) == [State.RUNNING] * len(held)


@pytest.mark.parametrize("end", ENDINGS)
def test_a_short_lease_still_ends_when_it_would_have(store, clock, audit, end):
    put(store, 12)
    held = take(store, lease_s=3.0)
    undone(store, clock, end, held)
    elapse(store, clock, 4.0)
    assert states(store, [one.job.id for one in held]) == [State.READY] * 12
    audit(store)


@pytest.mark.parametrize("end", ENDINGS)
def test_a_long_lease_is_not_cut_short(store, clock, audit, end):
    put(store, 12)
    held = take(store, lease_s=600.0)
    undone(store, clock, end, held)
    elapse(store, clock, 500.0)
    assert states(store, [one.job.id for one in held]) == [State.RUNNING] * 12
    settle(store, forgotten=[one.fence for one in held])
    audit(store)


def test_a_lease_that_has_ended_is_taken_back_with_the_next_group_when_the_first_is_undone(store, clock, audit):
    (job,) = put(store)
    take(store, lease_s=3.0)
    for _ in range(4):
        clock.advance(1.0)
        store.begin()
        store.tick()
        store.rollback()
    assert states(store, [job]) == [State.RUNNING]
    store.tick()
    assert states(store, [job]) == [State.READY]
    audit(store)


def test_what_a_running_job_said_of_itself_is_kept_when_its_settlement_is_undone(store, clock):
    (job,) = put(store)
    (held,) = take(store)
    store.extend(Extension(HOLDER, [held.fence], progress=[(held.fence, Progress(3.0, 7.0))]))
    undone(store, clock, "settled in a range", [held])
    assert see(store, job).progress == Progress(3.0, 7.0)


def test_an_extension_holds_though_its_group_was_undone(store, clock):
    (job,) = put(store)
    (held,) = take(store, lease_s=3.0)
    store.begin()
    store.extend(Extension(HOLDER, [held.fence], lease_s=60.0))
    store.settle(Outcomes(HOLDER, forgotten=[held.fence]))
    store.rollback()
    elapse(store, clock, 50.0)
    assert states(store, [job]) == [State.RUNNING]
    elapse(store, clock, 11.0)
    assert states(store, [job]) == [State.READY]


def test_leases_that_a_durable_group_ended_are_not_remembered(store, clock):
    for _ in range(3):
        put(store, 20)
        settle(store, forgotten=[one.fence for one in take(store)])
    assert store.books.ended_leases == []


def test_what_was_to_land_with_a_settlement_that_was_refused_is_forgotten(store, clock, audit, monkeypatch):
    """The job may come to something else then: its holder dies, and another runs it."""
    workflow = start(store, plan(job("a"), out=0))
    (held,) = take(store)
    (other,) = put(store)
    (also,) = take(store)
    assert also.job.id == other
    landing = {"expansions": [(held.fence, plan(job("x")), [])], "children": [(also.fence, [call(queue="new")])]}
    outcomes = Outcomes(HOLDER, succeeded=[returned(held, clock), returned(also, clock)], **landing)
    monkeypatch.setattr(limits, "QUEUES_MAX", 1)
    store.begin()
    with pytest.raises(InvalidOption, match="QUEUES_MAX"):
        store.settle(outcomes)
    end(store, clock, held, "a value")
    store.commit()
    assert result_of(store, workflow) == "a value"
    audit(store)
