"""Claims about what becomes of workflows when their jobs fail: policies, alternatives, compensations, retries."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model.durable_steps import Record, RecordKind
from penstock.model.job import Cancelled, Outcomes, Suspended
from penstock.model.states import State
from penstock.model.workflow_plan import Block, Members, OnFailure, StepPlan, Take
from penstock.model.workflow_views import WorkflowState
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    HOLDER,
    HeldJob,
    StoreClaims,
    elapse,
    ids_of,
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
    value,
    view,
)

ERROR = {"type": "ValueError", "message": "it was no good", "traceback": "Traceback: …"}
FINISH = OnFailure.FINISH


def of_step(number: int) -> Any:
    """Comes to nothing good in this step; elsewhere to the name of its place."""
    return lambda held: FAILS if extra_of(held).step == number else extra_of(held).place


class WorkflowFailingClaims(StoreClaims):
    """Steps fail."""

    def test_a_failed_step_stops_the_rest_and_who_asked_is_told(self, store: Store, clock: VirtualClock) -> None:
        told = callback("t")
        workflow = start(store, plan(job("a"), job("b"), job("c", after=[0]), on_error=[told]))
        first, second = take(store)
        end(store, clock, first, FAILS)
        rest(store)
        assert (state(store, workflow), see(store, second.job.id).cancel_requested) == ("stopping", True)
        settle(store, cancelled=[Cancelled(second.fence)])
        assert states(store, workflow) == {"a": "failed", "b": "cancelled", "c": "cancelled"}
        shown = view(store, workflow)
        assert (shown.state, shown.error and shown.error.message) == (
            "failed",
            "The step 'a' failed: it was no good",
        )
        error = ERROR | {"message": "The step 'a' failed: it was no good"}
        assert arguments(take_one(store)) == [error, "t"]
        assert store.results(workflow, None).results == [None]

    def test_what_does_not_need_it_goes_on_if_that_was_asked_for(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), job("b"), job("c", after=[0]), job("d", after=[1]), on_failure=FINISH)
        workflow = start(store, made)
        run(store, clock, of_step(0))
        assert states(store, workflow) == {"a": "failed", "b": "succeeded", "c": "cancelled", "d": "succeeded"}
        assert state(store, workflow) == "failed"

    @pytest.mark.parametrize("delay_s", [None, 60.0])
    def test_a_job_that_expires_has_failed(self, store: Store, clock: VirtualClock, delay_s: float | None) -> None:
        workflow = start(store, plan(StepPlan("a", call(expires_s=5.0, delay_s=delay_s))))
        elapse(store, clock, 5.0)
        shown = view(store, workflow)
        assert (shown.state, shown.error and shown.error.type) == ("failed", "Expired")

    def test_a_job_that_is_cancelled_by_hand_has_failed(self, store: Store) -> None:
        made = plan(job("a"), gathering("g", 1, failures_max=1), out=1)
        workflow = start(store, made, Members(1, calls(1)))
        held = {extra_of(one).step: one for one in take(store)}
        store.cancel([held[1].job.id])
        settle(store, cancelled=[Cancelled(held[1].fence)])
        assert states(store, workflow) == {"a": "running", "g": "succeeded"}
        store.cancel([held[0].job.id])
        settle(store, cancelled=[Cancelled(held[0].fence)])
        rest(store)
        assert (states(store, workflow)["a"], state(store, workflow)) == ("failed", "failed")

    # --- groups ------------------------------------------------------------------------------------------------------
    def test_a_group_fails_at_the_first_failure_too_many(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", 4, failures_max=1)), Members(0, calls(4)))
        held = take(store, 3)
        end(store, clock, held[0], FAILS)
        assert states(store, workflow) == {"g": "running"}
        end(store, clock, held[1], FAILS)
        rest(store)
        assert states(store, workflow) == {"g": "failed"}
        assert take(store) == [], "what waited was cancelled"
        end(store, clock, held[2], "late")
        assert (state(store, workflow), view(store, workflow).members) == ("failed", (4, 1, 2, 1))

    def test_a_group_may_let_the_others_end_first(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", 3, on_failure=FINISH)), Members(0, calls(3)))
        run(store, clock, lambda held: FAILS if extra_of(held).place == 0 else None)
        assert (state(store, workflow), view(store, workflow).members) == ("failed", (3, 2, 1, 0))

    def test_failures_that_are_allowed_are_none_in_the_value(self, store: Store, clock: VirtualClock) -> None:
        made = plan(gathering("g", 3, failures_max=1), job("c", takes=[Take(0)]), out=1)
        workflow = start(store, made, Members(0, calls(3)))
        ran = run(store, clock, lambda held: FAILS if extra_of(held).place == 1 else extra_of(held).place)
        assert (ran[-1], state(store, workflow)) == ([[0, None, 2]], "succeeded")

    def test_one_settlement_of_many_ends_counts_each(self, store: Store, clock: VirtualClock) -> None:
        made = plan(gathering("g", 50, failures_max=25), job("c", takes=[Take(0)]), out=0)
        workflow = start(store, made, Members(0, calls(50)))
        held = take(store)
        outcomes = Outcomes(HOLDER, succeeded=[returned(one, clock, place) for place, one in enumerate(held[:30])])
        outcomes.cancelled.extend(Cancelled(one.fence) for one in held[30:])
        store.settle(outcomes)
        assert arguments(take_step(store)) == [[*range(30), *[None] * 20]]
        assert view(store, workflow).members == (50, 30, 0, 20)

    # --- alternatives ------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("fails", [0, 1])
    def test_an_alternative_stands_in_for_what_failed(self, store: Store, clock: VirtualClock, fails: int) -> None:
        block = Block(0, 1, 1)
        made = plan(
            job("a", alternative=block),
            StepPlan("b", call("b"), block=block, into=True, takes_error=True),
            job("c", takes=[Take(0)]),
            out=2,
        )
        workflow = start(store, made)
        ran = run(store, clock, of_step(0) if fails else lambda held: extra_of(held).place)
        assert state(store, workflow) == "succeeded"
        assert ran == ([[], [ERROR, "b"], [None]] if fails else [[], [None]])
        assert states(store, workflow)["b"] == ("succeeded" if fails else "skipped")

    # --- compensations -----------------------------------------------------------------------------------------------
    def test_what_had_succeeded_is_undone_the_latest_first_one_by_one(self, store: Store, clock: VirtualClock) -> None:
        undo = [callback(name) for name in "ab"]
        steps_made = [
            job("a", compensation=undo[0]),
            job("b", after=[0], compensation=undo[1]),
            job("c", after=[1]),
        ]
        workflow = start(store, plan(*steps_made))
        for what in ("A", "B", FAILS):
            end(store, clock, take_step(store), what)
        for expected in (["b", "B"], ["a", "A"]):
            assert state(store, workflow) == "compensating"
            held = take_step(store)
            assert (arguments(held), extra_of(held).workflow) == (expected, workflow)
            end(store, clock, held)
        assert (state(store, workflow), take(store)) == ("failed", [])

    def test_a_compensation_that_fails_is_named_and_the_others_run(self, store: Store, clock: VirtualClock) -> None:
        steps_made = [job("a", compensation=callback("a")), job("b", after=[0], compensation=callback("b"))]
        workflow = start(store, plan(*steps_made, job("c", after=[1])))
        for what in (None, None, FAILS, FAILS, None):
            end(store, clock, take_step(store), what)
        error = view(store, workflow).error
        assert (state(store, workflow), error and error.message) == (
            "failed",
            "The step 'c' failed: it was no good The compensation of the step 'b' failed: it was no good",
        )

    # --- retries -----------------------------------------------------------------------------------------------------
    def test_a_retry_goes_on_with_the_same_jobs_from_where_it_failed(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), job("b", takes=[Take(0)]), job("c", takes=[Take(1)]), out=2, on_error=[callback()])
        workflow = start(store, made)
        end(store, clock, take_step(store), "A")
        first = take_step(store)
        end(store, clock, first, FAILS)
        end(store, clock, take_one(store), "told")
        assert store.retry_workflow(workflow) is WorkflowState.RUNNING
        assert states(store, workflow) == {"a": "succeeded", "b": "running", "c": "waiting"}
        again = take_step(store)
        assert (ids_of([again]), arguments(again), again.job.attempt) == (ids_of([first]), ["A"], 1)
        end(store, clock, again, FAILS)
        end(store, clock, take_one(store), "told again")
        store.retry_workflow(workflow)
        assert run(store, clock, lambda held: extra_of(held).step) == [["A"], [1]]
        assert (state(store, workflow), result_of(store, workflow)) == ("succeeded", 2)
        assert view(store, workflow).error is None

    def test_members_that_failed_run_again_and_the_others_stand(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), gathering("g", 4, takes=[Take(0)], on_failure=FINISH), out=1)
        workflow = start(store, made, Members(1, calls(4)))
        run(store, clock, lambda held: FAILS if extra_of(held).place in {1, 3} else "first")
        store.retry_workflow(workflow)
        ran: list[HeldJob] = []

        def second(held: HeldJob) -> str:
            ran.append(held)
            return "second"

        assert run(store, clock, second) == [["first"], ["first"]]
        assert [extra_of(held).place for held in ran] == [1, 3]
        page = store.results(workflow, 1)
        assert [value(one) for one in page.results] == ["first", "second", "first", "second"]
        assert state(store, workflow) == "succeeded"

    def test_what_was_undone_runs_again(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a", compensation=callback("undo")), job("b", takes=[Take(0)]), out=1)
        workflow = start(store, made)
        for what in ("first", FAILS, None):
            end(store, clock, take_step(store), what)
        store.retry_workflow(workflow)
        for expected, what in (([], "second"), (["second"], "end")):
            held = take_step(store)
            assert arguments(held) == expected
            end(store, clock, held, what)
        assert result_of(store, workflow) == "end"

    def test_a_job_that_was_suspended_is_still_the_one_of_its_step(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), job("b", takes=[Take(0)])))
        held = take_step(store)
        record = Record(0, "sleep", RecordKind.SLEEP, until=clock.time() + 5.0)
        settle(store, suspended=[Suspended(held.fence, record)])
        elapse(store, clock, 5.0)
        end(store, clock, take_step(store), "slept")
        assert arguments(take_step(store)) == ["slept"]
        assert states(store, workflow) == {"a": "succeeded", "b": "running"}
        assert see(store, steps(store, workflow)[0].job or b"").state is State.SUCCEEDED
