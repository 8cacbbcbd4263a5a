"""Claims about what is kept after the end, how long, and how many: results, records, the tick that trims them."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.model import limits
from penstock.model.job import Buried, Cancelled, TaskRecord
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    leap,
    put,
    rest,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)


class KeepingClaims(StoreClaims):
    """How long."""

    def test_a_result_is_given_out_until_its_time_is_up(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        outcome = succeeded(take_one(store).fence, clock, b"m1", keep_result_s=60.0, keep_record_s=120.0)
        settle(store, succeeded=[outcome])
        leap(store, clock, 59.0)
        assert see(store, job, result=True).result == b"m1"
        leap(store, clock, 1.0)
        assert (see(store, job, result=True).result, see(store, job).result_kept) == (None, False)
        leap(store, clock, 59.0)
        assert states(store, [job]) == [State.SUCCEEDED]
        leap(store, clock, 1.0)
        assert states(store, [job]) == [None]
        assert counted(store) == {"accepted_total": 1, "succeeded_total": 1}

    def test_a_record_stays_as_long_as_its_result(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        outcome = succeeded(take_one(store).fence, clock, b"m1", keep_result_s=60.0, keep_record_s=0.0)
        settle(store, succeeded=[outcome])
        leap(store, clock, 59.0)
        assert see(store, job, result=True).result == b"m1"
        leap(store, clock, 1.0)
        assert states(store, [job]) == [None]

    def test_no_result_keeps_no_record(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        outcome = succeeded(take_one(store).fence, clock, None, keep_result_s=60.0, keep_record_s=0.0)
        settle(store, succeeded=[outcome])
        assert states(store, [job]) == [None]
        assert counted(store) == {"accepted_total": 1, "succeeded_total": 1}

    def test_a_result_that_is_not_to_be_kept_is_not(self, store: Store, clock: VirtualClock) -> None:
        kept, gone = put(store, 2)
        first, second = (held.fence for held in take(store))
        settle(
            store,
            succeeded=[
                succeeded(first, clock, b"m1", keep_result_s=0.0, keep_record_s=60.0),
                succeeded(second, clock, b"m1", keep_result_s=0.0, keep_record_s=0.0),
            ],
        )
        assert (see(store, kept, result=True).result, see(store, kept).result_kept) == (None, False)
        assert states(store, [gone]) == [None]

    def test_a_record_is_gone_at_its_time_even_before_it_is_trimmed(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, keep_record_s=60.0)])
        clock.advance(60.0)
        assert states(store, [job]) == [None]

    def test_a_dead_job_is_kept_as_asked_then_counted_as_discarded(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, buried=[Buried(take_one(store).fence, ERROR, keep_s=60.0)])
        leap(store, clock, 59.0)
        assert states(store, [job]) == [State.DEAD]
        leap(store, clock, 1.0)
        assert states(store, [job]) == [None]
        assert counted(store) == {
            "accepted_total": 1, "dead_total": 1, "discarded_total": 1, "dead_discarded_total": 1,
        }  # fmt: skip

    def test_a_cancelled_job_is_kept_as_its_runner_asks(self, store: Store, clock: VirtualClock) -> None:
        short, gone = put(store, 2)
        first, second = (held.fence for held in take(store))
        settle(store, cancelled=[Cancelled(first, 60.0), Cancelled(second, 0.0)])
        assert states(store, [short, gone]) == [State.CANCELLED, None]
        leap(store, clock, 60.0)
        assert states(store, [short]) == [None]
        assert counted(store) == {"accepted_total": 2, "cancelled_total": 2}

    @pytest.mark.parametrize("keep_s", [None, 60.0])
    def test_a_waiting_job_that_ends_is_kept_as_its_task_says(
        self, store: Store, clock: VirtualClock, keep_s: float | None
    ) -> None:
        if keep_s is not None:
            store.register_tasks([TaskRecord("app.work", keep_record_s=keep_s)])
        cancelled, expired = put(store) + put(store, expires_s=1.0)
        store.cancel([cancelled])
        clock.advance(1.0)
        rest(store)
        assert states(store, [cancelled, expired]) == [State.CANCELLED, State.EXPIRED]
        leap(store, clock, (limits.KEEP_RECORD_S if keep_s is None else keep_s) - 1.0)
        assert states(store, [cancelled, expired]) == [None, State.EXPIRED]
        leap(store, clock, 1.0)
        assert states(store, [cancelled, expired]) == [None, None]

    def test_without_history_nothing_of_a_cancelled_or_expired_job_is_kept(
        self, store: Store, clock: VirtualClock
    ) -> None:
        store.register_tasks([TaskRecord("app.work", keep_record_s=0.0)])
        cancelled, expired = put(store) + put(store, expires_s=1.0)
        assert store.cancel([cancelled]) == [State.CANCELLED]
        clock.advance(1.0)
        rest(store)
        assert states(store, [cancelled, expired]) == [None, None]
        assert counted(store) == {"accepted_total": 2, "cancelled_total": 1, "expired_total": 1}


class TrimmingClaims(StoreClaims):
    """How many."""

    @pytest.fixture
    def small(self, clock: VirtualClock) -> Iterator[Store]:
        """A store that keeps three finished records and two dead ones."""
        store = self.make_store(clock, records_max=3, dead_max=2)
        yield store
        assert not any(counts.unaccounted() for counts in all_queues(store).values())
        store.close()

    def test_too_many_records_are_trimmed_those_first_whose_time_ends_first(
        self, small: Store, clock: VirtualClock
    ) -> None:
        ids = put(small, 5)
        keep_s = [500.0, 100.0, 400.0, 300.0, 200.0]
        settle(
            small,
            succeeded=[
                succeeded(held.fence, clock, keep_record_s=keep_s[place]) for place, held in enumerate(take(small))
            ],
        )
        rest(small)
        assert [state is not None for state in states(small, ids)] == [True, False, True, True, False]
        assert counted(small) == {"succeeded": 3, "accepted_total": 5, "succeeded_total": 5}

    def test_too_many_records_are_trimmed_also_when_the_time_of_others_is_up(
        self, small: Store, clock: VirtualClock
    ) -> None:
        put(small, 7)
        held = take(small)
        settle(small, succeeded=[succeeded(one.fence, clock, keep_record_s=10.0) for one in held[:2]])
        clock.advance(10.0)
        settle(small, succeeded=[succeeded(one.fence, clock, keep_record_s=500.0) for one in held[2:]])
        rest(small)
        assert counted(small) == {"succeeded": 3, "accepted_total": 7, "succeeded_total": 7}

    def test_however_many_end_between_two_ticks_trimming_keeps_up(self, small: Store, clock: VirtualClock) -> None:
        count = limits.TICK_STEP_JOBS * 2
        kept = []
        for _ in range(8):
            put(small, count)
            settle(small, succeeded=[succeeded(held.fence, clock, keep_record_s=500.0) for held in take(small, count)])
            small.tick()
            kept.append(counted(small)["succeeded"])
        assert max(kept) <= count

    def test_cancelled_and_expired_records_count_among_the_finished(self, small: Store, clock: VirtualClock) -> None:
        small.cancel(put(small, 3))
        put(small, 3, expires_s=1.0)
        elapse(small, clock, 1.0)
        counts = counted(small)
        assert counts["expired"] == 3
        assert "cancelled" not in counts

    def test_too_many_dead_jobs_are_trimmed_and_counted_as_discarded(self, small: Store) -> None:
        ids = put(small, 4)
        settle(small, buried=[Buried(held.fence, ERROR, keep_s=90.0 - n) for n, held in enumerate(take(small))])
        rest(small)
        assert states(small, ids) == [State.DEAD, State.DEAD, None, None]
        assert counted(small) == {
            "dead": 2, "accepted_total": 4, "dead_total": 4, "discarded_total": 2, "dead_discarded_total": 2,
        }  # fmt: skip

    def test_dead_jobs_do_not_push_out_finished_ones(self, small: Store, clock: VirtualClock) -> None:
        good, bad = put(small, 3), put(small, 3)
        held = take(small)
        settle(
            small,
            succeeded=[succeeded(one.fence, clock) for one in held[:3]],
            buried=[Buried(one.fence, ERROR) for one in held[3:]],
        )
        rest(small)
        assert states(small, good) == [State.SUCCEEDED] * 3
        assert states(small, bad).count(State.DEAD) == 2

    def test_waiting_and_running_jobs_are_never_trimmed(self, small: Store) -> None:
        put(small, 10)
        take(small, 5)
        rest(small)
        assert counted(small) == {"ready": 5, "running": 5, "accepted_total": 10}

    def test_trimming_goes_in_bounded_steps(self, store: Store, clock: VirtualClock) -> None:
        count = limits.TICK_STEP_JOBS * 2
        ids = put(store, count)
        settle(store, succeeded=[succeeded(held.fence, clock, keep_record_s=10.0) for held in take(store, count)])
        rest(store)
        clock.advance(10.0)
        ticked = store.tick()
        assert 0 < ticked.trimmed <= limits.TICK_STEP_JOBS
        assert counted(store)["succeeded"] == count - ticked.trimmed
        rest(store)
        assert counted(store) == {"accepted_total": count, "succeeded_total": count}
        assert states(store, ids) == [None] * count


class TickingClaims(StoreClaims):
    """The tick itself."""

    def test_a_tick_with_nothing_due_does_nothing(self, store: Store) -> None:
        put(store)
        put(store, delay_s=60.0)
        take(store)
        ticked = store.tick()
        assert (ticked.promoted, ticked.expired, ticked.reclaimed, ticked.trimmed) == (0, 0, 0, 0)

    def test_a_tick_says_when_the_next_is_due(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, delay_s=1.25)
        next_s = store.tick().next_s
        assert next_s is not None
        assert 0 < next_s <= 1.25
        clock.advance(1.25)
        assert store.tick().promoted == 1
        assert states(store, [job]) == [State.READY]

    def test_many_due_jobs_are_promoted_in_steps(self, store: Store, clock: VirtualClock) -> None:
        count = limits.TICK_STEP_JOBS * 2 + 1
        put(store, count, delay_s=1.0)
        clock.advance(1.0)
        ticked = store.tick()
        assert 0 < ticked.promoted <= limits.TICK_STEP_JOBS
        assert ticked.next_s == 0
        rest(store)
        assert counted(store) == {"ready": count, "accepted_total": count}

    def test_many_expired_jobs_are_ended_in_steps(self, store: Store, clock: VirtualClock) -> None:
        count = limits.TICK_STEP_JOBS * 2 + 1
        put(store, count, expires_s=1.0)
        clock.advance(1.0)
        ticked = store.tick()
        assert 0 < ticked.expired <= limits.TICK_STEP_JOBS
        assert ticked.next_s == 0
        rest(store)
        assert counted(store) == {"expired": count, "accepted_total": count, "expired_total": count}

    def test_a_job_expires_while_it_waits_whatever_it_waits_for(self, store: Store, clock: VirtualClock) -> None:
        ready, scheduled = put(store, expires_s=5.0) + put(store, delay_s=60.0, expires_s=5.0)
        elapse(store, clock, 4.0)
        assert states(store, [ready, scheduled]) == [State.READY, State.SCHEDULED]
        elapse(store, clock, 1.0)
        assert states(store, [ready, scheduled]) == [State.EXPIRED] * 2
        assert take(store) == []

    def test_a_job_that_runs_does_not_expire(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=5.0)
        fence = take_one(store).fence
        elapse(store, clock, 10.0)
        assert states(store, [job]) == [State.RUNNING]
        settle(store, succeeded=[succeeded(fence, clock)])
        elapse(store, clock, 10.0)
        assert states(store, [job]) == [State.SUCCEEDED]
