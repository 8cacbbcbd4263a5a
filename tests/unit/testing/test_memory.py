"""What is the in-memory store's own; what it has in common with every store is in tests/conformance."""

import pytest

from penstock.model import limits
from penstock.model.errors import IllegalTransition, StoreUnavailable
from penstock.model.ids import new_ids
from penstock.model.job import FENCE_COUNTER_BITS, JobEntry, JobGroup, LeaseRequest, checksum
from penstock.model.states import Event, State
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore

HOLDER = b"h" * 16


def filled(count, **options):
    store = MemoryStore(VirtualClock(), **options)
    ids = new_ids(count)
    store.enqueue([JobGroup("app.work", [JobEntry(one, b"m", checksum(b"m")) for one in ids])])
    return store, ids


def test_the_epoch_is_the_high_part_of_every_fence():
    store, _ = filled(2, epoch=5)
    assert store.lease(LeaseRequest(HOLDER, 2)).first_fence == 5 << FENCE_COUNTER_BITS | 1


def test_an_illegal_move_raises_and_changes_nothing():
    store, (job,) = filled(1)
    row, before = store._table.rows[job], store.stats().queues
    for event, target in ((Event.SUCCEED, State.SUCCEEDED), (Event.PROMOTE, State.READY), (Event.TRIM, None)):
        with pytest.raises(IllegalTransition):
            store._table.go(row, event, target)
    assert store.stats().queues == before
    assert row.state is State.READY
    assert len(store.lease(LeaseRequest(HOLDER, 9)).jobs) == 1


def test_a_lease_is_empty_while_too_many_jobs_run(monkeypatch):
    monkeypatch.setattr(limits, "RUNNING_JOBS_MAX", 3)
    store, _ = filled(5)
    assert len(store.lease(LeaseRequest(HOLDER, 2)).jobs) == 2
    assert len(store.lease(LeaseRequest(HOLDER, 2)).jobs) == 1
    assert store.lease(LeaseRequest(HOLDER, 2)).jobs == []
    store.reconcile(HOLDER, [])
    assert len(store.lease(LeaseRequest(HOLDER, 9)).jobs) == 3


def test_it_says_that_it_keeps_nothing():
    assert MemoryStore(VirtualClock()).capabilities().durability == "memory"


def test_a_closed_store_answers_nothing():
    store, ids = filled(1)
    store.close()
    for call in (store.stats, store.tick, store.tasks, lambda: store.get(ids), lambda: store.delete(ids)):
        with pytest.raises(StoreUnavailable):
            call()
