"""Claims about what people do to workflows: cancel, pause, retry, fork, delete; and how long they are kept."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption, WorkflowNotFound
from penstock.model.flow import UniqueRule
from penstock.model.ids import id_text, new_id
from penstock.model.job import Cancelled, Filter, JobGroup
from penstock.model.states import State
from penstock.model.workflow_plan import Block, Members, OnFailure, StepPlan, Take
from penstock.model.workflow_views import WorkflowState
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    StoreClaims,
    counted,
    elapse,
    entry,
    ids_of,
    leap,
    ledger,
    put,
    rest,
    see,
    settle,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.kit import (
    states as states_of,
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
    run,
    start,
    state,
    states,
    take_step,
    view,
)


class WorkflowActingClaims(StoreClaims):
    """Workflows are cancelled, paused, retried."""

    def test_cancelling_ends_what_waits_and_asks_what_runs(self, store: Store) -> None:
        made = plan(job("a"), gathering("g", 3), job("c", after=[0, 1]), on_error=[callback()])
        workflow = start(store, made, Members(1, calls(3)))
        held = take(store, 2)
        assert store.cancel_workflow(workflow) is WorkflowState.STOPPING
        rest(store)
        assert [see(store, one).cancel_requested for one in ids_of(held)] == [True, True]
        assert take(store) == []
        settle(store, cancelled=[Cancelled(one.fence) for one in held])
        assert (state(store, workflow), view(store, workflow).error) == ("cancelled", None)
        assert set(states(store, workflow).values()) == {"cancelled"}
        assert (store.cancel_workflow(workflow), take(store)) == (WorkflowState.CANCELLED, [])

    def test_one_of_which_nothing_runs_is_cancelled_at_once(self, store: Store) -> None:
        workflow = start(store, plan(job("a"), job("b", after=[0])))
        assert store.cancel_workflow(workflow) is WorkflowState.CANCELLED
        assert (state(store, workflow), take(store)) == ("cancelled", [])

    def test_a_paused_workflow_starts_nothing_until_it_is_resumed(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), job("b", after=[0]), gathering("g", 2, after=[0]), gathering("h"))
        workflow = start(store, made, Members(2, calls(2)), Members(3, calls(1)))
        held = take(store)
        assert store.pause_workflow(workflow) is WorkflowState.RUNNING
        for one in held:
            end(store, clock, one)
        store.add_members(workflow, [Members(3, calls(1))], close=[3])
        rest(store)
        assert (view(store, workflow).paused, take(store)) == (True, [])
        store.resume_workflow(workflow)
        rest(store)
        assert len(take(store)) == 4
        assert not view(store, workflow).paused

    @pytest.mark.parametrize("how", ["begins", "is retried"])
    def test_a_large_group_of_which_a_part_is_handed_out_hands_out_no_more_while_it_is_paused(
        self, store: Store, clock: VirtualClock, how: str
    ) -> None:
        count = 2 * limits.TICK_STEP_JOBS + 1
        workflow = start(store, plan(job("a"), gathering("g", count, after=[0])), Members(1, calls(count)))
        end(store, clock, take_one(store))
        if how == "is retried":
            rest(store)
            end(store, clock, take_one(store), FAILS)
            rest(store)
            assert state(store, workflow) == "failed"
            store.retry_workflow(workflow)
        store.pause_workflow(workflow)
        handed_out = counted(store).get("ready", 0)
        rest(store)
        assert counted(store).get("ready", 0) == handed_out
        assert view(store, workflow).paused
        store.resume_workflow(workflow)
        rest(store)
        assert counted(store)["ready"] == count
        assert (state(store, workflow), view(store, workflow).members) == ("running", (count, 0, 0, 0))
        store.pause_workflow(workflow)
        store.cancel_workflow(workflow)
        rest(store)
        assert (state(store, workflow), view(store, workflow).members) == ("cancelled", (count, 0, 0, count))

    def test_a_deadline_counts_for_all_of_it(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), job("b", after=[0]), deadline_s=20.0))
        held = take_step(store)
        assert view(store, workflow).deadline_at == clock.time() + 20.0
        elapse(store, clock, 19.0)
        assert state(store, workflow) == "running"
        elapse(store, clock, 1.0)
        assert (state(store, workflow), see(store, held.job.id).cancel_requested) == ("stopping", True)
        settle(store, cancelled=[Cancelled(held.fence)])
        error = view(store, workflow).error
        assert (state(store, workflow), error and error.type) == ("failed", "DeadlineExceeded")

    @pytest.mark.parametrize("how", ["succeeds", "runs"])
    def test_only_what_failed_or_was_cancelled_is_retried(self, store: Store, clock: VirtualClock, how: str) -> None:
        workflow = start(store, plan(job("a")))
        if how == "succeeds":
            end(store, clock, take_step(store))
        before = view(store, workflow)
        assert store.retry_workflow(workflow) is before.state
        assert view(store, workflow) == before

    def test_there_is_nothing_to_do_to_an_unknown_one(self, store: Store) -> None:
        unknown = new_id()
        acts = (store.cancel_workflow, store.pause_workflow, store.resume_workflow, store.retry_workflow)
        assert [act(unknown) for act in acts] == [None] * 4
        assert store.delete_workflow(unknown) is False
        with pytest.raises(WorkflowNotFound):
            store.fork_workflow(unknown, 0, new_id())

    def test_what_is_done_by_hand_is_in_the_audit_log(self, store: Store) -> None:
        workflow, fork = start(store, plan(job("a"))), new_id()
        store.pause_workflow(workflow, by="ann")
        store.resume_workflow(workflow, by="bob")
        store.cancel_workflow(workflow, by="ann")
        store.retry_workflow(workflow, by="ann")
        store.cancel_workflow(workflow)
        store.fork_workflow(workflow, 0, fork, by="ann")
        store.cancel_workflow(fork)
        store.delete_workflow(fork, by="ann")
        entries = store.audit().entries
        assert [(one.verb, one.by) for one in entries] == [
            ("delete", "ann"),
            ("fork", "ann"),
            ("retry", "ann"),
            ("cancel", "ann"),
            ("resume", "bob"),
            ("pause", "ann"),
        ]
        assert {one.subject for one in entries[1:]} == {f"workflow:{id_text(workflow)}"}

    # --- single jobs -------------------------------------------------------------------------------------------------
    def test_its_jobs_are_neither_revived_nor_deleted_by_hand(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), job("b"), on_failure=OnFailure.FINISH)
        workflow = start(store, replace(made, steps=[*made.steps, StepPlan("c", call(delay_s=60.0))]))
        held = take(store)
        end(store, clock, held[0], FAILS)
        (dead,) = ids_of(held[:1])
        assert store.revive([dead]) == [State.DEAD]
        assert store.revive_edited(entry(job_id=dead)) is State.DEAD
        assert store.delete([dead]) == [False]
        assert store.revive_where(Filter(state=State.DEAD)).changed == 0
        assert store.delete_where(Filter(state=State.DEAD)).changed == 0
        assert see(store, dead).state is State.DEAD
        assert state(store, workflow) == "running"

    def test_its_jobs_may_be_moved_and_edited(self, store: Store, clock: VirtualClock) -> None:
        made = plan(StepPlan("a", call(delay_s=60.0)), out=0)
        workflow = start(store, made)
        (waiting,) = [step.call.jobs[0].id for step in made.steps if step.call is not None]
        store.move([waiting], "other")
        store.edit([waiting], run_at=clock.time())
        end(store, clock, take_one(store, queues=["other"]), 1)
        assert result_of(store, workflow) == 1

    # --- forks -------------------------------------------------------------------------------------------------------
    def test_a_fork_runs_a_step_and_what_needs_it_and_leaves_the_other_alone(
        self, store: Store, clock: VirtualClock
    ) -> None:
        made = plan(job("a"), job("b", takes=[Take(0)]), job("c", takes=[Take(0)]), job("d", takes=[Take(1), Take(2)]))
        workflow = start(store, made)
        ran = run(store, clock, lambda held: extra_of(held).step)
        assert ran == [[], [0], [0], [1, 2]]
        before, fork = view(store, workflow), new_id()
        started = store.fork_workflow(workflow, 1, fork)
        assert (started.id, started.duplicate) == (fork, False)
        assert store.fork_workflow(workflow, 1, fork).duplicate
        shown = view(store, fork)
        assert (shown.forked_from, shown.name, shown.state) == (workflow, made.name, "running")
        assert states(store, fork) == {"a": "succeeded", "b": "running", "c": "succeeded", "d": "waiting"}
        assert run(store, clock, lambda held: 10 * (extra_of(held).step or 0)) == [[0], [10, 2]]
        assert (result_of(store, fork, 2), result_of(store, fork, 3), result_of(store, workflow, 3)) == (2, 30, 3)
        assert view(store, workflow) == before

    def test_members_of_a_group_that_runs_anew_are_copied(self, store: Store, clock: VirtualClock) -> None:
        made = plan(job("a"), gathering("g", 3, takes=[Take(0)]), job("c", takes=[Take(1)]))
        workflow = start(store, made, Members(1, calls(3, "m")))
        run(store, clock, lambda held: extra_of(held).place)
        fork = new_id()
        store.fork_workflow(workflow, 0, fork)
        ran = run(store, clock, lambda held: 7 if extra_of(held).step == 0 else extra_of(held).place)
        assert ran == [[], *[["m", 7]] * 3, [[0, 1, 2]]]
        again = new_id()
        store.fork_workflow(fork, 1, again)
        assert run(store, clock, lambda held: extra_of(held).place) == [*[["m", 7]] * 3, [[0, 1, 2]]]

    def test_members_of_a_fork_have_the_unique_keys_of_those_that_they_repeat(
        self, store: Store, clock: VirtualClock
    ) -> None:
        def keyed(key: str) -> JobGroup:
            made = call()
            return replace(made, jobs=[replace(made.jobs[0], unique_key=key)], unique=UniqueRule(("order",)))

        made = plan(gathering("g", 2, failures_max=1), out=0)
        workflow = start(store, made, Members(0, [keyed("a"), keyed("b")]))
        assert len(run(store, clock, arguments)) == 2
        assert store.enqueue([keyed("a")]).accepted == 1, "what has ended keeps nobody away"
        fork = new_id()
        store.fork_workflow(workflow, 0, fork)
        assert view(store, fork).members == (2, 0, 1, 0), "another job has the key of one"
        (known,) = store.enqueue([keyed("b")]).exceptions
        assert (known.unique, known.duplicate) == (True, True), "the other keeps others away"
        assert len(run(store, clock, arguments)) == 2
        assert result_of(store, fork) == [None, []]

    def test_a_fork_begins_with_a_step_at_the_top_whose_needs_are_there(self, store: Store) -> None:
        block = Block(1, 2, 2, 0)
        made = plan(job("a"), gathering("g", 1), StepPlan("x", call(), block=block), job("b", after=[0]))
        workflow = start(store, made)
        with pytest.raises(InvalidOption, match="'x' is inside of 'g'"):
            store.fork_workflow(workflow, 2, new_id())
        with pytest.raises(Conflict, match="'b' needs 'a'"):
            store.fork_workflow(workflow, 3, new_id())
        with pytest.raises(WorkflowNotFound):
            store.fork_workflow(workflow, 4, new_id())
        with pytest.raises(InvalidOption):
            store.fork_workflow(workflow, 0, b"short")

    # --- how long it is kept -----------------------------------------------------------------------------------------
    def test_its_record_and_those_of_its_jobs_are_kept_for_its_time(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), gathering("g", 2), out=1, keep_s=100.0), Members(1, calls(2)))
        held = take(store)
        for one in held:
            end(store, clock, one, "kept")
        assert view(store, workflow).keep_until == clock.time() + 100.0
        leap(store, clock, 99.0)
        assert result_of(store, workflow, 0) == "kept"
        leap(store, clock, 1.0)
        assert store.workflow(workflow) is None
        assert states_of(store, ids_of(held)) == [None] * 3
        assert ledger(store).unaccounted() == 0

    def test_results_of_an_unfinished_workflow_are_kept_whatever_the_jobs_say(
        self, store: Store, clock: VirtualClock
    ) -> None:
        workflow = start(store, plan(job("a"), job("b", takes=[Take(0)]), job("c")))
        first, other = take(store)
        settle(store, succeeded=[succeeded(first.fence, clock, b"m\x05", keep_result_s=0.0, keep_record_s=0.0)])
        settle(store, forgotten=[other.fence])
        leap(store, clock, 2 * limits.KEEP_DEAD_S)
        assert (result_of(store, workflow, 0), result_of(store, workflow, 2)) == (5, None)
        assert arguments(take_step(store)) == [5]

    def test_jobs_of_workflows_take_no_room_from_the_records_of_others(self, clock: VirtualClock) -> None:
        store = self.tried = self.make_store(clock, records_max=1, dead_max=1)
        workflow = start(store, plan(gathering("g", 3, failures_max=3)), Members(0, calls(3)))
        for number, one in enumerate(take(store)):
            end(store, clock, one, FAILS if number else None)
        (mine,) = put(store)
        end(store, clock, take_one(store))
        rest(store)
        assert see(store, mine).state is State.SUCCEEDED
        assert view(store, workflow).members == (3, 1, 2, 0)
        assert counted(store)["succeeded"] == 2
        store.close()

    def test_deleting_throws_all_of_it_away_once_it_is_over(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), gathering("g", 2)), Members(1, calls(2)))
        assert store.delete_workflow(workflow) is False
        held = take(store)
        for one in held:
            end(store, clock, one)
        assert store.delete_workflow(workflow) is True
        assert (store.workflow(workflow), store.delete_workflow(workflow)) == (None, False)
        rest(store)
        assert states_of(store, ids_of(held)) == [None] * 3

    def test_what_a_fork_stands_on_is_kept_as_long_as_the_fork(self, store: Store, clock: VirtualClock) -> None:
        workflow = start(store, plan(job("a"), job("b", after=[0]), keep_s=50.0))
        run(store, clock, lambda held: extra_of(held).step)
        fork = new_id()
        store.fork_workflow(workflow, 1, fork)
        with pytest.raises(Conflict, match="kept as long as"):
            store.delete_workflow(workflow)
        leap(store, clock, 60.0)
        assert result_of(store, fork, 0) == 0
        end(store, clock, take_step(store))
        leap(store, clock, 50.0)
        rest(store)
        assert (store.workflow(fork), store.workflow(workflow)) == (None, None)
