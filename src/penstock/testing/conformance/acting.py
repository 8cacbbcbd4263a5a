"""Claims about what people do to jobs: cancel, revive, move, delete, edit; by id and by filter."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, Extension, Filter, Lost, Retried, Snoozed, Step
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    leap,
    near,
    one_of_each,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)


class CancelClaims(StoreClaims):
    """Cancelling."""

    def test_waiting_jobs_are_cancelled_at_once(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store) + put(store, delay_s=1.0)
        assert store.cancel(ids) == [State.CANCELLED] * 2
        assert see(store, ids[0]).finished_at == near(clock.time())
        elapse(store, clock, 1.0)
        assert take(store) == []
        assert counted(store) == {"cancelled": 2, "accepted_total": 2, "cancelled_total": 2}

    def test_each_job_answers_the_state_it_has_afterwards(self, store: Store, clock: VirtualClock) -> None:
        made = one_of_each(store, clock)
        expected = {state: state for state in made} | {
            State.READY: State.CANCELLED, State.SCHEDULED: State.CANCELLED,
        }  # fmt: skip
        assert dict(zip(made, store.cancel(list(made.values())), strict=True)) == expected
        assert dict(zip(made, states(store, list(made.values())), strict=True)) == expected
        assert store.cancel([]) == []

    def test_cancelling_twice_counts_once(self, store: Store) -> None:
        (job,) = put(store)
        assert store.cancel([job, job]) == store.cancel([job, job]) == [State.CANCELLED] * 2
        assert counted(store) == {"cancelled": 1, "accepted_total": 1, "cancelled_total": 1}

    def test_a_cancelled_job_shows_no_error_of_earlier_attempts(self, store: Store) -> None:
        waiting, running = put(store, 2)
        settle(store, retried=[Retried(held.fence, 0.0, ERROR) for held in take(store)])
        assert (see(store, waiting).error, see(store, running).error) == (ERROR, ERROR)
        settle(store, released=[take_one(store).fence])
        store.cancel([waiting])
        fence = take_one(store).fence
        store.cancel([running])
        settle(store, cancelled=[Cancelled(fence)])
        assert states(store, [waiting, running]) == [State.CANCELLED] * 2
        assert (see(store, waiting).error, see(store, running).error) == (None, None)

    def test_an_outcome_in_time_stands_against_the_wish_to_cancel(self, store: Store, clock: VirtualClock) -> None:
        good, bad, gone = put(store, 3)
        fences = [held.fence for held in take(store)]
        store.cancel([good, bad, gone])
        settle(
            store,
            succeeded=[succeeded(fences[0], clock, b"m1")],
            buried=[Buried(fences[1], ERROR)],
            forgotten=fences[2:],
        )
        assert states(store, [good, bad, gone]) == [State.SUCCEEDED, State.DEAD, None]
        assert see(store, good).cancel_requested is False

    @pytest.mark.parametrize(
        "outcome",
        [
            lambda fence: {"retried": [Retried(fence, 0.0, ERROR)]},
            lambda fence: {"retried": [Retried(fence, 9.0, ERROR)]},
            lambda fence: {"snoozed": [Snoozed(fence, 9.0)]},
            lambda fence: {"released": [fence]},
            lambda fence: {"lost": [Lost(fence, Loss.BLAMED, ERROR)]},
            lambda fence: {"lost": [Lost(fence, Loss.UNSTARTED, ERROR)]},
        ],
        ids=["retried", "retried-later", "snoozed", "released", "lost", "lost-unstarted"],
    )
    def test_a_job_somebody_wants_cancelled_does_not_run_again(
        self, store: Store, clock: VirtualClock, outcome: Callable[[int], dict[str, Any]]
    ) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        store.cancel([job])
        settle(store, **outcome(fence))
        assert (see(store, job).state, see(store, job).finished_at) == (State.CANCELLED, near(clock.time()))
        assert counted(store) == {"cancelled": 1, "accepted_total": 1, "cancelled_total": 1}

    def test_nor_does_it_when_its_lease_ends_or_its_answer_was_lost(self, store: Store, clock: VirtualClock) -> None:
        ended, unheard = put(store, 2)
        take_one(store, lease_s=3.0)
        take_one(store, holder=b"another-holder-1", lease_s=300.0)
        store.cancel([ended, unheard])
        store.reconcile(b"another-holder-1", [])
        elapse(store, clock, 3.0)
        assert states(store, [ended, unheard]) == [State.CANCELLED] * 2


class ReviveClaims(StoreClaims):
    """Retrying by hand."""

    def test_dead_cancelled_and_expired_jobs_become_ready_others_are_left(
        self, store: Store, clock: VirtualClock
    ) -> None:
        made = one_of_each(store, clock)
        expected = {state: state for state in made} | {
            State.DEAD: State.READY, State.CANCELLED: State.READY, State.EXPIRED: State.READY,
        }  # fmt: skip
        assert dict(zip(made, store.revive(list(made.values())), strict=True)) == expected
        assert dict(zip(made, states(store, list(made.values())), strict=True)) == expected
        assert store.revive([]) == []
        assert counted(store)["revived_total"] == 3

    def test_a_revived_job_begins_anew_at_the_end_of_its_queue(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, priority=1)
        for _ in range(limits.LOSSES_MAX - 1):
            settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)])
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        settle(store, buried=[Buried(take_one(store).fence, ERROR, clock.time())])
        others = put(store, 2, priority=1)
        assert store.revive([job]) == [State.READY]
        view = see(store, job)
        assert (view.attempt, view.losses, view.error) == (0, 0, None)
        assert (view.started_at, view.finished_at) == (None, None)
        held = take(store)
        assert ids_of(held) == [*others, job]
        assert held[-1].job.attempt == 1

    def test_earlier_totals_stand_when_a_job_is_revived(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        for _ in range(2):
            settle(store, buried=[Buried(take_one(store).fence, ERROR, keep_s=60.0)])
            assert store.revive([job]) == [State.READY]
        settle(store, buried=[Buried(take_one(store).fence, ERROR, keep_s=60.0)])
        leap(store, clock, 60.0)
        assert counted(store) == {
            "accepted_total": 1, "dead_total": 3, "revived_total": 2, "discarded_total": 1, "dead_discarded_total": 1,
        }  # fmt: skip

    def test_a_revived_job_does_not_expire_again(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=1.0)
        elapse(store, clock, 5.0)
        store.revive([job])
        elapse(store, clock, 5.0)
        assert see(store, job).expires_at is None
        assert take_one(store).job.id == job

    def test_a_revived_job_is_not_trimmed_at_the_time_of_its_old_record(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (job,) = put(store)
        settle(store, buried=[Buried(take_one(store).fence, ERROR, keep_s=60.0)])
        store.revive([job])
        leap(store, clock, 61.0)
        assert states(store, [job]) == [State.READY]


class MoveClaims(StoreClaims):
    """Putting jobs into another queue."""

    def test_waiting_jobs_are_moved_others_are_left(self, store: Store, clock: VirtualClock) -> None:
        made = one_of_each(store, clock)
        assert dict(zip(made, store.move(list(made.values()), "q"), strict=True)) == {state: state for state in made}
        assert {view.state for view in store.query(Filter(queue="q")).jobs} == {State.READY, State.SCHEDULED}
        assert counted(store, "q") == {"ready": 1, "scheduled": 1, "moved_in_total": 2}
        assert counted(store)["moved_out_total"] == 2
        assert store.move([], "empty") == []

    @pytest.mark.parametrize("name", ["", "a b", "ü", "q" * 65])
    def test_a_name_that_no_queue_may_have_is_refused(self, store: Store, name: str) -> None:
        (job,) = put(store)
        with pytest.raises(InvalidOption):
            store.move([job], name)
        with pytest.raises(InvalidOption):
            store.move_where(Filter(), name)
        with pytest.raises(InvalidOption):
            put(store, queue=name)
        assert counted(store) == {"ready": 1, "accepted_total": 1}

    def test_moved_jobs_keep_their_arrival_and_priority(self, store: Store) -> None:
        early, urgent = put(store)[0], put(store, priority=5)[0]
        there = put(store, 2, queue="q")
        late = put(store)
        store.move([*late, urgent, early], "q")
        assert ids_of(take(store, queues=["q"])) == [urgent, early, *there, *late]

    def test_a_move_to_where_it_is_counts_nothing(self, store: Store) -> None:
        (job,) = put(store)
        assert store.move([job], "default") == [State.READY]
        assert counted(store) == {"ready": 1, "accepted_total": 1}

    def test_what_becomes_of_a_moved_job_counts_where_it_went(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, delay_s=1.0)
        store.move([job], "q")
        elapse(store, clock, 1.0)
        settle(store, forgotten=[take_one(store, queues=["q"]).fence])
        assert counted(store) == {"accepted_total": 1, "moved_out_total": 1}
        assert counted(store, "q") == {"succeeded_total": 1, "moved_in_total": 1}


class DeleteClaims(StoreClaims):
    """Throwing jobs away."""

    def test_all_but_running_jobs_are_thrown_away(self, store: Store, clock: VirtualClock) -> None:
        made = one_of_each(store, clock)
        deleted = dict(zip(made, store.delete(list(made.values())), strict=True))
        assert deleted == {state: state not in (None, State.RUNNING) for state in made}
        assert counted(store) == {
            "running": 1, "accepted_total": 7, "succeeded_total": 1, "dead_total": 1, "cancelled_total": 1,
            "expired_total": 1, "discarded_total": 2,
        }  # fmt: skip
        assert store.delete([]) == []

    def test_a_job_is_thrown_away_once(self, store: Store) -> None:
        (job,) = put(store)
        assert store.delete([job, job]) == [True, False]
        assert take(store) == []

    def test_an_id_that_was_thrown_away_may_come_again(self, store: Store) -> None:
        job = entry()
        store.enqueue([group(job)])
        store.delete([job.id])
        assert store.enqueue([group(job)]).accepted == 1


class EditClaims(StoreClaims):
    """Changing waiting jobs."""

    def test_a_new_priority_counts_from_the_next_lease_on(self, store: Store) -> None:
        first, second, third = put(store, 3)
        assert store.edit([third, second], priority=3) == [State.READY] * 2
        assert store.edit([second], priority=1) == [State.READY]
        assert (see(store, second).priority, see(store, third).priority) == (1, 3)
        assert ids_of(take(store)) == [third, second, first]

    def test_a_priority_that_is_taken_back_leaves_the_old_order(self, store: Store) -> None:
        ids = put(store, 3)
        store.edit(ids[:1], priority=9)
        store.edit(ids[1:2], priority=-9)
        store.edit(ids, priority=0)
        assert ids_of(take(store)) == ids

    def test_a_scheduled_job_keeps_its_new_priority(self, store: Store, clock: VirtualClock) -> None:
        (late,) = put(store, delay_s=1.0)
        assert store.edit([late], priority=9) == [State.SCHEDULED]
        put(store)
        elapse(store, clock, 1.0)
        assert take(store)[0].job.id == late

    def test_a_ready_job_can_be_put_off(self, store: Store, clock: VirtualClock) -> None:
        first, second = put(store, 2)
        assert store.edit([first], run_at=clock.time() + 5) == [State.SCHEDULED]
        assert see(store, first).run_at == near(clock.time() + 5)
        assert ids_of(take(store, 1)) == [second]
        elapse(store, clock, 5.0)
        assert ids_of(take(store)) == [first]

    def test_a_scheduled_job_can_be_put_off_or_brought_forward(self, store: Store, clock: VirtualClock) -> None:
        later, sooner, now = put(store, 3, delay_s=5.0)
        assert store.edit([later], run_at=clock.time() + 9) == [State.SCHEDULED]
        assert store.edit([sooner], run_at=clock.time() + 2) == [State.SCHEDULED]
        assert store.edit([now], run_at=clock.time()) == [State.READY]
        assert ids_of(take(store)) == [now]
        elapse(store, clock, 2.0)
        assert ids_of(take(store)) == [sooner]
        elapse(store, clock, 6.0)
        assert take(store) == []
        elapse(store, clock, 1.0)
        assert ids_of(take(store)) == [later]

    def test_a_ready_job_told_to_start_in_the_past_keeps_its_place(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store, 2)
        before = see(store, ids[0])
        elapse(store, clock, 3.0)
        assert store.edit(ids[:1], run_at=clock.time() - 50) == [State.READY]
        assert see(store, ids[0]).run_at == before.run_at
        assert ids_of(take(store)) == ids

    def test_a_scheduled_job_told_to_start_in_the_past_starts_now(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, delay_s=50.0)
        elapse(store, clock, 3.0)
        assert store.edit([job], run_at=0.0) == [State.READY]
        assert see(store, job).run_at == near(clock.time())
        assert ids_of(take(store)) == [job]

    def test_jobs_that_do_not_wait_are_left_alone(self, store: Store, clock: VirtualClock) -> None:
        made = one_of_each(store, clock)
        before = dict(zip(made, store.get(list(made.values())), strict=True))
        answer = store.edit(list(made.values()), priority=9)
        assert dict(zip(made, answer, strict=True)) == {state: state for state in made}
        for state, view in zip(made, store.get(list(made.values())), strict=True):
            if state not in (State.READY, State.SCHEDULED):
                assert view == before[state]

    def test_an_edit_of_nothing_answers_states(self, store: Store) -> None:
        (job,) = put(store)
        assert store.edit([job, new_id()]) == [State.READY, None]
        assert store.edit([], priority=1) == []

    def test_an_edit_outside_the_limits_is_refused(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        with pytest.raises(InvalidOption):
            store.edit([job], priority=limits.PRIORITY_MAX + 1)
        with pytest.raises(InvalidOption):
            store.edit([job], run_at=clock.time() + limits.DELAY_S_MAX + 1)
        assert (see(store, job).priority, see(store, job).state) == (0, State.READY)


def _all_steps(step: Callable[[str | None], Step]) -> list[int]:
    """How many each step of a bulk action changed."""
    changed, cursor = [], None
    while True:
        done = step(cursor)
        changed.append(done.changed)
        cursor = done.cursor
        if cursor is None:
            return changed


class BulkClaims(StoreClaims):
    """By filter, in bounded steps."""

    def test_nothing_that_matches_is_nothing_changed(self, store: Store) -> None:
        where = Filter(queue="none")
        steps = (store.cancel_where, store.revive_where, store.delete_where)
        assert [step(where) for step in steps] == [Step(0, None)] * 3
        assert store.move_where(where, "q") == Step(0, None)

    def test_only_what_matches_is_cancelled(self, store: Store) -> None:
        tagged, plain = put(store, 3, tags=["x"]), put(store, 2)
        assert store.cancel_where(Filter(tag="x")) == Step(3, None)
        assert states(store, tagged + plain) == [State.CANCELLED] * 3 + [State.READY] * 2
        assert store.cancel_where(Filter(tag="x")).changed == 0

    def test_running_jobs_that_match_are_asked(self, store: Store) -> None:
        put(store, 2)
        fences = [held.fence for held in take(store)]
        assert store.cancel_where(Filter(queue="default")) == Step(2, None)
        assert store.cancel_where(Filter(queue="default")) == Step(0, None)
        assert store.extend(Extension(HOLDER, fences)).cancel == fences

    def test_only_what_matches_is_revived(self, store: Store) -> None:
        put(store, 3)
        put(store, 2, queue="q")
        settle(store, buried=[Buried(held.fence, ERROR) for held in take(store)])
        assert store.revive_where(Filter(state=State.DEAD, queue="default")) == Step(3, None)
        assert (counted(store)["ready"], counted(store, "q")["dead"]) == (3, 2)

    def test_only_what_matches_is_moved(self, store: Store) -> None:
        put(store, 3, task="a")
        put(store, 2, task="b")
        assert store.move_where(Filter(task="a"), "q") == Step(3, None)
        assert (counted(store)["ready"], counted(store, "q")["ready"]) == (2, 3)

    def test_only_what_matches_is_deleted_and_running_jobs_never(self, store: Store) -> None:
        put(store, 3)
        take(store, 1)
        put(store, 1, queue="q")
        assert store.delete_where(Filter(queue="default")) == Step(2, None)
        assert counted(store) == {"running": 1, "accepted_total": 3, "discarded_total": 2}

    def test_bulk_actions_go_in_bounded_steps(self, store: Store) -> None:
        count = limits.ADMIN_JOBS_MAX * 2 + 10
        put(store, count)
        everything = Filter(queue="default")
        moved = _all_steps(lambda cursor: store.move_where(everything, "q", cursor=cursor))
        there = Filter(queue="q")
        cancelled = _all_steps(lambda cursor: store.cancel_where(there, cursor=cursor))
        revived = _all_steps(lambda cursor: store.revive_where(there, cursor=cursor))
        deleted = _all_steps(lambda cursor: store.delete_where(there, cursor=cursor))
        for changed in (moved, cancelled, revived, deleted):
            assert sum(changed) == count
            assert max(changed) <= limits.ADMIN_JOBS_MAX
        assert counted(store, "q") == {
            "moved_in_total": count, "cancelled_total": count, "revived_total": count, "discarded_total": count,
        }  # fmt: skip
