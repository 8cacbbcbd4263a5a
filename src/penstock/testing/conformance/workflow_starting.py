"""Claims about how workflows start, and what is handed on from step to step."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption, QueueDraining
from penstock.model.ids import new_id
from penstock.model.job import JobExtra, JobGroup
from penstock.model.states import State
from penstock.model.workflow_plan import Block, Members, Output, StepPlan, Take
from penstock.model.workflow_views import WorkflowStarted
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    StoreClaims,
    elapse,
    entry,
    ids_of,
    ledger,
    put,
    rest,
    see,
    settle,
    take,
    take_one,
)
from penstock.testing.conformance.workflow_kit import (
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
    take_step,
    value,
    view,
)


class WorkflowStartingClaims(StoreClaims):
    """Workflows start."""

    def test_a_chain_hands_each_result_to_the_next(self, store: Store, clock: VirtualClock) -> None:
        made = plan(
            job("a", 1), job("b", 2, takes=[Take(0)]), job("c", takes=[Take(1, "x")]), out=2, on_success=[callback("t")]
        )
        workflow = start(store, made)
        assert (state(store, workflow), states(store, workflow)) == (
            "running",
            {"a": "running", "b": "waiting", "c": "waiting"},
        )
        held = take_step(store)
        assert (held.job.id, arguments(held)) == (made.steps[0].call and made.steps[0].call.jobs[0].id, [1])
        assert extra_of(held) == JobExtra(workflow=workflow, step=0)
        end(store, clock, held, "A")
        held = take_step(store)
        assert arguments(held) == [2, "A"]
        end(store, clock, held, [1, None])
        held = take_step(store)
        assert value(held.job.body) == [[], {"x": [1, None]}]
        end(store, clock, held, {"k": 7})
        assert (state(store, workflow), result_of(store, workflow)) == ("succeeded", {"k": 7})
        told = take_one(store)
        assert (told.task, arguments(told), extra_of(told)) == ("app.told", ["t", {"k": 7}], JobExtra())

    def test_a_chord_is_released_by_its_last_member_in_the_same_step(self, store: Store, clock: VirtualClock) -> None:
        made = plan(gathering("g", 3), job("c", takes=[Take(0)]), out=1)
        workflow = start(store, made, Members(0, calls(3, "m")))
        held = take(store)
        assert [extra_of(one) for one in held] == [JobExtra(workflow=workflow, step=0, place=n) for n in range(3)]
        settle(store, succeeded=[returned(one, clock, place) for place, one in reversed(list(enumerate(held)))][:2])
        assert take(store) == []
        settle(store, succeeded=[returned(held[0], clock, 0)])
        (callback_job,) = take(store)
        assert arguments(callback_job) == [[0, 1, 2]]
        end(store, clock, callback_job, 3)
        assert result_of(store, workflow) == 3

    def test_groups_nest_and_an_empty_one_succeeds_at_once(self, store: Store, clock: VirtualClock) -> None:
        inner = Block(0, 1, 2, 1)
        made = plan(
            gathering("g", 2),
            gathering("h", 0, block=inner),
            job("b", takes=[Take(1)], block=inner, into=True),
            out=0,
        )
        workflow = start(store, made, Members(0, calls(1, "m"), first=0))
        rest(store)
        held = sorted(take(store), key=lambda one: extra_of(one).step or 0)
        assert [arguments(one) for one in held] == [["m"], [[]]]
        end(store, clock, held[1], "b")
        end(store, clock, held[0], "m")
        assert result_of(store, workflow) == ["m", "b"]

    def test_members_of_a_group_that_takes_something_wait_and_are_given_it(
        self, store: Store, clock: VirtualClock
    ) -> None:
        made = plan(job("a"), gathering("g", 3, takes=[Take(0)]), out=1)
        workflow = start(store, made, Members(1, calls(3, "m")))
        assert view(store, workflow).members == (3, 0, 0, 0)
        assert run(store, clock, lambda held: extra_of(held).place) == [[], *[["m", None]] * 3]
        assert result_of(store, workflow) == [0, 1, 2]

    def test_a_job_that_makes_several_calls_is_told_so_and_each_call_is_given_the_value(
        self, store: Store, clock: VirtualClock
    ) -> None:
        several = replace(call([1], [2]), each=True)
        start(store, plan(job("a"), StepPlan("b", several, takes=[Take(0)])))
        end(store, clock, take_step(store), "x")
        held = take_step(store)
        assert (extra_of(held).each, arguments(held)) == (True, [[1, "x"], [2, "x"]])

    def test_results_are_parts_of_a_map_under_their_names(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a", 1), job("b", 2), outputs=[Output(1, "two"), Output(0, "one")]))
        run(store, clock, lambda held: arguments(held)[0])
        assert result_of(store, workflow) == {"one": 1, "two": 2}

    def test_options_of_a_step_are_those_of_its_job(self, store: Store, clock: VirtualClock) -> None:
        made = call(queue="slow", priority=7, delay_s=5.0, headers={"h": "1"}, tags=["t"])
        start(store, plan(job("a"), StepPlan("b", made, after=[0])))
        elapse(store, clock, 10.0)
        end(store, clock, take_one(store))
        shown = see(store, made.jobs[0].id)
        assert (shown.state, shown.queue, shown.priority) == (State.SCHEDULED, "slow", 7)
        elapse(store, clock, 5.0)
        held = take_one(store)
        assert (extra_of(held).headers, extra_of(held).tags) == ({"h": "1"}, ["t"])

    # --- once --------------------------------------------------------------------------------------------------------
    def test_the_same_id_is_the_same_workflow(self, store: Store) -> None:
        made = plan(job("a"))
        start(store, made)
        assert store.start_workflow(made) == WorkflowStarted(made.id, duplicate=True)
        assert ledger(store).accepted_total == 1

    def test_the_same_key_is_the_same_workflow_if_it_is_the_same(self, store: Store, clock: VirtualClock) -> None:
        first = plan(job("a"), idempotency_key="k", identity=(1, 2))
        start(store, first)
        again = plan(job("a"), idempotency_key="k", identity=(1, 2))
        assert store.start_workflow(again) == WorkflowStarted(first.id, duplicate=True)
        other = plan(job("a"), idempotency_key="k", identity=(1, 3))
        assert store.start_workflow(other) == WorkflowStarted(first.id, conflict=True)
        assert store.workflow(other.id) is None
        elapse(store, clock, 1.0)
        clock.advance(limits.IDEMPOTENCY_S)
        rest(store)
        start(store, other)

    # --- refused -----------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize(
        ("steps", "names"),
        [
            ([job("a", after=[1]), job("b", after=[0])], "'[ab]'"),
            ([job("a"), job("a")], "'a'"),
            ([job("a", takes=[Take(7)])], "'a'"),
            ([gathering("g", 1), job("b", block=Block(0, 1, 5))], "'b'"),
            ([job("a", into=True)], "'a'"),
        ],
    )
    def test_what_is_not_sound_is_refused_by_name(self, store: Store, steps: list[StepPlan], names: str) -> None:
        made = plan(*steps)
        with pytest.raises(InvalidOption, match=names):
            store.start_workflow(made)
        assert store.workflow(made.id) is None
        assert ledger(store).accepted_total == 0

    def test_members_that_do_not_fit_are_refused_and_nothing_starts(self, store: Store) -> None:
        made = plan(job("a"), gathering("g", 1))
        for members in (Members(0, calls(1)), Members(1, calls(2)), Members(1, calls(1), first=1)):
            with pytest.raises(InvalidOption):
                store.start_workflow(made, [members])
            assert (store.workflow(made.id), take(store)) == (None, [])

    def test_too_much_is_refused(self, store: Store) -> None:
        large = JobGroup("app.work", [entry(b"m" + bytes(limits.JOB_BODY_BYTES_MAX))])
        with pytest.raises(BodyTooLarge):
            store.start_workflow(plan(StepPlan("a", large)))
        too_many = JobGroup("app.work", [entry(BODY, job_id=new_id()) for _ in range(limits.BATCH_JOBS_MAX + 1)])
        with pytest.raises(BodyTooLarge):
            store.start_workflow(plan(gathering("g")), [Members(0, [too_many])])
        assert take(store) == []

    def test_a_draining_queue_takes_no_workflow_that_names_it_anywhere(self, store: Store) -> None:
        put(store, queue="slow")
        store.drain(queue="slow", by="ann")
        made = plan(job("a"), job("b", on_error=[callback()]), StepPlan("c", call(queue="slow"), after=[0]))
        with pytest.raises(QueueDraining):
            store.start_workflow(made)
        assert store.workflow(made.id) is None

    def test_what_has_started_goes_on_into_a_draining_queue(self, store: Store, clock: VirtualClock) -> None:
        later = call(queue="slow")
        start(store, plan(job("a"), StepPlan("b", later, after=[0])))
        put(store, queue="slow")
        store.drain(queue="slow", by="ann")
        end(store, clock, take_one(store, queues=["default"]))
        assert later.jobs[0].id in ids_of(take(store))
