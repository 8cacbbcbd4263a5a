"""Claims about holders that deliver (`penstock.model.deliveries`): what is not answered is an attempt, never a loss."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.model import limits
from penstock.model.deliveries import UNANSWERED, delivering_holder, door_holders
from penstock.model.errors import InvalidOption
from penstock.model.job import Extension, Fate, Lost, Outcomes, Refused, Retried
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)

DOOR, OTHER_DOOR = b"door", b"2nd!"
FIRST, SECOND = delivering_holder(DOOR, 1), delivering_holder(DOOR, 2)


def _expire(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    elapse(store, clock, limits.LEASE_S)
    assert store.settle(Outcomes(held.holder, forgotten=[held.fence])).stale == [held.fence]


def _reconcile(store: Store, _: VirtualClock, held: HeldJob) -> None:
    assert store.reconcile(held.holder, []) == 1


def _reconcile_all(store: Store, _: VirtualClock, held: HeldJob) -> None:  # noqa: ARG001 - whoever holds it
    assert store.reconcile(door_holders(DOOR), []) == 1


def _lose(loss: Loss) -> Callable[[Store, VirtualClock, HeldJob], None]:
    return lambda store, _, held: settle(store, holder=held.holder, lost=[Lost(held.fence, loss, ERROR)])


ENDS = {
    "its lease ends": _expire,
    "its holder does not list it": _reconcile,
    "its door does not list it": _reconcile_all,
    **{f"lost, {loss.value}": _lose(loss) for loss in Loss},
}
"""The ways in which a delivery ends without an answer."""


class DeliveringClaims(StoreClaims):
    """Messages with the clients of a door, and jobs alike."""

    @pytest.mark.parametrize("way", ENDS)
    def test_a_delivery_without_an_answer_is_an_attempt_and_the_job_has_its_old_place(
        self, store: Store, clock: VirtualClock, way: str
    ) -> None:
        first, second = put(store, 2)
        for attempt in (1, 2, 3):
            held = take_one(store, holder=FIRST)
            assert (held.job.id, held.job.attempt) == (first, attempt)
            ENDS[way](store, clock, held)
        view = see(store, first)
        assert (view.state, view.attempt, view.error) == (State.READY, 3, UNANSWERED)
        assert ids_of(take(store)) == [first, second]
        assert counted(store) == {"running": 2, "accepted_total": 2, "retried_total": 3}

    @pytest.mark.parametrize("way", ENDS)
    def test_no_number_of_deliveries_buries_a_job_or_makes_it_a_suspect(
        self, store: Store, clock: VirtualClock, way: str
    ) -> None:
        (job,) = put(store)
        count = limits.STRAYS_MAX + 1
        for _ in range(count):
            held = take_one(store, holder=FIRST)
            store.extend(Extension(FIRST, [held.fence], started=[(held.fence, clock.time())]))
            ENDS[way](store, clock, held)
        view = see(store, job)
        assert (view.state, view.attempt, view.losses, view.strays) == (State.READY, count, 0, 0)
        assert not view.suspect

    @pytest.mark.parametrize("way", ENDS)
    def test_one_that_somebody_wants_cancelled_is_not_delivered_again(
        self, store: Store, clock: VirtualClock, way: str
    ) -> None:
        (job,) = put(store)
        held = take_one(store, holder=FIRST)
        assert store.cancel([job]) == [State.RUNNING]
        if way.startswith("lost"):
            loss = Loss(way.removeprefix("lost, "))
            settled = store.settle(Outcomes(FIRST, lost=[Lost(held.fence, loss, ERROR)]))
            assert settled.exceptions == [(held.fence, Fate.CANCELLED)]
        else:
            ENDS[way](store, clock, held)
        assert see(store, job).state is State.CANCELLED

    @pytest.mark.parametrize("way", ENDS)
    def test_what_was_delivered_has_started_and_does_not_expire(
        self, store: Store, clock: VirtualClock, way: str
    ) -> None:
        (job,) = put(store, expires_s=5.0)
        ENDS[way](store, clock, take_one(store, holder=FIRST))
        elapse(store, clock, 10.0)
        assert see(store, job).state is State.READY

    def test_what_is_given_back_is_no_attempt(self, store: Store) -> None:
        put(store)
        settle(store, holder=FIRST, released=[take_one(store, holder=FIRST).fence])
        assert take_one(store, holder=FIRST).job.attempt == 1

    def test_a_worker_beside_a_door_is_judged_as_ever(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)])
        _expire(store, clock, take_one(store, holder=FIRST))
        view = see(store, job)
        assert (view.attempt, view.losses, view.suspect) == (1, 1, True)
        batch = take_one(store)
        assert batch.job.attempt == 2


class DoorClaims(StoreClaims):
    """All holders of a door, by the front of their names."""

    def test_those_whose_names_begin_so_give_back_what_is_not_listed(self, store: Store) -> None:
        jobs = put(store, 5)
        holders = (FIRST, SECOND, FIRST, delivering_holder(OTHER_DOOR, 1), HOLDER)
        held = [take_one(store, holder=holder) for holder in holders]
        assert store.reconcile(door_holders(DOOR), [held[2].fence, held[3].fence]) == 2
        assert states(store, jobs) == [State.READY] * 2 + [State.RUNNING] * 3
        assert store.reconcile(door_holders(DOOR), []) == 1
        assert [one.job.attempt for one in take(store)] == [2, 2, 2]

    def test_a_door_settles_and_extends_what_all_its_holders_have(self, store: Store, clock: VirtualClock) -> None:
        jobs = put(store, 6)
        holders = (FIRST, SECOND, SECOND, FIRST, delivering_holder(OTHER_DOOR, 1), HOLDER)
        fences = [take_one(store, holder=holder).fence for holder in holders]
        outcomes = Outcomes(
            door_holders(DOOR),
            forgotten=[fences[0], fences[4]],
            retried=[Retried(fences[1], 0.0, ERROR)],
            released=[fences[2], fences[5]],
        )
        assert sorted(store.settle(outcomes).stale) == fences[4:]
        running, ready = State.RUNNING, State.READY
        assert states(store, jobs) == [None, ready, ready, running, running, running]
        assert store.extend(Extension(door_holders(DOOR), fences[3:], lease_s=2 * limits.LEASE_S)).lost == fences[4:]
        elapse(store, clock, limits.LEASE_S)
        assert states(store, jobs[3:]) == [running, ready, ready]

    def test_workers_whose_names_begin_alike_are_judged_as_workers(self, store: Store, clock: VirtualClock) -> None:
        first, second = put(store, 2)
        held = [take_one(store, holder=HOLDER[:15] + end) for end in (b"x", b"y")]
        store.extend(Extension(held[0].holder, [], started=[(held[0].fence, clock.time())]))
        assert store.reconcile(HOLDER[:15], []) == 2
        assert (see(store, first).strays, see(store, second).strays) == (1, 0)
        assert [one.job.attempt for one in take(store)] == [1, 1]

    def test_a_door_that_lists_nothing_is_offered_anew_what_it_refused(self, store: Store) -> None:
        (job,) = put(store)
        settle(store, holder=FIRST, refused=[Refused(take_one(store, holder=FIRST).fence, ERROR)])
        for front in (door_holders(OTHER_DOOR), SECOND):
            assert store.reconcile(front, []) == 0
            assert take(store, holder=FIRST) == []
        assert store.reconcile(door_holders(DOOR), []) == 0
        assert ids_of(take(store, holder=FIRST)) == [job]

    @pytest.mark.parametrize("front", [b"", DOOR, bytes(7), bytes(17)])
    def test_the_front_of_a_name_is_not_too_short_nor_a_name_too_long(self, store: Store, front: bytes) -> None:
        put(store)
        take(store)
        with pytest.raises(InvalidOption):
            store.reconcile(front, [])
        assert counted(store)["running"] == 1
