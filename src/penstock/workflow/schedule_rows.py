"""How schedules stand, and what a store brings so that `penstock.workflow.scheduler` can do the rest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from penstock.model.entry import EnqueueAnswer, JobGroup
from penstock.model.schedules import Schedule, ScheduleRun
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import WorkflowStarted


class Standing(Struct, array_like=True, frozen=True):
    """How a schedule stands.

    Attributes:
        number: its row; never given to another.
        made_at: since when an interval counts.
        handled: all slots up to here are done with.
        look_at: when something is to be done about it; None: never.
        next_slot: the next slot; None: there is none, or it is paused.
        is_paused, is_declared, is_changed, problem: as in `ScheduleView`.
        queued: the number of the run that waits for the end of an earlier one; None: none does.
        runs: the number of the latest entry of its history; 0: there is none.
        forget_at: when it goes by itself, because it has no slots any more; None: it does not.
        declared_by: the application that declares it, or did; None: none.
    """

    number: int
    name: str
    made_at: float
    handled: float
    look_at: float | None = None
    next_slot: float | None = None
    is_paused: bool = False
    is_declared: bool = False
    is_changed: bool = False
    problem: str | None = None
    queued: int | None = None
    runs: int = 0
    forget_at: float | None = None
    declared_by: str | None = None


class Told(NamedTuple):
    """What a schedule says: what is in force, and what its application declares (None: it declares none)."""

    in_force: Schedule
    declared: Schedule | None = None


class ScheduleRows(Protocol):
    """Where schedules and their histories are kept."""

    def standing(self, name: str) -> Standing | None:
        """By name."""
        ...

    def save(self, standing: Standing) -> None:
        """Keep it, as a new one if its number is new."""
        ...

    def told(self, number: int) -> Told | None:
        """What it says; None: it cannot be read."""
        ...

    def save_told(self, number: int, told: Told) -> None:
        """Keep what it says."""
        ...

    def remove(self, standing: Standing) -> None:
        """Forget it with its history."""
        ...

    def new_number(self) -> int:
        """A number that no schedule has had."""
        ...

    def count(self) -> int:
        """How many schedules there are."""
        ...

    def due(self, now: float, limit: int) -> list[Standing]:
        """Those to be looked at by now, the first ones first."""
        ...

    def page(self, after: str, limit: int) -> list[Standing]:
        """Those whose names come after this one, by name."""
        ...

    def declared_by(self, application: str) -> list[Standing]:
        """Those that an application declares, or has declared."""
        ...

    def run(self, number: int, run: int) -> ScheduleRun | None:
        """An entry of a history."""
        ...

    def save_run(self, number: int, run: ScheduleRun) -> None:
        """Keep an entry, in the place of the one of its number."""
        ...

    def drop_runs(self, number: int, up_to: int) -> None:
        """Forget the entries up to this number, but runs that have not ended."""
        ...

    def runs(self, number: int, below: int, limit: int) -> list[ScheduleRun]:
        """Entries with lower numbers than this, newest first."""
        ...

    def open_runs(self, number: int, limit: int) -> list[ScheduleRun]:
        """Runs that have started and not ended, oldest first."""
        ...

    def count_open(self, number: int, limit: int) -> int:
        """How many these are, counted up to a limit."""
        ...


class Effects(Protocol):
    """What a store can do beside its rows of schedules, in the same step."""

    def time(self) -> float:
        """Now, Unix seconds."""
        ...

    def enqueue(self, groups: Sequence[JobGroup]) -> EnqueueAnswer:
        """Enqueue jobs of which a schedule wants to hear the end.

        Raises:
            PenstockError: the store takes none of them; nothing was written.
        """
        ...

    def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members]) -> WorkflowStarted:
        """Start a workflow of which a schedule wants to hear the end.

        Raises:
            PenstockError: the store does not take it; nothing was written.
        """
        ...

    def cancel(self, run: ScheduleRun) -> None:
        """Cancel what a run has started."""
        ...

    def note(self, by: str | None, verb: str, name: str, note: str | None = None) -> None:
        """Write into the audit log what was done to a schedule, if somebody asked for it by hand."""
        ...
