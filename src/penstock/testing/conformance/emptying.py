"""Claims about emptying channels, and what topics keep."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import ChannelNotFound, TopicNotFound
from penstock.model.flow import ConcurrencyRule, QueueRecord
from penstock.model.job import Buried, Retried
from penstock.model.lines import Closed
from penstock.model.message_ids import copy_id
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    rest,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.publishing import channels, message, publish


class EmptyingClaims(StoreClaims):
    """Channels and topics are emptied."""

    def test_an_emptied_channel_gives_out_what_comes_later_alone(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b")
        ids = publish(store, message(), message(), message())
        (late,) = publish(store, delay_s=60.0)
        settle(store, buried=[Buried(take_one(store, queues=["orders:a"]).fence, ERROR)])
        settle(store, succeeded=[succeeded(take_one(store, queues=["orders:a"]).fence, clock)])
        store.empty_channel("orders", "a")
        assert take(store, tasks=[], channels=["orders:a"]) == []
        assert counted(store, "orders:a") == {}
        (new,) = publish(store)
        assert ids_of(take(store, tasks=[], channels=["orders:a"])) == [new]
        rest(store)
        assert states(store, [*ids, late]) == [None] * 4
        assert states(store, [copy_id(one, 1) for one in [*ids, late]]) == [State.READY] * 3 + [State.SCHEDULED]
        assert set(all_queues(store)) == {"orders:a", "orders:b"}
        assert store.totals().counts.unaccounted() == 0

    def test_what_is_leased_is_its_holders_until_the_end(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        done, again = publish(store, message(), message())
        first, second = take(store)
        store.empty_channel("orders", "a")
        rest(store)
        assert states(store, [done, again]) == [State.RUNNING] * 2
        settle(store, succeeded=[succeeded(first.fence, clock)], retried=[Retried(second.fence, 1.0, ERROR)])
        rest(store)
        assert states(store, [done, again]) == [None, None]
        assert set(all_queues(store)) == {"orders:a"}

    def test_what_holds_it_and_limits_it_stays(self, store: Store) -> None:
        store.register_tasks([], [QueueRecord("orders:a", limits=(ConcurrencyRule(1),))])
        channels(store, "a")
        publish(store, message(), message())
        store.pause(queue="orders:a", by="ann")
        store.empty_channel("orders", "a")
        (new, other) = publish(store, message(), message())
        assert take(store) == []
        assert [(one.queue, one.by) for one in store.holds()] == [("orders:a", "ann")]
        store.resume(queue="orders:a")
        assert ids_of(take(store)) == [new]
        assert states(store, [other]) == [State.READY]

    def test_an_empty_one_is_emptied_without_a_trace(self, store: Store) -> None:
        channels(store, "a")
        store.create_topic("kept")
        store.empty_channel("orders", "a")
        store.empty_topic("orders")
        store.empty_topic("kept")
        assert [topic.name for topic in store.topics().topics] == ["kept", "orders"]
        assert set(all_queues(store)) == {"orders:a"}

    def test_what_a_topic_keeps_is_thrown_away_and_its_channels_stay(self, store: Store) -> None:
        old = publish(store, message(), message(), topic="kept")
        channels(store, "a")
        (one,) = publish(store)
        store.empty_topic("kept")
        store.empty_topic("orders")
        assert [topic.kept for topic in store.topics().topics] == [0, 0]
        (new,) = publish(store, topic="kept")
        channels(store, "b", topic="kept")
        assert ids_of(take(store, tasks=[], channels=["kept:b", "orders:a"])) == [one, new]
        rest(store)
        assert states(store, old) == [None, None]

    def test_it_can_be_emptied_again_at_once_and_deleted(self, store: Store) -> None:
        channels(store, "a")
        for _ in range(3):
            publish(store, message(), message())
            store.empty_channel("orders", "a")
        publish(store)
        store.delete_channel("orders", "a")
        rest(store)
        assert all_queues(store) == {}
        assert store.totals().counts.discarded_total == 7

    def test_a_long_channel_that_is_emptied_goes_in_steps(self, store: Store) -> None:
        channels(store, "a")
        number = limits.TICK_STEP_JOBS + 10
        publish(store, *[message() for _ in range(number)])
        store.empty_channel("orders", "a")
        assert store.tick().next_s == 0
        rest(store)
        assert store.totals().counts.discarded_total == number

    def test_it_is_as_empty_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b")
        (old,) = publish(store)
        store.empty_channel("orders", "a")
        (new,) = publish(store)
        after = self.take_over(store, clock)
        taken = ids_of(take(after, tasks=[], channels=["orders:a", "orders:b"]))
        assert sorted(taken) == sorted([new, copy_id(old, 1), copy_id(new, 1)])
        store.close()

    def test_a_channel_that_is_not_there_is_not_emptied(self, store: Store) -> None:
        channels(store, "a")
        with pytest.raises(ChannelNotFound):
            store.empty_channel("orders", "b")
        with pytest.raises(TopicNotFound):
            store.empty_channel("bills", "a")
        with pytest.raises(TopicNotFound):
            store.empty_topic("bills")

    def test_who_empties_by_hand_is_noted_with_how_many_waited(self, store: Store) -> None:
        channels(store, "a")
        publish(store, message(), message())
        publish(store, topic="kept")
        store.empty_channel("orders", "a", by="ann")
        store.empty_topic("kept", by="bob")
        store.empty_topic("kept")
        noted = [(entry.by, entry.verb, entry.subject, entry.count) for entry in store.audit().entries]
        assert noted == [("bob", "empty", "topic:kept", 1), ("ann", "empty", "queue:orders:a", 2)]

    def test_a_hold_by_line_stays_too(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        publish(store, message(), message())
        store.close_lines(Closed.PAUSED, queue="orders:a")
        store.empty_channel("orders", "a")
        publish(store, delay_s=1.0)
        elapse(store, clock, 2.0)
        assert take(store) == []
        assert counted(store, "orders:a") == {"ready": 1, "accepted_total": 1}
