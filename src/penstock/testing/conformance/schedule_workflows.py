"""Claims about schedules that start workflows."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model.errors import InvalidOption
from penstock.model.job import Buried
from penstock.model.schedules import Overlap, RunState, Schedule
from penstock.model.workflow_plan import GroupPlan, Members, Output, StepPlan, WorkflowPlan
from penstock.model.workflow_views import WorkflowState
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import ERROR, StoreClaims, rest, see, settle, succeeded, take
from penstock.testing.conformance.scheduling import MINUTE, finish, history, job, pass_by, told

_CHAIN = WorkflowPlan(
    bytes(16),
    "chain",
    [StepPlan("first", job(task="app.first")), StepPlan("second", job(task="app.second"), after=[0])],
    [Output(1)],
)


def chained(**options: Any) -> Schedule:
    """A schedule of a workflow of two steps, every minute."""
    fields: dict[str, Any] = {"plan": _CHAIN, "every_s": MINUTE} | options
    return Schedule("s", **fields)


class WorkflowScheduleClaims(StoreClaims):
    """A workflow at each slot."""

    def test_a_slot_starts_a_workflow_and_hears_its_end(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(chained())
        pass_by(store, clock, MINUTE)
        (run,) = history(store)
        assert run.id is not None
        assert (run.is_workflow, run.state) == (True, RunState.STARTED)
        view = store.workflow(run.id)
        assert view is not None
        assert (view.name, view.state) == ("chain", WorkflowState.RUNNING)
        (held,) = take(store)
        headers = see(store, held.job.id).headers
        assert headers is not None
        assert headers["schedule"] == "s"
        settle(store, succeeded=[succeeded(held.fence, clock)])
        rest(store)
        assert told(store) == [("slot", "started")], "its second step has not ended"
        finish(store, clock)
        rest(store)
        assert told(store) == [("slot", "succeeded")]

    def test_each_slot_has_a_workflow_and_jobs_of_its_own(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(chained())
        for _ in range(3):
            pass_by(store, clock, MINUTE)
            for _ in range(2):
                finish(store, clock)
                rest(store)
        runs = history(store)
        assert len({run.id for run in runs}) == 3
        assert {run.state for run in runs} == {RunState.SUCCEEDED}
        assert len(store.workflows().workflows) == 3

    def test_it_has_failed_when_the_workflow_has(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(chained())
        pass_by(store, clock, MINUTE)
        (held,) = take(store)
        settle(store, buried=[Buried(held.fence, ERROR)])
        rest(store)
        assert told(store) == [("slot", "failed")]

    def test_overlap_goes_by_the_whole(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(chained(overlap=Overlap.QUEUE))
        pass_by(store, clock, MINUTE)
        finish(store, clock)
        pass_by(store, clock, MINUTE)
        assert told(store) == [("slot", "started"), ("slot", "queued")]
        finish(store, clock)
        rest(store)
        assert told(store) == [("slot", "succeeded"), ("slot", "started")]

    def test_replaced_it_is_cancelled_as_a_whole(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(chained(overlap=Overlap.REPLACE))
        pass_by(store, clock, 2 * MINUTE)
        first, second = history(store)
        assert first.id is not None
        view = store.workflow(first.id)
        assert view is not None
        assert view.state is WorkflowState.CANCELLED
        assert (first.state, second.state) == (RunState.CANCELLED, RunState.STARTED)

    def test_members_of_groups_come_with_it(self, store: Store, clock: VirtualClock) -> None:
        plan = WorkflowPlan(bytes(16), "group", [StepPlan("g", group=GroupPlan(2))], [Output(0)])
        members = [Members(0, [job(task="app.member"), job(task="app.member")])]
        store.put_schedule(Schedule("s", plan=plan, members=members, every_s=MINUTE))
        pass_by(store, clock, MINUTE)
        assert len(take(store, 1, tasks=["app.member"])) == 1
        assert len(take(store, 5, tasks=["app.member"])) == 1

    @pytest.mark.parametrize(
        "plan",
        [
            WorkflowPlan(bytes(16), "empty", []),
            WorkflowPlan(bytes(16), "circle", [StepPlan("a", job(), after=[0])]),
            WorkflowPlan(bytes(16), "open", [StepPlan("g", group=GroupPlan())]),
            WorkflowPlan(bytes(16), "few", [StepPlan("g", group=GroupPlan(2))]),
            WorkflowPlan(bytes(16), "keyed", [StepPlan("a", job())], idempotency_key="k"),
        ],
        ids=lambda plan: plan.name,
    )
    def test_a_workflow_that_could_not_start_is_refused(self, store: Store, plan: WorkflowPlan) -> None:
        with pytest.raises(InvalidOption):
            store.put_schedule(Schedule("s", plan=plan, every_s=MINUTE))
        assert store.schedules().schedules == []

    def test_workflows_are_backfilled_and_run_by_hand(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(Schedule("s", plan=_CHAIN, cron="* * * * *"))
        assert store.backfill_schedule("s", clock.time() - 150.0, clock.time() - 31.0) == 2
        assert store.run_schedule("s").is_workflow
        assert len(store.workflows().workflows) == 3
