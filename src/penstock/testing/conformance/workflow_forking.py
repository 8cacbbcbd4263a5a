"""Claims about forks of workflows that go on: what a fork has of them, and what it has not."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model.errors import Conflict
from penstock.model.ids import new_id
from penstock.model.job import Cancelled
from penstock.model.workflow_plan import Members, Take
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, elapse, rest, settle, take
from penstock.testing.conformance.workflow_kit import (
    FAILS,
    arguments,
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
    take_step,
    view,
)


def forked(store: Store, workflow: bytes, step: int) -> bytes:
    """A fork of a workflow."""
    fork = new_id()
    assert store.fork_workflow(workflow, step, fork).id == fork
    return fork


class WorkflowForkingClaims(StoreClaims):
    """Workflows are forked while they run."""

    @pytest.mark.parametrize("takes", [True, False])
    def test_a_fork_has_the_members_that_were_there(self, store: Store, clock: VirtualClock, *, takes: bool) -> None:
        needs = {"takes": [Take(0)]} if takes else {"after": [0]}
        made = plan(job("a"), gathering("g", **needs), job("c", takes=[Take(1)]), out=2)
        workflow = start(store, made, Members(1, calls(2, "m")))
        run(store, clock, lambda held: extra_of(held).place)
        fork = forked(store, workflow, 0)
        store.add_members(workflow, [Members(1, calls(2, "m"))], close=[1])
        run(store, clock, lambda held: len(arguments(held)[0]) if extra_of(held).step == 2 else extra_of(held).place)
        assert (state(store, fork), view(store, fork).members) == ("succeeded", (2, 2, 0, 0))
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (4, 4, 0, 0))
        assert (result_of(store, fork), result_of(store, workflow)) == (2, 4)

    def test_a_group_that_was_not_full_is_abandoned_in_a_fork_too(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", 3, open_s=10.0)), Members(0, calls(1)))
        fork = forked(store, workflow, 0)
        run(store, clock, lambda _: None)
        elapse(store, clock, 9.0)
        assert (state(store, fork), state(store, workflow)) == ("running", "running")
        elapse(store, clock, 1.0)
        error = view(store, fork).error
        assert (state(store, fork), error and error.type) == ("failed", "GroupAbandoned")

    def test_members_that_members_added_are_taken_over_once(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", 1)), Members(0, calls(1, "first")))
        held = take_step(store)
        settle(store, succeeded=[returned(held, clock)], members=[(held.fence, calls(1, "added"))])
        run(store, clock, lambda _: None)
        fork = forked(store, workflow, 0)
        assert run(store, clock, lambda one: FAILS if arguments(one) == ["added"] else None) == [["first"], ["added"]]
        store.retry_workflow(fork)
        assert run(store, clock, lambda _: None) == [["added"]]
        assert (state(store, fork), view(store, fork).members) == ("succeeded", (2, 2, 0, 0))

    def test_a_fork_that_ends_before_it_opens_a_group_takes_none_of_its_members_over(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(job("a"), gathering("g", 2, after=[0])), Members(1, calls(2)))
        run(store, clock, lambda _: None)
        fork = forked(store, workflow, 0)
        held = take_step(store)
        store.cancel_workflow(fork)
        settle(store, cancelled=[Cancelled(held.fence)])
        assert (state(store, fork), view(store, fork).members) == ("cancelled", (2, 0, 0, 2))

    def test_a_fork_stands_on_nothing_that_may_still_be_undone(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a", compensation=callback()), job("b", takes=[Take(0)]), job("c", takes=[Take(0)]))
        workflow = start(store, made)
        end(store, clock, take_step(store), "a")
        with pytest.raises(Conflict, match="'a' has a compensation"):
            store.fork_workflow(workflow, 1, new_id())
        fork = forked(store, workflow, 0)
        store.cancel_workflow(fork)
        for held in take(store):
            end(store, clock, held, None)
        rest(store)
        assert state(store, workflow) == "succeeded"
        again = forked(store, workflow, 1)
        assert arguments(take_step(store)) == ["a"]
        assert state(store, again) == "running"

    def test_a_fork_that_there_is_is_not_made_again_whatever_became_of_its_source(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(job("a", compensation=callback()), job("b", after=[0])))
        for what in (None, FAILS, None):
            end(store, clock, take_step(store), what)
        fork = forked(store, workflow, 1)
        store.retry_workflow(workflow)
        with pytest.raises(Conflict, match="'a', which has not succeeded"):
            store.fork_workflow(workflow, 1, new_id())
        assert store.fork_workflow(workflow, 1, fork).duplicate
