"""What is held against jobs, in the file: it goes with them, and earlier versions' counts are no blame."""

from __future__ import annotations

import pytest

from penstock.model.job import Cancelled, JobError, Lost
from penstock.model.losses import Loss
from penstock.testing.conformance.kit import elapse, put, see, settle, states, succeeded, take, take_one

DIED = JobError("WorkerLost", "gone")


def suspect(store):
    (job_id,) = put(store)
    settle(store, lost=[Lost(take_one(store).fence, Loss.SHARED, DIED)])
    return job_id


def rows(store):
    return store.database.connection.execute("SELECT count(*) FROM mishap").fetchall()[0][0]


def end(outcome):
    def ended(store, clock, job_id):
        fence = take_one(store).fence
        settle(store, **outcome(fence, clock))

    return ended


ENDS = {
    "forgotten": end(lambda fence, _: {"forgotten": [fence]}),
    "succeeded": end(lambda fence, clock: {"succeeded": [succeeded(fence, clock)]}),
    "kept-not": end(lambda fence, _: {"cancelled": [Cancelled(fence, 0.0)]}),
    "deleted": lambda store, clock, job_id: store.delete([job_id]),
}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS.keys())
def test_nothing_is_left_of_a_job_that_ended(store, clock, audit, ends):
    job_id = suspect(store)
    assert rows(store) == 1
    ends(store, clock, job_id)
    assert rows(store) == 0
    audit(store)


def test_nothing_is_left_of_many_that_ended_at_once(store, audit):
    put(store, 100)
    settle(store, lost=[Lost(one.fence, Loss.STRAY, DIED) for one in take(store)])
    assert rows(store) == 100
    settle(store, forgotten=[one.fence for one in take(store)])
    assert rows(store) == 0
    audit(store)


def test_it_goes_with_the_record(store, clock, audit):
    job_id = suspect(store)
    store.cancel([job_id])
    assert rows(store) == 1
    clock.advance(100 * 86_400.0)
    elapse(store, clock, 1.0)
    assert (states(store, [job_id]), rows(store)) == ([None], 0)
    audit(store)


def test_a_transaction_that_is_undone_holds_nothing_against_anybody(store, audit):
    (job_id,) = put(store)
    fence = take_one(store).fence
    store.begin()
    settle(store, lost=[Lost(fence, Loss.SHARED, DIED)])
    store.rollback()
    assert not see(store, job_id).suspect
    settle(store, lost=[Lost(fence, Loss.BLAMED, DIED)])
    store.begin()
    settle(store, forgotten=[take_one(store).fence])
    store.rollback()
    assert see(store, job_id).suspect
    audit(store)
