"""Claims about ``expires_s``: a job that is not started in time expires, wherever it waits."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from penstock.model import limits
from penstock.model.job import Extension, JobExtra, Lost, Outcomes, Refused, Retried, Snoozed
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
    put,
    see,
    settle,
    states,
    take,
    take_one,
)

UNSTARTED = {
    "released": lambda fence: Outcomes(HOLDER, released=[fence]),
    "lost": lambda fence: Outcomes(HOLDER, lost=[Lost(fence, Loss.UNSTARTED, ERROR)]),
    "refused": lambda fence: Outcomes(HOLDER, refused=[Refused(fence, ERROR)]),
}
STARTED = {
    "retried": lambda fence: Outcomes(HOLDER, retried=[Retried(fence, 0.0, ERROR)]),
    "snoozed": lambda fence: Outcomes(HOLDER, snoozed=[Snoozed(fence, 1.0)]),
    "lost": lambda fence: Outcomes(HOLDER, lost=[Lost(fence, Loss.BLAMED, ERROR)]),
}


def told(held: HeldJob) -> JobExtra:
    """What the runner of a job is told besides."""
    return JobExtra() if held.job.extra is None else msgspec.msgpack.decode(held.job.extra, type=JobExtra)


class ExpiringClaims(StoreClaims):
    """Not started in time."""

    def test_a_lease_tells_how_long_a_job_may_wait_for_its_start(self, store: Store, clock: VirtualClock) -> None:
        put(store, expires_s=5.0, headers={"h": "x"}, tags=["t"])
        clock.advance(2.0)
        assert told(take_one(store)) == JobExtra({"h": "x"}, ["t"], 3.0)

    def test_a_lease_tells_nothing_of_the_kind_where_there_is_no_expiry(self, store: Store) -> None:
        put(store)
        assert take_one(store).job.extra is None

    @pytest.mark.parametrize("outcome", UNSTARTED.values(), ids=UNSTARTED)
    def test_a_job_that_comes_back_too_late_to_be_started_expires_at_once(
        self, store: Store, clock: VirtualClock, outcome: Callable[[int], Outcomes]
    ) -> None:
        (job,) = put(store, expires_s=5.0)
        fence = take_one(store).fence
        clock.advance(5.0)
        assert store.settle(outcome(fence)).stale == []
        view = see(store, job)
        assert (view.state, view.attempt, view.started_at) == (State.EXPIRED, 0, None)
        assert (counted(store)["expired"], counted(store)["expired_total"]) == (1, 1)
        assert take(store) == []

    @pytest.mark.parametrize("outcome", UNSTARTED.values(), ids=UNSTARTED)
    def test_a_job_that_comes_back_unstarted_still_expires(
        self, store: Store, clock: VirtualClock, outcome: Callable[[int], Outcomes]
    ) -> None:
        (job,) = put(store, expires_s=5.0)
        store.settle(outcome(take_one(store).fence))
        clock.advance(4.0)
        assert states(store, [job]) == [State.READY]
        elapse(store, clock, 1.0)
        assert states(store, [job]) == [State.EXPIRED]

    def test_a_job_that_nobody_started_before_its_lease_ended_expires(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=5.0)
        take_one(store)
        elapse(store, clock, limits.LEASE_S)
        assert states(store, [job]) == [State.EXPIRED]

    def test_a_job_whose_lease_never_arrived_expires(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=5.0)
        take_one(store)
        clock.advance(5.0)
        assert store.reconcile(HOLDER, []) == 1
        assert states(store, [job]) == [State.EXPIRED]

    def test_a_job_that_was_not_started_expires_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        first, second = put(store, expires_s=5.0) + put(store, expires_s=50.0)
        fences = [held.fence for held in take(store)]
        again = self.take_over(store, clock)
        clock.advance(5.0)
        settle(again, released=fences)
        assert states(again, [first, second]) == [State.EXPIRED, State.READY]
        elapse(again, clock, 45.0)
        assert states(again, [second]) == [State.EXPIRED]

    def test_a_job_that_was_started_does_not_expire_though_it_comes_back(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store, expires_s=5.0)
        held = take_one(store)
        store.extend(Extension(HOLDER, [held.fence], started=[(held.fence, clock.time())]))
        clock.advance(5.0)
        settle(store, released=[held.fence])
        elapse(store, clock, 5.0)
        assert states(store, [job]) == [State.READY]
        assert told(take_one(store)) == JobExtra()

    @pytest.mark.parametrize("outcome", STARTED.values(), ids=STARTED)
    def test_a_job_that_was_started_in_time_does_not_expire_any_more(
        self, store: Store, clock: VirtualClock, outcome: Callable[[int], Outcomes]
    ) -> None:
        (job,) = put(store, expires_s=5.0)
        expires_at = see(store, job).expires_at
        store.settle(outcome(take_one(store).fence))
        elapse(store, clock, 10.0)
        assert states(store, [job]) == [State.READY]
        again = take_one(store)
        assert (again.job.id, told(again)) == (job, JobExtra())
        settle(store, released=[again.fence])
        elapse(store, clock, 10.0)
        assert states(store, [job]) == [State.READY]
        assert see(store, job).expires_at == expires_at

    def test_what_was_started_is_known_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=5.0)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        held = take_one(store)
        again = self.take_over(store, clock)
        clock.advance(5.0)
        settle(again, released=[held.fence])
        assert states(again, [job]) == [State.READY]
