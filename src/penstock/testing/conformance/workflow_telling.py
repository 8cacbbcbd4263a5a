"""Claims about what is told of workflows beside their own views: by jobs, by steps, in the totals."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from penstock.model.durable_steps import JobRecords, Record, RecordKind
from penstock.model.ids import new_id
from penstock.model.job import Cancelled
from penstock.model.workflow_plan import Block, Members
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, put, rest, settle, take, take_one
from penstock.testing.conformance.workflow_kit import FAILS, calls, gathering, job, plan, run, start, steps


class WorkflowTellingClaims(StoreClaims):
    """What is told of workflows elsewhere."""

    def test_a_job_tells_of_which_workflow_and_step_it_is(self, store: Store) -> None:
        workflow = start(store, plan(gathering("all", 2), job("one")), Members(0, calls(2, "m"), 0))
        lone = put(store)[0]
        rest(store)
        views = store.get([*(held.job.id for held in take(store))])
        told = sorted((view.workflow or b"", view.step or 0, view.place or 0) for view in views if view is not None)
        assert told == [(b"", 0, 0), (workflow, 0, 0), (workflow, 0, 1), (workflow, 1, 0)]
        (view,) = store.get([lone])
        assert view is not None
        assert (view.workflow, view.step, view.place) == (None, None, None)

    def test_a_job_that_has_ended_tells_it_too(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("one"))
        workflow = start(store, made)
        run(store, clock, lambda _: 1)
        call = made.steps[0].call
        assert call is not None
        (view,) = store.get([call.jobs[0].id])
        assert view is not None
        assert (view.workflow, view.step, view.place) == (workflow, 0, None)

    def test_a_job_tells_whether_it_has_recorded_anything(self, store: Store) -> None:
        one = put(store)[0]
        held = take_one(store)

        def is_recorded() -> bool:
            (view,) = store.get([one])
            assert view is not None
            return view.recorded

        assert not is_recorded()
        store.record([JobRecords(held.fence, one, [Record(0, "charge", RecordKind.STEP, value=b"m\xc0")])])
        assert is_recorded()
        settle(store, cancelled=[Cancelled(held.fence)])
        assert is_recorded()

    def test_a_step_tells_what_it_stands_inside_of(self, store: Store) -> None:
        made = plan(
            gathering("all", 1),
            job("member", block=Block(0, 1, 1), into=True),
            job("top", alternative=Block(2, 3, 3)),
            job("instead", block=Block(2, 3, 3), into=True),
        )
        workflow = start(store, made)
        assert [step.owner for step in steps(store, workflow)] == [None, 0, None, 2]

    def test_workflows_are_counted_by_state(self, store: Store, clock: VirtualClock) -> None:
        assert store.totals().workflows == {}
        ids = [start(store, plan(job("a"))) for _ in range(3)]
        assert store.totals().workflows == {"running": 3}
        store.cancel_workflow(ids[0])
        rest(store)
        assert store.totals().workflows == {"running": 2, "cancelled": 1}
        comes_to = iter([FAILS, 1])
        run(store, clock, lambda _: next(comes_to))
        assert store.totals().workflows == {"succeeded": 1, "failed": 1, "cancelled": 1}
        for one in ids:
            assert store.delete_workflow(one)
        rest(store)
        assert store.totals().workflows == {}
        assert store.workflow(new_id()) is None
