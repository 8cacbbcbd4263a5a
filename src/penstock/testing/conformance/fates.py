"""Claims about what `Store.settle` answers of leases that did not become what was asked."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.job import Fate, JobError, Lost, Outcomes
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    HOLDER,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    each_outcome,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)

KILLED = JobError("WorkerLost", "It was killed.")


class FateClaims(StoreClaims):
    """What is answered when a lease did not become what was asked."""

    @pytest.mark.parametrize("place", range(9))
    def test_another_holders_fence_is_stale_and_changes_nothing(
        self, store: Store, clock: VirtualClock, place: int
    ) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        before, counts = see(store, job), counted(store)
        for stranger in (OTHER_HOLDER, OTHER_HOLDER[:8]):
            assert store.settle(Outcomes(stranger, **each_outcome(fence, clock)[place])).exceptions == [
                (fence, Fate.STALE)
            ]
        assert (see(store, job), counted(store)) == (before, counts)
        settle(store, forgotten=[fence])

    def test_of_several_holders_fences_only_its_own_are_settled(self, store: Store) -> None:
        put(store, 30)
        mine = [held.fence for held in take(store, 10)]
        theirs = [held.fence for held in take(store, 10, holder=OTHER_HOLDER)]
        mine += [held.fence for held in take(store, 10)]
        assert sorted(store.settle(Outcomes(HOLDER, forgotten=mine + theirs)).stale) == theirs
        assert counted(store) == {"running": 10, "accepted_total": 30, "succeeded_total": 20}
        settle(store, holder=OTHER_HOLDER, forgotten=theirs)

    def test_what_became_what_was_asked_is_not_listed(self, store: Store, clock: VirtualClock) -> None:
        put(store, 9)
        for held, outcome in zip(take(store), range(9), strict=True):
            assert store.settle(Outcomes(HOLDER, **each_outcome(held.fence, clock)[outcome])).exceptions == []

    @pytest.mark.parametrize("place", [2, 3, 6, 7, 8])
    def test_one_that_was_to_run_again_and_was_to_be_cancelled_is_told(
        self, store: Store, clock: VirtualClock, place: int
    ) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        store.cancel([job])
        outcomes = Outcomes(HOLDER, **each_outcome(fence, clock)[place])
        assert store.settle(outcomes).exceptions == [(fence, Fate.CANCELLED)]
        assert states(store, [job]) == [State.CANCELLED]

    @pytest.mark.parametrize("loss", [None, Loss.UNSTARTED])
    def test_one_that_came_back_too_late_is_told(self, store: Store, clock: VirtualClock, loss: Loss | None) -> None:
        (job,) = put(store, expires_s=1.0)
        fence = take_one(store).fence
        clock.advance(2.0)
        outcomes = Outcomes(HOLDER, released=[fence])
        if loss is not None:
            outcomes = Outcomes(HOLDER, lost=[Lost(fence, loss, KILLED)])
        assert store.settle(outcomes).exceptions == [(fence, Fate.EXPIRED)]
        assert states(store, [job]) == [State.EXPIRED]

    def test_one_that_was_lost_once_too_often_is_told(self, store: Store) -> None:
        (job,) = put(store)
        fates = []
        for _ in range(limits.LOSSES_MAX):
            fence = take_one(store).fence
            fates += store.settle(Outcomes(HOLDER, lost=[Lost(fence, Loss.BLAMED, KILLED)])).exceptions
        assert fates == [(fence, Fate.DEAD)]
        assert states(store, [job]) == [State.DEAD]
