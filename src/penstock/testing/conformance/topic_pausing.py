"""Claims about topics that are paused as a whole: their channels, those to come as well, give out nothing."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model.errors import InvalidOption, TopicNotFound
from penstock.model.flow import ConcurrencyRule
from penstock.model.holds import HoldKind
from penstock.model.job import Refused
from penstock.model.lines import Closed
from penstock.model.message_ids import copy_id
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK, TopicView
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    ids_of,
    rest,
    see,
    settle,
    states,
    take,
    take_one,
)
from penstock.testing.conformance.publishing import channels, publish

ALL = ["orders:a", "orders:b", "orders:c", "other:a"]


def view(store: Store, topic: str = "orders") -> TopicView:
    """One topic."""
    (found,) = store.topics(topic=topic).topics
    return found


def reasons(store: Store) -> list[str | None]:
    """Why the channels of the topic give out nothing, by name."""
    return [one.reason for one in view(store).channels]


class TopicPauseClaims(StoreClaims):
    """`Store.pause` and `Store.resume` of ``topic:``."""

    def test_the_channels_of_a_topic_that_is_paused_give_out_nothing_and_get_what_is_published(
        self, store: Store
    ) -> None:
        channels(store, "a", "b")
        channels(store, "a", topic="other")
        publish(store)
        store.pause(queue="orders:", by="ann", note="a deploy")
        publish(store)
        publish(store, topic="other")
        assert [one.job.queue for one in take(store, channels=ALL)] == ["other:a"]
        assert (view(store).paused, reasons(store)) == (True, ["paused", "paused"])
        assert (view(store, "other").paused, view(store, "other").channels[0].reason) == (False, None)
        assert counted(store, "orders:a")["ready"] == 2
        store.resume(queue="orders:", by="ann")
        assert (view(store).paused, reasons(store)) == (False, [None, None])
        assert len(take(store, channels=ALL)) == 4

    def test_a_parked_lease_is_told_of_all_channels_when_the_topic_is_resumed(self, store: Store) -> None:
        channels(store, "a", "b")
        (one,) = publish(store)
        settle(store, refused=[Refused(take_one(store, channels=["orders:b"]).fence, ERROR)])
        store.pause(queue="orders:")
        assert take(store, channels=ALL, holder=OTHER_HOLDER) == []
        store.resume(queue="orders:")
        held = take(store, channels=ALL, holder=OTHER_HOLDER)
        assert sorted(ids_of(held)) == [copy_id(one, 0), copy_id(one, 1)]

    def test_a_channel_that_is_made_of_a_paused_topic_is_paused(self, store: Store) -> None:
        channels(store, "a")
        store.pause(queue="orders:")
        channels(store, "b")
        publish(store)
        assert reasons(store) == ["paused", "paused"]
        assert take(store, channels=ALL) == []

    def test_a_topic_without_a_channel_can_be_paused_and_its_first_channel_waits_too(self, store: Store) -> None:
        (one,) = publish(store)
        store.pause(queue="orders:")
        assert (view(store).paused, view(store).kept) == (True, 1)
        assert see(store, copy_id(one, 0)).reason == Closed.NO_CHANNEL.value
        channels(store, "a")
        assert see(store, copy_id(one, 0)).reason == Closed.PAUSED.value
        assert take(store, channels=ALL) == []
        store.resume(queue="orders:")
        assert ids_of(take(store, channels=ALL)) == [copy_id(one, 0)]

    def test_a_channel_that_is_paused_by_itself_stays_so(self, store: Store) -> None:
        channels(store, "a", "b")
        publish(store)
        store.pause(queue="orders:a")
        store.pause(queue="orders:")
        store.resume(queue="orders:")
        assert reasons(store) == ["paused", None]
        assert [one.job.queue for one in take(store, channels=ALL)] == ["orders:b"]
        store.pause(queue="orders:")
        store.resume(queue="orders:a")
        assert reasons(store) == ["paused", "paused"], "the topic still is"
        store.resume(queue="orders:")
        assert [one.job.queue for one in take(store, channels=ALL)] == ["orders:a"]

    def test_it_is_a_hold_that_operators_see(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        store.pause(queue="orders:", by="ann", note="why")
        (hold,) = store.holds()
        assert (hold.queue, hold.task, hold.kind, hold.by, hold.at, hold.note) == (
            "orders:",
            None,
            HoldKind.PAUSED,
            "ann",
            clock.time(),
            "why",
        )
        (shown,) = store.queues(names=["orders:a"]).queues
        assert (shown.holds, shown.closed) == ([], [Closed.PAUSED])
        store.resume(queue="orders:", by="bob")
        assert store.holds() == []
        verbs = [(one.by, one.verb, one.subject) for one in store.audit().entries]
        assert verbs == [("bob", "resume", "queue:orders:"), ("ann", "pause", "queue:orders:")]

    def test_a_topic_that_is_deleted_is_not_paused_when_it_is_made_again(self, store: Store) -> None:
        for topic_has_channels in (True, False):
            if topic_has_channels:
                channels(store, "a")
            else:
                store.create_topic("orders")
            store.pause(queue="orders:")
            store.delete_topic("orders")
            assert (store.holds(), store.closed_lines()) == ([], [])
        channels(store, "a")
        publish(store)
        assert len(take(store, channels=ALL)) == 1

    def test_an_emptied_channel_of_a_paused_topic_is_paused(self, store: Store) -> None:
        channels(store, "a")
        publish(store)
        store.pause(queue="orders:")
        store.empty_channel("orders", "a")
        rest(store)
        publish(store)
        assert (reasons(store), take(store, channels=ALL)) == (["paused"], [])

    def test_keys_of_a_paused_topic_are_for_others(self, store: Store) -> None:
        channels(store, "a")
        channels(store, "a", topic="other")
        store.put_limits(f"task:{MESSAGE_TASK}", [ConcurrencyRule(1, per="header:key")])
        (one,) = publish(store, headers={"key": "k"})
        (other,) = publish(store, topic="other", headers={"key": "k"})
        assert states(store, [copy_id(one, 0), copy_id(other, 0)]) == [State.READY, State.BLOCKED]
        store.pause(queue="orders:")
        assert states(store, [copy_id(one, 0), copy_id(other, 0)]) == [State.BLOCKED, State.READY]
        settle(store, forgotten=[take_one(store, channels=ALL).fence])
        store.resume(queue="orders:")
        assert ids_of(take(store, channels=ALL)) == [copy_id(one, 0)]

    def test_a_topic_is_paused_as_a_whole_or_not_at_all(self, store: Store) -> None:
        with pytest.raises(TopicNotFound):
            store.pause(queue="orders:")
        channels(store, "a")
        with pytest.raises(InvalidOption):
            store.drain(queue="orders:")
        for wrong in ({"queue": "orders:", "task": MESSAGE_TASK}, {"queue": "no topic:"}):
            with pytest.raises(InvalidOption):
                store.pause(**wrong)
        assert (store.holds(), view(store).paused) == ([], False)
        store.resume(queue="orders:")
