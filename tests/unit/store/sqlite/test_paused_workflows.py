"""What was being handed out when a workflow was paused rests in the file until it is resumed."""

import pytest

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.workflow_plan import GroupPlan, Members, StepPlan, WorkflowPlan
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import counted, entry, group, ledger, rest, settle, succeeded, take_one

COUNT = 2 * limits.TICK_STEP_JOBS + 1
HANDED_OUT = limits.TICK_STEP_JOBS


def begin(store, clock):
    """A workflow whose group has begun to be handed out. Answers its id."""
    steps = [StepPlan("a", group(entry())), StepPlan("g", group=GroupPlan(COUNT), after=[0])]
    workflow = WorkflowPlan(new_id(), "w", steps)
    store.start_workflow(workflow, [Members(1, [group(*(entry() for _ in range(COUNT)))])])
    settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
    assert counted(store)["ready"] == HANDED_OUT
    return workflow.id


def test_it_rests_after_an_opening_too(path, clock, audit):
    store = SqliteStore(path, clock=clock)
    workflow = begin(store, clock)
    store.pause_workflow(workflow)
    rest(store)
    store.close()
    store = SqliteStore(path, clock=clock)
    rest(store)
    assert ledger(store).ready == HANDED_OUT
    audit(store)
    store.resume_workflow(workflow)
    rest(store)
    assert ledger(store).ready == COUNT
    audit(store)
    store.close()


def test_it_does_not_rest_when_the_pause_is_undone(store, clock):
    workflow = begin(store, clock)
    store.begin()
    store.pause_workflow(workflow)
    store._workflows.chores.step()
    store.rollback()
    assert not store.workflow(workflow).paused
    rest(store)
    assert ledger(store).ready == COUNT


@pytest.mark.parametrize("verb", ["retry_workflow", "resume_workflow"])
def test_others_go_on_meanwhile(store, clock, verb):
    paused, other = begin(store, clock), None
    store.pause_workflow(paused)
    rest(store)
    settle(store, succeeded=[succeeded(take_one(store).fence, clock) for _ in range(HANDED_OUT)])
    other = begin(store, clock)
    rest(store)
    assert store.workflow(other).members == (COUNT, 0, 0, 0)
    assert ledger(store).ready == COUNT
    if verb == "retry_workflow":
        store.cancel_workflow(paused)
        rest(store)
    getattr(store, verb)(paused)
    rest(store)
    assert ledger(store).ready == COUNT + COUNT - HANDED_OUT
    assert not store._workflows.deciding.work.resting
