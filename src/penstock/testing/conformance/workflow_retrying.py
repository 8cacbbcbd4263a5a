"""Claims about workflows that are retried while something of what went before is still under way, and what starts when
all is to end."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.job import Cancelled
from penstock.model.workflow_plan import Members, Take
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, leap, rest, settle, take, take_one
from penstock.testing.conformance.workflow_kit import (
    FAILS,
    arguments,
    callback,
    calls,
    end,
    gathering,
    job,
    plan,
    run,
    start,
    state,
    states,
    take_step,
    view,
)


class WorkflowRetryingClaims(StoreClaims):
    """Workflows go on in the middle of something else."""

    def test_what_is_added_while_a_retried_one_is_paused_is_all_that_starts_then(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(gathering("g", failures_max=1), out=0), Members(0, calls(2, "old")))
        run(store, clock, lambda _: FAILS)
        store.retry_workflow(workflow)
        rest(store)
        first, second = take(store)
        end(store, clock, first, FAILS)
        store.pause_workflow(workflow)
        store.add_members(workflow, [Members(0, calls(1, "new"))], close=[0])
        store.resume_workflow(workflow)
        rest(store)
        (third,) = take(store)
        assert arguments(third) == ["new"]
        assert state(store, workflow) == "running"
        for held in (second, third):
            end(store, clock, held)
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (3, 2, 1, 0))

    def test_cancelling_that_had_not_come_to_its_end_does_not_reach_what_is_added_after_a_retry(
        self, store: Store, clock: VirtualClock
    ) -> None:
        count = limits.TICK_STEP_JOBS
        workflow = start(store, plan(gathering("g", failures_max=0)), Members(0, calls(count)))
        end(store, clock, take_one(store), FAILS)
        assert state(store, workflow) == "failed"
        store.retry_workflow(workflow)
        store.add_members(workflow, [Members(0, calls(1))], close=[0])
        rest(store)
        assert view(store, workflow).members == (count + 1, 0, 0, 0)
        run(store, clock, lambda _: None)
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (count + 1, count + 1, 0, 0))

    def test_a_member_that_was_added_while_others_are_to_run_again_runs_once(
        self, store: Store, clock: VirtualClock
    ) -> None:
        count = limits.TICK_STEP_JOBS + 1
        workflow = start(store, plan(gathering("g", failures_max=1)), Members(0, calls(count, "old")))
        held = take(store, count)
        for one in held[2:]:
            end(store, clock, one)
        for one in held[:2]:
            end(store, clock, one, FAILS)
        store.retry_workflow(workflow)
        store.add_members(workflow, [Members(0, calls(1, "new"))], close=[0])
        held = take(store)
        assert sorted(arguments(one) for one in held) == [["new"], ["old"], ["old"]]
        end(store, clock, held[2], FAILS)
        rest(store)
        assert take(store) == []
        for one in held[:2]:
            end(store, clock, one)
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (count + 1, count, 1, 0))

    @pytest.mark.parametrize("order", [["x", "g"], ["g", "x"]])
    def test_a_group_that_would_start_when_all_is_to_end_hands_out_nothing(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, order: list[str]
    ) -> None:
        monkeypatch.setattr(limits, "HANDED_BODY_BYTES_MAX", 100)
        made = {"g": gathering("g", 3, after=[0]), "x": job("x", takes=[Take(0)])}
        workflow = start(
            store, plan(job("a"), *(made[name] for name in order)), Members(1 + order.index("g"), calls(3))
        )
        end(store, clock, take_step(store), "x" * 200)
        rest(store)
        assert take(store) == []
        assert states(store, workflow) == {"a": "succeeded", "x": "failed", "g": "cancelled"}
        assert (state(store, workflow), view(store, workflow).members) == ("failed", (3, 0, 0, 3))
        monkeypatch.setattr(limits, "HANDED_BODY_BYTES_MAX", 1_000)
        store.retry_workflow(workflow)
        assert len(run(store, clock, lambda _: None)) == 4
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (3, 3, 0, 0))

    def test_one_that_goes_on_again_is_kept_as_long_as_it_runs(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), keep_s=50.0))
        end(store, clock, take_step(store), FAILS)
        store.retry_workflow(workflow)
        assert view(store, workflow).keep_until is None
        held = take_step(store)
        leap(store, clock, 60.0)
        assert state(store, workflow) == "running"
        settle(store, cancelled=[Cancelled(held.fence)])
        assert view(store, workflow).keep_until == clock.time() + 50.0
        leap(store, clock, 50.0)
        assert store.workflow(workflow) is None

    def test_a_group_that_was_undone_counts_none_until_it_begins_again(self, store: Store, clock: VirtualClock) -> None:
        """As a check of the store's file finds, too."""
        made = plan(
            job("a", compensation=callback()),
            gathering("g", 2, after=[0], compensation=callback()),
            job("c", after=[1]),
        )
        workflow = start(store, made, Members(1, calls(2)))
        for what in (None, None, None, FAILS):
            rest(store)
            end(store, clock, take_one(store), what)
        run(store, clock, lambda _: None)
        assert (state(store, workflow), view(store, workflow).members) == ("failed", (2, 2, 0, 0))
        store.retry_workflow(workflow)
        rest(store)
        assert states(store, workflow) == {"a": "running", "g": "waiting", "c": "waiting"}
        assert view(store, workflow).members == (2, 0, 0, 0)
