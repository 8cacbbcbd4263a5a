"""Schedules: what is enqueued when, as stores keep it. When a schedule fires is decided in `penstock.workflow`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.model.entry import JobGroup
from penstock.model.numbers import Seconds, Whole
from penstock.model.workflow_plan import WorkflowPlan


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
    ALL = "all"
    """All, oldest first, up to ``missed_max``; those before are skipped."""


class Schedule(Struct, array_like=True, frozen=True):
    """Exactly one of ``cron``, ``every_s`` and ``at`` is given, and one of ``call`` and ``plan``.

    Attributes:
        name: 1 to 200 characters, unique in the store.
        call: one job; the ids in it, and in ``plan``, are replaced at each firing.
        cron: five fields, names allowed.
        timezone: an IANA name; slots of ``cron`` are of its wall clock.
        every_s: since ``start_at``, or since the schedule was made.
        at: one time, Unix seconds.
        start_at, end_at: no slot before, or after. None: no bound.
        jitter_s: each slot is enqueued up to this much later, by chance; its slot is what it was.
        missed_max: of ``Missed.ALL``.
        declared_by: the application whose code has it; None: it was made at run time.
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
