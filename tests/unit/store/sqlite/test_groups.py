"""Calls that share a transaction: what one adds, the next may lease, move, cancel or settle before the commit."""

import apsw
import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.job import Filter, Outcomes
from penstock.model.states import State
from penstock.testing.conformance.kit import HOLDER, put, states, succeeded, take


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
