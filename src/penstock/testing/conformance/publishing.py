"""Claims about `Store.publish`, and about leases of messages."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import (
    BodyTooLarge,
    ChannelNotFound,
    InvalidOption,
    StaleCursor,
    StoreFull,
    TopicNotFound,
)
from penstock.model.job import Enqueued, JobExtra, checksum
from penstock.model.message_ids import copy_id, message_id, message_number, new_message_ids
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK, MessageEntry, MessageGroup, PublishAnswer
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    leap,
    near,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)

NAME_64 = "n" * 54 + "#ephemeral"
BAD_NAMES = ("", "a b", "a:b", "a#other", "#ephemeral", "n" * 65, "n" * 55 + "#ephemeral", "ä")


def message(body: bytes = b"hello", *, key: str | None = None, **own: Any) -> MessageEntry:
    """A new message. ``key``: its idempotency key."""
    raw = b"r" + body
    (made,) = new_message_ids(1)
    return MessageEntry(own.pop("id", made), raw, checksum(raw), key, **own)


def channels(store: Store, *names: str, topic: str = "orders") -> None:
    """Create channels, which must be new."""
    assert [store.create_channel(topic, name) for name in names] == [True] * len(names)


def publish(store: Store, *messages: MessageEntry, topic: str = "orders", **options: Any) -> list[bytes]:
    """Publish messages, which must all be new; one when none is given. Answers their ids."""
    some = list(messages) or [message()]
    assert store.publish(topic, [MessageGroup(some, **options)]).accepted == len(some)
    return [one.id for one in some]


class PublishingClaims(StoreClaims):
    """Messages come in."""

    def test_a_message_is_put_into_every_channel(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "archive", "mail", "bill")
        one = message(b"\x00\xff raw")
        assert store.publish("orders", [MessageGroup([one])]) == PublishAnswer(1, 3, [])
        held = take(store)
        assert [(job.task, job.job.queue, job.job.body, job.job.attempt) for job in held] == [
            (MESSAGE_TASK, f"orders:{name}", one.body, 1) for name in ("archive", "mail", "bill")
        ]
        assert [job.job.id for job in held] == [copy_id(one.id, slot) for slot in range(3)]
        assert {message_id(job.job.id) for job in held} == {one.id}
        assert {message_number(job.job.id) for job in held} == {message_number(one.id)}
        view = see(store, held[0].job.id, body=True)
        assert (view.state, view.priority, view.body, view.created_at) == (
            State.RUNNING,
            0,
            one.body,
            near(clock.time()),
        )
        assert counted(store, "orders:mail") == {"running": 1, "accepted_total": 1}

    def test_headers_and_keys_travel_with_every_copy(self, store: Store) -> None:
        channels(store, "a", "b")
        batch = MessageGroup([message(), message()], headers={"trace": "é"})
        keyed = MessageGroup([message(), replace(message(), key="k")], headers={"x": "y"})
        plain = MessageGroup([replace(message(), key="alone"), message()])
        store.publish("orders", [batch, keyed, plain])
        found = [_headers(held.job.extra) for held in take(store, queues=["orders:b"])]
        assert found == [
            {"trace": "é"},
            {"trace": "é"},
            {"x": "y"},
            {"x": "y", "key": "k"},
            {"key": "alone"},
            None,
        ]

    def test_messages_of_one_call_stand_in_order(self, store: Store) -> None:
        channels(store, *"abc")
        ids = publish(store, *[message(str(place).encode()) for place in range(100)])
        for slot, name in enumerate("abc"):
            taken = ids_of(take(store, queues=[f"orders:{name}"]))
            assert taken == [copy_id(one, slot) for one in ids]

    def test_many_channels_get_many_messages(self, store: Store) -> None:
        names = [f"c{place}" for place in range(limits.CHANNELS_OF_TOPIC_MAX)]
        channels(store, *names)
        ids = publish(store, *[message() for _ in range(3)])
        held = take(store, 1_000)
        assert len(held) == 3 * len(names)
        assert {message_id(job) for job in ids_of(held)} == set(ids)
        assert len(set(ids_of(held))) == len(held)

    def test_what_is_delayed_waits_in_every_channel(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b")
        ids = publish(store, message(), message(), delay_s=5.0)
        copies = [copy_id(one, slot) for one in ids for slot in range(2)]
        assert states(store, copies) == [State.SCHEDULED] * 4
        assert counted(store, "orders:a") == {"scheduled": 2, "accepted_total": 2}
        assert take(store) == []
        elapse(store, clock, 5.0)
        assert sorted(ids_of(take(store))) == sorted(copies)

    def test_nothing_published_is_nothing_accepted(self, store: Store) -> None:
        assert store.publish("orders", []) == PublishAnswer(0, 0, [])
        assert store.publish("orders", [MessageGroup([])]) == PublishAnswer(0, 0, [])
        assert [topic.name for topic in store.topics().topics] == ["orders"]

    # --- known messages ----------------------------------------------------------------------------------------------
    def test_a_message_of_which_a_copy_is_there_is_a_duplicate(self, store: Store) -> None:
        channels(store, "a", "b")
        first, second, third = message(), message(), message()
        publish(store, first)
        batch = [MessageGroup([second, first, third]), MessageGroup([third])]
        assert store.publish("orders", batch) == PublishAnswer(
            2, 2, [Enqueued(1, first.id, None, duplicate=True), Enqueued(3, third.id, None, duplicate=True)]
        )
        settle(store, forgotten=[take_one(store, queues=["orders:a"]).fence])
        channels(store, "c")
        assert store.publish("orders", [MessageGroup([first])]).accepted == 0, "one copy of it is still there"
        assert counted(store, "orders:a") == {"ready": 2, "accepted_total": 3, "succeeded_total": 1}
        assert counted(store, "orders:c") == {}

    def test_a_key_is_of_one_topic_and_tells_calls_apart_by_their_bodies(self, store: Store) -> None:
        channels(store, "a")
        channels(store, "a", topic="other")
        first, again, different = message(key="k"), message(key="k"), message(b"else", key="k")
        publish(store, first)
        answer = store.publish("orders", [MessageGroup([again, different, message(key="l")])])
        assert answer == PublishAnswer(
            1, 1, [Enqueued(0, first.id, None, duplicate=True), Enqueued(1, first.id, None, conflict=True)]
        )
        assert store.publish("other", [MessageGroup([different])]) == PublishAnswer(1, 1, [])
        assert counted(store, "orders:a")["accepted_total"] == 2

    def test_a_key_counts_within_one_call_and_past_the_message(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        first, again = message(key="k"), message(key="k")
        assert store.publish("orders", [MessageGroup([first]), MessageGroup([again])]).exceptions == [
            Enqueued(1, first.id, None, duplicate=True)
        ]
        settle(store, forgotten=[take_one(store).fence])
        assert store.publish("orders", [MessageGroup([again])]).accepted == 0
        elapse(store, clock, 1.0)
        clock.advance(limits.IDEMPOTENCY_S)
        assert store.publish("orders", [MessageGroup([again])]).accepted == 1

    def test_a_group_says_how_long_its_keys_count(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        first, second, third = message(key="k"), message(key="k"), message(b"else", key="l")
        groups = [
            MessageGroup([first], idempotency_s=5.0),
            MessageGroup([third], idempotency_s=2 * limits.IDEMPOTENCY_S),
        ]
        assert store.publish("orders", groups).accepted == 2
        elapse(store, clock, 4.0)
        longer = [MessageGroup([second], idempotency_s=60.0)]
        assert store.publish("orders", longer).exceptions == [Enqueued(0, first.id, None, duplicate=True)]
        elapse(store, clock, 1.0)
        assert store.publish("orders", longer).accepted == 1, "a duplicate does not make it count for longer"
        assert store.publish("orders", [MessageGroup([message(key="k")])]).exceptions[0].id == second.id
        leap(store, clock, limits.IDEMPOTENCY_S)
        answer = store.publish("orders", [MessageGroup([message(key="l"), message(key="k")])])
        assert answer.exceptions == [Enqueued(0, third.id, None, conflict=True)]

    def test_a_key_that_has_passed_its_time_is_new_although_no_tick_has_forgotten_it(
        self, store: Store, clock: VirtualClock
    ) -> None:
        channels(store, "a")
        for _ in range(3):
            assert store.publish("orders", [MessageGroup([message(key="k")], idempotency_s=0.5)]).accepted == 1
            clock.advance(0.5)

    @pytest.mark.parametrize("idempotency_s", [float("nan"), float("inf")])
    def test_keys_count_for_a_number_of_seconds(self, store: Store, idempotency_s: float) -> None:
        # A wire refuses it before anybody knows which field it is.
        with pytest.raises(InvalidOption):
            store.publish("orders", [MessageGroup([message(key="k")], idempotency_s=idempotency_s)])

    @pytest.mark.parametrize("idempotency_s", [0.0, -1.0, limits.IDEMPOTENCY_S_MAX + 1])
    def test_keys_count_for_no_other_time_than_they_may(self, store: Store, idempotency_s: float) -> None:
        with pytest.raises(InvalidOption) as refused:
            store.publish("orders", [MessageGroup([message(key="k")], idempotency_s=idempotency_s)])
        assert refused.value.field == "idempotency_s"

    def test_with_atomic_one_conflict_refuses_all(self, store: Store) -> None:
        channels(store, "a")
        publish(store, message(key="k"))
        batch = [MessageGroup([message(key="l"), message(b"else", key="k")])]
        refused = store.publish("orders", batch, atomic=True)
        assert (refused.accepted, [one.index for one in refused.exceptions]) == (0, [1])
        assert counted(store, "orders:a") == {"ready": 1, "accepted_total": 1}
        assert store.publish("orders", [MessageGroup([message(key="l")])], atomic=True).accepted == 1

    def test_a_deleted_topic_takes_its_keys_along(self, store: Store) -> None:
        channels(store, "a")
        publish(store, message(key="k"))
        store.delete_topic("orders")
        channels(store, "a")
        publish(store, message(b"else", key="k"))

    # --- no channel --------------------------------------------------------------------------------------------------
    def test_a_topic_without_a_channel_keeps_its_messages_for_the_first(
        self, store: Store, clock: VirtualClock
    ) -> None:
        one, two = message(b"1"), message(b"2")
        assert store.publish("orders", [MessageGroup([one])]) == PublishAnswer(1, 0, [])
        publish(store, two, delay_s=5.0)
        assert take(store) == take(store, queues=["orders:"]) == take(store, channels=["orders:"]) == []
        view = see(store, one.id)
        assert (view.state, view.reason, view.queue) == (State.READY, "no-channel", "orders:")
        assert store.topics().topics[0].kept == 2
        channels(store, "first", "second")
        assert ids_of(take(store)) == [one.id]
        elapse(store, clock, 5.0)
        assert ids_of(take(store)) == [two.id]
        assert counted(store, "orders:first") == {"running": 2, "accepted_total": 2}
        assert counted(store, "orders:second") == {}
        assert store.topics().topics[0].kept == 0

    def test_a_topic_that_lost_its_channels_keeps_messages_again(self, store: Store) -> None:
        channels(store, "a")
        store.delete_channel("orders", "a")
        (one,) = publish(store)
        assert take(store) == []
        channels(store, "b")
        assert ids_of(take(store)) == [one]

    def test_kept_messages_are_bounded(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "TOPIC_KEPT_MAX", 3)
        publish(store, message(), message())
        before = store.totals(), store.topics()
        with pytest.raises(StoreFull, match="TOPIC_KEPT_MAX"):
            store.publish("orders", [MessageGroup([message(), message()])])
        with pytest.raises(StoreFull, match="TOPIC_KEPT_MAX"):
            store.publish("new", [MessageGroup([message() for _ in range(4)])])
        assert (store.totals(), store.topics()) == before
        publish(store)
        channels(store, "a")
        publish(store, *[message() for _ in range(5)])

    # --- what is refused ---------------------------------------------------------------------------------------------
    def test_too_many_copies_are_refused_whole(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "PUBLISH_COPIES_MAX", 5)
        channels(store, "a", "b")
        with pytest.raises(BodyTooLarge, match="6 copies"):
            store.publish("orders", [MessageGroup([message(), message()]), MessageGroup([message()])])
        assert counted(store, "orders:a") == {}
        publish(store, message(), message())

    def test_a_message_may_be_for_one_channel_alone(self, store: Store) -> None:
        channels(store, "a", "b", "c")
        one = message(b"for b", key="once")
        assert store.publish("orders", [MessageGroup([one])], channel="b") == PublishAnswer(1, 1, [])
        (held,) = take(store)
        assert (held.job.queue, held.job.body, held.job.id) == ("orders:b", one.body, copy_id(one.id, 1))
        assert counted(store, "orders:a") == counted(store, "orders:c") == {}
        again = store.publish(
            "orders", [MessageGroup([replace(message(b"for b"), idempotency_key="once")])], channel="a"
        )
        assert (again.accepted, [answer.duplicate for answer in again.exceptions]) == (0, [True])

    def test_a_message_may_be_brought_into_each_channel_by_itself(self, store: Store) -> None:
        """It is the same message there: a second copy in one channel is a duplicate, one in another is none."""
        channels(store, "a", "b")
        one = message(b"x" * (limits.SHARED_BODY_BYTES_MIN + 1))
        group_of_one = [MessageGroup([one], headers={"from": "elsewhere"})]
        for name in ("b", "a"):
            assert store.publish("orders", group_of_one, channel=name).accepted == 1
            again = store.publish("orders", group_of_one, channel=name)
            assert again == PublishAnswer(0, 1, [Enqueued(0, one.id, None, duplicate=True)])
        assert sorted((job.job.queue, job.job.body) for job in take(store)) == [
            ("orders:a", one.body),
            ("orders:b", one.body),
        ]

    def test_a_channel_that_is_not_there_gets_nothing_and_is_not_made(self, store: Store) -> None:
        with pytest.raises(TopicNotFound):
            store.publish("orders", [MessageGroup([message()])], channel="a")
        channels(store, "a")
        with pytest.raises(ChannelNotFound):
            store.publish("orders", [MessageGroup([message()])], channel="b")
        assert [one.name for one in store.topics(topic="orders").topics[0].channels] == ["a"]
        assert counted(store, "orders:a") == {}

    def test_the_position_of_a_source_moves_with_the_messages(self, store: Store) -> None:
        channels(store, "a")
        cursor = SourceCursor("elsewhere", "orders:a", 7)
        store.publish("orders", [MessageGroup([message()])], channel="a", cursor=cursor)
        assert store.cursors() == [cursor]
        with pytest.raises(StaleCursor):
            store.publish("orders", [MessageGroup([message()])], cursor=cursor)
        assert counted(store, "orders:a") == {"ready": 1, "accepted_total": 1}
        store.publish("orders", [], cursor=replace(cursor, offset=8))
        assert store.cursors() == [replace(cursor, offset=8)]

    def test_the_position_of_a_source_stays_when_the_messages_are_refused(self, store: Store) -> None:
        channels(store, "a")
        cursor = SourceCursor("elsewhere", "0", 7)
        with pytest.raises(ChannelNotFound):
            store.publish("orders", [MessageGroup([message()])], channel="b", cursor=cursor)
        publish(store, message(key="k"))
        refused = store.publish("orders", [MessageGroup([message(b"other", key="k")])], atomic=True, cursor=cursor)
        assert (refused.accepted, [one.conflict for one in refused.exceptions]) == (0, [True])
        assert store.cursors() == []

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_names_that_are_none_are_refused(self, store: Store, name: str) -> None:
        for call in (
            lambda: store.publish(name, [MessageGroup([message()])]),
            lambda: store.create_topic(name),
            lambda: store.create_channel(name, "a"),
            lambda: store.create_channel("orders", name),
        ):
            with pytest.raises(InvalidOption):
                call()
        assert (store.topics().topics, counted(store, "orders:")) == ([], {})

    def test_names_may_have_64_characters_with_the_end_that_makes_them_ephemeral(self, store: Store) -> None:
        assert len(NAME_64) == 64
        channels(store, NAME_64, topic=NAME_64)
        publish(store, topic=NAME_64)
        assert take_one(store).job.queue == f"{NAME_64}:{NAME_64}"

    def test_a_message_that_is_none_is_refused_and_nothing_beside_it_is_published(self, store: Store) -> None:
        channels(store, "a")
        good = message()
        bad = [
            replace(good, body=b"m\x01"),
            replace(good, body=b""),
            replace(good, id=b"short"),
            replace(good, id=copy_id(good.id, 1)),
            replace(good, checksum=1 << 32),
            replace(good, idempotency_key="k" * 1_000),
            replace(good, key="k" * limits.JOB_HEADERS_BYTES_MAX),
        ]
        for one in bad:
            with pytest.raises(InvalidOption):
                store.publish("orders", [MessageGroup([good]), MessageGroup([one])])
        for options in ({"delay_s": limits.DELAY_S_MAX * 2}, {"headers": {"a": "b" * limits.JOB_HEADERS_BYTES_MAX}}):
            with pytest.raises(InvalidOption):
                store.publish("orders", [MessageGroup([good], **options)])
        with pytest.raises(BodyTooLarge):
            store.publish("orders", [MessageGroup([message(bytes(limits.JOB_BODY_BYTES_MAX))])])
        with pytest.raises(BodyTooLarge):
            store.publish("orders", [MessageGroup([good] * (limits.BATCH_JOBS_MAX + 1))])
        assert counted(store, "orders:a") == {}

    def test_nothing_but_publish_puts_new_jobs_into_a_channel(self, store: Store) -> None:
        channels(store, "a")
        for options in ({"queue": "orders:a"}, {"queue": "orders:"}, {"task": MESSAGE_TASK}):
            with pytest.raises(InvalidOption):
                store.enqueue([group(entry(), **options)])
        assert counted(store, "orders:a") == counted(store) == {}
        # As well when the store knows the channel, the queue and both tasks.
        put(store)
        publish(store)
        for options in ({"queue": "orders:a"}, {"task": MESSAGE_TASK}):
            with pytest.raises(InvalidOption):
                store.enqueue([group(entry(), **options)])
        assert counted(store, "orders:a") == counted(store) == {"ready": 1, "accepted_total": 1}


def _headers(extra: bytes | None) -> dict[str, str] | None:
    return None if extra is None else msgspec.msgpack.decode(extra, type=JobExtra).headers
