"""A large body of a message is stored once, and goes with the last copy, whichever way that ends."""

import pytest

from penstock.model import limits
from penstock.model.job import Buried, LeaseRequest, Outcomes, Retried, TaskRecord, checksum
from penstock.model.message_ids import copy_id, new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, elapse, rest, settle, succeeded, take

LARGE = b"r" + bytes(range(256)) * 400
SMALL = b"r" + bytes(limits.SHARED_BODY_BYTES_MIN)


@pytest.fixture
def store(path, clock, audit):
    store = SqliteStore(path, clock=clock)
    for name in "abc":
        store.create_channel("t", name)
    yield store
    audit(store)
    store.close()


def message(body=LARGE, job_id=None):
    return MessageEntry(job_id or new_message_ids(1)[0], body, checksum(body))


def publish(store, *messages, **options):
    assert store.publish("t", [MessageGroup(list(messages), **options)]).accepted == len(messages)
    return [one.id for one in messages]


def bodies(store):
    return [tuple(row) for row in store.database.connection.execute("SELECT length(body), copies FROM shared_body")]


def test_a_large_body_is_stored_once_and_a_small_one_with_each_copy(store, audit):
    publish(store, message(), message(SMALL))
    assert bodies(store) == [(len(LARGE), 3)]
    held = take(store)
    assert [one.job.body for one in held] == [LARGE] * 3 + [SMALL] * 3
    audit(store)
    store.settle(Outcomes(HOLDER, forgotten=[one.fence for one in held[:2]]))
    assert bodies(store) == [(len(LARGE), 1)]
    store.settle(Outcomes(HOLDER, forgotten=[one.fence for one in held[2:]]))
    assert bodies(store) == []


@pytest.mark.parametrize("queues", [None, ["t:b"], ["t:c", "t:a"]])
def test_whoever_takes_a_copy_gets_the_body(store, queues):
    ids = publish(store, message(), message(SMALL), message(LARGE + b"!"))
    held = take(store, queues=queues)
    assert {one.job.body for one in held} == {LARGE, SMALL, LARGE + b"!"}
    view = store.get([copy_id(ids[2], 1)], body=True)[0]
    assert view.body == LARGE + b"!"


def test_messages_of_one_call_keep_their_order_however_they_are_stored(store):
    some = [message(LARGE if place % 3 else SMALL) for place in range(9)]
    ids = publish(store, *some)
    assert [one.job.id for one in take(store, queues=["t:b"])] == [copy_id(one, 1) for one in ids]


def test_a_body_is_taken_in_the_transaction_in_which_it_was_published(store):
    store.begin()
    publish(store, message())
    batch = store.lease(LeaseRequest(HOLDER, 10))
    store.commit()
    store.tidy()
    assert [job.body for job in batch.jobs] == [LARGE] * 3
    store.settle(Outcomes(HOLDER, forgotten=list(range(batch.first_fence, batch.first_fence + 3))))
    assert bodies(store) == []


def test_a_body_goes_with_the_records_of_its_copies(store, clock):
    store.register_tasks([TaskRecord("penstock.message", keep_record_s=20.0)])
    ids = publish(store, message())
    done, dead, again = take(store)
    settle(store, succeeded=[succeeded(done.fence, clock, keep_record_s=10.0)])
    settle(store, buried=[Buried(dead.fence, ERROR, keep_s=30.0)], retried=[Retried(again.fence, 1.0, ERROR)])
    assert bodies(store) == [(len(LARGE), 3)]
    store.cancel([copy_id(ids[0], 2)])
    elapse(store, clock, 10.0)
    assert bodies(store) == [(len(LARGE), 2)]
    elapse(store, clock, 10.0)
    assert bodies(store) == [(len(LARGE), 1)]
    elapse(store, clock, 10.0)
    assert bodies(store) == []


def test_a_body_goes_with_deleted_messages_and_channels(store):
    ids = publish(store, message(), message())
    store.delete([copy_id(ids[0], 0)])
    assert bodies(store) == [(len(LARGE), 2), (len(LARGE), 3)]
    store.delete_channel("t", "a")
    store.delete_channel("t", "b")
    rest(store)
    assert bodies(store) == [(len(LARGE), 1)] * 2
    store.delete_topic("t")
    rest(store)
    assert bodies(store) == []


def test_a_message_with_the_number_of_another_is_copied(store):
    first = message()
    second = message(LARGE + b"2", first.id[:-1] + bytes([first.id[-1] ^ 1]))
    publish(store, first)
    publish(store, second)
    twin = message()
    publish(store, twin, message(LARGE + b"4", twin.id[:-1] + bytes([twin.id[-1] ^ 1])))
    assert bodies(store) == [(len(LARGE), 3)] * 2
    assert {one.job.body for one in take(store, queues=["t:c"])} == {LARGE, LARGE + b"2", LARGE + b"4"}


def test_a_message_that_comes_again_leaves_no_body_behind(store):
    one = message()
    publish(store, one)
    assert store.publish("t", [MessageGroup([one])]).accepted == 0
    assert bodies(store) == [(len(LARGE), 3)]


def test_one_copy_needs_no_body_of_its_own(store, path):
    store.create_channel("lone", "a")
    store.publish("lone", [MessageGroup([message()])])
    store.publish("none", [MessageGroup([message()])])
    assert bodies(store) == []


def test_a_message_that_runs_again_by_hand_has_its_body(store):
    ids = publish(store, message())
    held = take(store)
    store.settle(Outcomes(HOLDER, forgotten=[held[0].fence], buried=[Buried(held[1].fence, ERROR)]))
    store.revive([copy_id(ids[0], 1)])
    again = take(store)
    assert [one.job.body for one in again] == [LARGE]
    store.settle(Outcomes(HOLDER, forgotten=[again[0].fence, held[2].fence]))
    assert bodies(store) == []


def test_a_group_that_is_undone_leaves_no_body(store):
    store.begin()
    publish(store, message())
    store.rollback()
    assert bodies(store) == []
    publish(store, message())
    store.begin()
    store.settle(Outcomes(HOLDER, forgotten=[one.fence for one in take(store)]))
    store.rollback()
    assert bodies(store) == [(len(LARGE), 3)]


def test_a_body_that_is_gone_is_told_as_damage(store, clock):
    publish(store, message())
    store.database.connection.execute("UPDATE shared_body SET body = x'00'")
    assert take(store) == []
    assert store.totals().counts.dead == 3
    store.database.connection.execute("UPDATE shared_body SET body = ?", (LARGE,))


def test_large_messages_with_headers_of_their_own_are_shared_too(store):
    one = message()
    keyed = MessageEntry(one.id, one.body, one.checksum, None, "k")
    publish(store, keyed, message())
    assert bodies(store) == [(len(LARGE), 3)] * 2
    assert [held.job.body for held in take(store, queues=["t:a"])] == [LARGE] * 2
