"""Claims about suspended jobs: those that sleep. Those that wait for an event: `signalling`."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any, Final

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import Record, RecordKind, Suspended
from penstock.model.errors import InvalidOption
from penstock.model.job import Fate, Outcomes, Retried
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.keyed import declare, per_tenant, put_for
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.recording import TWO, is_recorded, records, step, write
from penstock.testing.conformance.unique import add, unique

FOR_EVER: Final = Record(0, "approved", RecordKind.EVENT)


def sleeps(held: HeldJob, delay_s: float = 60.0, place: int = 0, **told: Any) -> dict[str, Any]:
    """The settlement of a job that sleeps."""
    return {"suspended": [Suspended(held.fence, Record(place, "sleep", RecordKind.SLEEP), delay_s=delay_s, **told)]}


def awaits(held: HeldJob, event: str = "approved", delay_s: float | None = None, place: int = 0) -> dict[str, Any]:
    """The settlement of a job that waits for an event."""
    return {"suspended": [Suspended(held.fence, Record(place, event, RecordKind.EVENT), delay_s=delay_s)]}


def suspended(store: Store, **told: Any) -> bytes:
    """A job that waits for an event. Answers its id."""
    (job,) = put(store)
    settle(store, **awaits(take_one(store), **told))
    return job


class SleepingClaims(StoreClaims):
    """Jobs that wait for a time in the middle of their function."""

    def test_a_job_that_sleeps_is_scheduled(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, **sleeps(take_one(store)))
        view = see(store, job)
        until = clock.time() + 60.0
        assert (view.state, view.attempt, view.run_at, view.reason) == (State.SCHEDULED, 0, until, "sleeps")
        assert (view.started_at, view.error) == (None, None)
        assert records(store, job) == [Record(0, "sleep", RecordKind.SLEEP, until=until)]
        elapse(store, clock, 59.0)
        assert take(store) == []
        elapse(store, clock, 1.0)
        assert see(store, job).reason is None
        again = take_one(store)
        assert (again.job.id, again.job.attempt, is_recorded(again)) == (job, 1, True)

    def test_it_counts_neither_as_an_attempt_nor_as_anything_else(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        settle(store, **sleeps(take_one(store), 1.0))
        elapse(store, clock, 1.0)
        held = take_one(store)
        assert held.job.attempt == 2
        settle(store, succeeded=[succeeded(held.fence, clock)])
        assert see(store, held.job.id).attempt == 2
        assert counted(store) == {"succeeded": 1, "accepted_total": 1, "succeeded_total": 1, "retried_total": 1}

    def test_the_error_of_the_last_attempt_is_still_shown(self, store: Store) -> None:
        (job,) = put(store)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        settle(store, **sleeps(take_one(store)))
        assert see(store, job).error == ERROR

    @pytest.mark.parametrize("delay_s", [0.0, -5.0])
    def test_a_sleep_that_is_over_is_none(self, store: Store, delay_s: float) -> None:
        (job,) = put(store)
        settle(store, **sleeps(take_one(store), delay_s))
        assert states(store, [job]) == [State.READY]

    def test_a_time_that_began_before_goes_on(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        until = clock.time() + 10.0
        record = Record(0, "sleep", RecordKind.SLEEP, until=until)
        settle(store, suspended=[Suspended(take_one(store).fence, record, delay_s=500.0)])
        assert see(store, job).run_at == until
        elapse(store, clock, 10.0)
        settle(store, suspended=[Suspended(take_one(store).fence, record, delay_s=500.0)])
        assert states(store, [job]) == [State.READY]

    def test_what_was_caught_before_is_recorded_with_it(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0))
        failed = Record(1, "b", RecordKind.STEP, error=ERROR)
        settle(store, **sleeps(held, place=2, before=[step(0, "x", TWO), failed]))
        assert records(store, job)[:2] == [step(0), failed]

    def test_a_step_that_is_tried_again_says_so(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        tries = Record(0, "charge", RecordKind.TRIES, error=ERROR, tries=1)
        settle(store, suspended=[Suspended(take_one(store).fence, tries, delay_s=5.0)])
        assert see(store, job).reason == "tries step 'charge' again"
        assert records(store, job) == [replace(tries, until=clock.time() + 5.0)]

    def test_a_job_that_was_to_be_cancelled_is(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        store.cancel([job])
        settled = store.settle(Outcomes(HOLDER, **sleeps(held)))
        assert settled.exceptions == [(held.fence, Fate.CANCELLED)]
        assert (states(store, [job]), records(store, job)) == ([State.CANCELLED], [])

    def test_another_holders_job_is_not_suspended(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        assert store.settle(Outcomes(OTHER_HOLDER, **sleeps(held))).stale == [held.fence]
        assert (states(store, [job]), records(store, job)) == ([State.RUNNING], [])

    def test_a_sleeping_job_that_is_to_start_now_has_slept(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, **sleeps(take_one(store)))
        assert store.edit([job], run_at=clock.time()) == [State.READY]
        (record,) = records(store, job)
        assert record.until == clock.time()

    def test_a_sleeping_job_that_gets_another_time_sleeps_until_then(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, **sleeps(take_one(store)))
        later = clock.time() + 600.0
        assert store.edit([job], run_at=later, priority=5) == [State.SCHEDULED]
        view = see(store, job)
        assert (view.run_at, view.reason, view.priority) == (later, "sleeps", 5)
        assert records(store, job)[0].until == later

    def test_a_job_that_is_to_be_retried_does_not_sleep(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, **sleeps(take_one(store), 1.0))
        elapse(store, clock, 1.0)
        settle(store, retried=[Retried(take_one(store).fence, 9.0, ERROR)])
        assert (see(store, job).state, see(store, job).reason) == (State.SCHEDULED, None)

    def test_slots_are_for_others_meanwhile(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        first, second = put_for(store, "a", 2)
        held = take_one(store)
        settle(store, **sleeps(held))
        assert states(store, [first, second]) == [State.SCHEDULED, State.READY]
        (other,) = take(store)
        elapse(store, clock, 20.0)
        store.edit([first], run_at=clock.time())
        assert states(store, [first]) == [State.BLOCKED]
        settle(store, succeeded=[succeeded(other.fence, clock)])
        assert ids_of(take(store)) == [first]

    def test_strict_order_of_a_key_waits_for_a_job_that_sleeps(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "a", 2)
        settle(store, **sleeps(take_one(store), 1.0))
        assert states(store, [first, second]) == [State.SCHEDULED, State.BLOCKED]
        elapse(store, clock, 1.0)
        assert ids_of(take(store)) == [first]

    def test_a_unique_key_is_kept(self, store: Store) -> None:
        job = add(store)
        settle(store, **sleeps(take_one(store)))
        (answer,) = store.enqueue([unique()]).exceptions
        assert (answer.id, answer.duplicate) == (job, True)

    @pytest.mark.parametrize("bad", [{"delay_s": limits.TIME_S_MAX}, {"delay_s": float("nan")}])
    def test_a_time_out_of_reach_is_refused(self, store: Store, bad: dict[str, float]) -> None:
        (job,) = put(store)
        held = take_one(store)
        with pytest.raises(InvalidOption):
            store.settle(Outcomes(HOLDER, **sleeps(held, bad["delay_s"])))
        assert states(store, [job]) == [State.RUNNING]

    def test_an_end_suspends_nobody(self, store: Store) -> None:
        (job,) = put(store)
        with pytest.raises(InvalidOption):
            store.settle(Outcomes(HOLDER, suspended=[Suspended(take_one(store).fence, step(0))]))
        assert states(store, [job]) == [State.RUNNING]
