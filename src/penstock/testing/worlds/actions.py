"""What may happen in a small world, how large one is, and how the calls are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from penstock.model.durable_steps import Record, RecordKind, Suspended
from penstock.model.flow import OnConflict, Order, UniqueRule
from penstock.model.job import Buried, JobEntry, JobError, JobGroup, Lost, Outcomes, Retried, checksum
from penstock.model.losses import Loss

TASK: Final = "app.work"
TENANT: Final = "acme"
UNIQUE_KEY: Final = "order-7"
LEASE_S: Final = 2.0
"""Of every lease: two steps of time."""
STEP_S: Final = 1.0
"""One step of time, and the delay of a retry."""
ERROR: Final = JobError("ValueError", "no good")

Verb = Literal[
    "enqueue",
    "lease",
    "extend",
    "settle",
    "start",
    "late",
    "crash",
    "reconcile",
    "time",
    "cancel",
    "revive",
    "pause",
    "resume",
    "record",
    "signal",
]
Ending = Literal["succeed", "retry", "release", "lose", "sleep", "await", "await a while"]
ENDINGS: Final[tuple[Ending, ...]] = ("succeed", "retry", "release", "lose")
SUSPENSIONS: Final[tuple[Ending, ...]] = ("sleep", "await", "await a while")
"""Endings of a run in the middle of its function: for a second, until an event comes, or for a second at most."""
EVENT: Final = "approved"
STEP_PLACE: Final = 0
"""The place of a job's only step."""
WAIT_PLACE: Final = 1
"""The place of what it waits for after that, once."""


class Action(NamedTuple):
    """Something that happens. ``job`` and ``worker`` are their numbers, from 0."""

    verb: Verb
    job: int = -1
    worker: int = -1
    ending: Ending | None = None

    def __str__(self) -> str:
        """As a line of a trace."""
        ending = "" if self.ending is None else f" ({self.ending})"
        return _TOLD[self.verb].format(job=self.job, worker=self.worker) + ending


_TOLD: Final[dict[Verb, str]] = {
    "enqueue": "a producer enqueues job {job}",
    "lease": "worker {worker} leases",
    "extend": "worker {worker} extends its leases",
    "start": "worker {worker} says that its jobs have started",
    "settle": "worker {worker} settles job {job}",
    "late": "worker {worker} repeats what it said of leases that are over, and names those of others",
    "crash": "worker {worker} crashes and is there again, without what it had leased",
    "reconcile": "worker {worker} says which leases it knows",
    "time": "a second passes, and the owner's chores are done",
    "cancel": "an operator cancels job {job}",
    "revive": "an operator retries job {job}",
    "pause": "an operator pauses the task",
    "resume": "an operator resumes the task",
    "record": "worker {worker} records the step of job {job}",
    "signal": "somebody signals the event to job {job}",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How large a world is, and what there is in it.

    Attributes:
        limit: how many of the tenant's jobs may run at a time.
        order: of the tenant's jobs; with ``fifo`` a job that failed keeps its slot until it runs again.
        on_conflict: what an enqueue does that meets its unique key; None: no job is unique.
        attempts_max: how often a job may fail before it is dead.
        starts: workers say that jobs have started, so that what is lost then counts against a job. There are many
            more states.
        operators: jobs are cancelled and retried by hand as well.
        pauses: the jobs' task is paused and resumed as well.
        signals: jobs record a step, are suspended once, and each is signalled an event so many times
            (`penstock.testing.worlds.suspending`). None: they do nothing of that.
        delivers: the workers are connections of a door (`penstock.testing.worlds.delivering`).
    """

    jobs: int = 2
    workers: int = 2
    limit: int = 1
    order: Order = "priority"
    on_conflict: OnConflict | None = "replace"
    attempts_max: int = 2
    starts: bool = False
    operators: bool = False
    pauses: bool = False
    signals: int | None = None
    delivers: bool = False


@dataclass(slots=True)
class Lease:
    """A lease as it was answered.

    Attributes:
        lives: it was not settled, given back, or left to end.
        is_known: its worker has not crashed since.
    """

    fence: int
    job: int
    worker: int
    attempt: int
    ends_at: float
    lives: bool = True
    is_known: bool = True


def group_of(job: int, on_conflict: OnConflict | None) -> JobGroup:
    """What a producer enqueues."""
    rule = None if on_conflict is None else UniqueRule(on_conflict=on_conflict)
    body = b"m" + bytes([job])
    entry = JobEntry(
        id_of(job),
        body,
        checksum(body),
        idempotency_key=f"call-{job}",
        values={"tenant": TENANT},
        unique_key=None if rule is None else UNIQUE_KEY,
    )
    return JobGroup(TASK, [entry], unique=rule)


def outcomes_of(holder: bytes, fence: int, ending: Ending, *, is_last: bool = False) -> Outcomes:
    """What a holder says of one lease. ``is_last``: a job that failed does not run again."""
    outcomes = Outcomes(holder)
    match ending:
        case "succeed":
            outcomes.forgotten = [fence]
        case "retry" if is_last:
            outcomes.buried = [Buried(fence, ERROR)]
        case "retry":
            outcomes.retried = [Retried(fence, STEP_S, ERROR)]
        case "release":
            outcomes.released = [fence]
        case "lose":
            outcomes.lost = [Lost(fence, Loss.SHARED, ERROR)]
        case "sleep":
            outcomes.suspended = [Suspended(fence, Record(WAIT_PLACE, "sleep", RecordKind.SLEEP), [], STEP_S)]
        case "await" | "await a while":
            delay_s = None if ending == "await" else STEP_S
            outcomes.suspended = [Suspended(fence, Record(WAIT_PLACE, EVENT, RecordKind.EVENT), [], delay_s)]
    return outcomes


def id_of(job: int) -> bytes:
    """The id of a job."""
    return (1_800_000_000_000 + job).to_bytes(6, "big") + b"\x70\x00\x80" + bytes(7)


def number_of(job_id: bytes) -> int:
    """The job with this id."""
    return int.from_bytes(job_id[:6], "big") - 1_800_000_000_000


def holder_of(worker: int) -> bytes:
    """What a worker holds leases as."""
    return b"holder-%d-16bytes" % worker
