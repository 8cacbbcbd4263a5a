"""Claims about channels and topics that go when nobody uses them."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule
from penstock.model.job import Extension, Refused
from penstock.model.message_ids import copy_id
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    leap,
    settle,
    states,
    take,
)
from penstock.testing.conformance.publishing import channels, message, publish

LONG_S = limits.EPHEMERAL_S
ALMOST_S = limits.EPHEMERAL_S - 1.0
NAME = "tail#ephemeral"
QUEUE = f"orders:{NAME}"


def names(store: Store) -> list[str]:
    """The names of all channels, each with its topic's."""
    return [f"{topic.name}:{channel.name}" for topic in store.topics().topics for channel in topic.channels]


class EphemeralClaims(StoreClaims):
    """Names that end with ``#ephemeral``."""

    def test_a_channel_that_nobody_asks_for_goes(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "archive", NAME)
        (one,) = publish(store)
        elapse(store, clock, ALMOST_S)
        assert names(store) == ["orders:archive", QUEUE]
        elapse(store, clock, 2.0)
        assert names(store) == ["orders:archive"]
        assert states(store, [one, copy_id(one, 1)]) == [State.READY, None]
        assert set(all_queues(store)) == {"orders:archive"}
        assert store.totals().removed.discarded_total == 1

    def test_a_channel_stays_as_long_as_somebody_asks_for_it(self, store: Store, clock: VirtualClock) -> None:
        channels(store, NAME)
        for _ in range(4):
            elapse(store, clock, ALMOST_S)
            take(store, 0, channels=[QUEUE])
        assert names(store) == [QUEUE]
        elapse(store, clock, LONG_S)
        assert names(store) == []

    def test_who_holds_on_to_messages_is_a_consumer_still(self, store: Store, clock: VirtualClock) -> None:
        channels(store, NAME)
        publish(store)
        (held,) = take(store, channels=[QUEUE])
        for _ in range(8):
            elapse(store, clock, limits.LEASE_S / 2)
            assert store.extend(Extension(HOLDER, [held.fence])).lost == []
        assert names(store) == [QUEUE]

    @pytest.mark.parametrize(
        "asked", [{}, {"tasks": ["app.work"]}, {"channels": []}, {"channels": [QUEUE], "queues": ["default"]}], ids=str
    )
    def test_who_does_not_name_it_is_no_consumer(
        self, store: Store, clock: VirtualClock, asked: dict[str, Any]
    ) -> None:
        channels(store, NAME)
        for _ in range(4):
            elapse(store, clock, LONG_S / 3)
            take(store, 0, **asked)
        assert names(store) == []

    def test_a_consumer_that_turns_to_other_channels_leaves(self, store: Store, clock: VirtualClock) -> None:
        channels(store, NAME, "other#ephemeral")
        take(store, 0, channels=[QUEUE])
        for _ in range(3):
            elapse(store, clock, LONG_S / 2)
            take(store, 0, channels=["orders:other#ephemeral"])
        assert names(store) == ["orders:other#ephemeral"]

    def test_time_in_which_nobody_could_ask_does_not_count(self, store: Store, clock: VirtualClock) -> None:
        channels(store, NAME)
        leap(store, clock, 10 * LONG_S)
        assert names(store) == [QUEUE]
        elapse(store, clock, LONG_S)
        assert names(store) == []

    def test_it_keeps_so_many_messages_and_discards_those_in_front(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "EPHEMERAL_MESSAGES_MAX", 3)
        channels(store, NAME, "archive")
        ids = publish(store, *[message() for _ in range(5)])
        assert ids_of(take(store, 1, channels=[QUEUE])) == [ids[2]]
        ids += publish(store, message(), message())
        assert counted(store, QUEUE) == {"ready": 3, "running": 1, "accepted_total": 7, "discarded_total": 3}
        assert ids_of(take(store, channels=[QUEUE])) == ids[4:]
        assert counted(store, "orders:archive") == {"ready": 7, "accepted_total": 7}

    def test_where_nothing_is_ready_the_newest_that_are_delayed_are_discarded(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "EPHEMERAL_MESSAGES_MAX", 3)
        channels(store, NAME)
        kept = publish(store, message(), message(), delay_s=50.0)
        (ready,) = publish(store)
        more = publish(store, message(), message(), message(), delay_s=9.0)
        assert states(store, [*kept, ready, *more]) == [State.SCHEDULED] * 2 + [None] + [State.SCHEDULED] + [None] * 2
        assert counted(store, QUEUE) == {"scheduled": 3, "accepted_total": 6, "discarded_total": 3}

    def test_where_nothing_is_ready_the_newest_that_are_blocked_are_discarded(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "EPHEMERAL_MESSAGES_MAX", 3)
        channels(store, NAME)
        store.put_limits(f"queue:{QUEUE}", [ConcurrencyRule(1, per="header:user")])
        whose = {"user": "ann"}
        running, *kept = publish(store, message(), message(), message(), headers=whose)
        held = take(store, channels=[QUEUE])
        assert ids_of(held) == [running]
        more = publish(store, message(), message(), message(), headers=whose)
        expected = [State.BLOCKED] * 3 + [None] * 2
        assert states(store, [*kept, *more]) == expected
        assert counted(store, QUEUE) == {"blocked": 3, "running": 1, "accepted_total": 6, "discarded_total": 2}
        settle(store, forgotten=[one.fence for one in held])
        assert ids_of(take(store, channels=[QUEUE])) == kept[:1]

    def test_refused_messages_count_and_are_not_discarded(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "EPHEMERAL_MESSAGES_MAX", 3)
        channels(store, NAME)
        first, second = publish(store, message(), message())
        settle(store, refused=[Refused(held.fence, ERROR) for held in take(store, channels=[QUEUE])])
        third, fourth = publish(store, message(), message())
        assert states(store, [first, second, third, fourth]) == [State.READY, State.READY, None, State.READY]

    def test_what_a_topic_kept_is_discarded_a_part_with_each_request(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "EPHEMERAL_MESSAGES_MAX", 3)
        monkeypatch.setattr(limits, "EPHEMERAL_DISCARDS_MAX", 2)
        publish(store, *[message() for _ in range(12)])
        channels(store, NAME)
        left = []
        for _ in range(5):
            publish(store)
            left.append(counted(store, QUEUE)["ready"])
        assert left == [10, 8, 6, 4, 3]

    def test_a_large_batch_is_bounded_by_the_real_limit(self, store: Store) -> None:
        channels(store, NAME)
        publish(store, *[message() for _ in range(limits.EPHEMERAL_MESSAGES_MAX)])
        publish(store, *[message() for _ in range(5)])
        counts = counted(store, QUEUE)
        assert (counts["ready"], counts["discarded_total"]) == (limits.EPHEMERAL_MESSAGES_MAX, 5)

    # --- topics ------------------------------------------------------------------------------------------------------
    def test_a_topic_without_a_channel_goes_when_nobody_publishes_to_it(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.create_topic("orders#ephemeral")
        store.create_topic("bills")
        for _ in range(3):
            elapse(store, clock, ALMOST_S)
            publish(store, topic="orders#ephemeral")
        elapse(store, clock, LONG_S)
        assert [topic.name for topic in store.topics().topics] == ["bills"]
        assert all_queues(store) == {}
        assert store.totals().counts.discarded_total == 3

    def test_a_topic_with_a_channel_stays_and_goes_with_its_last_one(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "archive", NAME, topic="orders#ephemeral")
        elapse(store, clock, 3 * LONG_S)
        assert names(store) == ["orders#ephemeral:archive"]
        store.delete_channel("orders#ephemeral", "archive")
        assert store.topics().topics == []

    def test_what_is_ephemeral_is_there_for_a_while_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        channels(store, NAME)
        publish(store, topic="orders#ephemeral")
        elapse(store, clock, ALMOST_S)
        after = self.take_over(store, clock)
        elapse(after, clock, ALMOST_S)
        assert [topic.name for topic in after.topics().topics] == ["orders", "orders#ephemeral"]
        elapse(after, clock, 2.0)
        assert [topic.name for topic in after.topics().topics] == ["orders"]
        assert names(after) == []
