"""The calls of the engine that are about schedules, and the chore that fires them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.model.audit import check_by
from penstock.model.interests import Ending, Interest
from penstock.model.job import EnqueueAnswer, JobGroup
from penstock.model.schedules import RunsPage, RunState, Schedule, ScheduleRun, SchedulesPage, ScheduleView
from penstock.model.states import TERMINAL
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import WorkflowStarted, WorkflowState
from penstock.ports import Clock
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.operator_records import OperatorRecords
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.schedule_rows import SqliteScheduleRows
from penstock.store.sqlite.transactions import atomic, draining
from penstock.store.sqlite.workflow_calls import WorkflowCalls
from penstock.workflow.schedule_runs import state_after
from penstock.workflow.scheduler import Scheduler

FIRE: Final = "firing schedules"
_FULL_S: Final = 1.0
"""While the disk is full nothing is fired; so often it is looked whether there is room."""


class _Effects:
    """What the engine can do for schedules, in the open transaction.

    Attributes:
        has_cancelled: jobs were cancelled in the last step.
    """

    def __init__(
        self,
        clock: Clock,
        acceptor: Acceptor,
        endings: Endings,
        inspector: Inspector,
        operating: Operating,
        records: OperatorRecords,
        workflows: WorkflowCalls,
    ) -> None:
        self._clock = clock
        self._acceptor = acceptor
        self._endings = endings
        self._inspector = inspector
        self._operating = operating
        self._records = records
        self._workflows = workflows
        self.has_cancelled = False

    def time(self) -> float:
        """Now."""
        return self._clock.time()

    def enqueue(self, groups: Sequence[JobGroup]) -> EnqueueAnswer:
        """Enqueue jobs whose ends are heard of."""
        answer = self._acceptor.enqueue(groups, atomic=False)
        known = {one.index for one in answer.exceptions if one.duplicate or one.conflict}
        for index, group in enumerate(groups):
            seq = None if index in known else self._inspector.seq_of(group.jobs[0].id)
            if seq is not None:
                self._endings.listeners.add_interest(seq, Interest.SCHEDULED_BY)
        return answer

    def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members]) -> WorkflowStarted:
        """Start a workflow. The end of any workflow is heard of."""
        return self._workflows.start_workflow(plan, members)

    def cancel(self, run: ScheduleRun) -> None:
        """Cancel its job, or its workflow."""
        if run.id is None:
            return
        # What is cancelled may have become ready in this transaction.
        self._endings.line.write_all()
        self.has_cancelled = True
        if run.is_workflow:
            self._workflows.cancel_workflow(run.id)
        else:
            self._operating.cancel(run.id)

    def note(self, by: str | None, verb: str, name: str, note: str | None = None) -> None:
        """An entry of the audit log."""
        if by is not None:
            self._records.note(by, verb, f"schedule:{name}", note=note)


class ScheduleCalls(WorkflowCalls):
    """The part of `penstock.store.sqlite.store.SqliteStore` that is about schedules."""

    _operating: Operating
    _schedule_rows: SqliteScheduleRows
    _scheduler: Scheduler

    def _open_schedules(self) -> None:
        """Once all that schedules need is there."""
        self._schedule_rows = SqliteScheduleRows(self.database)
        self._effects = effects = _Effects(
            self.clock, self._acceptor, self._endings, self._inspector, self._operating, self._records, self
        )
        self._scheduler = Scheduler(self._schedule_rows, effects)
        self._endings.listeners.register(Interest.SCHEDULED_BY, self._runs_ended)
        self._workflows.deciding.ended.append(self._workflow_ended)

    # --- the calls ---------------------------------------------------------------------------------------------------
    @atomic
    def put_schedule(self, schedule: Schedule, *, by: str | None = None) -> ScheduleView:
        """See `penstock.ports.ScheduleStore.put_schedule`."""
        check_by(by)
        return self._scheduler.put(schedule, by)

    @draining
    def remove_schedule(self, name: str, *, by: str | None = None) -> ScheduleView | None:
        """See `penstock.ports.ScheduleStore.remove_schedule`."""
        check_by(by)
        return self._scheduler.remove(name, by)

    def schedule(self, name: str) -> ScheduleView | None:
        """See `penstock.ports.ScheduleStore.schedule`."""
        return self._scheduler.view(name)

    def schedules(self, *, cursor: str | None = None, limit: int = 100) -> SchedulesPage:
        """See `penstock.ports.ScheduleStore.schedules`."""
        return self._scheduler.page(cursor, limit)

    @atomic
    def run_schedule(self, name: str, *, by: str | None = None) -> ScheduleRun:
        """See `penstock.ports.ScheduleStore.run_schedule`."""
        check_by(by)
        return self._scheduler.run(name, by)

    @draining
    def pause_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """See `penstock.ports.ScheduleStore.pause_schedule`."""
        check_by(by)
        return self._scheduler.pause(name, by)

    @draining
    def resume_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """See `penstock.ports.ScheduleStore.resume_schedule`."""
        check_by(by)
        return self._scheduler.resume(name, by)

    @atomic
    def backfill_schedule(self, name: str, since: float, until: float, *, by: str | None = None) -> int:
        """See `penstock.ports.ScheduleStore.backfill_schedule`."""
        check_by(by)
        return self._scheduler.backfill(name, since, until, by)

    def schedule_runs(self, name: str, *, cursor: str | None = None, limit: int = 100) -> RunsPage:
        """See `penstock.ports.ScheduleStore.schedule_runs`."""
        return self._scheduler.history(name, cursor, limit)

    # --- the chore ---------------------------------------------------------------------------------------------------
    def _fire(self) -> int:
        """Fire what is due, in the open transaction."""
        self._effects.has_cancelled = False
        return 0 if self.database.full else self._scheduler.step()

    def _next_firing(self) -> float | None:
        """When a schedule is to be looked at, in monotonic seconds."""
        look_at, now = self._schedule_rows.next_look(), self.clock.monotonic()
        if self._effects.has_cancelled:
            # There may be too many records now, and these are trimmed before schedules are fired.
            return now
        if look_at is None:
            return None
        if self.database.full:
            return now + _FULL_S
        return now + max(0.0, look_at - self.clock.time())

    def _runs_ended(self, endings: Sequence[Ending]) -> None:
        """Hears of the ends of jobs that schedules have started."""
        for ending in endings:
            found = None if ending.source in TERMINAL else self._schedule_rows.of_job(ending.id)
            if found is not None:
                self._scheduler.ended(*found, state_after(ending.event))

    def _workflow_ended(self, workflow: bytes, state: WorkflowState) -> None:
        """Hears of the end of every workflow."""
        found = self._schedule_rows.of_job(workflow)
        if found is not None:
            self._scheduler.ended(*found, RunState(state.value))
