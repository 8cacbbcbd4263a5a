"""Schedules in the in-memory store: rows and effects for `penstock.workflow.scheduler`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import Final

from penstock.model.audit import check_by
from penstock.model.job import EnqueueAnswer, JobGroup
from penstock.model.schedules import RunsPage, RunState, Schedule, ScheduleRun, SchedulesPage, ScheduleView
from penstock.model.states import TERMINAL, Event, State
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import WorkflowStarted, WorkflowState
from penstock.ports import Clock, Store
from penstock.testing.agenda import Agenda
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_table import Row
from penstock.workflow.schedule_rows import Standing, Told
from penstock.workflow.schedule_runs import state_after
from penstock.workflow.scheduler import Scheduler


class MemorySchedules:
    """The rows."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}
        self._told: dict[int, Told] = {}
        self._runs: dict[int, dict[int, ScheduleRun]] = {}
        self._looks: Agenda[str, tuple[float, str]] = Agenda()
        self._number = 0

    def standing(self, name: str) -> Standing | None:
        """See `penstock.workflow.schedule_rows.ScheduleRows`, as for all that follows."""
        return self._standings.get(name)

    def save(self, standing: Standing) -> None:
        """Keep it."""
        self._standings[standing.name] = standing
        if standing.look_at is None:
            self._looks.drop(standing.name)
        else:
            self._looks.put(standing.name, (standing.look_at, standing.name))

    def told(self, number: int) -> Told | None:
        """What it says."""
        return self._told.get(number)

    def save_told(self, number: int, told: Told) -> None:
        """Keep what it says."""
        self._told[number] = told

    def remove(self, standing: Standing) -> None:
        """Forget it."""
        del self._standings[standing.name]
        self._told.pop(standing.number, None)
        self._runs.pop(standing.number, None)
        self._looks.drop(standing.name)

    def new_number(self) -> int:
        """A number of its own."""
        self._number += 1
        return self._number

    def count(self) -> int:
        """How many there are."""
        return len(self._standings)

    def due(self, now: float, limit: int) -> list[Standing]:
        """Those to be looked at."""
        found = [one for one in self._standings.values() if one.look_at is not None and one.look_at <= now]
        return sorted(found, key=lambda one: (one.look_at or 0.0, one.number))[:limit]

    def page(self, after: str, limit: int) -> list[Standing]:
        """By name."""
        names = [name for name in sorted(self._standings) if name > after]
        return [self._standings[name] for name in names[:limit]]

    def declared_by(self, application: str) -> list[Standing]:
        """Those of an application."""
        return [one for one in self._standings.values() if one.declared_by == application]

    def run(self, number: int, run: int) -> ScheduleRun | None:
        """An entry."""
        return self._runs.get(number, {}).get(run)

    def save_run(self, number: int, run: ScheduleRun) -> None:
        """Keep an entry."""
        self._runs.setdefault(number, {})[run.number] = run

    def drop_runs(self, number: int, up_to: int) -> None:
        """Forget old entries."""
        runs = self._runs.get(number, {})
        for old in [one.number for one in runs.values() if one.number <= up_to and one.state not in _OPEN]:
            del runs[old]

    def runs(self, number: int, below: int, limit: int) -> list[ScheduleRun]:
        """Newest first."""
        runs = self._runs.get(number, {})
        return [runs[one] for one in sorted(runs, reverse=True) if one < below][:limit]

    def open_runs(self, number: int, limit: int) -> list[ScheduleRun]:
        """Oldest first."""
        runs = self._runs.get(number, {})
        started = (runs[one] for one in sorted(runs) if runs[one].state is RunState.STARTED)
        return list(islice(started, limit))

    def count_open(self, number: int, limit: int) -> int:
        """How many have not ended."""
        return len(self.open_runs(number, limit))

    def next_look(self) -> float | None:
        """When the first is to be looked at."""
        first = self._looks.first()
        return None if first is None else first[0][0]

    def of_job(self, job_id: bytes) -> tuple[str, ScheduleRun] | None:
        """The run that has started this and has not ended."""
        for name, standing in self._standings.items():
            for run in self._runs.get(standing.number, {}).values():
                if run.id == job_id and run.state is RunState.STARTED:
                    return name, run
        return None


_OPEN: Final = (RunState.STARTED, RunState.QUEUED)


class ScheduleEffects:
    """What the twin can do for schedules."""

    def __init__(self, clock: Clock, operators: Operators, store: Store) -> None:
        self._clock = clock
        self._operators = operators
        self._store = store

    def time(self) -> float:
        """Now."""
        return self._clock.time()

    def enqueue(self, groups: Sequence[JobGroup]) -> EnqueueAnswer:
        """Enqueue jobs. The end of any job is heard of."""
        return self._store.enqueue(groups)

    def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members]) -> WorkflowStarted:
        """Start a workflow. The end of any workflow is heard of."""
        return self._store.start_workflow(plan, members)

    def cancel(self, run: ScheduleRun) -> None:
        """Cancel its job, or its workflow."""
        if run.id is not None and run.is_workflow:
            self._store.cancel_workflow(run.id)
        elif run.id is not None:
            self._store.cancel([run.id])

    def note(self, by: str | None, verb: str, name: str, note: str | None = None) -> None:
        """An entry of the audit log."""
        if by is not None:
            self._operators.note(by, verb, f"schedule:{name}", note=note)


class ScheduleCalls(WithSlots, ABC):
    """The part of `penstock.testing.memory.MemoryStore` that is about schedules."""

    _clock: Clock
    _schedule_rows: MemorySchedules
    _scheduler: Scheduler

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @serving
    def put_schedule(self, schedule: Schedule, *, by: str | None = None) -> ScheduleView:
        """Make or change a schedule."""
        self._open()
        check_by(by)
        return self._scheduler.put(schedule, by)

    def remove_schedule(self, name: str, *, by: str | None = None) -> ScheduleView | None:
        """Remove a schedule, or what was changed by hand."""
        self._open()
        check_by(by)
        return self._scheduler.remove(name, by)

    def schedule(self, name: str) -> ScheduleView | None:
        """One schedule."""
        self._open()
        return self._scheduler.view(name)

    def schedules(self, *, cursor: str | None = None, limit: int = 100) -> SchedulesPage:
        """Schedules, by name."""
        self._open()
        return self._scheduler.page(cursor, limit)

    @serving
    def run_schedule(self, name: str, *, by: str | None = None) -> ScheduleRun:
        """Start a run now."""
        self._open()
        check_by(by)
        return self._scheduler.run(name, by)

    def pause_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """Let it not fire."""
        self._open()
        check_by(by)
        return self._scheduler.pause(name, by)

    def resume_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """Let it fire again."""
        self._open()
        check_by(by)
        return self._scheduler.resume(name, by)

    @serving
    def backfill_schedule(self, name: str, since: float, until: float, *, by: str | None = None) -> int:
        """Start runs for slots that have passed."""
        self._open()
        check_by(by)
        return self._scheduler.backfill(name, since, until, by)

    def schedule_runs(self, name: str, *, cursor: str | None = None, limit: int = 100) -> RunsPage:
        """Its history."""
        self._open()
        return self._scheduler.history(name, cursor, limit)

    # --- what the store calls ----------------------------------------------------------------------------------------
    def _run_ended(self, row: Row, event: Event, source: State | None, target: State | None) -> None:
        """Hears of each move of a job, to note the ends of runs."""
        if source in TERMINAL or (target is not None and target not in TERMINAL):
            return
        found = self._schedule_rows.of_job(row.id)
        if found is not None:
            self._scheduler.ended(*found, state_after(event))

    def _workflow_ended(self, workflow: bytes, state: WorkflowState) -> None:
        """Hears of the end of every workflow."""
        found = self._schedule_rows.of_job(workflow)
        if found is not None:
            self._scheduler.ended(*found, RunState(state.value))

    def _next_firing(self) -> float | None:
        """When a schedule is to be looked at, in monotonic seconds."""
        look_at = self._schedule_rows.next_look()
        return None if look_at is None else self._clock.monotonic() + look_at - self._clock.time()
