"""The runs of schedules: how they are started, what they wait for, how they end. Pure; stores bring rows and effects.

A slot is fired in the step that notes it as done with, so either both have happened or neither has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption, PenstockError, StoreFull, StoreUnavailable
from penstock.model.schedules import Cause, Missed, Overlap, RunState, Schedule, ScheduleRun
from penstock.model.states import Event
from penstock.workflow.firing import Due, due_at, fires_at
from penstock.workflow.schedule_rows import Effects, ScheduleRows, Standing, Told
from penstock.workflow.slot_calls import job_of, run_ids, workflow_of
from penstock.workflow.slots import bounded_after, slots_of

_NOT_ENDED: Final = "An earlier run has not ended."
_WAS_MISSED: Final = "It was missed."
_LATER_ONE: Final = "A later slot took its place."
_TOO_MANY: Final = f"{limits.SCHEDULE_RUNNING_MAX} runs have not ended."
_KEY_TAKEN: Final = "Another job has its unique key."
_STATE_AFTER: Final = {
    Event.SUCCEED: RunState.SUCCEEDED,
    Event.CANCEL: RunState.CANCELLED,
    Event.EXPIRE: RunState.EXPIRED,
    Event.DELETE: RunState.DELETED,
}
UNREADABLE: Final = "What it says cannot be read."


class Runs:
    """Starts and ends the runs of one store's schedules."""

    def __init__(self, rows: ScheduleRows, effects: Effects) -> None:
        self.rows = rows
        self.effects = effects

    # --- time passes -------------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Fire what is due, so much at most as one step may. Answers how many runs were started, or were to be."""
        now = self.effects.time()
        done = 0
        for standing in self.rows.due(now, limits.SCHEDULE_STEP_RUNS):
            done += self._look(standing, now, limits.SCHEDULE_STEP_RUNS - done)
            if done >= limits.SCHEDULE_STEP_RUNS:
                break
        return done

    def _look(self, standing: Standing, now: float, room: int) -> int:
        """Do what is due of one schedule. Answers how many of its slots it has dealt with."""
        if standing.forget_at is not None and standing.forget_at <= now:
            self.rows.remove(standing)
            return 1
        told = self.rows.told(standing.number)
        try:
            if told is None:
                raise InvalidOption(UNREADABLE)
            due = due_at(told.in_force, slots_of(told.in_force, standing.made_at), standing.handled, now)
        except Exception as error:  # noqa: BLE001 - one schedule that cannot be told of must not hold up the others
            problem = error.message if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
            self.rows.save(replace(standing, problem=problem, look_at=now + limits.SCHEDULE_LOOK_AGAIN_S))
            return 1
        standing = self._start_queued(replace(standing, problem=None), told, now)
        return self._fire(standing, told, due, now, room)

    def _fire(self, standing: Standing, told: Told, due: Due, now: float, room: int) -> int:
        schedule = told.in_force
        if due.passed is not None:
            first, last = due.passed
            standing = self._skipped(standing, first, now, Cause.MISSED, _WAS_MISSED, until=last)
            standing = replace(standing, handled=last)
        slots = [(slot, Cause.MISSED) for slot in due.missed] + [(slot, Cause.SLOT) for slot in due.on_time]
        for slot, cause in slots[:room]:
            asks = cause is Cause.SLOT or schedule.missed is not Missed.ALL
            standing = replace(self._meet(standing, schedule, slot, cause, now, asks=asks), handled=slot)
        if len(slots) > room:
            self.rows.save(self.planned(standing, told, now))
        else:
            self.rows.save(self._next(replace(standing, handled=due.handled), schedule, due.next_slot, now))
        return max(1, min(room, len(slots)))

    def _meet(
        self, standing: Standing, schedule: Schedule, slot: float, cause: Cause, now: float, *, asks: bool
    ) -> Standing:
        """Let a slot meet the runs that have not ended. ``asks``: it goes by ``overlap`` whether it starts."""
        if not asks:
            if self.rows.count_open(standing.number, limits.SCHEDULE_RUNNING_MAX) >= limits.SCHEDULE_RUNNING_MAX:
                return self._skipped(standing, slot, now, cause, _TOO_MANY)
            return self._started(standing, schedule, slot, cause, now)
        if standing.queued is None and not self.rows.open_runs(standing.number, 1):
            return self._started(standing, schedule, slot, cause, now)
        if schedule.overlap is Overlap.SKIP:
            return self._skipped(standing, slot, now, cause, _NOT_ENDED)
        if schedule.overlap is Overlap.QUEUE:
            standing = self._out_of_queue(standing)
            run = ScheduleRun(standing.runs + 1, slot, now, cause, RunState.QUEUED)
            return replace(self._noted(standing, run), queued=run.number)
        # One waits if the schedule said ``queue`` before.
        standing = self._out_of_queue(standing)
        for run in self.rows.open_runs(standing.number, limits.SCHEDULE_RUNNING_MAX):
            self.effects.cancel(run)
        return self._started(standing, schedule, slot, cause, now)

    def _out_of_queue(self, standing: Standing) -> Standing:
        if standing.queued is not None:
            run = self.rows.run(standing.number, standing.queued)
            if run is not None:
                self.rows.save_run(standing.number, replace(run, state=RunState.SKIPPED, note=_LATER_ONE))
        return replace(standing, queued=None)

    def _start_queued(self, standing: Standing, told: Told, now: float) -> Standing:
        """Start the run that waits for the end of an earlier one, if that has come."""
        if standing.queued is None or self.rows.open_runs(standing.number, 1):
            return standing
        run = self.rows.run(standing.number, standing.queued)
        standing = replace(standing, queued=None)
        if run is not None:
            self.rows.save_run(standing.number, self._begun(standing, told.in_force, replace(run, at=now)))
        return standing

    def _started(self, standing: Standing, schedule: Schedule, slot: float, cause: Cause, now: float) -> Standing:
        run = ScheduleRun(standing.runs + 1, slot, now, cause, RunState.STARTED)
        return self._noted(standing, self._begun(standing, schedule, run))

    def _begun(self, standing: Standing, schedule: Schedule, run: ScheduleRun) -> ScheduleRun:
        """The run with what it has started, or why it has not."""
        try:
            (begun,) = self._begin(standing, schedule, [run])
        except (StoreFull, StoreUnavailable):
            # Nothing is wrong with the slot: the step is undone, and done again.
            raise
        except PenstockError as error:
            return _refused(run, error)
        return begun

    def _begin(self, standing: Standing, schedule: Schedule, runs: list[ScheduleRun]) -> list[ScheduleRun]:
        """The runs with what they have started.

        Raises:
            PenstockError: the store takes none of it; nothing was written.
        """
        ids = [run_ids(standing, run.number, run.at) for run in runs]
        if schedule.call is None:
            return self._begin_workflows(schedule, list(zip(runs, ids, strict=True)))
        groups = [job_of(schedule, run.slot, own) for run, own in zip(runs, ids, strict=True)]
        told = {one.index: one.id for one in self.effects.enqueue(groups).exceptions if one.duplicate or one.conflict}
        return [
            replace(run, state=RunState.REFUSED, id=told[index], note=_KEY_TAKEN)
            if index in told
            else replace(run, state=RunState.STARTED, id=groups[index].jobs[0].id)
            for index, run in enumerate(runs)
        ]

    def _begin_workflows(
        self, schedule: Schedule, runs: list[tuple[ScheduleRun, Iterator[bytes]]]
    ) -> list[ScheduleRun]:
        begun: list[ScheduleRun] = []
        for run, ids in runs:
            try:
                started = self.effects.start_workflow(*workflow_of(schedule, run.slot, ids))
            except (StoreFull, StoreUnavailable):
                raise
            except PenstockError as error:
                if not begun:
                    raise
                begun.append(_refused(run, error))
            else:
                begun.append(replace(run, state=RunState.STARTED, id=started.id, is_workflow=True))
        return begun

    def _skipped(
        self, standing: Standing, slot: float, now: float, cause: Cause, note: str, *, until: float | None = None
    ) -> Standing:
        """Note that a slot, or all up to ``until``, has started nothing. Slots in a row are one entry."""
        until = None if until == slot else until
        last = self.rows.run(standing.number, standing.runs) if standing.runs else None
        if last is not None and (last.state, last.cause, last.note) == (RunState.SKIPPED, cause, note):
            self.rows.save_run(standing.number, replace(last, until=slot if until is None else until, at=now))
            return standing
        return self._noted(
            standing, ScheduleRun(standing.runs + 1, slot, now, cause, RunState.SKIPPED, until=until, note=note)
        )

    def _noted(self, standing: Standing, run: ScheduleRun) -> Standing:
        self.rows.save_run(standing.number, run)
        self.rows.drop_runs(standing.number, run.number - limits.SCHEDULE_RUNS_KEPT)
        return replace(standing, runs=run.number)

    def planned(self, standing: Standing, told: Told, now: float) -> Standing:
        """The standing with what comes next."""
        schedule, slot = told.in_force, None
        if not standing.is_paused:
            try:
                slot = bounded_after(schedule, slots_of(schedule, standing.made_at), standing.handled)
            except InvalidOption as error:
                look_at = now + limits.SCHEDULE_LOOK_AGAIN_S
                return replace(standing, problem=error.message, next_slot=None, look_at=look_at, forget_at=None)
        return self._next(standing, schedule, slot, now)

    def _next(self, standing: Standing, schedule: Schedule, slot: float | None, now: float) -> Standing:
        """The standing with this as its next slot; None: it has none."""
        standing = replace(standing, next_slot=None, look_at=None, forget_at=None)
        if standing.is_paused:
            return standing
        waits = standing.queued is not None
        if waits and not self.rows.open_runs(standing.number, 1):
            return replace(standing, next_slot=slot, look_at=now)
        if slot is not None:
            return replace(standing, next_slot=slot, look_at=fires_at(schedule, slot))
        if waits or standing.declared_by is not None:
            return standing
        forget_at = now + limits.SCHEDULE_KEEP_S
        return replace(standing, forget_at=forget_at, look_at=forget_at)

    # --- runs end ----------------------------------------------------------------------------------------------------
    def ended(self, name: str, run: ScheduleRun, state: RunState) -> None:
        """What a run has started is over. If another waits for that, the schedule is looked at next."""
        standing = self.rows.standing(name)
        if standing is None:
            return
        now = self.effects.time()
        self.rows.save_run(standing.number, replace(run, state=state, ended_at=now))
        if run.number <= standing.runs - limits.SCHEDULE_RUNS_KEPT:
            self.rows.drop_runs(standing.number, run.number)
        if standing.queued is not None and not standing.is_paused and not self.rows.open_runs(standing.number, 1):
            self.rows.save(replace(standing, look_at=now))

    # --- by hand -----------------------------------------------------------------------------------------------------
    def by_hand(
        self, standing: Standing, schedule: Schedule, slots: list[float], cause: Cause, now: float
    ) -> list[ScheduleRun]:
        """Start runs that somebody asks for, all or none, whatever runs.

        Raises:
            Conflict: too many runs of it have not ended.
        """
        most = limits.SCHEDULE_RUNNING_MAX
        if self.rows.count_open(standing.number, most) + len(slots) > most:
            raise Conflict(
                f"{most} runs of the schedule {standing.name!r} may be under way (SCHEDULE_RUNNING_MAX): wait for some"
                " to end."
            )
        wanted = [
            ScheduleRun(standing.runs + place, slot, now, cause, RunState.STARTED)
            for place, slot in enumerate(slots, 1)
        ]
        runs = self._begin(standing, schedule, wanted)
        for run in runs:
            standing = self._noted(standing, run)
        self.rows.save(standing)
        return runs


def state_after(event: Event) -> RunState:
    """What a run is whose job has ended by this."""
    return _STATE_AFTER.get(event, RunState.FAILED)


def _refused(run: ScheduleRun, error: PenstockError) -> ScheduleRun:
    return replace(run, state=RunState.REFUSED, note=error.message)
