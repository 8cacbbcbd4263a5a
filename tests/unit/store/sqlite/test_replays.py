"""Replays of the engine: in steps that are bounded, among the records of other channels."""

from __future__ import annotations

import pytest

from penstock.model.actions import ActionRequest, Verb
from penstock.model.ids import new_id
from penstock.model.job import Filter, LeaseRequest, Outcomes, Succeeded, checksum
from penstock.model.message_ids import message_id, new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.sqlite import searching
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock

HOLDER = b"holder-0-16bytes"
CHANNELS = ["orders:a", "orders:b"]


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def store(tmp_path, clock):
    store = SqliteStore(str(tmp_path / "penstock.db"), clock=clock)
    for channel in "ab":
        store.create_channel("orders", channel)
    yield store
    store.close()


def finished(store, count):
    """Messages that were finished in both channels, in the order of their ids."""
    ids = new_message_ids(count)
    store.publish("orders", [MessageGroup([MessageEntry(one, b"r", checksum(b"r")) for one in ids])])
    take(store, 2 * count)
    return ids


def take(store, count):
    """Take, and finish, so many at most. Answers the ids of the messages."""
    batch = store.lease(LeaseRequest(HOLDER, count, channels=CHANNELS))
    fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
    store.settle(Outcomes(HOLDER, succeeded=[Succeeded(fence, 0.0, 0.0) for fence in fences]))
    return [message_id(job.id) for job in batch.jobs]


def replayed(store, clock, per_s=None):
    """A replay to its end. Answers what it has changed after each step."""
    action = store.start_action(ActionRequest(new_id(), Verb.REPLAY, Filter(queue="orders:b"), per_s=per_s))
    changed = []
    while action.is_under_way:
        clock.advance(0.5)
        store.tick()
        (action,) = store.actions([action.id])
        changed.append(action.changed)
    return changed


def test_rows_of_other_channels_between_them_are_passed_over_a_slice_at_a_time(store, clock, monkeypatch):
    monkeypatch.setattr(searching, "ROWS_MAX", 10)
    monkeypatch.setattr(searching, "_LOOKS", 1)
    ids = finished(store, 40)
    assert replayed(store, clock)[-1] == 40
    assert take(store, 100) == ids


def test_one_that_may_deliver_few_a_second_has_small_steps_in_order(store, clock):
    ids = finished(store, 12)
    changed = replayed(store, clock, per_s=8.0)
    assert changed[-1] == 12
    assert max(after - before for before, after in zip([0, *changed], changed, strict=False)) <= 4
    assert take(store, 100) == ids


def test_a_replay_goes_on_with_another_owner(tmp_path, store, clock):
    ids = finished(store, 12)
    action = store.start_action(ActionRequest(new_id(), Verb.REPLAY, Filter(queue="orders:b"), per_s=8.0))
    store.tick()
    (begun,) = store.actions([action.id])
    assert 0 < begun.changed < 12
    store.close()
    again = SqliteStore(str(tmp_path / "penstock.db"), clock=clock)
    while again.actions([action.id])[0].is_under_way:
        clock.advance(0.5)
        again.tick()
    assert take(again, 100) == ids
    assert again.totals().counts.unaccounted() == 0
    again.close()
