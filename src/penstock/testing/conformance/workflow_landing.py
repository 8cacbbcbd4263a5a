"""Claims about what lands with the success of a job: calls that it returned, members of its group, workflows."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import new_id
from penstock.model.job import Cancelled, JobExtra, Outcomes, Retried
from penstock.model.states import State
from penstock.model.workflow_plan import Block, Members, StepPlan, Take, WorkflowPlan
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    HeldJob,
    StoreClaims,
    put,
    rest,
    see,
    settle,
    take,
    take_one,
)
from penstock.testing.conformance.workflow_kit import (
    FAILS,
    arguments,
    call,
    callback,
    calls,
    end,
    extra_of,
    gathering,
    job,
    plan,
    result_of,
    returned,
    run,
    start,
    state,
    states,
    steps,
    take_step,
    view,
)


def becomes(store: Store, clock: VirtualClock, held: HeldJob, made: WorkflowPlan, *members: Members) -> None:
    """A job returns a call."""
    settle(store, succeeded=[returned(held, clock)], expansions=[(held.fence, made, list(members))])


class WorkflowLandingClaims(StoreClaims):
    """What lands."""

    # --- returned calls ----------------------------------------------------------------------------------------------
    def test_a_call_that_a_step_returned_takes_its_place(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), job("b", takes=[Take(0)]), out=1))
        made = plan(gathering("g", 2), job("c", takes=[Take(0)]), out=1, on_success=[callback("t")])
        becomes(store, clock, take_step(store), made, Members(0, calls(2)))
        assert states(store, workflow)["a"] == "running"
        assert [step.name for step in steps(store, workflow)] == ["a", "b", "g (2)", "c (3)"]
        ran = run(store, clock, lambda held: "c" if extra_of(held).place is None else extra_of(held).place)
        assert (ran[:3], sorted(map(len, ran[3:]))) == ([[], [], [[0, 1]]], [1, 2])
        assert {tuple(one) for one in ran[3:]} == {("t", "c"), ("c",)}
        assert (state(store, workflow), result_of(store, workflow, 0)) == ("succeeded", "c")

    def test_a_call_that_a_member_returned_takes_its_place_in_the_group(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(gathering("g", 2), job("c", takes=[Take(0)])), Members(0, calls(2)))
        first, second = take(store)
        becomes(store, clock, first, plan(job("x", 1), job("y", 2), outputs=[]))
        end(store, clock, second, "second")
        run_once = take(store)
        assert [arguments(one) for one in run_once] == [[1], [2]]
        for one in run_once:
            end(store, clock, one, "inside")
        assert arguments(take_step(store)) == [[None, "second"]]
        assert view(store, workflow).members == (2, 2, 0, 0)

    def test_what_fails_inside_of_it_fails_the_step(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), job("b", after=[0])))
        becomes(store, clock, take_step(store), plan(job("x")))
        end(store, clock, take_step(store), FAILS)
        assert (states(store, workflow)["a"], state(store, workflow)) == ("failed", "failed")

    def test_a_lone_job_that_returns_a_call_becomes_a_workflow(self, store: Store, clock: VirtualClock) -> None:
        (lone,) = put(store)
        made = plan(job("a"), out=0)
        becomes(store, clock, take_one(store), made)
        shown = see(store, lone)
        assert (shown.state, shown.became, state(store, made.id)) == (State.SUCCEEDED, made.id, "running")
        end(store, clock, take_step(store), 7)
        assert result_of(store, made.id) == 7

    def test_nothing_lands_with_another_outcome_or_twice(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        held = take_one(store)
        made, other = plan(job("a")), plan(job("b"))
        landing: dict[str, Any] = {
            "expansions": [(held.fence, made, [])],
            "workflows": [(held.fence, other, [])],
        }
        settle(store, retried=[Retried(held.fence, 0.0, ERROR)], **landing)
        assert (store.workflow(made.id), store.workflow(other.id)) == (None, None)
        stale = store.settle(Outcomes(HOLDER, succeeded=[returned(held, clock)], **landing))
        assert (stale.stale, store.workflow(made.id), store.workflow(other.id)) == ([held.fence], None, None)

    @pytest.mark.parametrize("lone", [0, 1])
    def test_a_job_whose_call_is_not_sound_is_dead(self, store: Store, clock: VirtualClock, lone: int) -> None:
        made = plan(job("a"), gathering("g", 2, failures_max=1))
        workflow = None if lone else start(store, made, Members(1, calls(1)))
        if lone:
            put(store)
        for held in take(store):
            becomes(store, clock, held, plan(job("x", after=[0])))
            shown = see(store, held.job.id)
            assert (shown.state, shown.error and shown.error.type) == (State.DEAD, "InvalidOption")
        if workflow is not None:
            rest(store)
            assert states(store, workflow)["a"] == "failed"
            assert view(store, workflow).members[2] == 1

    def test_a_workflow_has_only_so_many_steps_those_that_were_returned_included(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "WORKFLOW_STEPS_MAX", 2)
        workflow = start(store, plan(job("a")))
        becomes(store, clock, take_step(store), plan(job("x"), job("y")))
        error = view(store, workflow).error
        assert error is not None
        assert "WORKFLOW_STEPS_MAX" in error.message

    def test_a_call_that_is_returned_when_all_is_to_end_does_not_start(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a")))
        held = take_step(store)
        store.cancel_workflow(workflow)
        becomes(store, clock, held, plan(job("x")))
        assert (see(store, held.job.id).state, state(store, workflow)) == (State.CANCELLED, "cancelled")
        assert take(store) == []

    def test_what_undoes_a_step_returns_no_call(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a", compensation=callback()), job("b", after=[0])))
        for what in (None, FAILS):
            end(store, clock, take_step(store), what)
        becomes(store, clock, take_step(store), plan(job("x")))
        assert state(store, workflow) == "failed"
        error = view(store, workflow).error
        assert error is not None
        assert "The compensation of the step 'a' failed" in error.message

    # --- workflows ---------------------------------------------------------------------------------------------------
    def test_workflows_land_with_the_success_of_a_job(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        held = take_one(store)
        made = plan(gathering("g", 1), out=0)
        settle(store, forgotten=[held.fence], workflows=[(held.fence, made, [Members(0, calls(1))])])
        end(store, clock, take_step(store), 1)
        assert state(store, made.id) == "succeeded"

    def test_a_workflow_that_is_not_sound_fails_the_job_that_would_start_it(
        self, store: Store, clock: VirtualClock
    ) -> None:
        (lone,) = put(store)
        held = take_one(store)
        made = plan(job("a"))
        bad = plan(job("x", takes=[Take(3)]))
        landing: list[Any] = [(held.fence, made, []), (held.fence, bad, [])]
        store.settle(Outcomes(HOLDER, succeeded=[returned(held, clock)], workflows=landing))
        assert (see(store, lone).state, store.workflow(made.id)) == (State.DEAD, None)

    def test_a_workflow_whose_key_was_used_before_does_not_land_again(self, store: Store, clock: VirtualClock) -> None:
        first = start(store, plan(job("a"), idempotency_key="k", identity=(1, 1)))
        end(store, clock, take_step(store), "a")
        same, other = (plan(job("a"), idempotency_key="k", identity=(one, 1)) for one in (1, 2))
        put(store)
        held = take_one(store)
        settle(store, succeeded=[returned(held, clock)], workflows=[(held.fence, same, []), (held.fence, other, [])])
        assert [one.id for one in store.workflows().workflows] == [first]
        rest(store)
        assert take(store) == []

    @pytest.mark.parametrize("is_same", [0, 1])
    def test_a_lone_job_becomes_the_workflow_that_has_the_key(
        self, store: Store, clock: VirtualClock, is_same: int
    ) -> None:
        first = start(store, plan(job("a"), idempotency_key="k", identity=(1, 1)))
        end(store, clock, take_step(store), "a")
        (lone,) = put(store)
        becomes(store, clock, take_one(store), plan(job("a"), idempotency_key="k", identity=(is_same, 1)))
        shown = see(store, lone)
        if is_same:
            assert (shown.state, shown.became) == (State.SUCCEEDED, first)
        else:
            assert (shown.state, shown.error and shown.error.type) == (State.DEAD, "Conflict")
        assert [one.id for one in store.workflows().workflows] == [first]

    def test_a_call_with_two_members_at_one_place_is_not_sound(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a")))
        held = take_step(store)
        members = [Members(0, calls(2), first=0), Members(0, calls(1), first=1)]
        becomes(store, clock, held, plan(gathering("g", 3)), *members)
        shown = see(store, held.job.id)
        assert (shown.state, shown.error and shown.error.type) == (State.DEAD, "InvalidOption")
        assert state(store, workflow) == "failed"

    # --- members -----------------------------------------------------------------------------------------------------
    def test_a_member_adds_members_to_its_group_though_it_is_closed(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g"), job("c", takes=[Take(0)])), Members(0, calls(1, 0)))
        store.add_members(workflow, [], close=[0])
        held = take_step(store)
        settle(store, succeeded=[returned(held, clock, "first")], members=[(held.fence, calls(2, 1))])
        assert run(store, clock, lambda one: arguments(one)[0]) == [[1], [1], [["first", 1, 1]]]

    def test_the_job_of_a_step_inside_of_a_group_adds_to_that(self, store: Store, clock: VirtualClock) -> None:
        block = Block(0, 1, 1, 0)
        workflow = start(store, plan(gathering("g", 1), StepPlan("x", call(), block=block, into=True)))
        held = take_step(store)
        settle(store, succeeded=[returned(held, clock, "x")], members=[(held.fence, calls(1))])
        run(store, clock, lambda _: None)
        assert view(store, workflow).members == (2, 2, 0, 0)

    @pytest.mark.parametrize("inside", [0, 1])
    def test_what_stands_in_for_a_group_is_not_in_it(self, store: Store, clock: VirtualClock, inside: int) -> None:
        """It is in the group around that, if there is one."""
        outer, inner = Block(0, 1, 2, 0) if inside else None, Block(inside, inside + 1, inside + 1)
        made = [gathering("g", 1, block=outer, alternative=inner), StepPlan("x", call(), block=inner)]
        workflow = start(store, plan(*[gathering("o", 1)] * inside, *made), Members(inside, calls(1)))
        end(store, clock, take_step(store), FAILS)
        held = take_step(store)
        store.settle(Outcomes(HOLDER, succeeded=[returned(held, clock)], members=[(held.fence, calls(1))]))
        if inside:
            run(store, clock, lambda _: None)
            assert (state(store, workflow), steps(store, workflow)[0].members) == ("succeeded", (2, 2, 0, 0))
        else:
            error = see(store, held.job.id).error
            assert (state(store, workflow), error and error.type) == ("failed", "InvalidOption")

    def test_a_job_that_is_in_no_group_cannot_add_members(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a")))
        (lone,) = put(store)
        for held in take(store):
            outcomes = Outcomes(HOLDER, succeeded=[returned(held, clock)], members=[(held.fence, calls(1))])
            store.settle(outcomes)
        rest(store)
        assert (state(store, workflow), see(store, lone).state) == ("failed", State.DEAD)
        assert take(store) == []

    def test_members_land_with_success_alone(self, store: Store) -> None:
        workflow = start(store, plan(gathering("g", failures_max=1)), Members(0, calls(1)))
        held = take_step(store)
        settle(store, cancelled=[Cancelled(held.fence)], members=[(held.fence, calls(1))])
        assert view(store, workflow).members == (1, 0, 0, 1)

    def test_children_land_beside_and_are_no_part_of_it(self, store: Store, clock: VirtualClock) -> None:
        start(store, plan(job("a")))
        held = take_step(store)
        settle(store, succeeded=[returned(held, clock)], children=[(held.fence, [call("child")])])
        child = take_one(store)
        assert (arguments(child), extra_of(child)) == (["child"], JobExtra())

    def test_there_is_nothing_to_ask_of_a_workflow_that_did_not_land(self, store: Store) -> None:
        with pytest.raises(WorkflowNotFound):
            store.steps(new_id())
