"""Runs of schedules where a store fails, or what it kept cannot be read. What else they do: the conformance suite."""

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.entry import EnqueueAnswer, Enqueued
from penstock.model.errors import QueueDraining, StoreFull
from penstock.model.schedules import Missed, RunState, Schedule
from penstock.model.states import MOVES, Event
from penstock.model.workflow_plan import StepPlan, WorkflowPlan
from penstock.model.workflow_views import WorkflowStarted
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.scheduling import job, minutely
from penstock.testing.memory_schedules import MemorySchedules
from penstock.workflow.schedule_runs import UNREADABLE, state_after
from penstock.workflow.scheduler import Scheduler


class Effects:
    """A store that says what it started, and fails when it is told to."""

    def __init__(self, clock):
        self.clock = clock
        self.started = []
        self.noted = []
        self.fails = None
        self.fails_at = None
        self.keeps_away = False

    def time(self):
        return self.clock.time()

    def enqueue(self, groups):
        if self.fails is not None:
            raise self.fails
        self.started += [group.headers["slot"] for group in groups]
        if self.keeps_away:
            return EnqueueAnswer(0, [Enqueued(0, b"x" * 16, None, duplicate=True, unique=True)])
        return EnqueueAnswer(len(groups), [])

    def start_workflow(self, plan, members):
        if self.fails is not None:
            raise self.fails
        self.started.append(plan.name)
        if len(self.started) == self.fails_at:
            raise QueueDraining("It drains.")
        return WorkflowStarted(plan.id)

    def cancel(self, run):
        raise AssertionError("nothing is cancelled here")

    def note(self, by, verb, name, note=None):
        self.noted.append((by, verb, name, note))


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def rows():
    return MemorySchedules()


@pytest.fixture
def effects(clock):
    return Effects(clock)


@pytest.fixture
def scheduler(rows, effects):
    return Scheduler(rows, effects)


def test_a_store_that_is_full_loses_no_slot(scheduler, effects, clock, rows):
    scheduler.put(minutely(), None)
    before = rows.standing("s")
    clock.advance(60.0)
    effects.fails = StoreFull()
    with pytest.raises(StoreFull):
        scheduler.step()
    assert rows.standing("s") == before, "the step is undone, and done again"
    effects.fails = None
    scheduler.step()
    assert len(effects.started) == 1


def test_what_the_store_refuses_is_done_with(scheduler, effects, clock):
    scheduler.put(minutely(), None)
    clock.advance(60.0)
    effects.fails = QueueDraining("It drains.")
    scheduler.step()
    effects.fails = None
    scheduler.step()
    assert effects.started == []
    (run,) = scheduler.history("s", None, 10).runs
    assert (run.state, run.note) == (RunState.REFUSED, "It drains.")


def test_one_that_cannot_be_read_holds_nobody_up(scheduler, effects, clock, rows):
    scheduler.put(minutely("a"), None)
    scheduler.put(minutely("b"), None)
    rows._told.pop(rows.standing("a").number)
    clock.advance(60.0)
    scheduler.step()
    assert len(effects.started) == 1
    view = scheduler.view("a")
    assert view.problem == UNREADABLE
    assert rows.standing("a").look_at == clock.time() + limits.SCHEDULE_LOOK_AGAIN_S
    # It can be put anew, and removed.
    assert scheduler.put(minutely("a"), None).problem is None
    assert scheduler.remove("a", None) is None


def test_a_zone_that_this_machine_does_not_know_is_told_and_tried_again(scheduler, effects, clock, rows):
    """A store may be moved to a machine without it."""
    scheduler.put(Schedule("s", call=job(), cron="* * * * *"), None)
    standing = rows.standing("s")
    told = rows.told(standing.number)
    rows.save_told(standing.number, told._replace(in_force=replace(told.in_force, timezone="Mars/Olympus")))
    clock.advance(60.0)
    scheduler.step()
    assert "Mars/Olympus" in scheduler.view("s").problem
    rows.save_told(standing.number, told)
    clock.advance(limits.SCHEDULE_LOOK_AGAIN_S)
    scheduler.step()
    assert scheduler.view("s").problem is None
    assert len(effects.started) == 1


def test_a_step_starts_so_many_runs_and_goes_on(scheduler, effects, clock):
    scheduler.put(minutely(every_s=1.0, missed=Missed.ALL, missed_max=250), None)
    clock.advance(86_400.0)
    counts = []
    while scheduler.step():
        counts.append(len(effects.started))
    assert counts[0] == limits.SCHEDULE_STEP_RUNS
    assert counts[-1] == 250
    assert effects.started == sorted(set(effects.started))


def test_a_run_that_ended_when_its_schedule_has_gone_is_nothing(scheduler, clock):
    scheduler.put(minutely(), None)
    run = scheduler.run("s", None)
    scheduler.remove("s", None)
    scheduler.ended("s", run, RunState.SUCCEEDED)
    assert scheduler.view("s") is None


def test_a_job_that_another_keeps_away_is_refused_and_named(scheduler, effects, clock):
    scheduler.put(minutely(), None)
    effects.keeps_away = True
    run = scheduler.run("s", None)
    assert (run.state, run.id, run.note) == (RunState.REFUSED, b"x" * 16, "Another job has its unique key.")


def test_workflows_are_started_once_for_each_slot(scheduler, effects, clock):
    plan = WorkflowPlan(bytes(16), "w", [StepPlan("a", job())])
    scheduler.put(Schedule("s", plan=plan, every_s=60.0), None)
    clock.advance(60.0)
    scheduler.step()
    (run,) = scheduler.history("s", None, 10).runs
    assert (run.state, run.is_workflow, effects.started) == (RunState.STARTED, True, ["w"])
    assert run.id not in (None, bytes(16))


def test_a_backfill_of_workflows_says_which_the_store_did_not_take(scheduler, effects, clock):
    plan = WorkflowPlan(bytes(16), "w", [StepPlan("a", job())])
    scheduler.put(Schedule("s", plan=plan, cron="* * * * *"), None)
    effects.fails_at = 2
    since = clock.time() - 150.0
    assert scheduler.backfill("s", since, since + 119.0, None) == 2
    assert [run.state for run in scheduler.history("s", None, 10).runs] == [RunState.REFUSED, RunState.STARTED]
    effects.fails = QueueDraining("It drains.")
    with pytest.raises(QueueDraining):
        scheduler.backfill("s", since, since + 119.0, None)


def test_every_event_that_ends_a_job_ends_its_run():
    ends = {event for event, move in MOVES.items() if None in move.targets or event in (Event.BURY, Event.LOSE)}
    assert {state_after(event) for event in ends} <= set(RunState)
    assert state_after(Event.BURY) is RunState.FAILED
    assert state_after(Event.CANCEL) is RunState.CANCELLED
