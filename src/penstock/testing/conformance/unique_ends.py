"""Claims about what becomes of unique keys when their jobs end, and later."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import UniqueRule
from penstock.model.job import (
    Buried,
    Cancelled,
    EnqueueAnswer,
    Filter,
    JobEntry,
    Lost,
    Outcomes,
    Retried,
    Snoozed,
    TaskRecord,
    checksum,
)
from penstock.model.losses import Loss
from penstock.model.states import TERMINAL, State
from penstock.ports import Store
from penstock.store.paging import all_steps
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    leap,
    ledger,
    put,
    rest,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.unique import (
    ALIVE,
    DONE,
    HOUR_S,
    HOURLY,
    REFUSE,
    REPLACE,
    add,
    met,
    one,
    same,
    unique,
)

End = Callable[[Store, VirtualClock, bytes], None]
"""Ends a job that is ready, in one way."""


def _succeeds(store: Store, clock: VirtualClock, _: bytes) -> None:
    settle(store, succeeded=[succeeded(take_one(store).fence, clock)])


def _is_forgotten(store: Store, _: VirtualClock, __: bytes) -> None:
    settle(store, forgotten=[take_one(store).fence])


def _is_buried(store: Store, _: VirtualClock, __: bytes) -> None:
    settle(store, buried=[Buried(take_one(store).fence, ERROR)])


def _is_cancelled_while_it_runs(store: Store, _: VirtualClock, job: bytes) -> None:
    fence = take_one(store).fence
    store.cancel([job])
    settle(store, cancelled=[Cancelled(fence)])


def _is_cancelled_when_it_comes_back(store: Store, _: VirtualClock, job: bytes) -> None:
    fence = take_one(store).fence
    store.cancel([job])
    store.settle(Outcomes(HOLDER, released=[fence]))


def _is_cancelled(store: Store, _: VirtualClock, job: bytes) -> None:
    store.cancel([job])


def _is_cancelled_while_scheduled(store: Store, clock: VirtualClock, job: bytes) -> None:
    store.edit([job], run_at=clock.time() + 60)
    all_steps(lambda cursor: store.cancel_where(Filter(state=State.SCHEDULED), cursor=cursor))


def _is_deleted(store: Store, _: VirtualClock, job: bytes) -> None:
    store.delete([job])


def _is_deleted_by_filter(store: Store, _: VirtualClock, __: bytes) -> None:
    all_steps(lambda cursor: store.delete_where(Filter(task="app.work"), cursor=cursor))


def _expires(store: Store, clock: VirtualClock, _: bytes) -> None:
    leap(store, clock, HOUR_S)


def _expires_at_a_lease(store: Store, clock: VirtualClock, _: bytes) -> None:
    clock.advance(HOUR_S)
    take(store)


def _is_lost_for_good(store: Store, _: VirtualClock, __: bytes) -> None:
    for _loss in range(limits.LOSSES_MAX):
        store.settle(Outcomes(HOLDER, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)]))


def _is_moved_and_ends(store: Store, clock: VirtualClock, job: bytes) -> None:
    store.move([job], "elsewhere")
    assert met(store).id == job, "a key is the task's, whatever the queue"
    _succeeds(store, clock, job)


ENDS: Final[dict[str, End]] = {
    "succeeds": _succeeds,
    "is forgotten": _is_forgotten,
    "is buried": _is_buried,
    "is cancelled while it runs": _is_cancelled_while_it_runs,
    "is cancelled when it comes back": _is_cancelled_when_it_comes_back,
    "is cancelled": _is_cancelled,
    "is cancelled while scheduled": _is_cancelled_while_scheduled,
    "is deleted": _is_deleted,
    "is deleted by filter": _is_deleted_by_filter,
    "expires": _expires,
    "expires at a lease": _expires_at_a_lease,
    "is lost for good": _is_lost_for_good,
    "is moved and ends": _is_moved_and_ends,
}
"""Ways for a job that is ready and expires in an hour to end. Each leaves no other job behind."""


class UniqueEndClaims(StoreClaims):
    """What becomes of a key when its job ends."""

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    def test_however_a_job_ends_its_key_is_free(self, store: Store, clock: VirtualClock, end: End) -> None:
        job = add(store, expires_s=HOUR_S)
        end(store, clock, job)
        (state,) = states(store, [job])
        assert state is None or state in TERMINAL
        add(store)

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    def test_only_a_job_that_ended_as_it_says_keeps_others_away(
        self, store: Store, clock: VirtualClock, end: End
    ) -> None:
        rule = UniqueRule(period_s=2 * HOUR_S, states=DONE)
        job = add(store, rule=rule, expires_s=HOUR_S)
        end(store, clock, job)
        has_succeeded = end in (_succeeds, _is_forgotten, _is_moved_and_ends)
        assert store.enqueue([unique()]).accepted == (not has_succeeded)

    def test_jobs_that_are_settled_in_a_range_set_their_keys_free(self, store: Store) -> None:
        keys = [str(number) for number in range(30)]
        store.enqueue([unique(*map(one, keys))])
        settle(store, forgotten=[held.fence for held in take(store)])
        answer = store.enqueue([unique(*map(one, keys))])
        assert answer == EnqueueAnswer(30, [])
        assert counted(store) == {"ready": 30, "accepted_total": 60, "succeeded_total": 30}

    def test_jobs_with_and_without_keys_end_together(self, store: Store, clock: VirtualClock) -> None:
        store.enqueue([unique(one("a"))])
        put(store, 20)
        store.enqueue([unique(one("b"))])
        settle(store, succeeded=[succeeded(held.fence, clock) for held in take(store)])
        assert store.enqueue([unique(one("a"), one("b"))]).accepted == 2

    def test_a_job_that_comes_back_keeps_its_key(self, store: Store) -> None:
        job = add(store)
        for outcome in ("released", "retried", "snoozed", "lost"):
            fence = take_one(store).fence
            said: dict[str, Any] = {
                "released": [fence],
                "retried": [Retried(fence, 0.0, ERROR)],
                "snoozed": [Snoozed(fence, 0.0)],
                "lost": [Lost(fence, Loss.UNSTARTED, ERROR)],
            }
            assert store.settle(Outcomes(HOLDER, **{outcome: said[outcome]})).stale == []
            assert met(store).id == job

    def test_a_lease_that_ends_keeps_the_key(self, store: Store, clock: VirtualClock) -> None:
        job = add(store)
        take_one(store, lease_s=5.0)
        elapse(store, clock, 6.0)
        assert met(store) == same(job, State.READY)

    def test_a_stale_outcome_sets_no_key_free(self, store: Store, clock: VirtualClock) -> None:
        job = add(store)
        stale = take_one(store, lease_s=5.0).fence
        elapse(store, clock, 6.0)
        take_one(store, holder=OTHER_HOLDER)
        store.settle(Outcomes(HOLDER, forgotten=[stale]))
        assert met(store).id == job

    def test_the_end_of_one_that_has_lost_its_key_does_not_set_it_free(self, store: Store) -> None:
        rule = UniqueRule(states=(State.READY, State.SCHEDULED))
        add(store, rule=rule)
        held = take_one(store)
        second = add(store, rule=rule)
        settle(store, forgotten=[held.fence])
        assert met(store, rule).id == second

    def test_a_child_may_have_the_key_of_its_parent(self, store: Store) -> None:
        add(store)
        child = one()
        held = take_one(store)
        settle(store, forgotten=[held.fence], children=[(held.fence, [unique(child)])])
        assert met(store).id == child.id

    def test_a_child_that_is_not_new_does_not_land(self, store: Store) -> None:
        first = add(store)
        (parent,) = put(store, task="app.parent")
        held = take_one(store, tasks=["app.parent"])
        children = [unique(one(), rule=REFUSE), unique(one(body=b"m2"), rule=REPLACE), unique(one("new"))]
        settle(store, forgotten=[held.fence], children=[(held.fence, children)])
        assert states(store, [parent]) == [None]
        assert see(store, first, body=True).body == b"m2"
        assert ledger(store).accepted_total == 3


class UniquePeriodClaims(StoreClaims):
    """How long a key counts, also past its job's record, and past its end."""

    def test_a_key_counts_for_its_period_whatever_becomes_of_the_record(
        self, store: Store, clock: VirtualClock
    ) -> None:
        job = add(store, rule=HOURLY)
        elapse(store, clock, 10.0)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, keep_record_s=60.0)])
        assert met(store, HOURLY) == same(job, State.SUCCEEDED)
        elapse(store, clock, 120.0)
        assert states(store, [job]) == [None]
        assert met(store, HOURLY) == same(job, None)
        leap(store, clock, HOUR_S - 131.0)
        assert met(store, HOURLY).id == job
        leap(store, clock, 2.0)
        add(store, rule=HOURLY)

    def test_a_key_counts_for_its_period_when_no_record_is_kept(self, store: Store, clock: VirtualClock) -> None:
        job = add(store, rule=HOURLY)
        settle(store, forgotten=[take_one(store).fence])
        rest(store)
        assert met(store, HOURLY) == same(job, None)
        leap(store, clock, HOUR_S)
        add(store, rule=HOURLY)

    def test_a_period_that_is_over_lets_others_in_though_the_job_still_waits(
        self, store: Store, clock: VirtualClock
    ) -> None:
        rule = UniqueRule(period_s=60.0)
        first = add(store, rule=rule)
        leap(store, clock, 59.0)
        assert met(store, rule).id == first
        leap(store, clock, 1.0)
        second = add(store, rule=rule)
        assert met(store, rule).id == second
        assert ids_of(take(store)) == [first, second]

    def test_without_a_period_a_key_goes_with_the_record(self, store: Store, clock: VirtualClock) -> None:
        rule = UniqueRule(states=DONE)
        job = add(store, rule=rule)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, keep_record_s=60.0)])
        assert met(store, rule) == same(job, State.SUCCEEDED)
        clock.advance(60.0)
        add(store, rule=rule)
        rest(store)
        assert met(store, rule).duplicate

    def test_a_dead_job_keeps_others_away_only_if_it_says_so(self, store: Store) -> None:
        rule = UniqueRule(states=(*ALIVE, State.DEAD))
        job = add(store, rule=rule)
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        assert met(store, rule) == same(job, State.DEAD)
        store.delete([job])
        add(store, rule=rule)

    def test_a_record_that_is_deleted_leaves_its_key_for_the_period(self, store: Store, clock: VirtualClock) -> None:
        job = add(store, rule=HOURLY)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        store.delete([job])
        assert met(store, HOURLY) == same(job, None)

    def test_a_job_that_is_thrown_away_before_it_ran_takes_its_key_along(self, store: Store) -> None:
        job = add(store, rule=HOURLY)
        store.delete([job])
        add(store, rule=HOURLY)

    def test_records_that_are_too_many_take_their_keys_along(self, clock: VirtualClock) -> None:
        store = self.make_store(clock, records_max=2)
        rule = UniqueRule(states=DONE)
        try:
            for key in ("a", "b", "c"):
                add(store, key, rule)
                settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
                clock.advance(1.0)
            rest(store)
            assert [store.enqueue([unique(one(key), rule=rule)]).accepted for key in ("a", "b", "c")] == [1, 0, 0]
        finally:
            store.close()

    def test_a_job_with_history_off_leaves_no_key(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.work", keep_record_s=0.0)])
        job = add(store)
        store.cancel([job])
        assert states(store, [job]) == [None]
        add(store)

    # --- revivals ----------------------------------------------------------------------------------------------------
    def test_a_revived_job_holds_its_key_again(self, store: Store) -> None:
        job = add(store)
        store.cancel([job])
        assert store.revive([job]) == [State.READY]
        assert met(store) == same(job, State.READY)

    def test_a_job_whose_key_is_taken_is_not_revived(self, store: Store) -> None:
        first = add(store)
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        second = add(store)
        assert store.revive([first]) == [State.DEAD]
        assert all_steps(lambda cursor: store.revive_where(Filter(), cursor=cursor)) == 0
        fence = take_one(store).fence
        assert store.revive([first]) == [State.DEAD]
        settle(store, cancelled=[Cancelled(fence)])
        assert store.revive([first, second]) == [State.READY, State.CANCELLED]
        assert met(store).id == first

    def test_retried_with_other_arguments_a_job_has_the_key_of_those(self, store: Store) -> None:
        job = add(store, "a")
        store.cancel([job])
        assert store.revive_edited(JobEntry(job, b"m2", checksum(b"m2"), unique_key="b")) is State.READY
        assert met(store, key="b") == same(job, State.READY)
        add(store, "a")
        store.cancel([job])
        assert store.revive_edited(JobEntry(job, b"m3", checksum(b"m3"))) is State.READY
        assert met(store, key="b").id == job, "of its own when none is said"

    def test_retried_with_arguments_whose_key_is_taken_it_is_not_and_stays_as_it_is(self, store: Store) -> None:
        job = one("a", b"m1")
        store.enqueue([unique(job)])
        store.cancel([job.id])
        other = add(store, "b")
        edited = JobEntry(job.id, b"m2", checksum(b"m2"), unique_key="b")
        assert store.revive_edited(edited, by="ann") is State.CANCELLED
        assert see(store, job.id, body=True).body == b"m1"
        assert store.audit().entries == []
        assert store.revive([job.id], by="ann") == [State.READY]
        assert [met(store, key=key).id for key in ("a", "b")] == [job.id, other]

    def test_a_revival_that_was_refused_is_not_in_the_audit_log(self, store: Store) -> None:
        job = add(store)
        store.cancel([job])
        add(store)
        assert store.revive([job], by="ann") == [State.CANCELLED]
        assert store.audit().entries == []

    def test_an_edited_job_has_a_key_within_the_bound(self, store: Store) -> None:
        job = add(store)
        store.cancel([job])
        with pytest.raises(InvalidOption):
            store.revive_edited(JobEntry(job, b"m2", checksum(b"m2"), unique_key="x" * 1_000))
        assert states(store, [job]) == [State.CANCELLED]

    def test_a_revived_job_takes_its_key_from_one_that_keeps_nobody_away(self, store: Store) -> None:
        rule = UniqueRule(states=(State.SCHEDULED, State.READY))
        first = add(store, rule=rule)
        store.cancel([first])
        second = add(store, rule=rule)
        take_one(store)
        assert store.revive([first]) == [State.READY]
        assert met(store, rule).id == first
        assert states(store, [second]) == [State.RUNNING]

    def test_a_revived_job_s_period_begins_anew(self, store: Store, clock: VirtualClock) -> None:
        rule = UniqueRule(period_s=60.0)
        job = add(store, rule=rule)
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        leap(store, clock, 300.0)
        store.revive([job])
        leap(store, clock, 59.0)
        assert met(store, rule).id == job
        leap(store, clock, 1.0)
        assert add(store, rule=rule) != job

    def test_a_job_that_succeeded_and_kept_others_away_is_still_not_revived(
        self, store: Store, clock: VirtualClock
    ) -> None:
        job = add(store, rule=HOURLY)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        assert store.revive([job]) == [State.SUCCEEDED]
        assert met(store, HOURLY).id == job

    # --- a store that outlives its process ---------------------------------------------------------------------------
    def test_keys_stand_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        jobs = [add(store, "a"), add(store, "b", delay_s=60.0), add(store, "c", HOURLY)]
        fence = take_one(store).fence
        settle(store, forgotten=[take_one(store).fence])
        again = self.take_over(store, clock)
        assert [met(again, key=key).id for key in ("a", "b", "c")] == jobs
        settle(again, forgotten=[fence])
        add(again, "a")
