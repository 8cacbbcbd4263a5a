"""The steps in which finished records are trimmed."""

import pytest

from penstock.model import limits
from penstock.model.job import Outcomes
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import HOLDER, put, succeeded, take

PART = limits.TICK_STEP_JOBS


@pytest.fixture
def small(path, clock):
    store = SqliteStore(path, clock=clock, records_max=10)
    yield store
    store.close()


def finish(store, clock, count):
    put(store, count)
    held = take(store, count)
    store.settle(Outcomes(HOLDER, succeeded=[succeeded(one.fence, clock, keep_record_s=500.0) for one in held]))


def kept(store):
    return store.stats().queues["default"].succeeded


def test_a_step_is_larger_after_one_that_was_not_enough(small, clock, audit):
    finish(small, clock, 3 * PART)
    assert small.tick().trimmed == PART
    finish(small, clock, 2 * PART)
    ticked = small.tick()
    assert (ticked.trimmed, ticked.next_s) == (2 * PART + PART // 2, 0.0)
    assert small.tick().trimmed == PART
    assert kept(small) == PART // 2
    audit(small)


def test_a_larger_step_ends_after_its_time(small, clock, audit):
    finish(small, clock, 2 * PART)
    small.tick()
    finish(small, clock, 4 * PART)
    clock.look_s = limits.TRIM_S / 3
    assert small.tick().trimmed == 3 * PART
    clock.look_s = limits.TRIM_S * 2
    assert small.tick().trimmed == PART, "one part is always done"
    audit(small)


def test_a_step_that_was_undone_was_none(small, clock, audit):
    finish(small, clock, 4 * PART)
    for _ in range(3):
        small.begin()
        assert small.tick().trimmed == PART
        small.rollback()
    assert kept(small) == 4 * PART
    audit(small)
