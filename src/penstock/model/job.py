"""The records that cross the ports, each a msgspec struct that is also its own wire form (an array, by position).

Times are Unix seconds in UTC (float); durations end in ``_s``; an id is 16 bytes; a fence is one integer, the store's
epoch in its high bits and a counter in the low forty, so a later fence is always greater.
"""

from __future__ import annotations

import zlib
from typing import Final

from msgspec import Raw, Struct

from penstock.model import limits
from penstock.model.counts import Capabilities as Capabilities  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import DeadCounts as DeadCounts  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import DeadKind as DeadKind  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import QueueStats as QueueStats  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import StatsPage as StatsPage  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import Ticked as Ticked  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.counts import Totals as Totals  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.durable_steps import Suspended as Suspended  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import EnqueueAnswer as EnqueueAnswer  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import Enqueued as Enqueued  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import JobEntry as JobEntry  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import JobGroup as JobGroup  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import Seconds as Seconds  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.entry import Whole as Whole  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.filter import Filter as Filter  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.job_error import UNKNOWN_TASK as UNKNOWN_TASK  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.job_error import JobError as JobError  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Buried as Buried  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Cancelled as Cancelled  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Lost as Lost  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Outcomes as Outcomes  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Refused as Refused  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Retried as Retried  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Snoozed as Snoozed  # noqa: PLC0414 - handed on: they cross the ports too
from penstock.model.outcomes import Succeeded as Succeeded  # noqa: PLC0414 - handed on: they cross the ports too
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
        became: of a job that returned a call instead of a value: the workflow that took its place. Its result is the
            job's. None: it did not, or it is a step, whose value is that of what took its place.
        workflow: the workflow that it is a job of; None: it is a lone one.
        step: the number of the step that it is the job, or a member, of.
        place: of a member of a group, which one, from 0.
        recorded: it has a history (`penstock.model.durable_steps`).
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
    became: bytes | None = None
    workflow: bytes | None = None
    step: int | None = None
    place: int | None = None
    recorded: bool = False


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
