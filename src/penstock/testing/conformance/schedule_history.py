"""Claims about the runs of schedules: earlier ones that have not ended, refusals, the history."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Final

import pytest

from penstock.model import limits
from penstock.model.errors import QueueDraining
from penstock.model.flow import UniqueRule
from penstock.model.job import Buried, JobEntry, Retried, checksum
from penstock.model.schedules import Overlap, RunState
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    StoreClaims,
    counted,
    group,
    ids_of,
    leap,
    rest,
    see,
    settle,
    states,
    succeeded,
    take,
)
from penstock.testing.conformance.scheduling import DAY, MINUTE, finish, history, job, minutely, pass_by, told


class OverlapClaims(StoreClaims):
    """Slots at whose time an earlier run has not ended."""

    def test_skip(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        pass_by(store, clock, 4 * MINUTE)
        first, skipped = history(store)
        assert (first.state, skipped.state) == (RunState.STARTED, RunState.SKIPPED)
        assert (skipped.slot, skipped.until) == (first.slot + MINUTE, first.slot + 3 * MINUTE)
        finish(store, clock)
        pass_by(store, clock, MINUTE)
        assert told(store) == [("slot", "succeeded"), ("slot", "skipped"), ("slot", "started")]

    def test_queue_starts_the_latest_when_the_earlier_one_has_ended(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(overlap=Overlap.QUEUE))
        begin = clock.time()
        pass_by(store, clock, 3 * MINUTE)
        assert [run.state for run in history(store)] == [RunState.STARTED, RunState.SKIPPED, RunState.QUEUED]
        finish(store, clock)
        rest(store)
        first, _, third = history(store)
        assert (first.state, third.state) == (RunState.SUCCEEDED, RunState.STARTED)
        assert third.slot == begin + 3 * MINUTE
        assert counted(store)["accepted_total"] == 2

    @pytest.mark.parametrize("how", ["succeeded", "dead", "cancelled", "deleted", "expired"])
    def test_whatever_way_it_ended(self, store: Store, clock: VirtualClock, how: str) -> None:
        options = {"expires_s": 90.0} if how == "expired" else {}
        store.put_schedule(minutely(overlap=Overlap.QUEUE, call=job(**options)))
        pass_by(store, clock, 2 * MINUTE)
        (first, queued) = history(store)
        assert queued.state is RunState.QUEUED
        assert first.id is not None
        if how in ("succeeded", "dead"):
            (held,) = take(store)
            if how == "succeeded":
                settle(store, succeeded=[succeeded(held.fence, clock)])
            else:
                settle(store, buried=[Buried(held.fence, ERROR)])
        elif how == "cancelled":
            store.cancel([first.id])
        elif how == "deleted":
            store.delete([first.id])
        else:
            pass_by(store, clock, 31.0)
        rest(store)
        (first, queued) = history(store)
        assert queued.state is RunState.STARTED
        assert first.state.value == {"dead": "failed"}.get(how, how)
        assert first.ended_at == clock.time() or how == "expired"

    def test_a_result_that_is_not_kept_ends_it_too(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        pass_by(store, clock, MINUTE)
        (held,) = take(store)
        settle(store, forgotten=[held.fence])
        assert told(store) == [("slot", "succeeded")]

    def test_replace_cancels_what_waits_and_asks_what_runs(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(overlap=Overlap.REPLACE, every_s=5.0))
        pass_by(store, clock, 5.0)
        (held,) = take(store)
        pass_by(store, clock, 5.0)
        second = history(store)[-1]
        assert see(store, held.job.id).cancel_requested
        pass_by(store, clock, 5.0)
        first, second, third = history(store)
        assert (first.state, second.state, third.state) == (RunState.STARTED, RunState.CANCELLED, RunState.STARTED)
        assert states(store, [second.id or b"", third.id or b""]) == [State.CANCELLED, State.READY]

    def test_what_replaces_a_run_takes_the_place_of_one_that_waits_too(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(overlap=Overlap.QUEUE, every_s=5.0))
        pass_by(store, clock, 5.0)
        (held,) = take(store)
        pass_by(store, clock, 5.0)
        store.put_schedule(minutely(overlap=Overlap.REPLACE, every_s=5.0))
        pass_by(store, clock, 5.0)
        settle(store, succeeded=[succeeded(held.fence, clock)])
        rest(store)
        assert told(store) == [("slot", "succeeded"), ("slot", "skipped"), ("slot", "started")]
        assert counted(store)["accepted_total"] == 2

    def test_an_earlier_run_that_is_retried_has_not_ended(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        pass_by(store, clock, MINUTE)
        (held,) = take(store)
        settle(store, retried=[Retried(held.fence, 30.0, ERROR)])
        pass_by(store, clock, MINUTE)
        assert told(store) == [("slot", "started"), ("slot", "skipped")]

    def test_the_other_schedule_is_not_asked(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        store.put_schedule(minutely("other", every_s=2 * MINUTE))
        pass_by(store, clock, 2 * MINUTE)
        assert told(store) == [("slot", "started"), ("slot", "skipped")]
        assert told(store, "other") == [("slot", "started")]


class RefusedSlotClaims(StoreClaims):
    """Slots whose job the store does not take."""

    def test_a_queue_that_drains_refuses_the_slot(self, store: Store, clock: VirtualClock) -> None:
        store.enqueue([group()])
        store.drain(queue="default", by="ann")
        store.put_schedule(minutely())
        pass_by(store, clock, MINUTE)
        (run,) = history(store)
        assert (run.state, run.id) == (RunState.REFUSED, None)
        assert "default" in (run.note or "")
        with pytest.raises(QueueDraining):
            store.run_schedule("s")
        store.resume(queue="default", by="ann")
        pass_by(store, clock, MINUTE)
        assert told(store) == [("slot", "refused"), ("slot", "started")]

    def test_a_job_with_the_same_unique_key_keeps_it_away(self, store: Store, clock: VirtualClock) -> None:
        rule = UniqueRule()
        entry = JobEntry(bytes(16), BODY, checksum(BODY), unique_key="k")
        store.put_schedule(minutely(call=group(entry, unique=rule)))
        pass_by(store, clock, MINUTE)
        (held,) = take(store)
        assert told(store) == [("slot", "started")]
        run = store.run_schedule("s")
        assert (run.state, run.id) == (RunState.REFUSED, held.job.id)
        assert counted(store)["accepted_total"] == 1


_KEPT: Final = limits.SCHEDULE_RUNS_KEPT


class HistoryClaims(StoreClaims):
    """What is remembered of runs."""

    def test_so_many_are_remembered_and_those_that_run(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        first = store.run_schedule("s")
        (held,) = take(store)
        for _ in range(_KEPT + 20):
            store.run_schedule("s")
            finish(store, clock)
        runs = history(store)
        assert len(runs) == _KEPT + 1
        assert runs[0].id == first.id
        assert runs[0].state is RunState.STARTED
        assert runs[-1].number == _KEPT + 21
        settle(store, succeeded=[succeeded(held.fence, clock)])
        assert len(history(store)) == _KEPT

    def test_in_pages_newest_first(self, store: Store) -> None:
        store.put_schedule(minutely())
        ids = [store.run_schedule("s").id for _ in range(5)]
        page = store.schedule_runs("s", limit=2)
        found = [run.id for run in page.runs]
        while page.cursor is not None:
            page = store.schedule_runs("s", cursor=page.cursor, limit=2)
            found += [run.id for run in page.runs]
        assert found == ids[::-1]

    def test_what_a_record_has_gone_of_stays_what_it_was(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(every_s=10 * DAY))
        pass_by(store, clock, 0.0)
        run = store.run_schedule("s")
        finish(store, clock)
        leap(store, clock, 2 * DAY)
        assert states(store, [run.id or b""]) == [None]
        assert told(store) == [("hand", "succeeded")]

    def test_jobs_of_schedules_are_jobs(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        pass_by(store, clock, MINUTE)
        assert ids_of(take(store)) == [run.id for run in history(store)]
