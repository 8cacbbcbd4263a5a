"""The contract of a store.

A call is written here, in the in-memory twin, in the engine and in the conformance suite; `penstock.ports.waiting` has
its form for event loops. Its form on the wire, both clients and the page ``docs/calls.md`` are made from its signature,
see `penstock.store.wire.calls`: by the names, the types and the defaults of its parameters. A call that changes nothing
is marked `reads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model import limits
from penstock.model.flow import QueueRecord, Rule
from penstock.model.health import StoreHealth
from penstock.model.job import (
    Capabilities,
    DeadCounts,
    EnqueueAnswer,
    Extended,
    Extension,
    Filter,
    JobGroup,
    JobView,
    LeaseBatch,
    LeaseRequest,
    Outcomes,
    Page,
    Settled,
    StatsPage,
    Step,
    TaskRecord,
    Ticked,
    Totals,
)
from penstock.model.limits_in_force import LimitView
from penstock.model.lines import Closed, ClosedLine
from penstock.model.schedules import Schedule
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.ports.durable_steps import DurableStepStore
from penstock.ports.effects import reads, repeatable
from penstock.ports.operators import OperatorStore
from penstock.ports.schedules import ScheduleStore
from penstock.ports.sources import SourceStore
from penstock.ports.topics import TopicStore
from penstock.ports.workflows import WorkflowStore


class Store(DurableStepStore, OperatorStore, ScheduleStore, SourceStore, TopicStore, WorkflowStore, Protocol):
    """Jobs and what becomes of them. Each call is one atomic step: it happens whole or raises and changes nothing.

    Any call may raise `StoreUnavailable` or `StoreFull`, and `InvalidOption` when a number, a time or a name in it is
    not what it may be (`penstock.model.acceptance`); it has changed nothing then. How long records and results are kept
    goes by the store's clock, whatever clocks its clients have.

    ``by`` of cancel, revive, move, delete, edit and of limits: who asks for it by hand, for the audit log; None: a
    program does, and nothing is noted there.
    """

    @reads
    def capabilities(self) -> Capabilities:
        """What this store guarantees."""
        ...

    def register_tasks(
        self,
        tasks: Sequence[TaskRecord],
        queues: Sequence[QueueRecord] = (),
        *,
        schedules: Sequence[Schedule] = (),
        application: str | None = None,
    ) -> None:
        """Record tasks and queues; the latest record of a name stands. A holder that did not know one of the tasks is
        asked again. The limits that a record declares are in force from now on, and those that the record before it
        declared are not.

        ``schedules``: all that ``application`` declares in its code. Those of its that are not among them any more go
        on, and are shown as such (`ScheduleView.is_declared`), until they are removed. What was changed by hand stays
        so. ``application`` None: nothing is said of schedules.

        Raises:
            InvalidOption: a record has a name, a number or a limit that it may not have, or there are too many; a
                schedule is not what it may be.
            BodyTooLarge: the arguments of a schedule's job are.
        """
        ...

    @reads
    def tasks(self) -> list[TaskRecord]:
        """The recorded tasks, by name."""
        ...

    @reads
    def declared_queues(self) -> list[QueueRecord]:
        """The recorded queues, by name: those that applications declare. A queue need not be declared to have jobs."""
        ...

    def enqueue(
        self, groups: Sequence[JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> EnqueueAnswer:
        """Accept jobs: durable when this returns.

        An id that is known already is a duplicate of itself. An idempotency key seen before for the task is a
        duplicate when the call is the same (`JobEntry.is_call`), else a conflict; within one call too. It counts for
        `limits.IDEMPOTENCY_S` from its first use, past the record of its job. With ``atomic`` one conflict refuses the
        whole call (``accepted`` 0, only the conflicts listed) and leaves no key behind.

        Then come unique keys, also one job after the other within one call: `penstock.model.unique` says which job
        keeps others away and what becomes of those. A job whose arguments are replaced keeps its id, its queue and its
        priority; body, headers, tags, values and what it is found by are the newcomer's, its attempts begin at one, and
        who refused it may have it again. With its delay its expiry and its period begin anew, and it stands at the end
        of its line. The newcomer's idempotency key stands for that job from then on.

        With a ``cursor`` the position of a source moves in the same step. It moves whatever is said of single jobs
        (a duplicate is in the store already), but not when ``atomic`` refuses the call. See
        `penstock.model.source_cursors`.

        Raises:
            InvalidOption: an option is outside what it may be (`penstock.model.acceptance`), or there are too many
                positions (`limits.SOURCE_CURSORS_MAX`).
            BodyTooLarge: a body or the number of jobs is.
            StaleCursor: the offset was passed, or the fence is lower than the one in force. Its ``offset`` and
                ``fence`` are the position in force. Nothing was enqueued.
            QueueDraining: a queue or a task among these takes no new jobs (`drain`); none of these jobs is accepted.
        """
        ...

    @repeatable
    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """Take ready jobs of open lines in order, each with a fence greater than any before it.

        The order within a queue is priority, then rank, then arrival; that of queues is the priority, then the arrival
        of the first job of each. Where tenants take turns a rank is a turn (`penstock.model.fair_turns`), elsewhere all
        ranks are the same. Of tasks that the request does not name nothing is looked at. Messages are given out of
        those channels alone that it names (`LeaseRequest.channels`).

        Of a queue and of a task that have limits no more is leased than those have room for, all of them at once
        (`penstock.model.line_limit`). A lease counts until it ends, whoever ends it, and spends a token of a rate for
        good. Jobs without room stay ready, say why (`JobView.reason`), and hold up no jobs of other lines.

        A job that limits count for by keys (`penstock.model.keyed_limits`) is ready only with a slot of each of its
        keys. Without one it is blocked, and nothing here looks at it; the call that gives a slot back makes those that
        are next ready.

        Becoming ready is arriving: an enqueue, a promotion, a retry, a snooze and a revival put a job at the end; what
        is released, lost or reclaimed has its old place again. Expired ones are not given out but ended; one whose body
        fails its checksum is buried as Corrupt. ``alone`` names those that may have killed an executor. What the holder
        has refused is not given to it for a while (`penstock.model.refusals`). Fewer than asked for when a batch would
        name too many tasks; empty when nothing is ready or too many are running, and, with ``more``, when many had
        to be passed over and others should have their turn first.
        """
        ...

    @repeatable
    def extend(self, extension: Extension) -> Extended:
        """Start the leases anew from now, note which jobs have started and how far they are.

        A fence of another holder is answered as lost, and nothing that is reported of it is believed. A holder's name
        that is shorter than 16 bytes stands for all whose names begin so, as those of a door do.
        """
        ...

    def settle(self, outcomes: Outcomes) -> Settled:
        """Commit outcomes. Answers which fences did not become what was asked, and what became of them.

        It happens whole or not at all: whatever may be refused is looked at before anything changes. A fence that
        `Outcomes.holder` does not hold is stale and changes nothing; that refuses none of the others. A shorter name
        stands for all holders whose names begin so, as those of a door do. A job somebody
        wants cancelled does not run again: retried, snoozed, lost, released or refused it is cancelled instead. One
        that comes back before it was started, and whose expiry has passed, expires.

        Children land with the success of their job (``forgotten`` or ``succeeded``), in the same step. Those of any
        other outcome, of a stale fence, and of a fence of which nothing else is said, do not land and count towards no
        limit. On a full disk children may use
        what is kept back for jobs that were accepted; when that is not enough the whole settlement is refused.

        A suspended job waits for a time or an event in the middle of its function, and is scheduled meanwhile: neither
        an attempt nor a loss. It gives its slots back (but those that keep strict order) and keeps its unique key. It
        is ready when its time has come, or when the event it waits for is signalled, which may have been before. An
        operator who lets it start now ends its sleep, or the time it waits.

        A refused job has its old place again, but not for its holder; `penstock.model.refusals` says for how long, and
        when such a job is dead. It is shown with the reason while it waits. Moved, edited or revived it is new to all.

        A loss is no attempt; what it counts as is up to `penstock.model.losses`. One that is SHARED or BLAMED makes the
        job a suspect, until it succeeds, fails, or is retried or snoozed: then it has shown that it can end by itself.
        Released or lost otherwise it stays one. Of what a door has delivered (`penstock.model.deliveries`) a loss is an
        attempt, and nothing else.

        Raises:
            InvalidOption: a time is out of reach, a fence stands in it twice, or children may not be enqueued so.
            BodyTooLarge: there are too many outcomes or children, or a child's body is too large.
            StoreFull: there is no room for it, not even for the children alone in what is kept back.
        """
        ...

    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """Take back leases of ``holder`` that it does not list. Answers how many.

        A job that was reported as started is a stray: its holder's predecessor died with it. Others are released: their
        answer was lost. A holder that lists nothing may be another of that name: what it refused is for it anew.

        ``holder`` shorter than 16 bytes means all holders whose names begin with it, as those of a door do. What was
        delivered (`penstock.model.deliveries`) is neither a stray nor released: it is an attempt.

        Raises:
            InvalidOption: it has less than 8 bytes, or more than 16.
        """
        ...

    def tick(self) -> Ticked:
        """One bounded step of each chore: promote due jobs, expire, take back ended leases, look again at what
        was refused, trim records and keys.

        A job whose lease ended is a stray when it was reported as started, which counts towards its death only much
        later than an executor's own death does. What a door had delivered is an attempt (`penstock.model.deliveries`).
        A gap of `limits.TICK_GAP_S` since the last tick starts every live
        lease anew instead. Each chore stands alone: one that fails stops no other, a job that one cannot handle stops
        no other job, and both show in `health`.
        """
        ...

    @reads
    def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[JobView | None]:
        """Jobs by id; None where there is no record. ``result`` and ``body`` ask for the large fields.

        Raises:
            BodyTooLarge: these are over `limits.ANSWER_BYTES_MAX` together.
        """
        ...

    @reads
    def query(self, where: Filter, *, cursor: str | None = None, limit: int = 100) -> Page:
        """Search, newest first, in pages of at most ``limit`` jobs (and at most `limits.PAGE_JOBS_MAX`).

        Newest is what has the latest id. Ids are made by producers, so jobs of two producers whose clocks differ stand
        as far from each other as those clocks.

        A search is a slice, bounded by time and by rows, so that it delays nobody's work: a page may be short, or
        empty, and its cursor goes on. A cursor is the store's own text; what it means is nobody else's business.
        Searches and bulk actions take each other's cursors.

        Raises:
            InvalidOption: the cursor is none of this store's; or the filter names an argument that neither a registered
                task declares as searchable nor any job has, or what no filter has (`penstock.model.searching`).
        """
        ...

    @reads
    def dead_counts(self) -> DeadCounts:
        """Dead records by task and type of error (`penstock.model.dead_kinds`); kept, not counted."""
        ...

    @reads
    def stats(self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False) -> StatsPage:
        """Counts by queue, in pages by name; kept, not counted. A page may be short, and its cursor goes on.

        With ``busiest`` the one page has those queues that most jobs have come into, and all others together; it has
        no cursor and takes none. Such a page changes little from one time to the next. Since when jobs wait is asked of
        the busiest first, for a bounded time: the ``oldest_ready_age_s`` of a queue that was not reached is None.

        Raises:
            InvalidOption: the cursor is none of this store's, or given together with ``busiest``.
        """
        ...

    @reads
    def totals(self) -> Totals:
        """The counts of all queues together. Its cost does not depend on how many queues there are."""
        ...

    @reads
    def health(self) -> StoreHealth:
        """What is wrong with it. Answers whatever the rest of it does."""
        ...

    def cancel(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """Cancel. Answers each job's state afterwards: CANCELLED at once when it waited, RUNNING when its runner has
        been asked, its terminal state when it was too late, None when there is no record."""
        ...

    def revive(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """Retry by hand: dead, cancelled and expired jobs become ready, from attempt one and without an expiry. Others
        are left alone, and so is one whose unique key another keeps it away from by now. Its key's period begins anew.
        What they counted as before stands, and a suspect still runs alone.
        Answers each job's state afterwards."""
        ...

    def move(self, ids: Sequence[bytes], queue: str, *, by: str | None = None) -> list[State | None]:
        """Put waiting jobs into another queue, where their arrival counts, and where limits may block them. Others are
        left alone. Answers each job's state afterwards.

        ``queue`` may be a channel that is there (``topic:channel``). Messages are moved from channel to channel alone,
        and into channels nothing but messages (`penstock.model.topics.may_move`): others are left alone.

        Raises:
            InvalidOption: this is no name for a queue, or there are too many.
            ChannelNotFound, TopicNotFound: it names a channel that is not there.
            QueueDraining: that queue takes none (`drain`).
        """
        ...

    def delete(self, ids: Sequence[bytes], *, by: str | None = None) -> list[bool]:
        """Throw away jobs that are not running. Answers, for each, whether there was one."""
        ...

    def edit(
        self,
        ids: Sequence[bytes],
        *,
        priority: int | None = None,
        run_at: float | None = None,
        by: str | None = None,
    ) -> list[State | None]:
        """Change waiting jobs: their priority, or when they may start (a time that has come: now). Others are left
        alone. A new priority leaves the arrival as it is. Answers each job's state afterwards."""
        ...

    def cancel_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """`cancel` in bounded steps over what matches. Refuses the filters that `query` does."""
        ...

    def revive_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """`revive` in bounded steps over what matches."""
        ...

    def move_where(self, where: Filter, queue: str, *, cursor: str | None = None) -> Step:
        """`move` in bounded steps over what matches."""
        ...

    def delete_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """`delete` in bounded steps over what matches."""
        ...

    def close_lines(self, reason: Closed, *, queue: str | None = None, task: str | None = None) -> None:
        """Give out no jobs of all lines of a queue, of a task, or of the one of both, also when they are still empty.

        Their jobs stay ready and keep their places; whatever else may be done to ready jobs can be done to them. A line
        that is closed for several reasons opens when all of them are gone. It lasts longer than the store's process.

        Raises:
            InvalidOption: neither is named, or too many are closed (`limits.CLOSED_LINES_MAX`).
        """
        ...

    def open_lines(self, *, queue: str | None = None, task: str | None = None, reason: Closed | None = None) -> None:
        """Undo `close_lines` with the same queue and task: for this reason, or for any when none is given."""
        ...

    @reads
    def closed_lines(self) -> list[ClosedLine]:
        """What was closed and has not been opened."""
        ...

    def put_limits(self, scope: str, rules: Sequence[Rule], *, by: str = "") -> None:
        """Put live limits over what a queue or a task declares (`penstock.model.limits_in_force`).

        Each takes the place of the declared or live one of the same kind and ``per``; others stay in force. It lasts
        until `restore_limits`, whatever is registered meanwhile. What is leased already goes on. With ``per``, jobs
        that are ready or blocked follow in bounded steps, the first of them in this call, the others with the ticks.

        Args:
            scope: ``queue:NAME`` or ``task:NAME``; neither need be there yet.
            rules: what is put.
            by: who asks, for the audit log.

        Raises:
            InvalidOption: that is no scope, a limit is less than 1 or not what it may be, or there are too many.
        """
        ...

    def restore_limits(self, scope: str, per: str | None = None, *, by: str = "") -> None:
        """Take live limits away, so that what is declared holds: those with this ``per``; None: all of the scope. It is
        no error when there are none. ``by``: who asks, for the audit log.

        Raises:
            InvalidOption: that is no scope.
        """
        ...

    @reads
    def limits(self) -> list[LimitView]:
        """Every limit that is in force, by scope, with what is used of it and where it comes from."""
        ...

    def close(self) -> None:
        """Let go of everything. A second close does nothing."""
        ...
