"""Claims about jobs that wait for an event, and about the events that are signalled to them."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import Signalled, Suspended
from penstock.model.errors import InvalidOption, ResultTooLarge, StoreFull, WorkflowNotFound
from penstock.model.ids import new_id
from penstock.model.job import Buried, Filter
from penstock.model.states import State
from penstock.model.step_history import NEVER
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.keyed import declare, per_tenant, put_for
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.recording import LARGE, ONE, TWO, is_recorded, records, step, write
from penstock.testing.conformance.suspending import FOR_EVER, awaits, sleeps, suspended
from penstock.testing.conformance.unique import KEEP_TIME, REPLACE, add, one, unique


class EventClaims(StoreClaims):
    """Jobs that wait for an event."""

    def test_a_job_that_waits_says_for_what(self, store: Store) -> None:
        job = suspended(store)
        view = see(store, job)
        assert (view.state, view.run_at, view.reason) == (State.SCHEDULED, None, "waits for event 'approved'")
        (found,) = store.query(Filter()).jobs
        assert (found.run_at, found.reason) == (None, "waits for event 'approved'")
        assert (store.tick().next_s or 0.0) < NEVER / 2
        assert take(store) == []

    def test_a_signal_lets_it_run_on(self, store: Store, clock: VirtualClock) -> None:
        job = suspended(store)
        elapse(store, clock, 5.0)
        assert store.signal(job, "approved", ONE) == Signalled(delivered=True, kept=0)
        view = see(store, job)
        assert (view.state, view.run_at, view.reason) == (State.READY, clock.time(), None)
        assert records(store, job) == [replace(FOR_EVER, value=ONE)]
        again = take_one(store)
        assert (again.job.id, again.job.attempt, is_recorded(again)) == (job, 1, True)

    def test_it_stands_at_the_end_of_its_line(self, store: Store) -> None:
        job = suspended(store)
        (other,) = put(store)
        store.signal(job, "approved", ONE)
        assert ids_of(take(store)) == [other, job]

    def test_a_signal_that_comes_early_is_kept(self, store: Store) -> None:
        (job,) = put(store)
        assert store.signal(job, "approved", ONE) == Signalled(delivered=False, kept=1)
        held = take_one(store)
        assert store.signal(job, "approved", TWO) == Signalled(delivered=False, kept=2)
        settle(store, **awaits(held))
        assert states(store, [job]) == [State.READY]
        assert records(store, job) == [replace(FOR_EVER, value=ONE)]
        settle(store, **awaits(take_one(store), place=1))
        assert records(store, job)[1] == replace(FOR_EVER, place=1, value=TWO)
        settle(store, **awaits(take_one(store), place=2))
        assert states(store, [job]) == [State.SCHEDULED]

    def test_another_event_is_not_waited_for(self, store: Store) -> None:
        job = suspended(store)
        assert store.signal(job, "paid", ONE) == Signalled(delivered=False, kept=1)
        assert states(store, [job]) == [State.SCHEDULED]
        assert store.signal(job, "approved", TWO) == Signalled(delivered=True, kept=1)
        settle(store, **awaits(take_one(store), "paid", place=1))
        assert states(store, [job]) == [State.READY]
        assert store.signal(job, "paid", ONE).kept == 1

    def test_another_jobs_event_is_its_own(self, store: Store) -> None:
        job, other = suspended(store), suspended(store)
        assert store.signal(other, "approved", ONE).delivered
        assert states(store, [job, other]) == [State.SCHEDULED, State.READY]

    def test_an_event_that_does_not_come_in_time(self, store: Store, clock: VirtualClock) -> None:
        job = suspended(store, delay_s=30.0)
        until = clock.time() + 30.0
        assert see(store, job).run_at == until
        elapse(store, clock, 29.0)
        assert states(store, [job]) == [State.SCHEDULED]
        elapse(store, clock, 1.0)
        assert states(store, [job]) == [State.READY]
        assert records(store, job) == [replace(FOR_EVER, until=until, timed_out=True)]
        assert store.signal(job, "approved", ONE) == Signalled(delivered=False, kept=1)

    def test_an_event_that_comes_in_time_is_not_late_any_more(self, store: Store, clock: VirtualClock) -> None:
        job = suspended(store, delay_s=30.0)
        elapse(store, clock, 10.0)
        assert store.signal(job, "approved", ONE).delivered
        elapse(store, clock, 40.0)
        assert [record.value for record in records(store, job)] == [ONE]
        assert counted(store)["ready"] == 1

    @pytest.mark.parametrize("delay_s", [0.0, -1.0])
    def test_a_job_may_look_whether_an_event_has_come(self, store: Store, delay_s: float) -> None:
        job = suspended(store, delay_s=delay_s)
        assert states(store, [job]) == [State.READY]
        assert records(store, job)[0].timed_out
        store.signal(job, "approved", TWO)
        settle(store, **awaits(take_one(store), place=1, delay_s=delay_s))
        assert records(store, job)[1].value == TWO

    def test_a_job_that_is_to_start_now_waits_no_longer(self, store: Store, clock: VirtualClock) -> None:
        job = suspended(store)
        assert store.edit([job], run_at=clock.time()) == [State.READY]
        (record,) = records(store, job)
        assert (record.timed_out, see(store, job).reason) == (True, None)
        assert not store.signal(job, "approved", ONE).delivered

    def test_a_job_that_gets_a_time_waits_until_then(self, store: Store, clock: VirtualClock) -> None:
        job = suspended(store)
        assert store.edit([job], priority=3) == [State.SCHEDULED]
        assert see(store, job).run_at is None
        assert store.edit([job], run_at=clock.time() + 5.0) == [State.SCHEDULED]
        assert see(store, job).reason == "waits for event 'approved'"
        elapse(store, clock, 5.0)
        assert records(store, job)[0].timed_out

    def test_a_job_that_is_moved_waits_on(self, store: Store) -> None:
        job = suspended(store)
        assert store.move([job], "elsewhere") == [State.SCHEDULED]
        assert store.signal(job, "approved", ONE).delivered
        assert ids_of(take(store, queues=["elsewhere"])) == [job]

    def test_a_signal_waits_for_a_slot_like_anything_else(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        job, other = put_for(store, "a", 2)
        settle(store, **awaits(take_one(store)))
        (running,) = take(store)
        assert running.job.id == other
        assert store.signal(job, "approved", ONE).delivered
        assert states(store, [job]) == [State.BLOCKED]
        settle(store, succeeded=[succeeded(running.fence, clock)])
        assert ids_of(take(store)) == [job]

    # --- it is over --------------------------------------------------------------------------------------------------
    def test_a_cancelled_job_waits_for_nothing(self, store: Store) -> None:
        job = suspended(store)
        assert store.cancel([job]) == [State.CANCELLED]
        with pytest.raises(WorkflowNotFound):
            store.signal(job, "approved", ONE)
        assert counted(store) == {"cancelled": 1, "accepted_total": 1, "cancelled_total": 1}

    def test_a_job_that_is_retried_by_hand_waits_again(self, store: Store) -> None:
        job = suspended(store)
        store.cancel([job])
        assert store.revive([job]) == [State.READY]
        settle(store, suspended=[Suspended(take_one(store).fence, records(store, job)[0])])
        assert see(store, job).reason == "waits for event 'approved'"
        assert store.signal(job, "approved", ONE).delivered

    def test_nobody_else_is_signalled(self, store: Store) -> None:
        (ended,) = put(store)
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        for gone in (ended, new_id()):
            with pytest.raises(WorkflowNotFound):
                store.signal(gone, "approved", ONE)

    def test_what_was_kept_goes_with_the_job(self, store: Store) -> None:
        (job,) = put(store)
        store.signal(job, "approved", ONE)
        settle(store, forgotten=[take_one(store).fence])
        store.enqueue([group(entry(job_id=job))])
        settle(store, **awaits(take_one(store)))
        assert states(store, [job]) == [State.SCHEDULED]

    def test_a_job_with_an_event_kept_still_expires(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, expires_s=5.0)
        store.signal(job, "approved", ONE)
        elapse(store, clock, 5.0)
        assert states(store, [job]) == [State.EXPIRED]

    # --- unique jobs -------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("rule", [REPLACE, KEEP_TIME])
    def test_a_job_that_is_replaced_begins_anew(self, store: Store, rule: Any) -> None:
        job = add(store, rule=rule)
        held = take_one(store)
        write(store, held, step(0))
        settle(store, **awaits(held, place=1))
        (answer,) = store.enqueue([unique(one(body=b"m2"), rule=rule)]).exceptions
        assert (answer.id, answer.replaced) == (job, True)
        assert (states(store, [job]), records(store, job)) == ([State.READY], [])
        assert not store.signal(job, "approved", ONE).delivered

    # --- what is refused ---------------------------------------------------------------------------------------------
    def test_so_many_events_are_kept_and_no_more(self, store: Store) -> None:
        (job,) = put(store)
        for _ in range(limits.SIGNALS_KEPT_MAX):
            store.signal(job, "paid", b"m\xc0")
        with pytest.raises(StoreFull, match="wait already"):
            store.signal(job, "approved", ONE)
        settle(store, **awaits(take_one(store)))
        assert store.signal(job, "approved", ONE).delivered

    @pytest.mark.parametrize("event", ["", "x" * (limits.STEP_NAME_BYTES_MAX + 1)])
    def test_an_event_has_a_name(self, store: Store, event: str) -> None:
        (job,) = put(store)
        with pytest.raises(InvalidOption):
            store.signal(job, event, ONE)

    def test_a_payload_has_its_limit(self, store: Store) -> None:
        (job,) = put(store)
        with pytest.raises(ResultTooLarge):
            store.signal(job, "approved", LARGE)

    def test_who_signals_by_hand_is_noted(self, store: Store) -> None:
        (job,) = put(store)
        store.signal(job, "approved", ONE)
        store.signal(job, "approved", ONE, by="ann")
        (noted,) = store.audit().entries
        assert (noted.by, noted.verb, noted.note) == ("ann", "signal", "approved")
        assert noted.subject.startswith("workflow:")


class SuspendedReopeningClaims(StoreClaims):
    """Stores that outlive their process."""

    def test_suspended_jobs_wait_on(self, store: Store, clock: VirtualClock) -> None:
        waiting, late = suspended(store), suspended(store, delay_s=30.0)
        (asleep, early) = put(store, 2)
        settle(store, **sleeps(take_one(store), 20.0))
        store.signal(early, "approved", TWO)
        again = self.take_over(store, clock)
        settle(again, **awaits(take_one(again)))
        assert records(again, early)[0].value == TWO
        assert again.signal(waiting, "approved", ONE).delivered
        elapse(again, clock, 30.0)
        assert states(again, [waiting, late, asleep, early]) == [State.READY] * 4
        assert records(again, late)[0].timed_out
