"""What is kept of workflows, and for how long: it goes with these, and neither before nor after."""

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import Conflict, StoreFull
from penstock.model.flow import QueueRecord, Retention
from penstock.model.ids import new_id
from penstock.model.job import Filter, LeaseRequest, Outcomes, Succeeded
from penstock.model.states import State
from penstock.model.workflow_plan import GroupPlan, Members, Output, StepPlan, Take, WorkflowPlan
from penstock.store.sqlite import workflow_chores
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    Buried,
    entry,
    group,
    put,
    settle,
    states,
    succeeded,
    take,
)

KEEP_S = 1_000.0


def chord(members, *, queue="flows", keep_s=KEEP_S, body=None):
    plan = WorkflowPlan(
        new_id(),
        "chord",
        [
            StepPlan("g", group=GroupPlan(members)),
            StepPlan("c", group(entry(), queue=queue), takes=[Take(0)]),
        ],
        [Output(1)],
        keep_s=keep_s,
    )
    entries = [entry() if body is None else entry(body) for _ in range(members)]
    return plan, [Members(0, [group(*entries, queue=queue)])]


def start(store, members, **options):
    plan, jobs = chord(members, **options)
    store.start_workflow(plan, jobs)
    return plan.id, [one.id for one in jobs[0].groups[0].jobs]


def single(store, queue="flows"):
    """Start a workflow of one step. Answers its id."""
    plan = WorkflowPlan(new_id(), "single", [StepPlan("a", group(entry(), queue=queue))], keep_s=KEEP_S)
    store.start_workflow(plan, [])
    return plan.id


def work(store, clock, limit, result=b"m\x01", queue="flows"):
    """Let so many jobs succeed."""
    batch = store.lease(LeaseRequest(HOLDER, limit, [queue]))
    now = clock.time()
    fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
    store.settle(Outcomes(HOLDER, succeeded=[Succeeded(fence, now, now, result) for fence in fences]))
    return len(batch.jobs)


def idle(store):
    while store.tick().next_s == 0:
        pass


def test_results_of_a_workflow_are_kept_whatever_its_jobs_and_their_outcomes_say(store, clock, audit):
    workflow, ids = start(store, 3)
    batch = store.lease(LeaseRequest(HOLDER, 2, ["flows"]))
    now = clock.time()
    first = Succeeded(batch.first_fence, now, now, b"m\x07", keep_result_s=0.0, keep_record_s=0.0)
    store.settle(Outcomes(HOLDER, forgotten=[batch.first_fence + 1], succeeded=[first]))
    clock.advance(limits.KEEP_RECORD_S * 40)
    idle(store)
    assert states(store, ids) == [State.SUCCEEDED, State.SUCCEEDED, State.READY]
    assert store.results(workflow, 0).results == [b"m\x07", None, None]
    assert store.workflow(workflow).members == (3, 2, 0, 0)
    audit(store)


def test_they_do_not_count_against_the_bounds_of_records(path, clock, audit):
    store = SqliteStore(path, clock=clock, records_max=2, dead_max=1)
    _, ids = start(store, 5)
    work(store, clock, 3)
    batch = store.lease(LeaseRequest(HOLDER, 1, ["flows"]))
    store.settle(Outcomes(HOLDER, buried=[Buried(batch.first_fence, ERROR)]))
    others = put(store, 3)
    for one in take(store, 3):
        settle(store, succeeded=[succeeded(one.fence, clock, b"m\x01")])
    idle(store)
    kept = [State.SUCCEEDED] * 3 + [State.DEAD, State.CANCELLED]
    assert sorted(states(store, ids)) == sorted(kept)
    assert states(store, others) == [None, State.SUCCEEDED, State.SUCCEEDED]
    audit(store)
    store.close()


def test_nor_against_those_of_their_queue(store, clock, audit):
    store.register_tasks([], [QueueRecord("flows", retention=Retention(records=2, dead=0, size_bytes=1_000))])
    _, ids = start(store, 4)
    work(store, clock, 4, b"m" + bytes(2_000))
    others = put(store, 3, queue="flows", priority=9)
    for _ in range(3):
        work(store, clock, 1)
    idle(store)
    assert states(store, ids) == [State.SUCCEEDED] * 4
    assert states(store, others) == [None, State.SUCCEEDED, State.SUCCEEDED]
    audit(store)


def test_a_workflow_goes_when_its_time_is_up_in_bounded_parts(store, clock, audit, monkeypatch):
    monkeypatch.setattr(limits, "TICK_STEP_JOBS", 50)
    workflow, ids = start(store, 230)
    while work(store, clock, 100):
        pass
    assert store.workflow(workflow).state == "succeeded"
    clock.advance(KEEP_S - 1.0)
    idle(store)
    assert store.workflow(workflow).members == (230, 230, 0, 0)
    clock.advance(1.0)
    ticks = 1
    assert store.tick().next_s == 0
    assert store.workflow(workflow) is None
    before = store.totals().counts.succeeded
    while store.tick().next_s == 0:
        left = store.totals().counts.succeeded
        assert before - left <= 50 + 10
        before, ticks = left, ticks + 1
    assert ticks > 4
    assert states(store, ids) == [None] * 230
    assert store.totals().counts.succeeded == 0
    audit(store)


def test_one_can_be_thrown_away_when_it_is_over_and_not_before(store, clock, audit):
    workflow, ids = start(store, 3)
    assert store.delete_workflow(workflow) is False
    work(store, clock, 3)
    work(store, clock, 1)
    assert store.delete_workflow(workflow, by="ada") is True
    assert store.delete_workflow(workflow) is False
    assert store.workflow(workflow) is None
    idle(store)
    assert states(store, ids) == [None] * 3
    assert store.audit().entries[0].verb == "delete"
    audit(store)


def test_one_that_was_forked_from_is_kept_as_long_as_its_forks(store, clock, audit):
    workflow, _ = start(store, 2, keep_s=10.0)
    work(store, clock, 2)
    work(store, clock, 1)
    new = new_id()
    store.fork_workflow(workflow, 1, new)
    with pytest.raises(Conflict, match="forked from it"):
        store.delete_workflow(workflow)
    clock.advance(50.0)
    idle(store)
    assert store.results(new, 0).results == [b"m\x01"] * 2
    work(store, clock, 1)
    clock.advance(11.0)
    for _ in range(3):
        idle(store)
    assert (store.workflow(new), store.workflow(workflow)) == (None, None)
    audit(store)


def test_jobs_of_a_workflow_are_neither_revived_nor_thrown_away_by_themselves(store, clock, audit):
    _, ids = start(store, 2)
    batch = store.lease(LeaseRequest(HOLDER, 1, ["flows"]))
    store.settle(Outcomes(HOLDER, buried=[Buried(batch.first_fence, ERROR)]))
    assert store.revive(ids[:1]) == [State.DEAD]
    assert store.revive_edited(replace(entry(), id=ids[0])) is State.DEAD
    assert store.delete(ids) == [False, False]
    assert store.delete_where(Filter(queue="flows")).changed == 0
    assert store.revive_where(Filter(queue="flows")).changed == 0
    audit(store)


def test_a_part_of_the_record_that_was_thrown_away_by_a_full_disk_is_that_of_the_oldest_that_is_over(
    store, clock, audit
):
    first, _ = start(store, 8)
    work(store, clock, 8, b"m" + bytes(9_000))
    work(store, clock, 1)
    unended, _ = start(store, 8)
    work(store, clock, 4, b"m" + bytes(9_000))
    others = put(store, 2)
    work(store, clock, 2, b"m" + bytes(9_000), "default")
    chores = store._workflows.chores
    assert store.alone(lambda: chores.throw_away(5, {first})) == 0
    thrown = 0
    while done := store.alone(lambda: chores.throw_away(5, ())):
        assert done <= 5 + 5
        thrown += done
    assert thrown >= 9
    assert store.workflow(first) is None
    assert store.workflow(unended).members == (8, 4, 0, 0)
    assert [one is not None for one in store.results(unended, 0).results] == [True] * 4 + [False] * 4
    assert states(store, others) == [State.SUCCEEDED] * 2
    audit(store)


@pytest.mark.parametrize("kept_for", ["forks", "those who wait"])
def test_many_old_ones_that_are_kept_do_not_keep_later_ones_on_a_full_disk(store, clock, audit, kept_for):
    kept = [single(store) for _ in range(60)]
    work(store, clock, len(kept))
    if kept_for == "forks":
        for workflow in kept:
            store.fork_workflow(workflow, 0, new_id())
    spared = set() if kept_for == "forks" else set(kept)
    later = single(store, queue="later")
    work(store, clock, 1, queue="later")
    chores = store._workflows.chores
    while store.alone(lambda: chores.throw_away(5, spared)):
        pass
    assert store.workflow(later) is None
    assert all(store.workflow(workflow) is not None for workflow in kept)
    audit(store)


def test_an_alarm_that_fails_holds_up_no_other(store, clock, audit, monkeypatch):
    plans = [chord(2, keep_s=5.0 + at) for at in range(3)]
    for plan, members in plans:
        store.start_workflow(plan, members)
    work(store, clock, 50)
    work(store, clock, 50)
    forget = workflow_chores.WorkflowChores.forget
    broken = plans[0][0].id

    def failing(self, stored):
        if stored.id == broken:
            raise RuntimeError("it cannot be read")
        return forget(self, stored)

    monkeypatch.setattr(workflow_chores.WorkflowChores, "forget", failing)
    clock.advance(30.0)
    for _ in range(10):
        idle(store)
        clock.advance(6.0)
    assert [store.workflow(plan.id) is None for plan, _ in plans] == [False, True, True]
    monkeypatch.undo()
    clock.advance(700.0)
    for _ in range(3):
        idle(store)
    assert store.workflow(broken) is None
    audit(store)


def test_a_start_on_a_full_disk_is_refused_and_what_was_accepted_goes_on(store, clock, audit):
    workflow, _ = start(store, 2)
    store.database.full = True
    plan, members = chord(1)
    with pytest.raises(StoreFull):
        store.start_workflow(plan, members)
    with pytest.raises(StoreFull):
        store.add_members(workflow, [])
    assert work(store, clock, 2) == 2
    assert work(store, clock, 1) == 1
    assert store.workflow(workflow).state == "succeeded"
    assert store.workflow(plan.id) is None
    audit(store)
