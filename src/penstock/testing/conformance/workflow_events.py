"""Claims about events and published values of the jobs of a workflow, which go by the workflow's id."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model.durable_steps import Signalled
from penstock.model.errors import WorkflowNotFound
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, ids_of, settle, take, take_one
from penstock.testing.conformance.recording import ONE, TWO, is_recorded, records, step, write
from penstock.testing.conformance.suspending import awaits
from penstock.testing.conformance.workflow_kit import end, extra_of, job, plan, start, state


class WorkflowEventClaims(StoreClaims):
    """Whose an event is."""

    def test_the_job_that_has_waited_longest_gets_it(self, store: Store) -> None:
        workflow = start(store, plan(job("a"), job("b")))
        first, second = take(store)
        settle(store, **awaits(second))
        settle(store, **awaits(first))
        assert store.signal(workflow, "approved", ONE) == Signalled(delivered=True, kept=0)
        assert store.signal(workflow, "approved", TWO) == Signalled(delivered=True, kept=0)
        assert ids_of(take(store)) == [second.job.id, first.job.id]
        assert [records(store, held.job.id)[0].value for held in (second, first)] == [ONE, TWO]

    def test_one_that_comes_before_any_job_runs_is_kept(self, store: Store) -> None:
        workflow = start(store, plan(job("a")))
        assert store.signal(workflow, "approved", ONE) == Signalled(delivered=False, kept=1)
        settle(store, **awaits(take_one(store)))
        assert records(store, take_one(store).job.id)[0].value == ONE

    def test_a_job_that_is_suspended_keeps_its_step_running(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a")))
        settle(store, **awaits(take_one(store)))
        assert state(store, workflow) == "running"
        store.signal(workflow, "approved", ONE)
        held = take_one(store)
        assert (extra_of(held).workflow, is_recorded(held)) == (workflow, True)
        end(store, clock, held)
        assert state(store, workflow) == "succeeded"

    def test_the_id_of_a_job_is_not_that_of_its_workflow(self, store: Store) -> None:
        start(store, plan(job("a")))
        held = take_one(store)
        settle(store, **awaits(held))
        with pytest.raises(WorkflowNotFound):
            store.signal(held.job.id, "approved", ONE)

    def test_a_workflow_that_is_over_waits_for_nothing(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a")))
        end(store, clock, take_one(store))
        with pytest.raises(WorkflowNotFound):
            store.signal(workflow, "approved", ONE)

    def test_a_workflow_that_is_cancelled_waits_for_nothing(self, store: Store) -> None:
        workflow = start(store, plan(job("a")))
        settle(store, **awaits(take_one(store)))
        store.cancel_workflow(workflow)
        while store.tick().next_s == 0:
            pass
        assert state(store, workflow) == "cancelled"
        with pytest.raises(WorkflowNotFound):
            store.signal(workflow, "approved", ONE)

    def test_what_its_jobs_publish_is_the_workflows(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), job("b")))
        first, second = take(store)
        write(store, first, published={"p": ONE, "q": ONE})
        write(store, second, step(0), published={"p": TWO})
        assert {name: value for name, (value, _) in store.published(workflow).items()} == {"p": TWO, "q": ONE}
        assert store.published(first.job.id) == {}
        end(store, clock, first)
        end(store, clock, second)
        assert set(store.published(workflow)) == {"p", "q"}
        assert store.delete_workflow(workflow)
        while store.tick().next_s == 0:
            pass
        assert (store.published(workflow), records(store, second.job.id)) == ({}, [])
