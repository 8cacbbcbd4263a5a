"""The store as a pure model: every rule of `penstock.ports.Store`, no disk, no threads, no tricks.

It is the reference: the conformance suite and the state machine of `penstock.testing.machine` hold other stores
against it, so it is written to be obviously right before anything else. It forgets everything when it is closed.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model import acceptance, limits
from penstock.model.deliveries import HOLDER_BYTES, check_holders
from penstock.model.errors import BodyTooLarge, StoreUnavailable
from penstock.model.health import StoreHealth
from penstock.model.job import (
    FENCE_COUNTER_BITS,
    Capabilities,
    Extended,
    Extension,
    JobView,
    LeaseBatch,
    LeasedJob,
    LeaseRequest,
    Outcomes,
    Settled,
    StatsPage,
    TaskRecord,
    Ticked,
    Totals,
)
from penstock.model.states import Event, State
from penstock.ports import Clock
from penstock.testing.memory_accepting import AcceptingCalls
from penstock.testing.memory_acting import ActingCalls
from penstock.testing.memory_chores import Chores, Other
from penstock.testing.memory_cursors import CursorCalls, Cursors
from penstock.testing.memory_keys import Keys
from penstock.testing.memory_limit_calls import LimitCalls
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_lines import LineCalls
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_operators import OperatorCalls, Operators
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_retention import QueueTrimming
from penstock.testing.memory_schedules import MemorySchedules, ScheduleCalls, ScheduleEffects
from penstock.testing.memory_search import SearchCalls
from penstock.testing.memory_settling import Settling
from penstock.testing.memory_slots import Slots, serving
from penstock.testing.memory_step_calls import StepCalls
from penstock.testing.memory_table import Lease, Row, Table
from penstock.testing.memory_topic_calls import TopicCalls
from penstock.testing.memory_topics import Topics
from penstock.testing.memory_unique import UniqueKeys
from penstock.testing.memory_views import packed_extra, stats_page, totals, view
from penstock.testing.memory_workflow_calls import WorkflowCalls
from penstock.testing.memory_workflow_landing import Landing
from penstock.testing.memory_workflows import Workflows
from penstock.workflow.scheduler import Scheduler

_TASKS_IN_A_BATCH = 256
"""`LeaseBatch.task_of` names a task in one byte."""


class MemoryStore(
    AcceptingCalls,
    SearchCalls,
    ActingCalls,
    StepCalls,
    WorkflowCalls,
    LineCalls,
    CursorCalls,
    LimitCalls,
    OperatorCalls,
    TopicCalls,
    ScheduleCalls,
):
    """`penstock.ports.Store` in memory, for tests.

    Args:
        clock: the only source of time.
        epoch: the high bits of every fence.
        records_max: finished records, other than dead, that are kept.
        dead_max: dead records that are kept.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        epoch: int = 1,
        records_max: int = limits.RECORDS_MAX,
        dead_max: int = limits.DEAD_MAX,
    ) -> None:
        self._clock = clock
        self._fence = epoch << FENCE_COUNTER_BITS
        self._table = Table()
        self._keys = Keys()
        self._cursors = Cursors()
        self._tasks: dict[str, TaskRecord] = {}
        self._unique = UniqueKeys(clock, self._state)
        self._table.listeners.append(self._unique.moved)
        self._limits = Limits(self._table, clock)
        self._moves = Moves(
            self._table, self._tasks, self._unique, Slots(self._table, self._limits.rules, clock), clock
        )
        self._refusals = Refusals(self._table, self._moves, self._limits, clock)
        self._settling = Settling(self._table, self._moves, self._refusals)
        most = (records_max, dead_max)
        self._operators = Operators(self._table, self._tasks, self._limits, clock)
        self._queues = Queues(self._table, self._refusals.closed, self._operators.holds, clock)
        parts = (self._keys, self._moves, self._refusals, self._limits, self._queues)
        self._chores = Chores(self._table, *parts, clock, most)
        self._topics = Topics(
            self._table,
            self._keys,
            self._moves,
            self._refusals,
            self._queues,
            self._operators.holds,
            self._limits,
            clock,
        )
        self._chores.others.append(Other(self._moves.turns.step, lambda: None))
        self._chores.others.append(Other(self._topics.step, self._topics.next_at))
        self._chores.after_gap.append(self._topics.consumers.start_anew)
        operators = self._operators
        self._chores.others.append(
            Other(self._act_in_steps, lambda: operators.turns.next_at(operators.actions.under_way()))
        )
        self._schedule_rows = MemorySchedules()
        self._scheduler = Scheduler(
            self._schedule_rows,
            ScheduleEffects(clock, operators, self),
        )
        self._table.listeners.append(self._run_ended)
        self._chores.others.append(Other(self._scheduler.step, self._next_firing))
        trimming = QueueTrimming(self._table, self._moves, self._limits)
        self._chores.others.append(Other(trimming.step, lambda: clock.monotonic() if trimming.is_due() else None))
        self._workflows = Workflows(self._table, self._moves, clock, self._enqueue_part)
        self._workflows.over.append(self._workflow_ended)
        self._workflow_landing = Landing(self._table, self._workflows, self._queues, clock)
        self._chores.others.append(Other(self._workflows.step, self._workflows.next_at))
        self._closed = False

    @property
    def slots(self) -> Slots:
        """Which jobs hold slots of keys."""
        return self._moves.slots

    def _go_on_with_workflows(self) -> None:
        self._workflows.go_on()

    def capabilities(self) -> Capabilities:
        """What this store guarantees."""
        return Capabilities(durability="memory")

    # --- jobs run ----------------------------------------------------------------------------------------------------
    @serving
    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """Take ready jobs in order (priority, then arrival), each with a fence greater than any before it."""
        self._open()
        acceptance.check_lease(request)
        room = min(request.limit, limits.LEASE_JOBS_MAX, limits.RUNNING_JOBS_MAX - len(self._table.running))
        batch = LeaseBatch(self._fence + 1, [], b"", [])
        task_of = bytearray()
        self._refusals.heard_of(request)
        self._topics.consumers.leases(request, self._clock.monotonic())
        limited: list[int] = []
        limited_max = room if request.limited is None else request.limited
        while len(batch.jobs) < room:
            row = self._refusals.next_ready(request, limited=len(limited) < limited_max)
            if row is None:
                break
            if row.task not in batch.tasks:
                if len(batch.tasks) == _TASKS_IN_A_BATCH:
                    break
                batch.tasks.append(row.task)
            if self._limits.is_limited(row.line):
                limited.append(len(batch.jobs))
            self._limits.begin(row.line)
            self._fence += 1
            ends_at = self._clock.monotonic() + request.lease_s
            row.lease = Lease(self._fence, request.holder, ends_at)
            self._table.go(row, Event.LEASE, State.RUNNING)
            self._moves.turns.leased(row)
            self.slots.leased(row)
            task_of.append(batch.tasks.index(row.task))
            if row.standing.suspect:
                batch.alone.append(len(batch.jobs))
            is_recorded = row.id in self._moves.steps.recorded
            extra = packed_extra(row, self._clock.time(), recorded=is_recorded)
            batch.jobs.append(LeasedJob(row.id, row.attempts + 1, row.queue, row.body, extra))
        return LeaseBatch(
            batch.first_fence,
            batch.tasks,
            bytes(task_of),
            batch.jobs,
            batch.alone,
            limited=limited if self._limits.is_anything() else None,
        )

    def extend(self, extension: Extension) -> Extended:
        """Start the leases anew from now, note which jobs have started and how far they are."""
        self._open()
        acceptance.check_extension(extension)
        for fence, started_at in extension.started:
            row = self._table.held(extension.holder, fence)
            if row is not None and row.started_at is None:
                row.started_at = started_at
                row.has_started = True
        for fence, progress in extension.progress:
            row = self._table.held(extension.holder, fence)
            if row is not None:
                row.progress = progress
        if len(extension.holder) == HOLDER_BYTES:
            self._refusals.holders.extends(extension.holder, self._clock.monotonic())
            self._topics.consumers.extends(extension.holder, self._clock.monotonic())
        answer = Extended(lost=[], cancel=[])
        for fence in extension.fences:
            row = self._table.held(extension.holder, fence)
            if row is None:
                answer.lost.append(fence)
                continue
            self._table.extend(row, self._clock.monotonic() + extension.lease_s)
            if row.cancel_requested:
                answer.cancel.append(fence)
        return answer

    @serving
    def settle(self, outcomes: Outcomes) -> Settled:
        """Commit outcomes. Answers which fences did not become what was asked, and what became of them."""
        self._open()
        acceptance.check_outcomes(outcomes, self._clock.time())
        looked = self._workflow_landing.look(outcomes)
        outcomes = looked.outcomes
        children = self._settling.landing(outcomes)
        acceptance.check_children(children)
        self._queues.admit({group.queue for group in children})
        settled = self._settling.apply(outcomes)
        self._accept_all(children)
        for plan, members, returner in looked.workflows:
            first = self._workflows.first_of_key(plan)
            if plan.id not in self._workflows.records and first is None:
                self._land_workflow(plan, members)
            if returner is not None:
                returner.became = plan.id if first is None or first.identity != plan.identity else first.id
        self._workflows.go_on(self._workflow_landing.lands(looked))
        return settled

    @serving
    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """Take back leases of ``holder`` that it does not list. Answers how many."""
        self._open()
        check_holders(holder)
        running = self._table.running
        theirs = [fence for fence, row in running.items() if row.lease and row.lease.holder.startswith(holder)]
        dropped = set(theirs).difference(fences)
        for fence in sorted(dropped):
            self._moves.leave(running[fence])
        if not fences:
            self._refusals.forget_workers(holder)
        return len(dropped)

    # --- time passes -------------------------------------------------------------------------------------------------
    @serving
    def tick(self) -> Ticked:
        """One bounded step of each chore."""
        self._open()
        return self._chores.tick()

    # --- people ask --------------------------------------------------------------------------------------------------
    def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[JobView | None]:
        """Jobs by id; None where there is no record."""
        self._open()
        rows = map(self._find, ids)
        views = [None if row is None else self._view(row, result=result, body=body) for row in rows]
        if sum(len(view.result or b"") + len(view.body or b"") for view in views if view) > limits.ANSWER_BYTES_MAX:
            raise BodyTooLarge(f"Over {limits.ANSWER_BYTES_MAX} bytes in one answer; ask for fewer jobs at a time.")
        return views

    def stats(self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False) -> StatsPage:
        """Counts by queue, in pages; or the busiest queues."""
        self._open()
        return stats_page(self._table, self._clock.time(), cursor, limit, busiest=busiest)

    def totals(self) -> Totals:
        """The counts of all queues together."""
        self._open()
        return totals(self._table, self._workflows.counts())

    def health(self) -> StoreHealth:
        """What is wrong with it: nothing, ever."""
        self._open()
        return StoreHealth()

    def _find(self, job_id: bytes) -> Row | None:
        row = self._table.rows.get(job_id)
        return row if row is not None and self._is_kept(row) else None

    def _is_kept(self, row: Row) -> bool:
        return row.keep_until is None or self._clock.time() < row.keep_until

    def _state(self, job_id: bytes) -> State | None:
        row = self._find(job_id)
        return None if row is None else row.state

    def _view(self, row: Row, *, result: bool = False, body: bool = False) -> JobView:
        recorded = row.id in self._moves.steps.recorded
        shown = view(row, self._tasks.get(row.task), self._clock.time(), result=result, body=body, recorded=recorded)
        return self._moves.steps.explained(row, self._refusals.explained(row, shown))

    def close(self) -> None:
        """Let go of everything. A second close does nothing."""
        self._closed = True
        self._table = Table()

    def _open(self) -> None:
        if self._closed:
            raise StoreUnavailable("This store is closed.")
