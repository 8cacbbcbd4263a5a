"""Claims about members of groups: they are added, held, closed and abandoned."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Sequence

import pytest

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption, QueueDraining, WorkflowNotFound
from penstock.model.flow import UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import JobGroup
from penstock.model.workflow_plan import Members, Take
from penstock.model.workflow_views import MembersAdded
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, elapse, leap, ledger, put, rest, settle, take, take_one
from penstock.testing.conformance.unique import one, unique
from penstock.testing.conformance.workflow_kit import (
    FAILS,
    arguments,
    calls,
    end,
    extra_of,
    gathering,
    job,
    plan,
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


def results(store: Store, workflow: bytes, step: int = 0) -> list[object]:
    """The results of the members of a group."""
    return [None if one is None else value(one) for one in store.results(workflow, step).results]


def add(store: Store, workflow: bytes, groups: Sequence[JobGroup], *, close: bool = False) -> MembersAdded:
    """Add members to step 0."""
    return store.add_members(workflow, [Members(0, list(groups))], close=[0] if close else [])


class WorkflowMemberClaims(StoreClaims):
    """Groups are filled."""

    def test_an_open_group_runs_while_it_is_filled_and_ends_when_it_is_closed(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(gathering("g"), job("c", takes=[Take(0)])), Members(0, calls(2)))
        run(store, clock, lambda held: extra_of(held).place)
        assert (states(store, workflow)["g"], steps(store, workflow)[0].total) == ("running", None)
        assert add(store, workflow, calls(1)) == MembersAdded(1, 3)
        assert add(store, workflow, calls(2), close=True) == MembersAdded(2, 5)
        assert steps(store, workflow)[0].total == 5
        assert run(store, clock, lambda held: extra_of(held).place)[-1] == [[0, 1, 2, 3, 4]]
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (5, 5, 0, 0))

    def test_closing_is_the_end_when_all_have_ended(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g")), Members(0, calls(1)))
        run(store, clock, lambda _: None)
        assert store.add_members(workflow, [], close=[0]) == MembersAdded(0, 1)
        assert state(store, workflow) == "succeeded"

    @pytest.mark.parametrize("after", [[], [1]])
    def test_members_that_are_there_are_not_added_again(self, store: Store, after: list[int]) -> None:
        workflow = start(store, plan(gathering("g", after=after), job("a")))
        some = calls(3)
        assert add(store, workflow, some) == MembersAdded(3, 3)
        assert add(store, workflow, [*some, *calls(1)]) == MembersAdded(1, 4)
        rest(store)
        assert len(take(store)) == (1 if after else 5)

    def test_members_of_a_group_with_a_total_have_their_places(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", 4), out=0), Members(0, calls(1, "last"), first=3))
        store.add_members(workflow, [Members(0, calls(2, "middle"), first=1)])
        store.add_members(workflow, [Members(0, calls(1, "first"), first=0)])
        run(store, clock, lambda held: arguments(held)[0])
        assert results(store, workflow) == ["first", "middle", "middle", "last"]
        assert state(store, workflow) == "succeeded"

    def test_many_members_are_handed_out_in_bounded_steps(self, store: Store, clock: VirtualClock) -> None:
        count = 2 * limits.TICK_STEP_JOBS + 1
        workflow = start(store, plan(job("a"), gathering("g", count, takes=[Take(0)])), Members(1, calls(count)))
        end(store, clock, take_step(store), "x")
        rest(store)
        assert ledger(store).ready == count
        held = take(store, 10)
        assert all(arguments(one) == ["x"] for one in held)
        store.cancel_workflow(workflow)
        rest(store)
        assert ledger(store).ready == 0
        assert view(store, workflow).members == (count, 0, 0, count - 10)

    def test_members_are_not_added_again_in_whichever_order_they_came(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), gathering("g", 4, after=[0])))
        last, middle = calls(1), calls(2)
        store.add_members(workflow, [Members(1, last, first=3)])
        for added in (2, 0):
            assert store.add_members(workflow, [Members(1, middle, first=1)]) == MembersAdded(added, 3)
        store.add_members(workflow, [Members(1, calls(1), first=0)])
        assert len(run(store, clock, lambda _: None)) == 5
        assert (state(store, workflow), view(store, workflow).members) == ("succeeded", (4, 4, 0, 0))

    def test_results_are_read_at_their_places_while_members_are_missing(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(gathering("g", 3)), Members(0, calls(2)))
        rest(store)
        first, second = take(store)
        settle(store, succeeded=[returned(first, clock, "a")], members=[(first.fence, calls(1))])
        settle(store, succeeded=[returned(second, clock, "b")])
        end(store, clock, take_step(store), "added")
        read: list[object] = []
        cursor: int | None = 0
        while cursor is not None:
            page = store.results(workflow, 0, first=cursor, limit=3)
            read += [None if one is None else value(one) for one in page.results]
            cursor = page.cursor
        assert (read, page.total) == (["a", "b", None, "added"], 4)
        store.add_members(workflow, [Members(0, calls(1), first=2)])
        end(store, clock, take_step(store), "c")
        assert (results(store, workflow), state(store, workflow)) == (["a", "b", "c", "added"], "succeeded")

    # --- what is refused ---------------------------------------------------------------------------------------------
    def test_members_that_do_not_fit_are_refused_whole(self, store: Store) -> None:
        workflow = start(store, plan(gathering("g", 2), job("a"), gathering("o")), Members(0, calls(1)))
        for members in (
            Members(0, calls(2)),
            Members(1, calls(1)),
            Members(7, calls(1)),
            Members(2, calls(1), first=0),
        ):
            with pytest.raises(InvalidOption):
                store.add_members(workflow, [Members(2, calls(1)), members])
        assert view(store, workflow).members == (1, 0, 0, 0)
        with pytest.raises(InvalidOption):
            store.add_members(workflow, [], close=[1])
        with pytest.raises(Conflict, match="1 of 2"):
            store.add_members(workflow, [], close=[0])
        with pytest.raises(WorkflowNotFound):
            store.add_members(new_id(), [Members(0, calls(1))])

    def test_a_group_that_is_closed_or_has_ended_takes_no_more(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g")), Members(0, calls(1)))
        store.add_members(workflow, [], close=[0])
        with pytest.raises(Conflict, match="'g' is closed"):
            add(store, workflow, calls(1))
        run(store, clock, lambda _: FAILS)
        with pytest.raises(Conflict, match="'g' has ended"):
            add(store, workflow, calls(1))

    def test_a_draining_queue_takes_no_members(self, store: Store) -> None:
        workflow = start(store, plan(gathering("g")), Members(0, calls(1)))
        store.drain(queue="default", by="ann")
        with pytest.raises(QueueDraining):
            add(store, workflow, calls(1))
        assert view(store, workflow).members == (1, 0, 0, 0)

    def test_a_member_that_another_job_keeps_away_has_failed(self, store: Store, clock: VirtualClock) -> None:
        rule = UniqueRule(on_conflict="existing")
        store.enqueue([unique(one("k"), rule=rule)])
        workflow = start(store, plan(gathering("g", 2, failures_max=1)))
        add(store, workflow, [unique(one("k"), rule=rule), *calls(1)])
        assert view(store, workflow).members == (2, 0, 1, 0)
        run(store, clock, lambda _: None)
        assert state(store, workflow) == "succeeded"

    # --- abandoned ---------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("total", [None, 3])
    def test_a_group_whose_producer_does_not_come_back_fails(
        self, store: Store, clock: VirtualClock, total: int | None
    ) -> None:
        workflow = start(store, plan(gathering("g", total, open_s=10.0)), Members(0, calls(1)))
        elapse(store, clock, 9.0)
        add(store, workflow, calls(1))
        elapse(store, clock, 9.0)
        assert state(store, workflow) == "running"
        elapse(store, clock, 1.0)
        shown = view(store, workflow)
        assert (shown.state, shown.error and shown.error.type) == ("failed", "GroupAbandoned")
        assert take(store) == []

    def test_a_group_that_is_abandoned_when_the_deadline_is_over_as_well(
        self, store: Store, clock: VirtualClock
    ) -> None:
        made = plan(job("a"), gathering("g", 2, open_s=10.0), deadline_s=20.0)
        workflow = start(store, made, Members(1, calls(1)))
        leap(store, clock, 45.0)
        assert state(store, workflow) == "failed"
        assert take(store) == []

    def test_a_group_may_be_closed_with_what_it_has(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", open_s=10.0, closes=True), out=0), Members(0, calls(1)))
        run(store, clock, lambda _: 1)
        elapse(store, clock, 10.0)
        assert (state(store, workflow), results(store, workflow)) == ("succeeded", [1])

    def test_a_group_that_was_closed_in_time_is_left_alone(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(gathering("g", open_s=10.0)), Members(0, calls(1)))
        store.add_members(workflow, [], close=[0])
        elapse(store, clock, 30.0)
        assert state(store, workflow) == "running"
        put(store)
        end(store, clock, take_one(store), None)
        assert state(store, workflow) == "succeeded"
