"""Claims about `Store.settle`."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from penstock.model import limits
from penstock.model.job import Buried, Cancelled, JobError, Lost, Outcomes, Retried, Snoozed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    StoreClaims,
    counted,
    each_outcome,
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

KILLED = JobError("SIGKILL", "killed by signal 9", "last words")


class OutcomeClaims(StoreClaims):
    """What each outcome does."""

    def test_nothing_settled_refuses_nothing(self, store: Store) -> None:
        assert store.settle(Outcomes(HOLDER)).stale == []

    def test_a_forgotten_job_leaves_its_count_and_nothing_else(self, store: Store) -> None:
        (job,) = put(store)
        settle(store, forgotten=[take_one(store).fence])
        assert states(store, [job]) == [None]
        assert counted(store) == {"accepted_total": 1, "succeeded_total": 1}

    def test_a_job_that_succeeded_keeps_its_record_and_result(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        clock.advance(2.0)
        outcome = succeeded(fence, clock, b"m\x2a")
        settle(store, succeeded=[outcome])
        view = see(store, job)
        assert (view.state, view.attempt, view.error) == (State.SUCCEEDED, 1, None)
        assert (view.started_at, view.finished_at) == (near(outcome.started_at), near(outcome.finished_at))
        assert (view.result, view.result_kept) == (None, True)
        assert see(store, job, result=True).result == b"m\x2a"
        assert counted(store) == {"succeeded": 1, "accepted_total": 1, "succeeded_total": 1}

    def test_a_job_that_returned_after_a_retry_shows_no_error(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        assert (see(store, job).error, see(store, job).attempt) == (None, 2)

    def test_a_retried_job_waits_for_its_time(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        view = see(store, job)
        assert (view.state, view.attempt, view.error) == (State.SCHEDULED, 1, ERROR)
        assert view.run_at == near(clock.time() + 5)
        elapse(store, clock, 5.0)
        assert take_one(store).job.attempt == 2
        assert counted(store) == {"running": 1, "accepted_total": 1, "retried_total": 1}

    def test_a_snooze_is_not_an_attempt(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for _ in range(3):
            held = take_one(store)
            assert held.job.attempt == 1
            settle(store, snoozed=[Snoozed(held.fence, 2.0)])
            assert (see(store, job).state, see(store, job).attempt) == (State.SCHEDULED, 0)
            elapse(store, clock, 2.0)
        assert counted(store) == {"ready": 1, "accepted_total": 1, "snoozed_total": 3}

    def test_a_buried_job_is_dead_with_its_error(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        clock.advance(1.0)
        settle(store, buried=[Buried(fence, ERROR, clock.time() - 0.5)])
        view = see(store, job)
        assert (view.state, view.attempt, view.error) == (State.DEAD, 1, ERROR)
        assert (view.started_at, view.finished_at) == (near(clock.time() - 0.5), near(clock.time()))
        assert counted(store) == {"dead": 1, "accepted_total": 1, "dead_total": 1}

    def test_a_job_that_ended_because_it_was_asked_to_is_cancelled(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        store.cancel([job])
        settle(store, cancelled=[Cancelled(fence)])
        assert (see(store, job).state, see(store, job).finished_at) == (State.CANCELLED, near(clock.time()))
        assert counted(store) == {"cancelled": 1, "accepted_total": 1, "cancelled_total": 1}

    def test_a_released_job_is_not_charged(self, store: Store) -> None:
        (job,) = put(store)
        for _ in range(limits.MAX_ATTEMPTS + 1):
            held = take_one(store)
            assert held.job.attempt == 1
            settle(store, released=[held.fence])
        assert (see(store, job).state, see(store, job).attempt, see(store, job).losses) == (State.READY, 0, 0)
        assert counted(store)["released_total"] == limits.MAX_ATTEMPTS + 1

    def test_a_lost_job_is_back_at_once_in_its_old_place_and_uncharged(self, store: Store) -> None:
        first, second = put(store, 2)
        settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, KILLED)])
        assert (see(store, first).state, see(store, first).losses) == (State.READY, 1)
        held = take(store)
        assert ids_of(held) == [first, second]
        assert held[0].job.attempt == 1
        assert counted(store) == {"running": 2, "accepted_total": 2, "lost_total": 1}

    def test_a_loss_before_the_start_does_not_count(self, store: Store) -> None:
        (job,) = put(store)
        for _ in range(limits.LOSSES_MAX + 1):
            settle(store, lost=[Lost(take_one(store).fence, Loss.UNSTARTED, KILLED)])
        assert (see(store, job).state, see(store, job).losses) == (State.READY, 0)

    def test_a_job_lost_too_often_is_dead_as_poison(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for _ in range(limits.LOSSES_MAX):
            settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, KILLED)])
        view = see(store, job)
        assert (view.state, view.losses) == (State.DEAD, limits.LOSSES_MAX)
        assert view.error == JobError("WorkerLost", KILLED.message, KILLED.traceback)
        assert view.finished_at == near(clock.time())
        assert counted(store) == {"dead": 1, "accepted_total": 1, "dead_total": 1, "lost_total": limits.LOSSES_MAX}

    def test_poison_tells_when_its_last_run_started(self, store: Store, clock: VirtualClock) -> None:
        told, untold = put(store, 2)
        for _ in range(limits.LOSSES_MAX):
            first, second = take(store)
            told_at = Lost(first.fence, Loss.BLAMED, KILLED, clock.time() - 2.0)
            settle(store, lost=[told_at, Lost(second.fence, Loss.BLAMED, KILLED)])
        assert see(store, told).started_at == near(clock.time() - 2.0)
        assert see(store, untold).started_at is None

    def test_losses_add_up_over_attempts(self, store: Store) -> None:
        (job,) = put(store)
        for _ in range(limits.LOSSES_MAX - 1):
            settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, KILLED)])
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        held = take_one(store)
        assert held.job.attempt == 2
        settle(store, lost=[Lost(held.fence, Loss.BLAMED, KILLED)])
        assert see(store, job).state is State.DEAD

    def test_one_settlement_may_hold_every_outcome(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store, 8)
        fences = [held.fence for held in take(store)]
        settle(
            store,
            forgotten=fences[:1],
            succeeded=[succeeded(fences[1], clock)],
            retried=[Retried(fences[2], 9.0, ERROR)],
            snoozed=[Snoozed(fences[3], 9.0)],
            buried=[Buried(fences[4], ERROR)],
            cancelled=[Cancelled(fences[5])],
            lost=[Lost(fences[6], Loss.BLAMED, KILLED)],
            released=fences[7:],
        )
        assert [state and state.value for state in states(store, ids)] == [
            None, "succeeded", "scheduled", "scheduled", "dead", "cancelled", "ready", "ready",
        ]  # fmt: skip

    def test_a_full_lease_is_settled_whole(self, store: Store) -> None:
        put(store, limits.LEASE_JOBS_MAX)
        held = take(store, limits.LEASE_JOBS_MAX)
        settle(store, forgotten=[one.fence for one in held])
        assert counted(store) == {"accepted_total": len(held), "succeeded_total": len(held)}

    def test_outcomes_may_come_in_any_order_and_bit_by_bit(self, store: Store) -> None:
        put(store, 9)
        put(store, 9, queue="other")
        fences = [held.fence for held in take(store)]
        for place in range(3):
            settle(store, forgotten=fences[place::3][::-1])
        assert counted(store) == counted(store, "other") == {"accepted_total": 9, "succeeded_total": 9}

    def test_a_large_result_comes_back_byte_for_byte(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        result = bytes(range(256)) * 8_192
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, result)])
        assert see(store, job, result=True).result == result

    def test_a_result_that_is_empty_is_still_one(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, b"")])
        assert (see(store, job, result=True).result, see(store, job).result_kept) == (b"", True)


class FenceClaims(StoreClaims):
    """A late owner's word does not count."""

    def test_whatever_a_stale_fence_says_is_refused_and_changes_nothing(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store)
        stale = take_one(store).fence
        settle(store, released=[stale])
        fence = take_one(store).fence
        before, counts = see(store, job), counted(store)
        for outcome in each_outcome(stale, clock):
            assert store.settle(Outcomes(HOLDER, **outcome)).stale == [stale]
        assert (see(store, job), counted(store)) == (before, counts)
        settle(store, forgotten=[fence])

    def test_a_fence_that_was_never_given_out_is_refused(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        never = take_one(store).fence + 1
        for outcome in each_outcome(never, clock) + each_outcome(0, clock):
            assert len(store.settle(Outcomes(HOLDER, **outcome)).stale) == 1
        assert counted(store) == {"running": 1, "accepted_total": 1}

    def test_the_same_outcome_again_is_refused_and_harmless(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store, 9)
        for job, place in zip(ids, range(9), strict=True):
            fence = take_one(store, queues=["default"]).fence
            outcome = Outcomes(HOLDER, **each_outcome(fence, clock)[place])
            assert store.settle(outcome).stale == []
            before, counts = store.get([job]), counted(store)
            assert store.settle(outcome).stale == [fence]
            assert (store.get([job]), counted(store)) == (before, counts)
            store.delete([job])

    def test_stale_fences_do_not_spoil_the_others(self, store: Store) -> None:
        put(store, 4)
        fences = [held.fence for held in take(store)]
        settle(store, forgotten=[fences[1]])
        assert store.settle(Outcomes(HOLDER, forgotten=fences[:3], released=[7])).stale == [fences[1], 7]
        assert counted(store) == {"running": 1, "accepted_total": 4, "succeeded_total": 3}

    def test_all_stale_fences_are_answered(self, store: Store, clock: VirtualClock) -> None:
        put(store, 3)
        fences = [held.fence for held in take(store)]
        settle(store, released=fences)
        refused = store.settle(
            Outcomes(
                HOLDER, forgotten=fences[:1], succeeded=[succeeded(fences[1], clock)], buried=[Buried(fences[2], ERROR)]
            )
        )
        assert sorted(refused.stale) == fences
