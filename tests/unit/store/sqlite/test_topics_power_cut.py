"""The power goes while messages are published, taken and thrown away: each acknowledged message is once in each channel
that there was then, and in no other."""

import itertools
import random

import pytest

from penstock.model.job import checksum
from penstock.model.message_ids import SLOTS, copy_id, message_id, new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import states
from tests.unit.store.sqlite.test_power_cut import Story, copied, recovered, short_log

__all__ = ["short_log"]

SLOTS_SEEN = 4


class TopicStory(Story):
    """Messages among jobs. Of each message all copies are known that there could be: those that there are not, too."""

    def __init__(self, store, clock):
        super().__init__(store, clock)
        self.channels = 0

    def step(self):
        kinds = (
            self.keep,
            self.channel,
            self.publish,
            self.lease,
            self.channel,
            self.publish,
            self.succeed,
            self.delay_message,
            self.fail,
            self.delete_channel,
            self.publish,
            self.forget,
            self.tick,
            self.publish_again,
            self.delete_topic,
            self.tick,
        )
        kinds[self.steps % len(kinds)]()
        self.steps += 1

    def messages(self, *bodies, topic="t", **options):
        some = [
            MessageEntry(job_id, body, checksum(body)) for job_id, body in zip(new_message_ids(9), bodies, strict=False)
        ]
        self.store.publish(topic, [MessageGroup(some, **options)])
        self.last = some
        self.note([copy_id(one.id, slot) for one in some for slot in range(SLOTS_SEEN)])

    def publish(self):
        self.messages(b"rsmall", b"r" + bytes(9_000), b"r" + bytes(8_000), b"ragain")

    def publish_again(self):
        self.store.publish("t", [MessageGroup(self.last)])
        self.note(list(self.known))

    def delay_message(self):
        self.messages(b"rlate", b"r" + bytes(5_000), delay_s=2.0)

    def keep(self):
        self.messages(b"rkept", topic=f"new-{self.steps}")
        self.store.create_channel(f"new-{self.steps}", "first")
        self.after()

    def channel(self):
        self.channels += 1
        self.store.create_channel("t", f"c{self.channels}")
        self.after()

    def delete_channel(self):
        self.store.delete_channel("t", f"c{self.channels}")
        self.note(list(self.known))

    def delete_topic(self):
        self.store.delete_topic("t")
        self.note(list(self.known))


def check_copies(store):
    """No message is twice in a channel."""
    rows = store.database.connection.execute(
        "SELECT job.id, queue.name FROM job JOIN line ON line.id = job.line JOIN queue ON queue.id = line.queue"
    )
    places = [(message_id(job_id), name) for job_id, name in rows if ":" in name]
    assert len(places) == len(set(places))


@pytest.fixture
def audit_topics(audit):
    def check(store):
        audit(store)
        check_copies(store)

    return check


@pytest.mark.usefixtures("short_log")
def test_a_copy_at_every_commit_has_each_message_once_in_each_channel(path, clock, tmp_path, audit_topics):
    store = SqliteStore(path, clock=clock)
    story = TopicStory(store, clock)
    numbers = itertools.count()
    story.after = lambda: recovered(copied(path, tmp_path / str(next(numbers))), clock, audit_topics, story.told())
    for _ in range(32):
        story.step()
    store.close()
    assert next(numbers) > 32
    assert len(story.known) > 100


@pytest.mark.usefixtures("short_log")
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_at_a_power_cut_each_message_is_once_in_each_channel(disk, path, clock, tmp_path, audit_topics, seed):
    """At every operation of the disk, its unsynced sectors are lost, or kept by chance."""
    store = SqliteStore(path, clock=clock)
    story = TopicStory(store, clock)
    chance = random.Random(0 if seed is None else seed)
    cuts = itertools.count()
    moments, settled = [], []

    def cut():
        if chance.random() < 0.1:
            into = tmp_path / f"cut-{next(cuts)}"
            into.mkdir()
            disk.cut_power(into, None if seed is None else chance)
            moments.append((into, story.told()))

    def after():
        settled.extend((into, known, story.told()) for into, known in moments)
        moments.clear()

    disk.before, story.after = cut, after
    for _ in range(32):
        story.step()
    disk.heal()
    store.close()
    assert len(settled) > 30
    for into, known, then in settled:
        recovered(into, clock, audit_topics, known, or_known=then)


def test_a_publish_that_fails_anywhere_leaves_nothing_and_can_be_made_again(disk, path, clock, audit_topics):
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
            audit_topics(store)
            continue
        done = disk.operations - before < operation
        disk.heal()
        if done:
            break
    assert operation > 2
    audit_topics(store)
    store.close()
