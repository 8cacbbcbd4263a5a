"""Claims about bulk actions, which the store goes on with by itself."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.actions import Action, ActionRequest, ActionState, Verb
from penstock.model.errors import InvalidOption, QueueDraining, QueueNotFound, UnknownTask
from penstock.model.ids import new_id
from penstock.model.job import Buried, Extension, Filter
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    StoreClaims,
    counted,
    elapse,
    one_of_each,
    put,
    see,
    settle,
    states,
    take,
)
from penstock.testing.conformance.publishing import channels, message, publish


def start(store: Store, verb: Verb, where: Filter, *, by: str = "ann", **options: Any) -> Action:
    """Begin an action."""
    return store.start_action(ActionRequest(new_id(), verb, where, **options), by=by)


def now_of(store: Store, action: Action) -> Action:
    """The action as it is now."""
    (found,) = store.actions([action.id])
    return found


def finish(store: Store, clock: VirtualClock, action: Action, most_s: float = 60.0) -> Action:
    """Let time pass until an action has ended."""
    until = clock.monotonic() + most_s
    while now_of(store, action).is_under_way:
        assert clock.monotonic() < until, now_of(store, action)
        elapse(store, clock, limits.ACTION_REST_S)
    return now_of(store, action)


def bury(store: Store, count: int, **options: Any) -> list[bytes]:
    """Put jobs that die. Answers their ids."""
    ids = put(store, count, **options)
    settle(store, buried=[Buried(held.fence, ERROR) for held in take(store, count)])
    return ids


class ActionClaims(StoreClaims):
    """`Store.start_action`, `Store.actions`, `Store.stop_action`."""

    def test_a_dry_run_counts_and_changes_nothing(self, store: Store) -> None:
        bury(store, 3, queue="q")
        before = store.totals()
        action = start(store, Verb.RETRY, Filter(queue="q"), dry_run=True)
        assert (action.state, action.matched, action.changed) == (ActionState.DONE, 3, 0)
        assert store.totals() == before
        assert store.audit().entries == []

    def test_it_counts_first_and_acts_with_the_ticks(self, store: Store, clock: VirtualClock) -> None:
        ids = bury(store, 3)
        action = start(store, Verb.RETRY, Filter(state=State.DEAD), note="fixed")
        assert (action.state, action.matched, action.changed) == (ActionState.RUNNING, 3, 0)
        assert (action.by, action.note, action.created_at) == ("ann", "fixed", clock.time())
        assert states(store, ids) == [State.DEAD] * 3
        action = finish(store, clock, action)
        assert (action.state, action.matched, action.changed, action.error) == (ActionState.DONE, 3, 3, None)
        assert action.finished_at is not None
        assert states(store, ids) == [State.READY] * 3

    @pytest.mark.parametrize(
        ("verb", "acts_on"),
        [
            (Verb.RETRY, {State.DEAD, State.CANCELLED, State.EXPIRED}),
            (Verb.CANCEL, {State.SCHEDULED, State.READY, State.RUNNING}),
            (Verb.DELETE, set(State) - {State.RUNNING, State.BLOCKED}),
            (Verb.MOVE, {State.SCHEDULED, State.READY}),
            (Verb.EMPTY, {State.SCHEDULED, State.READY}),
        ],
    )
    def test_a_verb_acts_on_its_states_and_on_no_others(
        self, store: Store, clock: VirtualClock, verb: Verb, acts_on: set[State]
    ) -> None:
        made = {state: job for state, job in one_of_each(store, clock).items() if state is not None}
        before = {state: see(store, job) for state, job in made.items()}
        options = {"to": "elsewhere"} if verb is Verb.MOVE else {}
        action = start(store, verb, Filter(queue="default"), **options)
        assert action.matched == len(acts_on)
        assert finish(store, clock, action).changed == len(acts_on)
        after = dict(zip(made, store.get(list(made.values())), strict=True))
        assert {state for state in made if after[state] != before[state]} == acts_on

    def test_only_what_matches_is_touched(self, store: Store, clock: VirtualClock) -> None:
        tagged, plain = put(store, 2, tags=["x"]), put(store, 2)
        other = put(store, task="app.other", tags=["x"])
        action = start(store, Verb.CANCEL, Filter(task="app.work", tag="x"))
        assert action.matched == 2
        assert finish(store, clock, action).changed == 2
        assert states(store, tagged + plain + other) == [State.CANCELLED] * 2 + [State.READY] * 3

    def test_nothing_that_matches_is_done_at_once(self, store: Store) -> None:
        put(store)
        action = start(store, Verb.RETRY, Filter(state=State.DEAD))
        assert (action.state, action.matched, action.changed) == (ActionState.DONE, 0, 0)

    def test_running_jobs_are_asked_to_end(self, store: Store, clock: VirtualClock) -> None:
        put(store, 2)
        fences = [held.fence for held in take(store)]
        action = finish(store, clock, start(store, Verb.CANCEL, Filter(queue="default")))
        assert (action.matched, action.changed) == (2, 2)
        assert store.extend(Extension(HOLDER, fences)).cancel == fences

    def test_jobs_that_come_later_are_left_alone(self, store: Store, clock: VirtualClock) -> None:
        early = put(store, 2)
        action = start(store, Verb.EMPTY, Filter(queue="default"))
        clock.advance(0.001)
        late = put(store, 2) + put(store, delay_s=9.0)
        finish(store, clock, action)
        assert states(store, early + late) == [None, None, State.READY, State.READY, State.SCHEDULED]

    def test_it_goes_in_steps_with_rests_between_them(self, store: Store, clock: VirtualClock) -> None:
        count = limits.ADMIN_JOBS_MAX * 2 + 10
        put(store, count)
        action = start(store, Verb.DELETE, Filter(state=State.READY))
        assert action.matched == count
        changed = [0]
        while (now := now_of(store, action)).is_under_way:
            store.tick()
            changed.append(now_of(store, action).changed)
            clock.advance(limits.ACTION_REST_S)
            assert changed[-1] - changed[-2] <= limits.ADMIN_JOBS_MAX
        assert (now.state, now.changed) == (ActionState.DONE, count)
        assert counted(store) == {"accepted_total": count, "discarded_total": count}

    def test_no_more_a_second_than_it_may(self, store: Store, clock: VirtualClock) -> None:
        put(store, 100)
        action = start(store, Verb.CANCEL, Filter(state=State.READY), per_s=10.0)
        elapse(store, clock, 2.0)
        assert 10 <= now_of(store, action).changed <= 25
        assert finish(store, clock, action).changed == 100

    def test_one_that_is_stopped_ends_where_it_is(self, store: Store, clock: VirtualClock) -> None:
        put(store, 100)
        action = start(store, Verb.CANCEL, Filter(state=State.READY), per_s=10.0)
        elapse(store, clock, 1.0)
        stopped = store.stop_action(action.id, by="bob")
        assert stopped is not None
        assert (stopped.state, stopped.finished_at) == (ActionState.STOPPED, clock.time())
        assert 0 < stopped.changed < 100
        elapse(store, clock, 30.0)
        assert now_of(store, action) == stopped
        assert store.stop_action(action.id) == stopped
        assert store.stop_action(new_id()) is None
        assert counted(store)["cancelled"] == stopped.changed

    def test_several_go_on_in_turn(self, store: Store, clock: VirtualClock) -> None:
        put(store, 50, queue="a")
        put(store, 50, queue="b")
        slow = start(store, Verb.CANCEL, Filter(queue="a"), per_s=2.0)
        quick = start(store, Verb.CANCEL, Filter(queue="b"))
        assert finish(store, clock, quick, 2.0).changed == 50
        assert now_of(store, slow).is_under_way
        assert [one.id for one in store.actions()] == [quick.id, slow.id]

    def test_the_same_id_again_is_the_same_action(self, store: Store, clock: VirtualClock) -> None:
        put(store, 2)
        wanted = ActionRequest(new_id(), Verb.CANCEL, Filter(queue="default"))
        first = store.start_action(wanted, by="ann")
        finish(store, clock, first)
        again = store.start_action(wanted, by="bob")
        assert (again.by, again.changed) == ("ann", 2)
        assert len(store.actions()) == 1

    def test_a_move_ends_when_its_queue_begins_to_drain(self, store: Store, clock: VirtualClock) -> None:
        put(store, 50)
        put(store, queue="q")
        with pytest.raises(QueueNotFound):
            start(store, Verb.MOVE, Filter(queue="nowhere"), to="q")
        action = start(store, Verb.MOVE, Filter(queue="default"), to="q", per_s=10.0)
        elapse(store, clock, 1.0)
        store.drain(queue="q")
        action = finish(store, clock, action)
        assert (action.state, "draining" in (action.error or "")) == (ActionState.FAILED, True)
        assert 0 < action.changed < 50
        assert counted(store, "q")["moved_in_total"] == action.changed
        with pytest.raises(QueueDraining):
            start(store, Verb.MOVE, Filter(queue="default"), to="q")

    def test_a_move_counts_the_jobs_that_it_can_move(self, store: Store, clock: VirtualClock) -> None:
        put(store, 3)
        put(store, 2, queue="q")
        channels(store, "a", "b")
        publish(store, message(), message())
        for state in (None, State.READY):
            where = Filter(state=state, since=0.0)
            assert finish(store, clock, start(store, Verb.MOVE, where, to="q", dry_run=True)).matched == 3
            assert finish(store, clock, start(store, Verb.MOVE, where, to="orders:a", dry_run=True)).matched == 2
        moved = finish(store, clock, start(store, Verb.MOVE, Filter(state=State.READY), to="q"))
        assert (moved.matched, moved.changed) == (3, 3)
        nothing = start(store, Verb.MOVE, Filter(state=State.READY), to="q")
        assert (nothing.state, nothing.matched, nothing.error) == (ActionState.DONE, 0, None)

    @pytest.mark.parametrize(
        ("verb", "where", "options", "words"),
        [
            (Verb.RETRY, Filter(), {}, "`where` is empty"),
            (Verb.MOVE, Filter(queue="q"), {}, "needs `to`"),
            (Verb.MOVE, Filter(queue="q"), {"to": "orders:archive:old"}, "write topic:channel"),
            (Verb.MOVE, Filter(queue="q"), {"to": "no name"}, "no name"),
            (Verb.MOVE, Filter(queue="q"), {"to": "q"}, "name another queue"),
            (Verb.MOVE, Filter(queue="q"), {"to": "orders:archive"}, "publish it to the topic"),
            (Verb.MOVE, Filter(task="app.work"), {"to": "orders:archive"}, "publish it to the topic"),
            (Verb.MOVE, Filter(queue="orders:archive"), {"to": "q"}, "Name another channel"),
            (Verb.MOVE, Filter(task=MESSAGE_TASK), {"to": "q"}, "Name another channel"),
            (Verb.RETRY, Filter(queue="q"), {"to": "q"}, "takes none"),
            (Verb.RETRY, Filter(state=State.READY), {}, "dead, cancelled or expired"),
            (Verb.CANCEL, Filter(state=State.DEAD), {}, "running, scheduled, blocked or ready"),
            (Verb.DELETE, Filter(state=State.RUNNING), {}, "not on running ones"),
            (Verb.EMPTY, Filter(queue="q", tag="x"), {}, "`delete` them"),
            (Verb.RETRY, Filter(queue="no name"), {}, "no name"),
            (Verb.RETRY, Filter(task="1"), {}, "no name"),
            (Verb.RETRY, Filter(tag=""), {}, "no name"),
            (Verb.RETRY, Filter(queue="q"), {"per_s": 0.0}, "per_s"),
            (Verb.RETRY, Filter(queue="q"), {"per_s": -1.0}, "per_s"),
            (Verb.RETRY, Filter(queue="q"), {"note": "n" * 2_000}, "note"),
        ],
    )
    def test_what_may_not_be_asked_for_is_refused_with_what_to_write(
        self, store: Store, verb: Verb, where: Filter, options: dict[str, Any], words: str
    ) -> None:
        put(store, queue="q")
        with pytest.raises(InvalidOption) as refused:
            start(store, verb, where, **options)
        assert words in refused.value.message
        with pytest.raises(InvalidOption):
            store.start_action(ActionRequest(b"short", Verb.RETRY, Filter(queue="q")))
        assert (store.actions(), store.audit().entries) == ([], [])

    def test_a_queue_or_a_task_that_is_not_there_is_a_mistake(self, store: Store) -> None:
        put(store, queue="images")
        with pytest.raises(QueueNotFound, match="'images'"):
            start(store, Verb.CANCEL, Filter(queue="image"))
        with pytest.raises(UnknownTask):
            start(store, Verb.CANCEL, Filter(task="app.nothing"))

    def test_so_many_are_under_way_and_no_more(self, store: Store) -> None:
        put(store, 1_000)
        slow = [
            start(store, Verb.CANCEL, Filter(queue="default"), per_s=0.1) for _ in range(limits.ACTIONS_UNDER_WAY_MAX)
        ]
        with pytest.raises(InvalidOption, match="ACTIONS_UNDER_WAY_MAX"):
            start(store, Verb.CANCEL, Filter(queue="default"))
        store.stop_action(slow[0].id)
        start(store, Verb.CANCEL, Filter(queue="default"))
        for action in store.actions():
            store.stop_action(action.id)

    def test_the_latest_that_have_ended_are_kept(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "ACTIONS_KEPT_MAX", 3)
        put(store)
        slow = start(store, Verb.CANCEL, Filter(queue="default"), per_s=0.1)
        ended = [start(store, Verb.RETRY, Filter(queue="default"), dry_run=True) for _ in range(5)]
        assert [one.id for one in store.actions()] == [*(one.id for one in reversed(ended[2:])), slow.id]
        assert store.actions([ended[0].id, slow.id]) == [slow]

    def test_it_goes_on_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store, 40)
        action = start(store, Verb.CANCEL, Filter(state=State.READY), per_s=10.0)
        elapse(store, clock, 1.0)
        before = now_of(store, action)
        assert 0 < before.changed < 40
        store = self.take_over(store, clock)
        assert now_of(store, action) == before
        assert finish(store, clock, action).changed == 40
        assert states(store, ids) == [State.CANCELLED] * 40
