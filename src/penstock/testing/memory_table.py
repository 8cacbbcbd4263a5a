"""The in-memory store's table: rows, the order they stand in, and the counts, kept in step by one function, `Table.go`.

Each move is checked and counted by `penstock.model.ledger`; what the calls of a store mean is in `memory`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from penstock.model import ledger
from penstock.model.dead_kinds import DeadKinds
from penstock.model.flow import Rule
from penstock.model.job import JobError, Progress, QueueStats
from penstock.model.keyed_limits import Key, place_in_key
from penstock.model.losses import Standing
from penstock.model.states import TERMINAL, WAITING, Event, State
from penstock.model.unique import Claim
from penstock.testing.agenda import Agenda

_TAIL_BITS: Final = 5
"""Of the first ten bytes of an id, those that do not count for the order of jobs."""


@dataclass(slots=True)
class Lease:
    """Who runs a job, and until when (``ends_at``: monotonic seconds)."""

    fence: int
    holder: bytes
    ends_at: float


class Missing(NamedTuple):
    """What a blocked job waits for, and the limit that this is a key of; None: its line is paused."""

    key: Key
    rule: Rule | None


class Part(NamedTuple):
    """What a job is to a workflow: the job of a step, its member at this place, or what undoes it."""

    workflow: bytes
    step: int
    place: int | None = None
    undoes: bool = False


Line = tuple[str, str]
"""A queue and a task."""


@dataclass(slots=True, eq=False)
class Row:
    """A job.

    Attributes:
        number: its place among all jobs; distinct, in the order of ids.
        state: None before it is in the table and after it has left.
        outcome: how it ended, even when nothing of it is kept; None: it has not.
        rank: its place among jobs of the same priority: its tenant's turn in a fair queue, otherwise 0.
        arrival: its place among jobs of the same priority and rank.
        ready_at: when it got that place, in Unix seconds.
        run_at: when it may start or might have; None: it was never asked to wait.
        expires_at: when it expires if it was never started until then; None: never.
        refused_by: the lease holders that refused it; True: for its arguments.
        refused_since, unfit_since: since when, and since when for its arguments; None: it was not.
        refusal: why, the last time.
        again: those who refused it may have it again when they have nothing else to do.
        aside_until: when to look at that; None: never.
        values: as in `JobEntry.values`.
        slots: the keys that it holds a slot of.
        waits_for: while it is blocked, what for.
        attempts: those charged.
        standing: what is held against it.
        unique_key: as in `JobEntry.unique_key`, if its group has such a rule.
        claim: what it has of that key.
        keep_until: when the record of a finished job is gone; None: it is not finished.
        result_until: when its result is gone.
        searchable: the arguments it can be found by.
        dead_kind: what it counts as while it is dead.
        each: as in `JobGroup.each`.
        part: of which workflow it is, which keeps its record; None: of none.
        became: the workflow that the call became which it returned; None: it returned none.
    """

    id: bytes
    number: int
    task: str
    queue: str
    priority: int
    body: bytes
    checksum: int
    created_at: float
    headers: dict[str, str] | None
    tags: list[str] | None
    state: State | None = None
    outcome: State | None = None
    rank: int = 0
    arrival: int = 0
    ready_at: float = 0.0
    run_at: float | None = None
    expires_at: float | None = None
    has_started: bool = False
    refused_by: dict[bytes, bool] = field(default_factory=dict)
    refused_since: float | None = None
    unfit_since: float | None = None
    refusal: JobError | None = None
    again: bool = False
    aside_until: float | None = None
    values: dict[str, str] | None = None
    slots: set[Key] = field(default_factory=set)
    waits_for: Missing | None = None
    attempts: int = 0
    standing: Standing = field(default_factory=Standing)
    lease: Lease | None = None
    cancel_requested: bool = False
    progress: Progress | None = None
    error: JobError | None = None
    started_at: float | None = None
    finished_at: float | None = None
    keep_until: float | None = None
    result: bytes | None = None
    result_until: float | None = None
    searchable: dict[str, str] | None = None
    dead_kind: int = 0
    unique_key: str | None = None
    claim: Claim | None = None
    each: bool = False
    part: Part | None = None
    became: bytes | None = None

    def is_expired(self, now: float) -> bool:
        """Whether it waited too long for its start."""
        return not self.has_started and self.expires_at is not None and self.expires_at <= now

    def forget_refusals(self) -> None:
        """It has run, or ended, or is elsewhere."""
        self.refused_by = {}
        self.refused_since = self.unfit_since = self.refusal = self.aside_until = None
        self.again = False

    def expires_in_s(self, now: float) -> float | None:
        """How long from now it may still be started. None: it does not expire (any more)."""
        return None if self.has_started or self.expires_at is None else self.expires_at - now

    @property
    def line(self) -> Line:
        """The line it stands in when it is ready."""
        return (self.queue, self.task)

    @property
    def order(self) -> tuple[int, int, int]:
        """Its place in its queue: a higher priority, then a lower rank, then an earlier arrival, is smaller."""
        return (-self.priority, self.rank, self.arrival)


class Table:
    """Rows by id, an agenda for each thing that happens to rows by itself, and counts by queue.

    Attributes:
        removed: what the queues that were removed have counted, added up.
        changed: the queues whose counts have changed since somebody looked.
        dead_kinds: the dead by task and type of error.
        listeners: are told of each move after it was made: the row, what happened, the state before and after it.
    """

    def __init__(self) -> None:
        self.listeners: list[Callable[[Row, Event, State | None, State | None], None]] = []
        self.rows: dict[bytes, Row] = {}
        self.numbers: dict[int, Row] = {}
        self.counts: defaultdict[str, QueueStats] = defaultdict(QueueStats)
        self.lines: defaultdict[Line, Agenda[bytes, tuple[int, int, int]]] = defaultdict(Agenda)
        self.removed = QueueStats()
        self.changed: set[str] = set()
        self.blocked: defaultdict[Key, Agenda[bytes, tuple[int, int, int, int]]] = defaultdict(Agenda)
        self.scheduled: Agenda[bytes, tuple[float, int]] = Agenda()
        self.expiring: Agenda[bytes, tuple[float, int]] = Agenda()
        self.refused: dict[bytes, Row] = {}
        self.running: dict[int, Row] = {}
        self.leases: Agenda[bytes, tuple[float, int]] = Agenda()
        self.finished: Agenda[bytes, tuple[float, int]] = Agenda()
        self.dead: Agenda[bytes, tuple[float, int]] = Agenda()
        self.dead_kinds = DeadKinds()

    def free_number(self, job_id: bytes) -> int:
        """The place of a new job among all: by the front of its id, or the next that is free."""
        number = int.from_bytes(job_id[:10], "big") >> _TAIL_BITS
        while number in self.numbers:
            number += 1
        return number

    def go(self, row: Row, event: Event, target: State | None) -> None:
        """Make one move of the transition table, and count it.

        Raises:
            IllegalTransition: the table does not have it; nothing has changed.
        """
        ledger.move(self.counts[row.queue], event, row.state, target)
        self.changed.add(row.queue)
        source = row.state
        self.take_out(row)
        row.state = target
        self.put_in(row)
        for listener in self.listeners:
            listener(row, event, source, target)

    def take_out(self, row: Row) -> None:
        """Take a row out of all it stands in, before what its place depends on is changed. `put_in` puts it back."""
        if row.state is None:
            return
        del self.rows[row.id], self.numbers[row.number]
        for agenda in (self.lines[row.line], self.scheduled, self.leases, self.finished, self.dead):
            agenda.drop(row.id)
        self.expiring.drop(row.id)
        self.refused.pop(row.id, None)
        if row.state is State.BLOCKED and row.waits_for is not None:
            self.blocked[row.waits_for.key].drop(row.id)
        if row.lease is not None:
            self.running.pop(row.lease.fence, None)
        if row.state is State.DEAD:
            self.dead_kinds.leave(row.dead_kind)

    def put_in(self, row: Row) -> None:
        """Put a row where its state belongs."""
        if row.state is None:
            return
        self.rows[row.id] = self.numbers[row.number] = row
        if row.state in WAITING and not row.has_started and row.expires_at is not None:
            self.expiring.put(row.id, (row.expires_at, row.number))
        if row.state is State.READY and row.refused_since is not None:
            self.refused[row.id] = row
        elif row.state is State.READY:
            self.lines[row.line].put(row.id, row.order)
        elif row.state is State.BLOCKED:
            assert row.waits_for is not None, "a blocked job waits for something"
            place = place_in_key(row.order, row.waits_for.rule)
            self.blocked[row.waits_for.key].put(row.id, (*place, row.number))
        elif row.state is State.SCHEDULED:
            assert row.run_at is not None, "a scheduled job waits for a time"
            self.scheduled.put(row.id, (row.run_at, row.number))
        elif row.state is State.RUNNING:
            assert row.lease is not None, "a running job is leased"
            self.running[row.lease.fence] = row
            self.leases.put(row.id, (row.lease.ends_at, row.lease.fence))
        elif row.state in TERMINAL:
            assert row.keep_until is not None, "a finished job's record has its time"
            if row.part is None:
                (self.dead if row.state is State.DEAD else self.finished).put(row.id, (row.keep_until, row.number))
        if row.state is State.DEAD:
            row.dead_kind = self.dead_kinds.enter(row.task, row.error.type if row.error else "")

    def extend(self, row: Row, ends_at: float) -> None:
        """Let a running job's lease end at another time, in monotonic seconds."""
        assert row.lease is not None, "only a running job is extended"
        row.lease.ends_at = ends_at
        self.leases.put(row.id, (row.lease.ends_at, row.lease.fence))

    def held(self, holder: bytes, fence: int) -> Row | None:
        """The job that this holder has leased with this fence; None: it has not, or not any more."""
        row = self.running.get(fence)
        return row if row is not None and row.lease is not None and row.lease.holder.startswith(holder) else None

    def transfer(self, row: Row, queue: str) -> None:
        """Put a waiting job into another queue."""
        assert row.state is not None, "it waits"
        ledger.transfer(self.counts[row.queue], self.counts[queue], row.state)
        self.changed.update((row.queue, queue))
        self.take_out(row)
        row.queue = queue
        self.put_in(row)

    def newest_first(self, below: int | None = None) -> Iterator[Row]:
        """Rows by falling number, those under ``below``; all of them when it is None."""
        for number in sorted(self.numbers, reverse=True):
            if below is None or number < below:
                yield self.numbers[number]
