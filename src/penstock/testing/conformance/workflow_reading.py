"""Claims about what is told of workflows: pages of workflows, of steps, of results; and that nothing is lost."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, WorkflowNotFound
from penstock.model.ids import new_id
from penstock.model.workflow_plan import Block, Members, OnFailure, StepPlan, Take
from penstock.model.workflow_views import WorkflowState
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, elapse, rest, take
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
    run,
    start,
    state,
    states,
    steps,
    take_step,
    value,
    view,
)


class WorkflowReadingClaims(StoreClaims):
    """Workflows are looked at."""

    def test_a_workflow_is_shown_with_its_counts_and_times(self, store: Store, clock: VirtualClock) -> None:
        begun = clock.time()
        workflow = start(store, plan(job("a"), gathering("g", 3), name="report"), Members(1, calls(2)))
        shown = view(store, workflow)
        assert (shown.id, shown.name, shown.state, shown.created_at) == (workflow, "report", "running", begun)
        assert (shown.steps, shown.members, shown.finished_at) == ({"running": 2}, (2, 0, 0, 0), None)
        elapse(store, clock, 5.0)
        held = take(store)
        end(store, clock, held[0], "x" * 100)
        store.add_members(workflow, [Members(1, calls(1))])
        run(store, clock, lambda _: None)
        for one in held[1:]:
            end(store, clock, one)
        shown = view(store, workflow)
        assert (shown.state, shown.steps, shown.members) == ("succeeded", {"succeeded": 2}, (3, 3, 0, 0))
        assert (shown.finished_at, shown.keep_until) == (clock.time(), clock.time() + limits.KEEP_RECORD_S)
        assert shown.result_bytes >= 100

    def test_steps_are_shown_with_what_they_wait_for(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), gathering("g", after=[0]), job("c", takes=[Take(0), Take(1)]))
        workflow = start(store, made, Members(1, calls(1)))
        a, g, c = steps(store, workflow)
        assert (a.kind, a.task, a.state, a.needs, a.reason) == ("job", "app.work", "running", [], None)
        assert a.job == (made.steps[0].call and made.steps[0].call.jobs[0].id)
        assert (g.kind, g.task, g.job, g.total, g.members) == ("group", None, None, None, (1, 0, 0, 0))
        assert (c.needs, c.job, c.started_at) == ([0, 1], None, None)
        assert None not in {g.reason, c.reason}
        elapse(store, clock, 3.0)
        end(store, clock, take_step(store), FAILS)
        a, g, c = steps(store, workflow)
        assert (a.state, a.error and a.error.type, a.finished_at) == ("failed", "ValueError", clock.time())
        assert (g.state, g.members, c.state, c.reason) == ("cancelled", (1, 0, 0, 1), "cancelled", None)

    def test_workflows_come_in_pages_the_newest_first(self, store: Store) -> None:
        started = [start(store, plan(job("a"), name=f"flow {number % 2}")) for number in range(5)]
        store.cancel_workflow(started[1])
        found, cursor = [], None
        while True:
            page = store.workflows(cursor=cursor, limit=2)
            assert len(page.workflows) <= 2
            found += [one.id for one in page.workflows]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == started[::-1]
        assert [one.id for one in store.workflows(state=WorkflowState.CANCELLED).workflows] == [started[1]]
        named = store.workflows(name="flow 0", state=WorkflowState.RUNNING).workflows
        assert [one.id for one in named] == [started[4], started[2], started[0]]
        assert store.workflows(name="other").workflows == []

    def test_steps_come_in_pages_by_number(self, store: Store) -> None:
        workflow = start(store, plan(*(job(str(number)) for number in range(5))))
        page = store.steps(workflow, limit=3)
        assert [step.number for step in page.steps] == [0, 1, 2]
        page = store.steps(workflow, cursor=page.cursor, limit=3)
        assert ([step.name for step in page.steps], page.cursor) == (["3", "4"], None)

    def test_results_come_in_pages_by_place(self, store: Store, clock: VirtualClock) -> None:
        block = Block(0, 1, 1, 2)
        made = plan(gathering("g", 5, failures_max=1), StepPlan("x", call("x"), block=block, into=True))
        workflow = start(store, made, Members(0, calls(2), first=0), Members(0, calls(2), first=3))
        run(store, clock, lambda held: FAILS if extra_of(held).place == 1 else extra_of(held).place or arguments(held))
        pages = [store.results(workflow, 0, first=first, limit=2) for first in (0, 2, 4)]
        values = [[None if one is None else value(one) for one in page.results] for page in pages]
        assert values == [[[], None], [["x"], 3], [4]]
        assert [(page.first, page.cursor, page.total) for page in pages] == [(0, 2, 5), (2, 4, 5), (4, None, 5)]

    def test_what_has_no_result_has_none_yet(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), gathering("g", 2), out=0), Members(1, calls(2)))
        assert [store.results(workflow, step).results for step in (None, 0, 1)] == [[None], [None], [None, None]]
        run(store, clock, lambda held: extra_of(held).place)
        assert store.results(workflow, None).total == 1

    def test_large_groups_are_handed_over_as_a_reference(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "RESULTS_INLINE_MAX", 2)
        workflow = start(store, plan(gathering("g", 3), job("c", takes=[Take(0)]), out=0), Members(0, calls(3)))
        for one in take(store):
            end(store, clock, one)
        held = take_step(store)
        assert value(held.job.body) == [[(80, workflow + bytes(4))], {}]
        end(store, clock, held)
        assert result_of(store, workflow) == (80, workflow + bytes(4))

    def test_there_is_nothing_to_see_of_others(self, store: Store) -> None:
        workflow = start(store, plan(job("a")))
        assert store.workflow(new_id()) is None
        for ask in (lambda: store.steps(new_id()), lambda: store.results(new_id(), None)):
            with pytest.raises(WorkflowNotFound):
                ask()
        for step in (-1, 1):
            with pytest.raises(WorkflowNotFound):
                store.results(workflow, step)
        with pytest.raises(InvalidOption):
            store.workflows(cursor="elsewhere")
        with pytest.raises(InvalidOption):
            store.steps(workflow, cursor="elsewhere")


class WorkflowReopeningClaims(StoreClaims):
    """Workflows outlive the process of their store."""

    def test_a_workflow_goes_on_after_a_take_over_at_any_moment(self, store: Store, clock: VirtualClock) -> None:
        block = Block(2, 3, 3)
        made = plan(
            job("a", compensation=callback("undo")),
            gathering("g", 3, takes=[Take(0)], failures_max=1),
            job("b", takes=[Take(1)], alternative=block),
            StepPlan("c", call("c"), block=block, into=True),
            job("d", takes=[Take(2)]),
            on_failure=OnFailure.FINISH,
            on_error=[callback("over")],
        )
        workflow = start(store, made, Members(1, calls(3)))
        fails = {(1, 1), (2, None), (4, None)}
        ran = []
        while True:
            store = self.take_over(store, clock)
            rest(store)
            held = take(store, 1)
            if not held:
                break
            store = self.take_over(store, clock)
            (one,) = held
            extra = extra_of(one)
            ran.append(arguments(one))
            end(store, clock, one, FAILS if (extra.step, extra.place) in fails else extra.step)
        assert ran[:6] == [[], [0], [0], [0], [[1, None, 1]], ["c"]]
        assert [one[0] for one in ran[7:8]] == ["undo"]
        assert (ran[6], len(ran), state(store, workflow)) == ([3], 9, "failed")
        assert states(store, workflow)["b"] == "succeeded"

    def test_what_was_decided_is_not_forgotten(self, store: Store, clock: VirtualClock) -> None:
        first = start(store, plan(job("a"), job("b", after=[0]), deadline_s=50.0))
        second = start(store, plan(gathering("g", open_s=20.0)), Members(0, calls(1)))
        third = start(store, plan(job("a"), job("b", after=[0])))
        store.pause_workflow(third)
        key = plan(job("a"), idempotency_key="k")
        start(store, key)
        for one in take(store):
            if extra_of(one).workflow == third:
                end(store, clock, one)
        store = self.take_over(store, clock)
        assert store.start_workflow(plan(job("a"), idempotency_key="k")).id == key.id
        assert (view(store, third).paused, states(store, third)["b"]) == (True, "waiting")
        elapse(store, clock, 20.0)
        assert state(store, second) == "stopping"
        store = self.take_over(store, clock)
        elapse(store, clock, 30.0)
        error = view(store, first).error
        assert error is not None
        assert error.type == "DeadlineExceeded"
        store.resume_workflow(third)
        rest(store)
        assert states(store, third)["b"] == "running"
