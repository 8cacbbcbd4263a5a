"""Claims about unique keys that outlive their jobs, and of jobs that are revived."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model.errors import InvalidOption
from penstock.model.flow import UniqueRule
from penstock.model.job import (
    Buried,
    Cancelled,
    Filter,
    JobEntry,
    TaskRecord,
    checksum,
)
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_steps
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    elapse,
    ids_of,
    leap,
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
    add,
    met,
    one,
    same,
    unique,
)


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
