"""The records that cross the ports, each a msgspec struct that is also its own wire form (an array, by position).

Times are Unix seconds in UTC (float); durations end in ``_s``; an id is 16 bytes; a fence is one integer, the store's
epoch in its high bits and a counter in the low forty, so a later fence is always greater.
"""

from __future__ import annotations

import zlib
from collections.abc import Container
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.counts import Capabilities as Capabilities  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import DeadCounts as DeadCounts  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import DeadKind as DeadKind  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import QueueStats as QueueStats  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import StatsPage as StatsPage  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import Ticked as Ticked  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import Totals as Totals  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import EnqueueAnswer as EnqueueAnswer  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import Enqueued as Enqueued  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import JobEntry as JobEntry  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import JobGroup as JobGroup  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import Seconds as Seconds  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import Whole as Whole  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.filter import Filter as Filter  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.losses import Loss
from penstock.model.settled import Fate as Fate  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.settled import Settled as Settled  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.states import State
from penstock.model.task_record import TaskRecord as TaskRecord  # noqa: PLC0414 - handed on: they cross the ports too

FENCE_COUNTER_BITS = 40


MESSAGE_TASK: Final = "penstock.message"
"""The task of messages, which stand in channels (`penstock.model.topics`). Nothing else is enqueued for it."""


class LeaseRequest(Struct, array_like=True, frozen=True):
    """Attributes:
    holder: who will hold the leases (16 bytes, a supervisor's own for its life).
    limit: at most this many jobs.
    queues: in order of preference, each drained before the next; None: all, as if they were one.
    tasks: those that the holder can run. Jobs of other tasks are neither given out nor looked at. None: any.
    channels: whose messages the holder takes, as ``topic:channel``. None: any if ``tasks`` is None too, else none.
        Where ``queues`` is given, messages are taken from those channels that stand in both.
    limited: of jobs whose queue or task has limits, at most this many: as many as the holder can start now, so that
        no place of a limit is held by a job that waits. None: any number.
    lane: which part of the holder asks, for a holder that asks for each kind of lane apart: what is known of what the
        holder can run is what its parts have asked for last, all together. None: the holder as a whole.
    """

    holder: bytes
    limit: Whole
    queues: list[str] | None = None
    lease_s: Seconds = limits.LEASE_S
    tasks: list[str] | None = None
    channels: list[str] | None = None
    limited: Whole | None = None
    lane: str | None = None

    def takes(self, queue: str, task: str) -> bool:
        """Whether the holder can run jobs of this task, or takes messages of this channel."""
        if task != MESSAGE_TASK:
            return self.tasks is None or task in self.tasks
        return self.tasks is None if self.channels is None else queue in self.channels


class LeasedJob(Struct, array_like=True, frozen=True, gc=False):
    """A job as its runner needs it. ``attempt`` counts from 1; ``extra`` is a packed `JobExtra` or None."""

    id: bytes
    attempt: int
    queue: str
    body: bytes
    extra: bytes | None


class JobExtra(Struct, array_like=True, frozen=True):
    """What few jobs have.

    Attributes:
        expires_in_s: in a lease of a job that has not started before and has an expiry: not to be started this long
            after it was leased, but released. Never stored.
        workflow: the workflow that the job is a step, or a member of a group, of. Its result is kept whatever its task
            says, as long as the workflow. None: it is of none.
        step: the number of that step.
        place: of a member of a group, which one; None: it is a step of its own.
        recorded: it has a history or a checkpoint (`penstock.model.durable_steps`).
        each: its arguments are ``[[args, …], {}]``, each of them those of a call: the function is called for one after
            the other, and the result is the list of what it returned.
    """

    headers: dict[str, str] | None = None
    tags: list[str] | None = None
    expires_in_s: float | None = None
    workflow: bytes | None = None
    step: Whole | None = None
    place: Whole | None = None
    recorded: bool = False
    each: bool = False


class LeaseBatch(Struct, array_like=True, frozen=True):
    """Jobs leased in one step. Job ``i`` has the fence ``first_fence + i`` and the task ``tasks[task_of[i]]``.

    Attributes:
        alone: the places, rising, of jobs that may have killed an executor. Each is to run in an executor in which no
            other job runs, waits or has run.
        more: nothing was found so far, and not all was looked at that may be: ask again at once.
        limited: the places, rising, of jobs whose queue or task has limits. None: nothing in the store has limits, so
            it does not matter what `LeaseRequest.limited` says.
    """

    first_fence: int
    tasks: list[str]
    task_of: bytes
    jobs: list[LeasedJob]
    alone: list[int] = []
    more: bool = False
    limited: list[int] | None = None


class PackedBatch(Struct, array_like=True, frozen=True):
    """A `LeaseBatch` for whoever hands the jobs on and does not look at them: each is its packed `LeasedJob`."""

    first_fence: int
    tasks: list[str]
    task_of: bytes
    jobs: list[Raw]
    alone: list[int] = []
    more: bool = False
    limited: list[int] | None = None


UNKNOWN_TASK: Final = "UnknownTask"
"""The `JobError.type` of a job whose task is not known where it was to run."""


class JobError(Struct, array_like=True, frozen=True):
    """Why a job failed. ``type`` is the exception's class name, or TimeLimitExceeded, WorkerLost, Expired, Corrupt."""

    type: str
    message: str
    traceback: str | None = None


class Succeeded(Struct, array_like=True, frozen=True, gc=False):
    """Returned. ``result`` is the encoded value (format byte first), None when it is not kept."""

    fence: Whole
    started_at: Seconds
    finished_at: Seconds
    result: bytes | None = None
    keep_result_s: Seconds = limits.KEEP_RESULT_S
    keep_record_s: Seconds = limits.KEEP_RECORD_S


class Retried(Struct, array_like=True, frozen=True):
    """Raised, and runs again after ``delay_s``. An attempt."""

    fence: Whole
    delay_s: Seconds
    error: JobError


class Snoozed(Struct, array_like=True, frozen=True):
    """Asked to run again after ``delay_s``. Not an attempt."""

    fence: Whole
    delay_s: Seconds


class Buried(Struct, array_like=True, frozen=True):
    """Raised for the last time. Kept ``keep_s``."""

    fence: Whole
    error: JobError
    started_at: Seconds | None = None
    keep_s: Seconds = limits.KEEP_DEAD_S


class Cancelled(Struct, array_like=True, frozen=True):
    """Ended because it was asked to."""

    fence: Whole
    keep_record_s: Seconds = limits.KEEP_RECORD_S


class Lost(Struct, array_like=True, frozen=True):
    """Its executor died, or its lease ended. It runs again uncharged, or is dead when ``loss`` was one too many.

    Attributes:
        error: why; kept, with the type WorkerLost, unless the job had not started.
        started_at: Unix seconds, for the record of a dead job; None: as it was reported before.
    """

    fence: Whole
    loss: Loss
    error: JobError
    started_at: Seconds | None = None


class Refused(Struct, array_like=True, frozen=True):
    """Its holder cannot run it, and has not begun to: see `penstock.model.refusals`. Neither an attempt nor a loss."""

    fence: Whole
    error: JobError

    @property
    def is_unfit(self) -> bool:
        """Whether the task is known there, and the arguments do not fit; otherwise the task is unknown."""
        return self.error.type != UNKNOWN_TASK


class Outcomes(Struct, array_like=True):
    """One settlement. Each fence stands in at most one list.

    What goes through all lists is done by the methods here, so that a new kind of outcome is forgotten nowhere.

    Attributes:
        holder: who says so. Leases of others are none of its business: their fences are stale here.
        forgotten: fences of jobs that succeeded and of which nothing is kept: the fast path.
        released: fences given back; never started, or drained. Not charged.
        children: jobs that land with the outcome of the fence before them, or not at all.
        refused: jobs that their holder cannot run. Others can have them at once.
    """

    holder: bytes
    forgotten: list[Whole] = []
    succeeded: list[Succeeded] = []
    retried: list[Retried] = []
    snoozed: list[Snoozed] = []
    buried: list[Buried] = []
    cancelled: list[Cancelled] = []
    lost: list[Lost] = []
    released: list[Whole] = []
    children: list[tuple[Whole, list[JobGroup]]] = []
    refused: list[Refused] = []

    def fences(self) -> list[int]:
        """The fence of every outcome, list by list."""
        fences = [*self.forgotten, *self.released]
        for name in _RECORD_LISTS:
            records = getattr(self, name)
            if records:
                fences += [outcome.fence for outcome in records]
        return fences

    def add(self, outcome: Succeeded | Retried | Snoozed | Buried | Cancelled | Lost | Refused) -> None:
        """Add one outcome of more than a fence to its list."""
        getattr(self, _LIST_OF[type(outcome)]).append(outcome)

    def extend(self, more: Outcomes) -> None:
        """Add the outcomes, and the children, of another settlement of the same holder."""
        for name in _LISTS:
            getattr(self, name).extend(getattr(more, name))

    def only(self, fences: Container[int]) -> Outcomes:
        """A settlement of those outcomes whose fence is among these, each with its children."""
        part = replace(self, children=[child for child in self.children if child[0] in fences])
        for name in _FENCE_LISTS:
            setattr(part, name, [fence for fence in getattr(self, name) if fence in fences])
        for name in _RECORD_LISTS:
            setattr(part, name, [outcome for outcome in getattr(self, name) if outcome.fence in fences])
        return part

    def once(self) -> Outcomes:
        """The same settlement with one outcome for each fence: of several the first, a success before anything else."""
        part, seen = replace(self), set[int]()
        for name in (*_FENCE_LISTS, *_RECORD_LISTS):
            kept: list[Any] = []
            for outcome in getattr(self, name):
                fence = outcome if name in _FENCE_LISTS else outcome.fence
                if fence not in seen:
                    seen.add(fence)
                    kept.append(outcome)
            setattr(part, name, kept)
        return part

    def halves(self) -> tuple[Outcomes, Outcomes]:
        """The same outcomes in two settlements, each outcome with its children."""
        fences = self.fences()
        middle = len(fences) // 2
        return self.only(set(fences[:middle])), self.only(set(fences[middle:]))


_LISTS: Final = tuple(name for name in Outcomes.__struct_fields__ if name != "holder")
_FENCE_LISTS: Final = ("forgotten", "released")
"""Outcomes of which there is nothing more to tell than the fence."""
_RECORD_LISTS: Final = tuple(name for name in _LISTS if name not in (*_FENCE_LISTS, "children"))
_LIST_OF: Final[dict[type, str]] = {
    Succeeded: "succeeded",
    Retried: "retried",
    Snoozed: "snoozed",
    Buried: "buried",
    Cancelled: "cancelled",
    Lost: "lost",
    Refused: "refused",
}
assert sorted(_LIST_OF.values()) == sorted(_RECORD_LISTS), "each kind of outcome has its list"


class Progress(Struct, array_like=True, frozen=True, gc=False):
    """What a running job says of itself. ``total`` None: unknown."""

    done: float
    total: float | None = None
    note: str | None = None


class Extension(Struct, array_like=True):
    """Leases to hold on to. ``started`` are (fence, Unix seconds) not reported before."""

    holder: bytes
    fences: list[Whole]
    lease_s: Seconds = limits.LEASE_S
    started: list[tuple[Whole, Seconds]] = []
    progress: list[tuple[Whole, Progress]] = []


class Extended(Struct, array_like=True, frozen=True):
    """Attributes:
    lost: fences that are not held any more; what they say later is refused.
    cancel: fences of jobs that somebody wants cancelled.
    """

    lost: list[int]
    cancel: list[int]


class JobView(Struct, array_like=True, frozen=True):
    """A job as it is now, for people and programs that ask.

    Attributes:
        attempt: how many were charged; with the one that runs, while it runs, and the one that ended it. A snooze, a
            release and a loss are not charged.
        max_attempts: of the task as it is registered now.
        created_at: when it was accepted, by the store's clock.
        run_at: when it may start or could; None when that is unknown by now.
        started_at: of the attempt that runs or ended it, as it was reported; None while it waits, and when its
            supervisor died too before it had reported the start (which takes up to `limits.STARTED_REPORT_S`).
        progress: of the attempt that runs.
        losses: how often an executor died that had run nothing else: see `penstock.model.losses`.
        error: of a dead job, why; of one that waits or runs, that of its last attempt, or why it was lost since; of one
            that waits because it was refused, why; else None.
        result: encoded, only when asked for.
        result_kept: True: there is a result to fetch; False: there was, or none is kept.
        strays: how often it was lost by no fault of its executor.
        suspect: it may have killed an executor, so it runs alone.
        reason: of a ready job, why its line is closed (`penstock.model.lines.Closed`); of a blocked one, why it is
            blocked; None: nothing but others in front keeps it from being given out.
        key: of a blocked job, the key that the reason counts for.
    """

    id: bytes
    task: str
    queue: str
    state: State
    priority: int
    attempt: int
    max_attempts: int
    created_at: float
    run_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    losses: int = 0
    progress: Progress | None = None
    error: JobError | None = None
    headers: dict[str, str] | None = None
    tags: list[str] | None = None
    result: bytes | None = None
    result_kept: bool = False
    body: bytes | None = None
    cancel_requested: bool = False
    strays: int = 0
    suspect: bool = False
    reason: str | None = None
    key: str | None = None


class Page(Struct, array_like=True, frozen=True):
    """Jobs, newest first. ``cursor`` asks for the next page; None: there is none.

    A page may be short, or empty, and go on: the search looked at as many jobs as it may at once, and those did not
    match. Whoever wants a full page goes on (`penstock.store.paging`).
    """

    jobs: list[JobView]
    cursor: str | None


class Step(Struct, array_like=True, frozen=True):
    """One bounded step of a bulk action, which may have changed nothing. ``cursor`` goes on; None: done."""

    changed: int
    cursor: str | None


def checksum(body: bytes) -> int:
    """CRC-32 (ISO-HDLC, as in zlib) of a job's body."""
    return zlib.crc32(body)
