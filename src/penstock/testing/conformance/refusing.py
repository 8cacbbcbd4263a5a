"""Claims about jobs that a worker refuses, because it does not know their task or their arguments do not fit."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.job import Extension, Filter, JobError, Lost, Outcomes, Refused, Retried, TaskRecord
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    ledger,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)

UNKNOWN = JobError("UnknownTask", "No task of this name is known to this worker.")
UNFIT = JobError("InvalidArguments", "app.work: takes no argument 'colour'.")


def refuse(store: Store, *held: HeldJob, error: JobError = UNFIT) -> None:
    """Say that a worker cannot run these."""
    for holder in {one.holder for one in held}:
        settle(store, holder=holder, refused=[Refused(one.fence, error) for one in held if one.holder == holder])


def refuse_all(
    store: Store, *, holder: bytes = HOLDER, error: JobError = UNFIT, queues: list[str] | None = None
) -> int:
    """Let a worker refuse whatever it is given now. Answers how many that was."""
    held = take(store, holder=holder, queues=queues)
    refuse(store, *held, error=error)
    return len(held)


def idle_through(
    store: Store, clock: VirtualClock, duration_s: float, *holders: bytes, error: JobError = UNFIT
) -> None:
    """Let time pass while these workers have nothing else to do, and refuse whatever they are given."""
    end = clock.monotonic() + duration_s
    while clock.monotonic() < end:
        elapse(store, clock, min(limits.HOLDER_ALIVE_S / 2, end - clock.monotonic()))
        for holder in holders:
            refuse_all(store, holder=holder, error=error)


class RefusingClaims(StoreClaims):
    """Who gets a job that was refused, and when."""

    def test_a_refusal_costs_nothing(self, store: Store) -> None:
        (job,) = put(store)
        refuse(store, take_one(store))
        view = see(store, job)
        assert (view.state, view.attempt, view.losses, view.started_at) == (State.READY, 0, 0, None)
        assert counted(store) == {"accepted_total": 1, "ready": 1, "refused": 1}
        assert take_one(store, holder=OTHER_HOLDER).job.attempt == 1

    def test_others_can_have_it_at_once_and_in_its_old_place(self, store: Store) -> None:
        jobs = put(store, 5)
        held = take(store)
        refuse(store, held[1], held[3])
        settle(store, released=[held[at].fence for at in (0, 2, 4)])
        assert ids_of(take(store, holder=OTHER_HOLDER)) == jobs

    def test_who_refused_it_gets_what_is_behind_it(self, store: Store) -> None:
        first, second = put(store, 2)
        refuse(store, take_one(store))
        assert ids_of(take(store)) == [second]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [first]

    def test_in_another_queue_or_priority_it_has_its_place_too(self, store: Store) -> None:
        high, low, other = put(store, priority=5) + put(store) + put(store, queue="other")
        refuse_all(store)
        late = put(store, priority=5)
        assert ids_of(take(store, holder=OTHER_HOLDER, queues=["other"])) == [other]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [high, *late, low]

    @pytest.mark.parametrize("queues", [None, ["default"]])
    def test_nothing_is_given_out_twice_where_refused_ones_stand_among_several_lines(
        self, store: Store, queues: list[str] | None
    ) -> None:
        first, second = put(store, 4, task="app.one"), put(store, 4, task="app.two")
        refuse(store, take_one(store))
        assert ids_of(take(store, 1, tasks=["app.two"])) == second[:1]
        assert ids_of(take(store, 2, holder=OTHER_HOLDER, queues=queues)) == first[:2]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == first[2:] + second[1:]

    def test_queues_in_order_of_preference_are_drained_whoever_refused_what(self, store: Store) -> None:
        (mine,) = put(store, queue="first")
        refuse_all(store)
        (next_one,) = put(store, queue="second")
        assert ids_of(take(store, queues=["first", "second"])) == [next_one]
        assert ids_of(take(store, queues=["first", "second"], holder=OTHER_HOLDER)) == [mine]

    def test_a_worker_is_asked_again_after_a_while_when_it_has_nothing_else_to_do(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store)
        refuse_all(store)
        elapse(store, clock, limits.REFUSED_AGAIN_S - 1)
        assert take(store) == []
        elapse(store, clock, 1.0)
        (behind,) = put(store)
        assert ids_of(take(store, 1)) == [behind]
        assert ids_of(take(store, 1)) == [job]

    def test_it_is_asked_ever_less(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        idle_through(store, clock, limits.REFUSED_AGAIN_S_MAX, HOLDER, error=UNKNOWN)
        asked = 0
        for _ in range(20):
            elapse(store, clock, limits.HOLDER_ALIVE_S / 2)
            asked += refuse_all(store, error=UNKNOWN)
        assert asked == 1

    def test_the_rest_of_a_long_line_of_an_unknown_task_does_not_travel(self, store: Store) -> None:
        put(store, 2_000, task="app.other")
        known = put(store, 3)
        refuse(store, take_one(store), error=UNKNOWN)
        found: list[bytes] = []
        for _ in range(20):
            found += ids_of(take(store))
        assert found == known
        assert ledger(store).refused == 2_000
        assert len(take(store, 2_000, holder=OTHER_HOLDER)) == 2_000

    def test_a_task_that_somebody_registers_is_tried_anew(self, store: Store) -> None:
        put(store, task="app.other")
        refuse_all(store, error=UNKNOWN)
        (second,) = put(store, task="app.other")
        store.register_tasks([TaskRecord("app.other")])
        assert ids_of(take(store)) == [second]

    def test_another_worker_of_the_same_name_is_given_it(self, store: Store) -> None:
        jobs = put(store) + put(store, task="app.other")
        refuse(store, take_one(store))
        refuse(store, take_one(store), error=UNKNOWN)
        assert take(store) == []
        store.reconcile(HOLDER, [])
        assert ids_of(take(store)) == jobs

    @pytest.mark.parametrize("outcome", ["released", "lost"])
    def test_it_keeps_its_place_when_it_was_leased_and_not_run(self, store: Store, outcome: str) -> None:
        job, behind = put(store, 2)
        refuse(store, take_one(store))
        held = take_one(store, holder=OTHER_HOLDER)
        said = held.fence if outcome == "released" else Lost(held.fence, Loss.UNSTARTED, ERROR)
        settle(store, holder=OTHER_HOLDER, **{outcome: [said]})
        assert ids_of(take(store)) == [behind]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [job]

    def test_a_job_that_has_run_is_refused_by_nobody(self, store: Store) -> None:
        (job,) = put(store)
        refuse(store, take_one(store))
        held = take_one(store, holder=OTHER_HOLDER)
        settle(store, holder=OTHER_HOLDER, retried=[Retried(held.fence, 0.0, ERROR)])
        assert see(store, job).error == ERROR
        assert ids_of(take(store)) == [job]

    def test_a_job_that_somebody_wants_cancelled_is(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        store.cancel([job])
        refuse(store, held)
        assert states(store, [job]) == [State.CANCELLED]

    def test_stale_refusals_are_refused_themselves(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        refuse(store, held)
        assert store.settle(Outcomes(HOLDER, refused=[Refused(held.fence, UNFIT)])).stale == [held.fence]
        assert counted(store) == {"accepted_total": 1, "ready": 1, "refused": 1}
        assert states(store, [job]) == [State.READY]

    def test_more_sets_of_workers_than_are_told_apart(self, store: Store) -> None:
        jobs = put(store, limits.REFUSAL_SETS_MAX * 2)
        for _ in jobs:
            refuse(store, take_one(store, holder=new_id()))
        assert sorted(ids_of(take(store, len(jobs), holder=OTHER_HOLDER))) == sorted(jobs)


class GivingUpClaims(StoreClaims):
    """How a job that is refused ends."""

    def test_a_job_of_a_task_that_no_worker_knows_waits(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        idle_through(store, clock, 3 * limits.REFUSED_S, HOLDER, error=UNKNOWN)
        view = see(store, job)
        assert (view.state, view.attempt, view.error) == (State.READY, 0, UNKNOWN)
        assert take_one(store, holder=OTHER_HOLDER).job.attempt == 1

    def test_it_expires_if_it_has_an_expiry(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=60.0)
        refuse_all(store, error=UNKNOWN)
        elapse(store, clock, 60.0)
        assert states(store, [job]) == [State.EXPIRED]

    def test_arguments_that_all_have_refused_for_long_are_given_up(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        elapse(store, clock, limits.HOLDER_ALIVE_S)
        refuse_all(store)
        assert see(store, job).error == UNFIT
        idle_through(store, clock, limits.REFUSED_S - 60.0, HOLDER, OTHER_HOLDER)
        assert states(store, [job]) == [State.READY]
        idle_through(store, clock, limits.REFUSED_AGAIN_S_MAX, HOLDER, OTHER_HOLDER)
        view = see(store, job)
        assert (view.state, view.attempt, view.error, view.started_at) == (State.DEAD, 0, UNFIT, None)
        assert counted(store) == {"accepted_total": 1, "dead": 1, "dead_total": 1}

    def test_they_are_not_while_a_live_worker_has_not_been_asked(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        refuse_all(store)
        for _ in range(int(2 * limits.REFUSED_S / 30.0)):
            elapse(store, clock, 30.0)
            refuse_all(store)
            store.extend(Extension(OTHER_HOLDER, []))
        assert states(store, [job]) == [State.READY]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [job]

    def test_a_worker_of_other_queues_is_not_waited_for(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for _ in range(int((limits.REFUSED_S + limits.REFUSED_AGAIN_S_MAX) / 30.0)):
            elapse(store, clock, 30.0)
            refuse_all(store)
            take(store, holder=OTHER_HOLDER, queues=["other"])
        assert states(store, [job]) == [State.DEAD]

    def test_a_worker_that_does_not_name_the_task_is_not_waited_for(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for _ in range(int((limits.REFUSED_S + limits.REFUSED_AGAIN_S_MAX) / 30.0)):
            elapse(store, clock, 30.0)
            refuse_all(store)
            take(store, holder=OTHER_HOLDER, tasks=["app.other"])
        assert states(store, [job]) == [State.DEAD]

    def test_a_job_waits_while_no_worker_is_alive(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        refuse_all(store)
        elapse(store, clock, 2 * limits.REFUSED_S)
        assert states(store, [job]) == [State.READY]

    def test_those_who_do_not_know_the_task_do_not_count_as_a_version_of_it(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store)
        elapse(store, clock, limits.HOLDER_ALIVE_S)
        refuse_all(store, holder=OTHER_HOLDER)
        idle_through(store, clock, 2 * limits.REFUSED_S, HOLDER, error=UNKNOWN)
        view = see(store, job)
        assert (view.state, view.error) == (State.READY, UNFIT)

    def test_a_new_version_has_the_whole_time(self, store: Store, clock: VirtualClock) -> None:
        """It waited long for its task before anybody knew it."""
        (job,) = put(store)
        idle_through(store, clock, 2 * limits.REFUSED_S, HOLDER, error=UNKNOWN)
        refuse_all(store, holder=OTHER_HOLDER)
        idle_through(store, clock, limits.REFUSED_S / 2, HOLDER, OTHER_HOLDER)
        assert states(store, [job]) == [State.READY]
        idle_through(store, clock, limits.REFUSED_S, HOLDER, OTHER_HOLDER)
        assert states(store, [job]) == [State.DEAD]

    def test_a_revived_one_is_refused_by_nobody(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        idle_through(store, clock, limits.REFUSED_S + limits.REFUSED_AGAIN_S_MAX, HOLDER)
        assert store.revive([job]) == [State.READY]
        assert see(store, job).error is None
        assert ids_of(take(store)) == [job]

    def test_since_when_it_is_refused_outlives_the_owner(self, store: Store, clock: VirtualClock) -> None:
        waits, runs = put(store, 2)
        refuse_all(store)
        idle_through(store, clock, limits.REFUSED_S / 2, HOLDER)
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [waits, runs]
        again = self.take_over(store, clock)
        again.reconcile(OTHER_HOLDER, [])
        assert (see(again, waits).error, see(again, runs).error) == (UNFIT, UNFIT)
        idle_through(again, clock, limits.REFUSED_S / 2 + limits.REFUSED_AGAIN_S_MAX, HOLDER)
        assert states(again, [waits, runs]) == [State.DEAD] * 2

    def test_after_a_take_over_nothing_is_given_up_before_all_can_have_been_heard_of(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store)
        refuse_all(store)
        clock.advance(limits.REFUSED_S)
        again = self.take_over(store, clock)
        refuse_all(again)
        assert states(again, [job]) == [State.READY]


class RefusedAndActedUponClaims(StoreClaims):
    """What people do to jobs that were refused."""

    def test_it_is_cancelled_like_any_other(self, store: Store) -> None:
        (job,) = put(store)
        refuse_all(store)
        assert store.cancel([job]) == [State.CANCELLED]
        assert counted(store) == {"accepted_total": 1, "cancelled": 1, "cancelled_total": 1}
        assert take(store, holder=OTHER_HOLDER) == []

    def test_it_is_deleted_like_any_other(self, store: Store) -> None:
        (job,) = put(store)
        refuse_all(store)
        assert store.delete([job]) == [True]
        assert counted(store) == {"accepted_total": 1, "discarded_total": 1}
        assert take(store, holder=OTHER_HOLDER) == []

    def test_moved_it_is_new_to_all(self, store: Store) -> None:
        (job,) = put(store)
        refuse_all(store)
        assert store.move([job], "other") == [State.READY]
        assert see(store, job).error is None
        assert ids_of(take(store, queues=["other"])) == [job]

    def test_edited_it_is_new_to_all(self, store: Store) -> None:
        (job,) = put(store)
        refuse_all(store)
        assert store.edit([job], priority=3) == [State.READY]
        assert ids_of(take(store)) == [job]

    def test_it_can_be_made_to_wait(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        refuse_all(store)
        assert store.edit([job], run_at=clock.time() + 5.0) == [State.SCHEDULED]
        elapse(store, clock, 5.0)
        assert ids_of(take(store)) == [job]

    def test_it_is_found_among_the_ready(self, store: Store) -> None:
        jobs = put(store, 2)
        refuse(store, take_one(store))
        page = store.query(Filter(state=State.READY))
        assert {view.id: view.error for view in page.jobs} == {jobs[0]: UNFIT, jobs[1]: None}
        assert store.cancel_where(Filter(state=State.READY)).changed == 2

    def test_its_age_counts(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        refuse_all(store)
        clock.advance(5.0)
        assert ledger(store).oldest_ready_age_s == pytest.approx(5.0)

    def test_while_it_runs_elsewhere_and_after_it_shows_no_refusal(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        refuse_all(store)
        held = take_one(store, holder=OTHER_HOLDER)
        assert see(store, job).error is None
        settle(store, holder=OTHER_HOLDER, succeeded=[succeeded(held.fence, clock)])
        assert (see(store, job).state, see(store, job).error) == (State.SUCCEEDED, None)
