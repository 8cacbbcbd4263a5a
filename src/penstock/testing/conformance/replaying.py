"""Claims about replays: messages that have succeeded, and of which a record is kept, are delivered once more."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.actions import Action, ActionState, Verb
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule
from penstock.model.job import Buried, Filter, Retried
from penstock.model.message_ids import copy_id
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.bulk import finish, start
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    group,
    ids_of,
    near,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.publishing import channels, message, publish
from penstock.testing.conformance.recording import records, step, write

A = "orders:a"
KEPT_S = 100.0


def consume(store: Store, clock: VirtualClock, channel: str = A, **options: Any) -> list[bytes]:
    """Take all that is ready in a channel, with success. Answers the ids."""
    options.setdefault("keep_record_s", KEPT_S)
    held = take(store, 1_000, channels=[channel])
    settle(store, succeeded=[succeeded(one.fence, clock, **options) for one in held])
    return ids_of(held)


def replay(store: Store, clock: VirtualClock, channel: str = A, **where: Any) -> Action:
    """Replay a channel, to the end."""
    return finish(store, clock, start(store, Verb.REPLAY, Filter(queue=channel, **where)))


class ReplayClaims(StoreClaims):
    """`Verb.REPLAY`."""

    def test_what_has_succeeded_is_ready_again_in_the_order_in_which_it_was_published(
        self, store: Store, clock: VirtualClock
    ) -> None:
        channels(store, "a", "b")
        publish(store, *(message(bytes([at])) for at in range(3)))
        done = consume(store, clock)
        (later,) = publish(store)
        action = replay(store, clock)
        assert (action.state, action.matched, action.changed) == (ActionState.DONE, 3, 3)
        held = take(store, channels=[A])
        assert ids_of(held) == [copy_id(later, 0), *done], "it has come back to the end of the channel"
        assert [one.job.attempt for one in held] == [1, 1, 1, 1]
        assert [one.job.body for one in held[1:]] == [b"r\x00", b"r\x01", b"r\x02"]
        assert counted(store, "orders:b")["ready"] == 4, "other channels have nothing to do with it"

    def test_it_is_counted_and_nothing_is_unaccounted_for(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        publish(store, message(), message())
        consume(store, clock)
        replay(store, clock)
        assert counted(store, A) == {"ready": 2, "accepted_total": 2, "succeeded_total": 2, "revived_total": 2}
        consume(store, clock)
        assert counted(store, A) == {"succeeded": 2, "accepted_total": 2, "succeeded_total": 4, "revived_total": 2}
        elapse(store, clock, KEPT_S)
        assert counted(store, A) == {"accepted_total": 2, "succeeded_total": 4, "revived_total": 2}

    def test_nothing_of_the_delivery_before_is_left(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        publish(store)
        first = take_one(store, channels=[A])
        settle(store, retried=[Retried(first.fence, 0.0, ERROR)])
        second = take_one(store, channels=[A])
        write(store, second, step(0, "a"))
        settle(store, succeeded=[succeeded(second.fence, clock, b"m\x01", keep_record_s=KEPT_S)])
        job = second.job.id
        assert see(store, job, result=True).result == b"m\x01"
        replay(store, clock)
        view = see(store, job, result=True)
        assert (view.state, view.attempt, view.error, records(store, job)) == (State.READY, 0, None, [])
        assert (view.result, view.result_kept, view.started_at, view.finished_at) == (None, False, None, None)
        assert take_one(store, channels=[A]).job.attempt == 1

    def test_large_bodies_that_channels_share_are_still_there(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a", "b")
        large = b"x" * (2 * limits.SHARED_BODY_BYTES_MIN)
        publish(store, message(large))
        for _ in range(2):
            consume(store, clock)
            consume(store, clock, "orders:b", keep_record_s=0.0)
            replay(store, clock)
        assert take_one(store, channels=[A]).job.body == b"r" + large

    def test_the_time_that_is_given_is_when_they_were_published(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        times = []
        for _ in range(4):
            times.append(clock.time())
            publish(store)
            elapse(store, clock, 10.0)
        one, two, three, four = consume(store, clock)
        action = replay(store, clock, since=times[1], until=times[3])
        assert (action.matched, action.changed, action.oldest_at) == (2, 2, near(times[1]))
        assert states(store, [one, two, three, four]) == [
            State.SUCCEEDED,
            State.READY,
            State.READY,
            State.SUCCEEDED,
        ]

    def test_what_is_not_kept_any_more_is_not_replayed_and_it_says_since_when_there_are_records(
        self, store: Store, clock: VirtualClock
    ) -> None:
        channels(store, "a")
        begun = clock.time()
        publish(store)
        consume(store, clock, keep_record_s=5.0)
        elapse(store, clock, 5.0)
        since = clock.time()
        publish(store)
        consume(store, clock)
        elapse(store, clock, 5.0)
        publish(store)
        consume(store, clock)
        action = replay(store, clock, since=begun)
        assert (action.matched, action.changed, action.oldest_at) == (2, 2, near(since))

    def test_a_dry_run_says_how_many_and_since_when(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        published = clock.time()
        publish(store, message(), message())
        consume(store, clock)
        elapse(store, clock, 3.0)
        action = finish(store, clock, start(store, Verb.REPLAY, Filter(queue=A), dry_run=True))
        assert (action.matched, action.changed, action.oldest_at) == (2, 0, near(published))
        assert counted(store, A)["succeeded"] == 2

    def test_where_nothing_is_kept_it_says_so(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        publish(store)
        consume(store, clock, keep_record_s=0.0)
        action = replay(store, clock)
        assert (action.state, action.matched, action.oldest_at) == (ActionState.DONE, 0, None)

    def test_other_states_and_other_queues_are_left_alone(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        publish(store, message(), message())
        dead, running = take(store, channels=[A])
        settle(store, buried=[Buried(dead.fence, ERROR)])
        (job,) = put(store)
        settle(store, succeeded=[succeeded(take_one(store, tasks=["app.work"]).fence, clock, keep_record_s=KEPT_S)])
        assert replay(store, clock).changed == 0
        assert states(store, [dead.job.id, running.job.id, job]) == [State.DEAD, State.RUNNING, State.SUCCEEDED]

    def test_many_go_in_steps_oldest_first_and_what_comes_meanwhile_is_not_among_them(
        self, store: Store, clock: VirtualClock
    ) -> None:
        channels(store, "a")
        publish(store, *(message() for _ in range(25)))
        done = consume(store, clock)
        action = start(store, Verb.REPLAY, Filter(queue=A), per_s=20.0)
        assert action.matched == 25
        elapse(store, clock, 0.3)
        again = consume(store, clock)
        assert again == done[: len(again)]
        publish(store)
        consume(store, clock)
        action = finish(store, clock, action)
        assert (action.state, action.changed) == (ActionState.DONE, 25)

    def test_the_order_of_a_key_holds(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        store.put_limits(f"queue:{A}", [ConcurrencyRule(1, per="header:key", order="fifo")])
        publish(store, message(b"\x00"), headers={"key": "k"})
        publish(store, message(b"\x01"), headers={"key": "k"})
        publish(store, message(b"\x02"), headers={"key": "l"})
        for body in (b"r\x00", b"r\x01"):
            held = take(store, channels=[A])
            assert held[0].job.body == body
            settle(store, succeeded=[succeeded(one.fence, clock, keep_record_s=KEPT_S) for one in held])
        replay(store, clock)
        held = take(store, channels=[A])
        assert [one.job.body for one in held] == [b"r\x00", b"r\x02"]
        settle(store, forgotten=[one.fence for one in held])
        assert take_one(store, channels=[A]).job.body == b"r\x01"

    def test_what_is_left_of_a_deleted_channel_is_not_replayed(self, store: Store, clock: VirtualClock) -> None:
        channels(store, "a")
        publish(store)
        consume(store, clock)
        store.delete_channel("orders", "a")
        channels(store, "a")
        assert replay(store, clock).matched == 0

    @pytest.mark.parametrize(
        ("where", "words"),
        [
            (Filter(task="app.work"), "takes a channel"),
            (Filter(queue="default"), "takes a channel"),
            (Filter(queue="orders:"), "write topic:channel"),
            (Filter(queue="orders:a:1"), "write topic:channel"),
            (Filter(queue=A, tag="x"), "`since` and `until`"),
            (Filter(queue=A, error="ValueError"), "`since` and `until`"),
            (Filter(queue=A, state=State.DEAD), "succeeded"),
        ],
    )
    def test_a_replay_of_anything_but_a_channel_is_refused(self, store: Store, where: Filter, words: str) -> None:
        channels(store, "a")
        store.enqueue([group()])
        with pytest.raises(InvalidOption, match=words):
            start(store, Verb.REPLAY, where)
