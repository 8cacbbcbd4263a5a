"""What many members cost: an end the same whatever the size of its group; all that is long goes in bounded parts."""

import pytest

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.job import LeaseRequest, Outcomes, Succeeded
from penstock.model.workflow_plan import GroupPlan, Members, Output, StepPlan, Take, WorkflowPlan
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, Buried, entry, group

PART = 50


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(limits, "TICK_STEP_JOBS", PART)


def calls(count):
    return group(*(entry() for _ in range(count)), queue="flows")


def start(store, members, *, held=False, **options):
    """A group whose members start at once, or, when they are to be held, after a job."""
    first = [StepPlan("a", group(entry(), queue="first"))] if held else []
    after = {"after": [0]} if held else {}
    steps = [*first, StepPlan("g", group=GroupPlan(members, **options), **after)]
    number = len(steps) - 1
    steps.append(StepPlan("c", group(entry(), queue="last"), takes=[Take(number)]))
    plan = WorkflowPlan(new_id(), "w", steps, [Output(number + 1)])
    store.start_workflow(plan, [Members(number, [calls(members)])])
    return plan.id


def lease(store, limit=1, queue="flows"):
    batch = store.lease(LeaseRequest(HOLDER, limit, [queue]))
    return [batch.first_fence + place for place in range(len(batch.jobs))]


def succeed(store, fences, result=b"m\x01"):
    now = store.clock.time()
    store.settle(Outcomes(HOLDER, succeeded=[Succeeded(fence, now, now, result) for fence in fences]))


def effort_of(store, act):
    """What SQLite does for it, in tens of instructions."""
    count = 0

    def note():
        nonlocal count
        count += 1
        return False

    store.database.connection.set_progress_handler(note, 10)
    act()
    store.database.connection.set_progress_handler(None)
    return count


def parts_of(store, state):
    """How many more jobs of the group are in this state after each tick, from the beginning."""
    parts = [getattr(store.stats().queues["flows"], state)]
    due = 0.0
    while due == 0.0:
        due = store.tick().next_s
        parts.append(getattr(store.stats().queues["flows"], state) - sum(parts))
    return parts


@pytest.mark.parametrize("ends", [1, 20])
def test_the_end_of_a_member_costs_the_same_in_a_large_group(path, clock, ends):
    efforts = []
    for number, members in enumerate((50, 3_000)):
        store = SqliteStore(path.with_name(f"{number}.db"), clock=clock)
        workflow = start(store, members)
        fences = lease(store, ends)
        efforts.append(effort_of(store, lambda store=store, fences=fences: succeed(store, fences)))
        assert store.workflow(workflow).members == (members, ends, 0, 0)
        store.close()
    assert efforts[1] < 1.5 * efforts[0], efforts


def test_a_batch_of_members_is_one_row_of_the_group_and_one_of_the_workflow(store):
    start(store, 400)
    before = store.database.connection.total_changes()
    succeed(store, lease(store, 200))
    one = store.database.connection.total_changes() - before
    # Of each member: the lease is noted and ends, the record is made, the ready row goes; all else is of the batch.
    assert one <= 4 * 200 + 10


def test_held_members_are_opened_in_bounded_parts(store, audit):
    workflow = start(store, 7 * PART + 3, held=True)
    succeed(store, lease(store, queue="first"))
    assert parts_of(store, "ready") == [PART] * 7 + [3]
    assert store.workflow(workflow).members == (7 * PART + 3, 0, 0, 0)
    audit(store)


def test_members_are_cancelled_in_bounded_parts(store, audit):
    """A group that fails at its first failure."""
    workflow = start(store, 7 * PART)
    (fence,) = lease(store)
    store.settle(Outcomes(HOLDER, buried=[Buried(fence, ERROR)]))
    cancelled = parts_of(store, "cancelled")
    assert max(cancelled) <= PART
    assert sum(cancelled) == 7 * PART - 1
    assert (store.workflow(workflow).state, store.workflow(workflow).members) == ("failed", (350, 0, 1, 349))
    audit(store)


def test_members_run_again_in_bounded_parts(store, audit):
    workflow = start(store, 3 * PART + 1, failures_max=0)
    (fence,) = lease(store)
    store.settle(Outcomes(HOLDER, buried=[Buried(fence, ERROR)]))
    parts_of(store, "cancelled")
    store.retry_workflow(workflow)
    ready = parts_of(store, "ready")
    assert max(ready) <= PART
    assert sum(ready) == 3 * PART + 1
    audit(store)
    succeed(store, lease(store, 500))
    succeed(store, lease(store, queue="last"))
    assert store.workflow(workflow).state == "succeeded"
    audit(store)


def test_steps_of_a_large_graph_start_and_are_cancelled_in_bounded_parts(store, audit):
    steps = [StepPlan(f"s{number}", group(entry(), queue="flows")) for number in range(4 * PART)]
    plan = WorkflowPlan(new_id(), "w", steps)
    store.start_workflow(plan)
    parts_of(store, "ready")
    assert store.stats().queues["flows"].ready == 4 * PART
    store.cancel_workflow(plan.id)
    parts_of(store, "ready")
    assert store.workflow(plan.id).state == "cancelled"
    assert store.stats().queues["flows"].cancelled == 4 * PART
    audit(store)


def test_a_step_of_a_chain_is_leased_in_the_transaction_that_releases_it(store):
    plan = WorkflowPlan(
        new_id(), "w", [StepPlan("a", group(entry())), StepPlan("b", group(entry()), takes=[Take(0)])], [Output(1)]
    )
    store.start_workflow(plan)
    (fence,) = lease(store, queue="default")
    store.readied.clear()
    store.begin()
    succeed(store, [fence])
    assert store.readied == {("default", "app.work")}
    assert len(lease(store, queue="default")) == 1
    before = store.database.connection.total_changes()
    store.commit()
    assert store.database.connection.total_changes() - before <= 2, "it never touched the table of ready jobs"
