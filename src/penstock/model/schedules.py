"""Schedules: what is enqueued when, as stores keep it and show it. When one fires is decided in `penstock.workflow`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.model.entry import JobGroup
from penstock.model.ids import id_text
from penstock.model.numbers import Seconds, Whole
from penstock.model.workflow_plan import Members, WorkflowPlan


class Overlap(StrEnum):
    """What happens at a slot when what an earlier one started has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    """It starts when the earlier one has ended; of several slots the latest."""
    REPLACE = "replace"
    """The earlier one is cancelled."""


class Missed(StrEnum):
    """What happens to slots at whose time no owner ran, or the schedule could not be looked at."""

    NONE = "none"
    LAST = "last"
    """One run makes up for all of them; there is none if a later slot is on time."""
    ALL = "all"
    """All, oldest first, up to ``missed_max``; those before are skipped. They start whatever runs: ``overlap`` is not
    asked."""


class Schedule(Struct, array_like=True, frozen=True):
    """Exactly one of ``cron``, ``every_s`` and ``at`` is given, and one of ``call`` and ``plan``.

    Attributes:
        name: 1 to 200 of A-Z a-z 0-9 _ . : -, unique in the store.
        call: one job; the ids in it, and in ``plan``, are replaced at each firing.
        cron: five fields, names allowed.
        timezone: an IANA name; slots of ``cron`` are of its wall clock.
        every_s: since ``start_at``, or since the schedule was made.
        at: one time, Unix seconds.
        start_at, end_at: no slot before, or after. None: no bound.
        jitter_s: each slot is enqueued up to this much later, by chance; its slot is what it was.
        missed_max: of ``Missed.ALL``.
        declared_by: the application whose code has it; None: it was made at run time.
        members: of groups in ``plan``: all their bare members.
    """

    name: str
    call: JobGroup | None = None
    plan: WorkflowPlan | None = None
    cron: str | None = None
    timezone: str = "UTC"
    every_s: Seconds | None = None
    at: Seconds | None = None
    start_at: Seconds | None = None
    end_at: Seconds | None = None
    jitter_s: Seconds = 0.0
    overlap: Overlap = Overlap.SKIP
    missed: Missed = Missed.LAST
    missed_max: Whole = 100
    declared_by: str | None = None
    members: list[Members] = []


class Cause(StrEnum):
    """Why a run was started, or was to be."""

    SLOT = "slot"
    MISSED = "missed"
    """A slot that had been missed."""
    HAND = "hand"
    """Somebody asked for it."""
    BACKFILL = "backfill"
    """Somebody asked for the slots of some time that has passed."""


class RunState(StrEnum):
    """What became of a slot."""

    STARTED = "started"
    """Its job, or workflow, is in the store and has not ended."""
    QUEUED = "queued"
    """It waits for the end of an earlier one."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DELETED = "deleted"
    """Its job was thrown away before it had ended."""
    SKIPPED = "skipped"
    """An earlier one had not ended, or it was missed."""
    REFUSED = "refused"
    """The store did not take its job; ``note`` says why."""


class ScheduleRun(Struct, array_like=True, frozen=True):
    """An entry of a schedule's history.

    Attributes:
        number: rises with each entry of the schedule.
        slot: the time that it is for, Unix seconds.
        at: when it was started, or was not.
        id: of its job, or its workflow; None: it has none.
        is_workflow: which of the two.
        until: the last slot, of an entry that stands for several.
        ended_at: None: it has not ended, or has never started.
        note: why it was skipped or refused; None: there is nothing to say.
    """

    number: Whole
    slot: Seconds
    at: Seconds
    cause: Cause
    state: RunState
    id: bytes | None = None
    is_workflow: bool = False
    until: Seconds | None = None
    ended_at: Seconds | None = None
    note: str | None = None

    @property
    def id_text(self) -> str | None:
        """``id`` in its text form, as `Penstock.job` and `Penstock.workflow` take it; None: it has none."""
        return None if self.id is None else id_text(self.id)


class RunsPage(Struct, array_like=True, frozen=True):
    """Entries of a history, newest first. ``cursor`` asks for the next page; None: there is none."""

    runs: list[ScheduleRun]
    cursor: str | None = None


class ScheduleView(Struct, array_like=True, frozen=True):
    """A schedule as it is now.

    Attributes:
        schedule: what is in force.
        made_at: since when an interval without ``start_at`` counts, Unix seconds.
        is_paused: it does not fire.
        is_declared: the application in ``schedule.declared_by`` had it in its code when a worker last registered it.
            False with a ``declared_by``: it has left the code, and goes on.
        is_changed: it was changed by hand, and is not as its application declares it.
        next_slot: the next slot; None: there is none any more, or it is paused.
        next_at: when that is fired: with the jitter.
        latest: the latest entry of its history; None: there is none.
        problem: why it cannot fire; None: nothing.
    """

    schedule: Schedule
    made_at: float
    is_paused: bool = False
    is_declared: bool = False
    is_changed: bool = False
    next_slot: float | None = None
    next_at: float | None = None
    latest: ScheduleRun | None = None
    problem: str | None = None


class SchedulesPage(Struct, array_like=True, frozen=True):
    """Schedules, by name. ``cursor`` asks for the next page; None: there is none."""

    schedules: list[ScheduleView]
    cursor: str | None = None
