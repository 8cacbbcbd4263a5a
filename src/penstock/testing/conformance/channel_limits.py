"""Claims about limits of channels: those of a queue, and by the headers of messages."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from msgspec.structs import replace

from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule
from penstock.model.job import Retried
from penstock.model.message_ids import copy_id, message_id
from penstock.model.states import State
from penstock.model.topics import MessageEntry
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    rest,
    see,
    settle,
    states,
    take,
)
from penstock.testing.conformance.publishing import channels, message, publish

ONE_BY_ONE = QueueRecord("orders:a", limits=(ConcurrencyRule(1, per="header:key", order="fifo"),))


def keyed(key: str, body: bytes = b"hello") -> MessageEntry:
    """A new message with a key."""
    return replace(message(body), key=key)


def consume(store: Store, channel: str = "orders:a", limit: int = 100) -> list[HeldJob]:
    """Take messages of one channel."""
    return take(store, limit, tasks=[], channels=[channel])


class ChannelLimitClaims(StoreClaims):
    """Limits of channels."""

    def test_messages_of_a_key_are_taken_one_after_another_in_the_channel_that_says_so(self, store: Store) -> None:
        store.register_tasks([], [ONE_BY_ONE])
        channels(store, "a", "b")
        first, second, other = publish(store, keyed("k"), keyed("k"), keyed("l"))
        held = consume(store)
        assert ids_of(held) == [first, other]
        assert ids_of(consume(store, "orders:b")) == [copy_id(one, 1) for one in (first, second, other)]
        view = see(store, second)
        assert (view.state, view.key) == (State.BLOCKED, "k")
        assert view.reason == "1 of 1 running for key k"
        settle(store, forgotten=[held[0].fence])
        assert ids_of(consume(store)) == [second]
        assert counted(store, "orders:a") == {"running": 2, "accepted_total": 3, "succeeded_total": 1}

    def test_a_message_that_failed_stays_in_front_of_its_key(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([], [ONE_BY_ONE])
        channels(store, "a")
        first, second = publish(store, keyed("k"), keyed("k"))
        settle(store, retried=[Retried(consume(store)[0].fence, 5.0, ERROR)])
        assert consume(store) == []
        elapse(store, clock, 5.0)
        assert ids_of(consume(store)) == [first]
        assert states(store, [second]) == [State.BLOCKED]

    def test_headers_count_and_messages_without_them_do_not(self, store: Store) -> None:
        store.register_tasks([], [QueueRecord("orders:a", limits=(ConcurrencyRule(1, per="header:user"),))])
        channels(store, "a")
        ids = publish(store, message(), message(), headers={"user": "ann", "key": "k"})
        ids += publish(store, message(), message(), headers={"other": "ann"})
        assert ids_of(consume(store)) == [ids[0], *ids[2:]]

    def test_what_a_topic_kept_is_limited_by_its_first_channel(self, store: Store) -> None:
        first, second, other = publish(store, keyed("k"), keyed("k"), keyed("l"))
        store.register_tasks([], [ONE_BY_ONE])
        channels(store, "a")
        rest(store)
        held = consume(store)
        assert ids_of(held) == [first, other]
        assert states(store, [second]) == [State.BLOCKED]
        settle(store, forgotten=[held[0].fence])
        assert ids_of(consume(store)) == [second]

    def test_delayed_messages_are_limited_when_their_time_comes(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([], [ONE_BY_ONE])
        channels(store, "a")
        publish(store, keyed("k"), keyed("k"), delay_s=5.0)
        elapse(store, clock, 5.0)
        assert len(consume(store)) == 1
        assert counted(store, "orders:a") == {"running": 1, "blocked": 1, "accepted_total": 2}

    def test_a_channel_has_limits_like_any_queue(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:orders:a", [ConcurrencyRule(2)])
        store.put_limits("queue:orders:b", [RateRule(3, per_s=60.0)])
        channels(store, "a", "b")
        publish(store, *[message() for _ in range(5)])
        assert len(consume(store)) == 2
        assert len(consume(store, "orders:b")) == 3
        elapse(store, clock, 20.0)
        assert len(consume(store, "orders:b")) == 1

    def test_a_deleted_channel_leaves_its_places_to_one_of_its_name(self, store: Store) -> None:
        store.register_tasks([], [QueueRecord("orders:a", limits=(ConcurrencyRule(2), *ONE_BY_ONE.limits))])
        channels(store, "a")
        publish(store, keyed("k"), keyed("k"), keyed("l"))
        old = consume(store)
        assert len(old) == 2
        store.delete_channel("orders", "a")
        channels(store, "a")
        ids = publish(store, keyed("m"), keyed("n"), keyed("o"))
        new = consume(store)
        assert ids_of(new) == ids[:2]
        settle(store, forgotten=[one.fence for one in old])
        assert consume(store) == []
        settle(store, forgotten=[new[0].fence])
        assert ids_of(consume(store)) == ids[2:]

    def test_blocked_messages_of_a_deleted_channel_are_thrown_away(self, store: Store) -> None:
        store.register_tasks([], [ONE_BY_ONE])
        channels(store, "a")
        ids = publish(store, *[keyed("k") for _ in range(4)])
        held = consume(store)
        store.delete_channel("orders", "a")
        rest(store)
        assert states(store, ids) == [State.RUNNING, None, None, None]
        settle(store, forgotten=[held[0].fence])
        rest(store)
        assert all_queues(store) == {}

    def test_large_messages_are_limited_too(self, store: Store) -> None:
        store.register_tasks([], [ONE_BY_ONE])
        channels(store, "a", "b")
        first, second = publish(store, keyed("k", bytes(5_000)), keyed("k", bytes(6_000)))
        (held,) = consume(store)
        assert (message_id(held.job.id), len(held.job.body)) == (first, 5_001)
        settle(store, forgotten=[held.fence])
        (held,) = consume(store)
        assert (message_id(held.job.id), len(held.job.body)) == (second, 6_001)
