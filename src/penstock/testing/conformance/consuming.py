"""What is claimed of taking messages from channels."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from penstock.model import limits
from penstock.model.actions import ActionRequest, Verb
from penstock.model.ids import new_id
from penstock.model.job import Buried, Extension, Fate, Filter, Outcomes, Retried
from penstock.model.lines import Closed
from penstock.model.message_ids import copy_id, message_id
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK, MessageGroup
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    put,
    rest,
    see,
    settle,
    states,
    take,
    take_one,
)
from penstock.testing.conformance.publishing import channels, message, publish


class ConsumingClaims(StoreClaims):
    """Messages are leased."""

    def test_messages_are_taken_from_channels_that_are_named(self, store: Store) -> None:
        channels(store, "a", "b", "c")
        (one,) = publish(store)
        assert take(store, tasks=["app.work"]) == take(store, tasks=[MESSAGE_TASK]) == take(store, channels=[]) == []
        assert take(store, channels=["orders:d", "orders", "a"]) == []
        assert ids_of(take(store, tasks=["app.work"], channels=["orders:b"])) == [copy_id(one, 1)]
        assert ids_of(take(store, channels=["orders:c", "orders:b"])) == [copy_id(one, 2)]
        assert ids_of(take(store)) == [copy_id(one, 0)], "who names neither tasks nor channels takes anything"

    def test_messages_and_jobs_are_taken_together_in_order(self, store: Store) -> None:
        channels(store, "a", "b")
        (first,) = put(store)
        (one,) = publish(store)
        (other,) = put(store, task="app.other")
        (second,) = put(store)
        held = take(store, tasks=["app.work"], channels=["orders:b"])
        assert ids_of(held) == [first, copy_id(one, 1), second]
        assert [job.task for job in held] == ["app.work", MESSAGE_TASK, "app.work"]
        held = take(store, channels=["orders:a"])
        assert ids_of(held) == [copy_id(one, 0), other], "no task is named, so any is taken"

    def test_where_queues_are_named_a_channel_must_be_among_them(self, store: Store) -> None:
        channels(store, "a", "b")
        (one,) = publish(store)
        (job,) = put(store)
        assert ids_of(take(store, queues=["default"], channels=["orders:a"])) == [job]
        queues = ["orders:b", "default", "orders:a"]
        assert ids_of(take(store, queues=queues, tasks=[], channels=["orders:a"])) == [copy_id(one, 0)]
        assert ids_of(take(store, queues=queues)) == [copy_id(one, 1)]

    def test_each_copy_goes_its_own_way(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b", "c")
        (one,) = publish(store)
        first, second, third = take(store)
        settle(store, forgotten=[first.fence], retried=[Retried(second.fence, 3.0, ERROR)])
        settle(store, buried=[Buried(third.fence, ERROR)])
        assert states(store, [copy_id(one, slot) for slot in range(3)]) == [None, State.SCHEDULED, State.DEAD]
        elapse(store, clock, 3.0)
        again = take_one(store, channels=["orders:b"])
        assert (again.job.id, again.job.attempt) == (copy_id(one, 1), 2)
        assert store.settle(Outcomes(HOLDER, forgotten=[first.fence])).exceptions == [(first.fence, Fate.STALE)]
        assert store.revive([copy_id(one, 2)]) == [State.READY]
        assert take_one(store).job.queue == "orders:c"
        assert counted(store, "orders:b") == {"running": 1, "accepted_total": 1, "retried_total": 1}

    def test_messages_that_nobody_takes_say_nothing_of_tasks(self, store: Store) -> None:
        channels(store, "a")
        (one,) = publish(store)
        take(store, 0, tasks=["app.work"])
        view = see(store, one)
        assert (view.error, view.reason) == (None, None)

    def test_consumers_are_those_who_name_a_channel(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b")
        take(store, 0, tasks=[], channels=["orders:a"])
        take(store, 0, tasks=["app.work"], holder=OTHER_HOLDER)
        assert [channel.consumers for channel in store.topics().topics[0].channels] == [1, 0]
        elapse(store, clock, limits.HOLDER_ALIVE_S)
        assert [channel.consumers for channel in store.topics().topics[0].channels] == [0, 0]

    def test_a_consumer_takes_what_any_of_its_lanes_asks_for(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b#ephemeral")
        take(store, 0, tasks=["app.work"], channels=["orders:b#ephemeral"], lane="async")
        for _ in range(4):
            elapse(store, clock, limits.EPHEMERAL_S / 2)
            take(store, 0, tasks=["app.else"], channels=["orders:a"], lane="process")
            store.extend(Extension(HOLDER, []))
            seen = {channel.name: channel.consumers for channel in store.topics().topics[0].channels}
            assert seen == {"a": 1, "b#ephemeral": 1}
        (job,) = put(store, task="app.work")
        assert see(store, job).error is None, "its other lane knows the task"

    def test_a_channel_is_paused_like_a_queue(self, store: Store) -> None:
        channels(store, "a", "b")
        (one,) = publish(store)
        store.close_lines(Closed.PAUSED, queue="orders:a")
        assert ids_of(take(store)) == [copy_id(one, 1)]
        assert see(store, one).reason == "paused"
        assert [channel.reason for channel in store.topics().topics[0].channels] == ["paused", None]
        store.open_lines(queue="orders:a")
        store.close_lines(Closed.PAUSED, task=MESSAGE_TASK)
        assert take(store) == []
        store.open_lines(task=MESSAGE_TASK)
        assert ids_of(take(store, channels=["orders:a"])) == [one]

    def test_messages_are_moved_between_channels_alone(self, store: Store) -> None:
        channels(store, "a", "b")
        channels(store, "a", topic="other")
        (one,) = publish(store)
        (job,) = put(store)
        assert store.move([one, job], "other:a") == [State.READY, State.READY]
        assert (see(store, one).queue, see(store, job).queue) == ("other:a", "default")
        assert store.move([one], "elsewhere") == [State.READY]
        assert see(store, one).queue == "other:a"
        assert store.move_where(Filter(), "orders:b").changed == 1
        assert ids_of(take(store, channels=["orders:b"], tasks=[])) == [one, copy_id(one, 1)]
        assert counted(store, "other:a") == {"moved_in_total": 1, "moved_out_total": 1}

    def test_a_channel_is_emptied_by_filter(self, store: Store) -> None:
        channels(store, "a", "b")
        publish(store, message(), message())
        assert store.delete_where(Filter(queue="orders:a")).changed == 2
        assert counted(store, "orders:a") == {"accepted_total": 2, "discarded_total": 2}
        assert len(store.query(Filter(queue="orders:b")).jobs) == 2

    def test_what_a_topic_keeps_is_emptied_by_filter_and_by_an_action(self, store: Store) -> None:
        publish(store, message(), message())
        kept = Filter(queue="orders:")
        assert store.delete_where(kept).changed == 2
        publish(store, message(), message(), message())
        assert [(one.name, one.closed) for one in store.queues().queues] == [("orders:", [Closed.NO_CHANNEL])]
        store.start_action(ActionRequest(new_id(), Verb.EMPTY, kept))
        rest(store)
        assert counted(store, "orders:") == {"accepted_total": 5, "discarded_total": 5}

    def test_an_action_moves_messages_from_channel_to_channel(self, store: Store) -> None:
        channels(store, "a", "b")
        ids = publish(store, message(), message())
        put(store)
        store.start_action(ActionRequest(new_id(), Verb.MOVE, Filter(state=State.READY), to="orders:b"))
        rest(store)
        assert counted(store, "default") == {"ready": 1, "accepted_total": 1}
        assert counted(store, "orders:a") == {"accepted_total": 2, "moved_out_total": 2}
        assert {message_id(job) for job in ids_of(take(store, tasks=[], channels=["orders:b"]))} == set(ids)

    def test_ids_of_jobs_and_messages_do_not_meet(self, store: Store) -> None:
        channels(store, "a", "b")
        one = message(id=message_id(new_id()))
        taken = copy_id(one.id, 1)
        store.enqueue([group(entry(job_id=taken[:10] + b"job---"))])
        publish(store, one)
        assert sorted(ids_of(take(store, tasks=[], channels=["orders:a", "orders:b"]))) == [one.id, taken]
        assert store.publish("orders", [MessageGroup([one])]).accepted == 0
