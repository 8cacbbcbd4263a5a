"""Claims about leases while they last and when they end: `Store.extend`, `Store.reconcile`, ended leases."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.job import Extended, Extension, Outcomes, Progress, Retried
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
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


class ExtendingClaims(StoreClaims):
    """Holding on to leases."""

    def test_an_extended_lease_starts_anew(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store, lease_s=30.0).fence
        for _ in range(3):
            elapse(store, clock, 20.0)
            assert store.extend(Extension(HOLDER, [fence], 30.0)) == Extended([], [])
        elapse(store, clock, 29.0)
        assert see(store, job).state is State.RUNNING
        settle(store, forgotten=[fence])

    def test_nothing_extended_is_nothing_lost(self, store: Store) -> None:
        put(store)
        take(store)
        assert store.extend(Extension(HOLDER, [])) == Extended([], [])

    def test_fences_that_are_not_held_are_answered_as_lost(self, store: Store) -> None:
        put(store, 3)
        settled, retried, running = (held.fence for held in take(store))
        settle(store, forgotten=[settled], retried=[Retried(retried, 0.0, ERROR)])
        never = running + 1_000
        answer = store.extend(Extension(HOLDER, [never, settled, running, retried]))
        assert sorted(answer.lost) == [settled, retried, never]
        assert answer.cancel == []

    def test_leases_of_other_holders_are_answered_as_lost(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store, holder=HOLDER, lease_s=3.0).fence
        report = Extension(OTHER_HOLDER, [fence], 60.0, [(fence, clock.time())], [(fence, Progress(1))])
        assert store.extend(report) == Extended([fence], [])
        assert (see(store, job).started_at, see(store, job).progress) == (None, None)
        elapse(store, clock, 3.0)
        assert see(store, job).state is State.READY

    def test_jobs_somebody_wants_cancelled_are_named(self, store: Store) -> None:
        first, second = put(store, 2)
        fences = [held.fence for held in take(store)]
        assert store.cancel([second]) == [State.RUNNING]
        assert store.extend(Extension(HOLDER, fences)) == Extended([], [fences[1]])
        assert store.extend(Extension(HOLDER, fences)) == Extended([], [fences[1]])
        assert see(store, first).cancel_requested is False
        assert see(store, second).cancel_requested is True

    def test_when_a_job_started_is_known_once_it_is_reported(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        assert see(store, job).started_at is None
        store.extend(Extension(HOLDER, [fence], started=[(fence, clock.time() - 0.5)]))
        assert see(store, job).started_at == near(clock.time() - 0.5)
        store.extend(Extension(HOLDER, [fence], started=[(fence, clock.time())]))
        assert see(store, job).started_at == near(clock.time() - 0.5)

    def test_the_latest_progress_is_shown(self, store: Store) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        store.extend(Extension(HOLDER, [fence], progress=[(fence, Progress(1, 4, "größer"))]))
        assert see(store, job).progress == Progress(1, 4, "größer")
        store.extend(Extension(HOLDER, [fence]))
        store.extend(Extension(HOLDER, [], progress=[(fence, Progress(2, None))]))
        assert see(store, job).progress == Progress(2, None)

    def test_what_a_stale_fence_reports_is_not_believed(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        stale = take_one(store).fence
        settle(store, retried=[Retried(stale, 0.0, ERROR)])
        take(store)
        report = Extension(HOLDER, [stale], started=[(stale, clock.time())], progress=[(stale, Progress(1))])
        assert store.extend(report).lost == [stale]
        assert (see(store, job).started_at, see(store, job).progress) == (None, None)

    def test_the_next_attempt_has_not_started_and_made_no_progress(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        store.extend(Extension(HOLDER, [fence], started=[(fence, clock.time())], progress=[(fence, Progress(1))]))
        settle(store, retried=[Retried(fence, 0.0, ERROR)])
        take(store)
        assert (see(store, job).started_at, see(store, job).progress) == (None, None)


class ReclaimingClaims(StoreClaims):
    """Leases that end without a word."""

    def test_an_ended_lease_gives_its_job_back_at_once_and_uncharged(self, store: Store, clock: VirtualClock) -> None:
        first, second = put(store, 2)
        fence = take_one(store, lease_s=30.0).fence
        elapse(store, clock, 29.0)
        assert see(store, first).state is State.RUNNING
        elapse(store, clock, 1.0)
        assert see(store, first).state is State.READY
        assert store.settle(Outcomes(HOLDER, forgotten=[fence])).stale == [fence]
        again = take(store)
        assert ids_of(again) == [first, second]
        assert [held.job.attempt for held in again] == [1, 1]
        assert counted(store) == {"running": 2, "accepted_total": 2, "lost_total": 1}

    def test_the_length_of_a_lease_is_what_its_holder_asked_for(self, store: Store, clock: VirtualClock) -> None:
        short, long = put(store, 2)
        take_one(store, lease_s=5.0)
        fence = take_one(store, lease_s=5.0).fence
        store.extend(Extension(HOLDER, [fence], 60.0))
        elapse(store, clock, 59.0)
        assert states(store, [short, long]) == [State.READY, State.RUNNING]
        elapse(store, clock, 1.0)
        assert states(store, [short, long]) == [State.READY, State.READY]

    def test_a_lease_that_ended_before_its_job_started_is_no_loss(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for _ in range(limits.STRAYS_MAX + 1):
            assert take_one(store, lease_s=3.0).job.attempt == 1
            elapse(store, clock, 3.0)
        assert (see(store, job).state, see(store, job).losses, see(store, job).strays) == (State.READY, 0, 0)

    def test_a_job_whose_lease_ended_very_often_after_it_started_is_dead(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store)
        for strays in range(limits.STRAYS_MAX):
            assert (see(store, job).strays, see(store, job).losses) == (strays, 0)
            held = take_one(store, lease_s=3.0)
            assert held.job.attempt == 1
            store.extend(Extension(HOLDER, [held.fence], 3.0, started=[(held.fence, clock.time())]))
            elapse(store, clock, 3.0)
        view = see(store, job)
        assert (view.state, view.strays) == (State.DEAD, limits.STRAYS_MAX)
        assert view.error is not None
        assert view.error.type == "WorkerLost"
        assert counted(store) == {"dead": 1, "accepted_total": 1, "dead_total": 1, "lost_total": limits.STRAYS_MAX}

    def test_a_pause_of_the_owner_starts_every_live_lease_anew(self, store: Store, clock: VirtualClock) -> None:
        jobs = put(store, 2)
        fences = [held.fence for held in take(store, lease_s=30.0)]
        store.tick()
        clock.advance(1_000)
        assert store.tick().reclaimed == 0
        assert states(store, jobs) == [State.RUNNING] * 2
        elapse(store, clock, 29.0)
        settle(store, forgotten=[fences[0]])
        elapse(store, clock, 1.0)
        assert states(store, jobs) == [None, State.READY]

    def test_a_wall_clock_that_jumps_ends_no_lease(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        take(store, lease_s=30.0)
        for jump_s in (3_600.0, -7_200.0):
            clock.jump(jump_s)
            elapse(store, clock, 14.0)
            assert see(store, job).state is State.RUNNING
        elapse(store, clock, 2.0)
        assert see(store, job).state is State.READY

    def test_many_ended_leases_are_taken_back_in_steps(self, store: Store, clock: VirtualClock) -> None:
        count = limits.TICK_STEP_JOBS * 2 + 1
        put(store, count)
        take(store, count, lease_s=1.0)
        store.tick()
        clock.advance(1.5)
        ticked = store.tick()
        assert 0 < ticked.reclaimed <= limits.TICK_STEP_JOBS
        assert ticked.next_s == 0
        elapse(store, clock, 0.0)
        assert counted(store) == {"ready": count, "accepted_total": count, "lost_total": count}


class ReconcilingClaims(StoreClaims):
    """What a holder does not list after a reconnect was never heard of there."""

    def test_leases_that_are_not_listed_are_released(self, store: Store) -> None:
        first, second, third = put(store, 3)
        fences = [held.fence for held in take(store)]
        assert store.reconcile(HOLDER, [fences[1]]) == 2
        assert states(store, [first, second, third]) == [State.READY, State.RUNNING, State.READY]
        assert store.settle(Outcomes(HOLDER, forgotten=fences)).stale == [fences[0], fences[2]]
        assert [held.job.attempt for held in take(store)] == [1, 1]
        assert counted(store)["released_total"] == 2

    def test_one_that_had_started_is_a_stray(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for strays in range(limits.STRAYS_MAX):
            assert (see(store, job).state, see(store, job).strays) == (State.READY, strays)
            held = take_one(store)
            assert held.job.attempt == 1
            store.extend(Extension(HOLDER, [held.fence], started=[(held.fence, clock.time())]))
            assert store.reconcile(HOLDER, []) == 1
        assert (see(store, job).state, see(store, job).losses) == (State.DEAD, 0)
        assert counted(store)["lost_total"] == limits.STRAYS_MAX

    def test_leases_of_other_holders_are_left_alone(self, store: Store) -> None:
        put(store, 2)
        take(store, 1, holder=HOLDER)
        take(store, 1, holder=OTHER_HOLDER)
        assert store.reconcile(HOLDER, []) == 1
        assert store.reconcile(HOLDER, []) == 0
        assert store.reconcile(b"a-holder-unknown", []) == 0
        assert counted(store)["running"] == 1

    def test_listing_what_is_not_held_changes_nothing(self, store: Store) -> None:
        put(store)
        fence = take_one(store).fence
        assert store.reconcile(HOLDER, [fence, fence + 1, 0]) == 0
        settle(store, forgotten=[fence])

    @pytest.mark.parametrize("count", [1, 1_500])
    def test_everything_may_be_given_back_at_once(self, store: Store, clock: VirtualClock, count: int) -> None:
        ids = put(store, count)
        take(store, count)
        assert store.reconcile(HOLDER, []) == count
        held = take(store, count)
        assert ids_of(held) == ids
        settle(store, succeeded=[succeeded(one.fence, clock) for one in held])
