"""A workflow that cannot go on, for a defect or a damaged row, holds up nobody else, and nothing of it is lost."""

from random import Random

import apsw
import pytest

from penstock.model.errors import StoreFull
from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, LeaseRequest, Outcomes, Succeeded
from penstock.model.states import State
from penstock.model.workflow_plan import GroupPlan, Members, Output, StepPlan, Take, WorkflowPlan
from penstock.store.sqlite import workflow_aside
from penstock.store.sqlite.failing_chores import ASIDE_S
from penstock.store.sqlite.store import SqliteStore
from penstock.store.sqlite.workflow_told import Told
from penstock.testing.conformance.kit import ERROR, HOLDER, entry, group, put, states
from penstock.workflow.machine import Machine
from tests.unit.store.sqlite.workflow_lives import Life, ids

__all__ = ["ids"]

BROKEN = b"\xc1"
"""What no reader takes for a row."""


def start(store, *steps, members=()):
    plan = WorkflowPlan(new_id(), "w", list(steps), [Output(len(steps) - 1)])
    store.start_workflow(plan, list(members))
    return plan.id


def pair(store):
    """A job, and another that takes its value."""
    return start(store, StepPlan("a", group(entry())), StepPlan("b", group(entry()), takes=[Take(0)]))


def crowd(store, count, **options):
    """A group, and a job that takes it."""
    steps = StepPlan("g", group=GroupPlan(count, **options)), StepPlan("c", group(entry()), takes=[Take(0)])
    return start(store, *steps, members=[Members(0, [group(*(entry() for _ in range(count)))])])


def lease(store, count=100):
    batch = store.lease(LeaseRequest(HOLDER, count))
    return [batch.first_fence + place for place in range(len(batch.jobs))]


def good(store, *fences):
    now = store.clock.time()
    return [Succeeded(fence, now, now, b"m\x07") for fence in fences]


def damage(store, workflow):
    """Damage the row of a workflow. Answers what was in it."""
    connection = store.database.connection
    before = connection.execute("SELECT standing FROM workflow WHERE id = ?", (workflow,)).get
    connection.execute("UPDATE workflow SET standing = ? WHERE id = ?", (BROKEN, workflow))
    return before


def mend(store, workflow, standing):
    """Put back what was in its row, and wait until it is tried again."""
    store.database.connection.execute("UPDATE workflow SET standing = ? WHERE id = ?", (standing, workflow))
    store.clock.advance(ASIDE_S)
    while store.tick().next_s == 0.0:
        pass


def finish(store, *workflows):
    """Let all jobs succeed until there are none."""
    while fences := lease(store):
        store.settle(Outcomes(HOLDER, succeeded=good(store, *fences)))
    return [store.workflow(one).state for one in workflows]


def test_jobs_of_others_settle_beside_those_of_a_damaged_workflow(store, audit):
    broken, sound = pair(store), pair(store)
    (plain,) = put(store)
    fences = lease(store)
    standing = damage(store, broken)
    settled = store.settle(Outcomes(HOLDER, succeeded=good(store, *fences)))
    assert settled.stale == [], "what its own job has come to is kept too"
    assert states(store, [plain]) == [State.SUCCEEDED]
    assert store.workflow(sound).steps == {"succeeded": 1, "running": 1}
    assert store.stats().queues["default"].running == 0
    health = store.health()
    assert health.workflows_set_aside == 1
    (problem,) = health.problems()
    assert "1 workflow" in problem
    assert "DecodeError" in problem
    mend(store, broken, standing)
    assert store.health().workflows_set_aside == 0
    assert store.workflow(broken).steps == {"succeeded": 1, "running": 1}
    assert finish(store, broken, sound) == ["succeeded", "succeeded"]
    audit(store)


def test_each_end_of_many_members_is_told_later(store, audit):
    broken = crowd(store, 9, failures_max=3)
    fences = lease(store)
    standing = damage(store, broken)
    store.settle(Outcomes(HOLDER, succeeded=good(store, *fences[:4])))
    store.settle(Outcomes(HOLDER, buried=[Buried(fences[4], ERROR), Buried(fences[5], ERROR)]))
    store.settle(Outcomes(HOLDER, succeeded=good(store, *fences[6:8]), cancelled=[Cancelled(fences[8])]))
    assert lease(store) == []
    mend(store, broken, standing)
    assert store.workflow(broken).members == (9, 6, 2, 1)
    assert finish(store, broken) == ["succeeded"]
    audit(store)


def test_what_is_to_be_told_is_there_after_an_owner_has_ended(path, clock, audit):
    store = SqliteStore(path, clock=clock)
    broken = crowd(store, 5)
    fences = lease(store)
    standing = damage(store, broken)
    store.settle(Outcomes(HOLDER, succeeded=good(store, *fences[:2])))
    store.close()
    store = SqliteStore(path, clock=clock)
    store.settle(Outcomes(HOLDER, succeeded=good(store, *fences[2:])))
    assert store.stats().queues["default"].running == 0
    mend(store, broken, standing)
    assert finish(store, broken) == ["succeeded"]
    assert store.workflow(broken).members == (5, 5, 0, 0)
    audit(store)
    store.close()


def test_several_that_cannot_go_on_are_found_at_once(store, monkeypatch):
    broken = [pair(store) for _ in range(20)]
    fences = lease(store)
    for workflow in broken:
        damage(store, workflow)
    (plain,) = put(store)
    undone = []
    rollback = store.rollback
    monkeypatch.setattr(store, "rollback", lambda: (undone.append(1), rollback()))
    store.settle(Outcomes(HOLDER, succeeded=good(store, *fences, *lease(store))))
    assert states(store, [plain]) == [State.SUCCEEDED]
    assert store.health().workflows_set_aside == 20


def test_one_that_cannot_go_on_is_not_tried_all_the_time(store, clock, monkeypatch, caplog):
    broken, sound = crowd(store, 3), pair(store)
    fences = lease(store)
    damage(store, broken)
    store.settle(Outcomes(HOLDER, succeeded=good(store, *fences)))
    tries = []
    monkeypatch.setattr("penstock.store.sqlite.workflow_chores.tell", lambda *told: tries.append(told))
    for _ in range(100):
        assert store.tick().next_s > 0.0
        clock.advance(1.0)
    assert tries == []
    assert finish(store, sound) == ["succeeded"]
    for _ in range(10):
        clock.advance(ASIDE_S)
        store.tick()
        store.tick()
    assert store.health().workflows_set_aside == 1, "its row cannot be read"
    assert len(caplog.records) < 10


def test_calls_and_members_that_jobs_return_land_later(store, audit, monkeypatch):
    broken = crowd(store, 2)
    returning, adding = lease(store)
    more = WorkflowPlan(new_id(), "r", [StepPlan("x", group(entry()))], [Output(0)])
    outcomes = Outcomes(HOLDER, succeeded=good(store, returning, adding))
    outcomes.expansions.append((returning, more, []))
    outcomes.members.append((adding, [group(entry(), entry())]))
    standing = damage(store, broken)
    assert store.settle(outcomes).stale == []
    mend(store, broken, standing)
    assert store.workflow(broken).members == (4, 1, 0, 0)
    assert finish(store, broken) == ["succeeded"]
    assert store.workflow(broken).members == (4, 4, 0, 0)
    audit(store)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("suspected", [False, True])
def test_a_chore_that_ends_jobs_of_one_is_not_held_up(store, clock, audit, count, suspected):
    jobs = group(*(entry() for _ in range(count)), expires_s=1.0)
    steps = StepPlan("g", group=GroupPlan(count, count)), StepPlan("c", group(entry()), takes=[Take(0)])
    broken = start(store, *steps, members=[Members(0, [jobs])])
    standing = damage(store, broken)
    # Alone in its step, or beside others.
    late = put(store, 2, expires_s=1.0) if count > 1 else []
    clock.advance(1.0)
    if suspected:
        store._apart.suspect("expiring jobs")
    store.tick()
    assert states(store, late) == [State.EXPIRED] * len(late)
    assert store.stats().queues["default"].ready == 0
    health = store.health()
    assert (health.workflows_set_aside, health.jobs_set_aside) == (1, 0)
    mend(store, broken, standing)
    assert store.workflow(broken).members == (count, 0, count, 0)
    assert finish(store, broken) == ["succeeded"]
    audit(store)


def test_a_full_disk_sets_nothing_aside(store, monkeypatch):
    broken = pair(store)
    (fence,) = lease(store)

    def full(machine):
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(Machine, "decide", full)
    with pytest.raises(StoreFull):
        store.settle(Outcomes(HOLDER, succeeded=good(store, fence)))
    monkeypatch.undo()
    assert store.health().workflows_set_aside == 0
    store.settle(Outcomes(HOLDER, succeeded=good(store, fence)))
    assert finish(store, broken) == ["succeeded"]


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize("seed", range(30))
def test_a_machine_that_raises_now_and_then_loses_nothing(store, clock, audit, monkeypatch, seed):
    """Whatever the plan, whatever its jobs come to: told late, it comes to the end that the plan says."""
    monkeypatch.setattr(workflow_aside, "ASIDE_S", 0.5)
    chance, raised = Random(seed), []

    def now_and_then(call):
        def wrapped(*args, **kwargs):
            if not raised or chance.random() < 0.2:
                raised.append(call)
                raise ZeroDivisionError("a defect")
            return call(*args, **kwargs)

        return wrapped

    class Shaken(Life):
        def call(self, name, *args, **kwargs):
            with pytest.MonkeyPatch.context() as patched:
                if name in {"settle", "tick"}:
                    patched.setattr(Told, "go_on", now_and_then(Told.go_on))
                    patched.setattr(Machine, "alarm", now_and_then(Machine.alarm))
                    patched.setattr(Machine, "takes_call", now_and_then(Machine.takes_call))
                return super().call(name, *args, **kwargs)

    undo = seed % 3 == 0
    life = Shaken(store, clock, Random(seed), 0.3, undo=undo).go()
    if not undo:
        life.check_end()
    assert raised
    clock.advance(1.0)
    while store.tick().next_s == 0:
        pass
    audit(store)
