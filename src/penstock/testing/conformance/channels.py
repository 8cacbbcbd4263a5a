"""Claims about topics and channels themselves: making them, looking at them, deleting them."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import ChannelNotFound, InvalidOption, TopicNotFound
from penstock.model.job import Buried, Retried
from penstock.model.lines import Closed
from penstock.model.message_ids import copy_id
from penstock.model.states import State
from penstock.model.topics import TopicView
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    put,
    rest,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.publishing import channels, message, publish


def all_topics(store: Store, limit: int = 100) -> list[TopicView]:
    """Every page."""
    found: list[TopicView] = []
    cursor = None
    while True:
        page = store.topics(cursor=cursor, limit=limit)
        found += page.topics
        cursor = page.cursor
        if cursor is None:
            return found


class ChannelClaims(StoreClaims):
    """Topics and channels are made and shown."""

    def test_topics_and_channels_are_made_once(self, store: Store) -> None:
        assert (store.create_topic("orders"), store.create_topic("orders")) == (True, False)
        assert store.create_channel("orders", "a")
        assert not store.create_channel("orders", "a")
        assert store.create_channel("bills", "a"), "its topic is made with it"
        assert [topic.name for topic in store.topics().topics] == ["bills", "orders"]

    def test_topics_are_shown_with_their_channels(self, store: Store) -> None:
        store.create_topic("empty")
        channels(store, "b", "a")
        publish(store, message(), message())
        publish(store, delay_s=9.0)
        settle(store, forgotten=[take_one(store, queues=["orders:a"]).fence])
        take_one(store, queues=["orders:b"])
        empty, orders = store.topics().topics
        assert (empty.name, empty.messages_total, empty.channels, empty.kept) == ("empty", 0, [], 0)
        assert (orders.name, orders.messages_total, orders.kept) == ("orders", 3, 0)
        first, second = orders.channels
        assert (first.name, first.counts.ready, first.counts.running, first.counts.scheduled) == ("a", 1, 0, 1)
        assert (second.name, second.counts.ready, second.counts.running, second.counts.scheduled) == ("b", 1, 1, 1)
        assert (first.counts.accepted_total, first.counts.succeeded_total, second.reason) == (3, 1, None)
        assert store.topics(topic="orders").topics == [orders]
        assert set(all_queues(store)) == {"orders:a", "orders:b"}

    def test_topics_come_in_pages(self, store: Store) -> None:
        names = [f"topic-{place:02}" for place in range(12)]
        for name in names:
            channels(store, "a", "b#ephemeral", topic=name)
        assert [topic.name for topic in all_topics(store, 5)] == names
        assert len(store.topics(limit=5).topics) <= 5
        for cursor in ("", "no cursor", "9"):
            with pytest.raises(InvalidOption):
                store.topics(cursor=cursor)

    def test_counts_of_queues_come_in_pages_with_channels_among_them(self, store: Store) -> None:
        channels(store, "a", "b#ephemeral")
        publish(store)
        put(store, queue="z")
        names: list[str] = []
        cursor = None
        for _ in range(3):
            page = store.stats(cursor=cursor, limit=1)
            names += page.queues
            cursor = page.cursor
        assert (names, cursor) == (["orders:a", "orders:b#ephemeral", "z"], None)

    def test_channels_are_counted_apart_from_queues(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "QUEUES_MAX", 2)
        channels(store, "a", "b", "c")
        put(store, queue="x")
        put(store, queue="y")
        publish(store)
        with pytest.raises(InvalidOption, match="QUEUES_MAX"):
            put(store, queue="z")
        channels(store, "d")

    def test_there_may_be_only_so_many_channels(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "CHANNELS_MAX", 3)
        channels(store, "a", "b")
        store.create_topic("other")
        channels(store, "a", topic="other")
        for call in (
            lambda: store.create_channel("other", "b"),
            lambda: store.create_channel("third", "a"),
            lambda: store.create_topic("third"),
            lambda: store.publish("third", []),
        ):
            with pytest.raises(InvalidOption, match="CHANNELS_MAX"):
                call()
        assert [topic.name for topic in store.topics().topics] == ["orders", "other"]
        store.delete_channel("orders", "b")
        channels(store, "b", topic="other")

    def test_a_topic_may_have_only_so_many_channels(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "CHANNELS_OF_TOPIC_MAX", 2)
        channels(store, "a", "b")
        with pytest.raises(InvalidOption, match="CHANNELS_OF_TOPIC_MAX"):
            store.create_channel("orders", "c")
        assert not store.create_channel("orders", "b")

    def test_what_is_not_there_is_named(self, store: Store) -> None:
        channels(store, "a", "b")
        for call in (
            lambda: store.delete_topic("bills"),
            lambda: store.delete_channel("bills", "a"),
            lambda: store.topics(topic="bills"),
            lambda: store.move([], "bills:a"),
        ):
            with pytest.raises(TopicNotFound, match="no topic 'bills'"):
                call()
        with pytest.raises(ChannelNotFound, match="no channel 'c'; it has a, b"):
            store.delete_channel("orders", "c")
        for queue in ("orders:c", "orders:d"):
            with pytest.raises(ChannelNotFound):
                store.move([], queue)
        for queue in ("orders:", "orders:a:1", ":a"):
            with pytest.raises(InvalidOption):
                store.move([], queue)

    def test_topics_and_channels_are_there_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "b", "a")
        (one,) = publish(store)
        publish(store, topic="kept")
        store.delete_channel("orders", "b")
        before = store.topics()
        after = self.take_over(store, clock)
        assert after.topics() == before
        assert states(after, [copy_id(one, 1)]) == [State.READY]
        rest(after)
        assert set(all_queues(after)) == {"kept:", "orders:a"}
        channels(after, "c")
        (two,) = publish(after)
        taken = ids_of(take(after, tasks=[], channels=["orders:a", "orders:c"]))
        assert taken == [copy_id(one, 1), copy_id(two, 0), copy_id(two, 1)]
        store.close()


class DeletingClaims(StoreClaims):
    """Channels and topics are deleted."""

    def test_a_deleted_channel_gives_out_nothing_and_is_thrown_away(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b")
        ids = publish(store, message(), message(), message())
        (late,) = publish(store, delay_s=60.0)
        settle(store, buried=[Buried(take_one(store, queues=["orders:a"]).fence, ERROR)])
        fence = take_one(store, queues=["orders:a"]).fence
        settle(store, succeeded=[succeeded(fence, clock)])
        store.delete_channel("orders", "a")
        assert take(store, queues=["orders:a"]) == take(store, channels=["orders:a"], tasks=[]) == []
        rest(store)
        assert states(store, [*ids, late]) == [None] * 4
        assert states(store, [copy_id(one, 1) for one in ids]) == [State.READY] * 3
        assert set(all_queues(store)) == {"orders:b"}
        totals = store.totals()
        assert (totals.removed.accepted_total, totals.removed.discarded_total) == (4, 2)
        assert totals.counts.unaccounted() == 0

    def test_its_name_is_free_at_once(self, store: Store) -> None:
        channels(store, "a")
        (old,) = publish(store)
        store.delete_channel("orders", "a")
        channels(store, "a")
        (new,) = publish(store)
        assert ids_of(take(store)) == [new]
        view = see(store, old)
        assert (view.queue, view.reason, view.state) == ("orders:a:1", "deleted", State.READY)
        rest(store)
        assert states(store, [old, new]) == [None, State.RUNNING]

    def test_a_leased_message_of_a_deleted_channel_is_its_holders_until_the_end(
        self, store: Store, clock: VirtualClock
    ) -> None:
        channels(store, "a")
        done, again = publish(store, message(), message())
        first, second = take(store)
        store.delete_channel("orders", "a")
        rest(store)
        assert states(store, [done, again]) == [State.RUNNING] * 2
        settle(store, succeeded=[succeeded(first.fence, clock)], retried=[Retried(second.fence, 1.0, ERROR)])
        rest(store)
        assert states(store, [done, again]) == [None, None]
        assert all_queues(store) == {}
        assert store.totals().removed.discarded_total == 1

    def test_a_long_channel_is_thrown_away_in_steps(self, store: Store) -> None:
        channels(store, "a")
        number = limits.TICK_STEP_JOBS + 10
        publish(store, *[message() for _ in range(number)])
        store.delete_channel("orders", "a")
        assert store.tick().next_s == 0
        rest(store)
        assert all_queues(store) == {}
        assert store.totals().counts.discarded_total == number

    def test_a_channel_in_which_nothing_is_goes_at_once(self, store: Store) -> None:
        channels(store, "a", "b")
        store.delete_channel("orders", "a")
        assert set(all_queues(store)) == {"orders:b"}

    def test_a_paused_channel_is_not_paused_when_it_is_made_anew(self, store: Store) -> None:
        channels(store, "a")
        store.close_lines(Closed.PAUSED, queue="orders:a")
        store.delete_channel("orders", "a")
        assert store.closed_lines() == []
        channels(store, "a")
        (one,) = publish(store)
        assert ids_of(take(store)) == [one]

    def test_a_topic_goes_with_its_channels_and_what_it_keeps(self, store: Store) -> None:
        channels(store, "a", "b")
        publish(store)
        publish(store, topic="kept")
        store.delete_topic("orders")
        store.delete_topic("kept")
        assert (store.topics().topics, take(store)) == ([], [])
        rest(store)
        assert all_queues(store) == {}
        assert store.totals().counts.discarded_total == 3
        (one,) = publish(store)
        channels(store, "a")
        assert ids_of(take(store)) == [one]

    def test_an_ephemeral_topic_goes_with_its_last_channel(self, store: Store) -> None:
        channels(store, "a", "b", topic="orders#ephemeral")
        store.delete_channel("orders#ephemeral", "a")
        assert len(store.topics().topics) == 1
        store.delete_channel("orders#ephemeral", "b")
        assert store.topics().topics == []

    def test_expired_and_due_messages_of_a_deleted_channel_go_too(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        (one,) = publish(store, delay_s=1.0)
        store.delete_channel("orders", "a")
        elapse(store, clock, 2.0)
        assert states(store, [one]) == [None]
        assert counted(store, "orders:a:1") == {}
