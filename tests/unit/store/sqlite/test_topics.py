"""Topics of the engine: what is undone, what cannot be thrown away, and what is known in memory."""

import itertools

import msgspec
import pytest

from penstock.model import limits
from penstock.model.errors import StoreFull
from penstock.model.flow import ConcurrencyRule
from penstock.model.job import JobEntry, JobExtra, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.model.message_ids import SLOTS, copy_id, new_message_ids
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK, MessageEntry, MessageGroup
from penstock.store.sqlite.store import SqliteStore
from penstock.store.sqlite.topic_book import TopicBook
from penstock.testing.conformance.kit import HOLDER, OTHER_HOLDER, rest, settle, states, take


@pytest.fixture
def store(path, clock, audit):
    store = SqliteStore(path, clock=clock)
    yield store
    audit(store)
    check_book(store)
    store.close()


def check_book(store):
    """What is known of topics in memory is what the file has."""
    assert remembered(store._topics.book) == remembered(TopicBook(store.books))


def remembered(book):
    return [(topic.id, topic.messages, topic.channels) for name in book.names_after("") for topic in [book.find(name)]]


def messages(number, body=b"r", **options):
    return [MessageGroup([MessageEntry(one, body, checksum(body)) for one in new_message_ids(number)], **options)]


STEPS = {
    "publish": lambda store: store.publish("orders", messages(3)),
    "publish to a new topic": lambda store: store.publish("new", messages(3)),
    "publish large messages": lambda store: store.publish("orders", messages(3, b"r" + bytes(9_000))),
    "publish later": lambda store: store.publish("orders", messages(3, delay_s=9.0)),
    "create a topic": lambda store: store.create_topic("new"),
    "create a channel": lambda store: store.create_channel("orders", "new"),
    "the first channel": lambda store: store.create_channel("kept", "new#ephemeral"),
    "delete a channel": lambda store: store.delete_channel("orders", "a"),
    "delete an empty channel": lambda store: store.delete_channel("bills", "a"),
    "delete a topic": lambda store: store.delete_topic("orders"),
    "delete what is kept": lambda store: store.delete_topic("kept"),
}


@pytest.mark.parametrize("step", STEPS)
def test_what_a_group_did_to_topics_is_undone_in_memory_too(store, clock, audit, step):
    for topic, channel in (("orders", "a"), ("orders", "b#ephemeral"), ("bills", "a")):
        store.create_channel(topic, channel)
    store.put_limits("queue:orders:a", [ConcurrencyRule(2)])
    store.publish("orders", messages(5))
    store.publish("kept", messages(2))
    take(store, 1, tasks=[], channels=["orders:a"])
    before = store.topics(), store.stats().queues, store.limits(), store.closed_lines()
    store.begin()
    STEPS[step](store)
    store.lease(LeaseRequest(OTHER_HOLDER, 100))
    store.tick()
    store.rollback()
    assert (store.topics(), store.stats().queues, store.limits(), store.closed_lines()) == before
    audit(store)
    check_book(store)
    STEPS[step](store)
    audit(store)
    held = take(store, tasks=[], channels=["orders:a", "kept:new#ephemeral"])
    settle(store, forgotten=[one.fence for one in held])


def test_a_full_disk_refuses_messages_and_lets_those_be_taken_that_are_there(store):
    store.create_channel("orders", "a")
    store.publish("orders", messages(2))
    store.database.full = True
    with pytest.raises(StoreFull, match="publish again"):
        store.publish("orders", messages(1))
    store.settle(Outcomes(HOLDER, forgotten=[one.fence for one in take(store)]))
    store.database.full = False


def test_the_limits_of_a_deleted_channel_count_nothing_of_what_still_runs_there(store):
    store.create_channel("orders", "a")
    store.put_limits("queue:orders:a", [ConcurrencyRule(2)])
    store.publish("orders", messages(3))
    old = take(store, tasks=[], channels=["orders:a"])
    store.delete_channel("orders", "a")
    assert [view.in_use for view in store.limits()] == [0]
    store.create_channel("orders", "a")
    store.publish("orders", messages(3))
    assert len(take(store, tasks=[], channels=["orders:a"])) == 2
    settle(store, forgotten=[one.fence for one in old])
    assert [view.in_use for view in store.limits()] == [2]


def test_a_lease_of_tasks_knows_nothing_of_channels(store):
    for number in range(50):
        store.create_channel("orders", f"c{number}")
    store.publish("orders", messages(2))
    store.enqueue([JobGroup("app.work", [JobEntry(one, b"m", checksum(b"m")) for one in new_message_ids(3)])])
    heads = store._line._heads({store.books.task_ids["app.work"]})
    assert [front.queue for one in heads for front in one.members.values()] == [store.books.queue_by_name["default"].id]
    assert store.books.task_ids[MESSAGE_TASK] not in store._line._by_task


def test_what_cannot_be_found_is_looked_for_again_after_a_while(store, clock, monkeypatch):
    store.create_channel("orders", "a")
    (group,) = messages(1, delay_s=99.0)
    store.publish("orders", [group])
    store.delete_channel("orders", "a")
    monkeypatch.setattr(store._operating, "delete", lambda job_id: False)
    assert store.tick().next_s > 30
    monkeypatch.undo()
    clock.advance(1.0)
    store.tick()
    assert states(store, [group.messages[0].id]) == [State.SCHEDULED]
    clock.advance(60.0)
    rest(store)
    assert states(store, [group.messages[0].id]) == [None]


def test_a_message_whose_numbers_are_taken_by_jobs_is_published_all_the_same(store):
    store.create_channel("orders", "a")
    store.create_channel("orders", "b")
    (one,) = new_message_ids(1)
    rows = [copy_id(one, slot)[:10] + bytes([7] * 6) for slot in range(3)]
    store.enqueue([JobGroup("app.work", [JobEntry(row, b"m", checksum(b"m")) for row in rows])])
    found = store.publish("orders", [MessageGroup([MessageEntry(one, b"r", checksum(b"r"))])])
    assert found.accepted == 1
    assert states(store, [copy_id(one, 0), copy_id(one, 1)]) == [State.READY] * 2
    assert store.publish("orders", [MessageGroup([MessageEntry(one, b"r", checksum(b"r"))])]).accepted == 0
    assert len(store.books.displaced) == 2


def test_a_channel_that_was_deleted_gives_its_slot_to_the_next(store):
    for name in "abc":
        store.create_channel("orders", name)
    store.delete_channel("orders", "b")
    store.create_channel("orders", "d")
    assert {name: one.slot for name, one in store._topics.book.find("orders").channels.items()} == {
        "a": 0,
        "d": 1,
        "c": 2,
    }


def test_a_page_ends_where_it_has_many_channels(store, monkeypatch):
    monkeypatch.setattr(limits, "PAGE_QUEUES_MAX", 4)
    for topic in "uvw":
        for channel in "abc":
            store.create_channel(topic, channel)
    page = store.topics()
    assert [topic.name for topic in page.topics] == ["u", "v"]
    assert [topic.name for topic in store.topics(cursor=page.cursor).topics] == ["w"]


@pytest.mark.parametrize("size_bytes", [1, 9_000])
def test_a_message_is_whole_that_is_taken_in_the_group_that_publishes_it(store, size_bytes):
    for channel in ("a", "b"):
        store.create_channel("orders", channel)
    store.put_limits("queue:orders:a", [ConcurrencyRule(1, per="header:user")])
    body = b"r" + bytes(size_bytes)
    (published,) = new_message_ids(1)
    keyed = MessageEntry(published, body, checksum(body), key="k")
    store.begin()
    store.publish("orders", [MessageGroup([keyed], headers={"user": "ann"})])
    held = take(store, tasks=[], channels=["orders:b"])
    store.commit()
    assert [(one.job.body, headers_of(one.job)) for one in held] == [(body, {"user": "ann", "key": "k"})]
    settle(store, forgotten=[one.fence for one in held])


def headers_of(job):
    return msgspec.msgpack.decode(job.extra, type=JobExtra).headers


def test_a_publish_that_fails_anywhere_leaves_nothing_and_can_be_made_again(disk, path, clock, audit):
    """The disk fails at each operation of a publish in turn: nothing of it is there, or all of it."""
    store = SqliteStore(path, clock=clock)
    for name in "abc":
        store.create_channel("t", name)
    bodies = [b"rsmall", b"r" + bytes(6_000)] * 3
    for operation in itertools.count(1):
        some = [MessageEntry(one, body, checksum(body)) for one, body in zip(new_message_ids(6), bodies, strict=True)]
        disk.fail_at(operation)
        before = disk.operations
        try:
            store.publish("t", [MessageGroup(some)])
        except Exception:
            disk.heal()
            found = states(store, [copy_id(one.id, slot) for one in some for slot in range(SLOTS)])
            assert found.count(None) in {len(found), len(found) - 18}
            audit(store)
            continue
        done = disk.operations - before < operation
        disk.heal()
        if done:
            break
    assert operation > 2
    audit(store)
    store.close()
