"""`SqliteStore`: the store contract over one SQLite file. Not thread-safe: its owner is its only caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from penstock.model import limits
from penstock.model.acceptance import (
    check_children,
    check_extension,
    check_lease,
    check_outcomes,
    check_stats,
)
from penstock.model.deliveries import check_holders
from penstock.model.errors import BodyTooLarge
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
    TaskRecord,
    Ticked,
    Totals,
)
from penstock.model.lines import Closed, ClosedLine
from penstock.model.source_cursors import SourceCursor
from penstock.ports import Clock
from penstock.store.sqlite.acting_calls import ActingCalls
from penstock.store.sqlite.bulk_actions import ACT, BulkActions
from penstock.store.sqlite.chores import Chores, Other
from penstock.store.sqlite.disk_full import DiskRoom, open_with_room
from penstock.store.sqlite.durable_step_calls import DurableStepCalls
from penstock.store.sqlite.failing_chores import Apart
from penstock.store.sqlite.file_care import FileCareCalls
from penstock.store.sqlite.leasing import Leasing
from penstock.store.sqlite.limit_calls import LimitCalls
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.queue_trimming import TRIM_QUEUES, QueueTrimming
from penstock.store.sqlite.schedule_calls import FIRE, ScheduleCalls
from penstock.store.sqlite.searching import Search
from penstock.store.sqlite.settling import Settling
from penstock.store.sqlite.topics import CLEAR, TopicCalls, Topics
from penstock.store.sqlite.transactions import atomic, draining
from penstock.store.sqlite.workflow_calls import Workflows
from penstock.store.sqlite.workflow_chores import WORKFLOWS, WorkflowChores
from penstock.store.sqlite.workflow_decisions import Deciding
from penstock.store.sqlite.workflow_ends import WorkflowEnds
from penstock.store.sqlite.workflow_jobs import WorkflowJobs
from penstock.store.sqlite.workflow_landing import Landing
from penstock.store.sqlite.workflow_reading import WorkflowReading
from penstock.store.sqlite.workflow_starting import Starting


class SqliteStore(
    ActingCalls,
    DurableStepCalls,
    ScheduleCalls,
    FileCareCalls,
    TopicCalls,
    LimitCalls,
):
    """The embedded engine.

    Args:
        path: the database file; made when missing.
        clock: where time comes from.
        records_max: finished records other than dead that are kept.
        dead_max: dead records that are kept.
        redo: False: nothing is added to the redo log; what is in it counts.
        queues_of_client_max: how many queues one client may have made.
        check_fences: False accepts the outcomes of leases that ended: a test variant that must be caught.

    Raises:
        StoreUnavailable: the file cannot be opened, or SQLite is too old to be trusted with it.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Clock,
        records_max: int = limits.RECORDS_MAX,
        dead_max: int = limits.DEAD_MAX,
        check_fences: bool = True,
        redo: bool = True,
        queues_of_client_max: int = limits.QUEUES_OF_CLIENT_MAX,
    ) -> None:
        super().__init__(Path(path), clock, queues_of_client_max=queues_of_client_max)
        self._leasing = Leasing(self.books, self._endings, self._line, self._refusals)
        self._settling = Settling(self.books, self._endings, check_fences=check_fences)
        self._apart = Apart(self.alone, self.faults, clock)
        self._chores = Chores(
            self.books,
            self._endings,
            self._leasing,
            self._settling,
            self._apart,
            self._names,
            self._unique,
            records_max=records_max,
            dead_max=dead_max,
        )
        self._review = self._chores.review
        self._room = DiskRoom(self.books, self.alone, self._chores.drop)
        self._search = Search(self.books, self._inspector)
        self._operating = Operating(
            self.books, self._inspector, self._search, self._endings, self._chores, self._unique
        )
        self._unique.replace = self._operating.replace
        self._actions = BulkActions(self.books, self._records, self._search, self._operating, self._check_target)
        self._chores.others.append(Other(ACT, self._actions.step, self._actions.next_at))
        self._topics = Topics(
            self.books,
            self._acceptor,
            self._endings,
            self._names,
            self._inspector,
            self._operating,
            self._review,
        )
        self._chores.others.append(Other(CLEAR, self._topics.step, self._topics.next_at))
        self._workflows = self._go_on_with_workflows()
        self._open_schedules()
        self._chores.others.append(Other(FIRE, self._fire, self._next_firing))
        trimming = QueueTrimming(self.books, self._chores.drop)
        self._chores.others.append(Other(TRIM_QUEUES, trimming.step, trimming.next_at))
        try:
            self._take_over(lambda: open_with_room(self._room, self.books.rise_epoch), redo=redo)
        except BaseException:
            # The next attempt, in this process or another, needs the lock.
            self.let_go()
            raise

    def _go_on_with_workflows(self) -> Workflows:
        jobs = WorkflowJobs(self.books, self._acceptor, self._operating)
        deciding = Deciding(self.books, jobs, self._endings.listeners)
        chores = WorkflowChores(deciding, self._chores.drop, self._endings.steps.forget_owner)
        self._chores.others.append(Other(WORKFLOWS, chores.step, chores.next_at))
        self._room.throw_away_workflows = chores.throw_away
        starting = Starting(self._acceptor, deciding)
        ends, reading = WorkflowEnds(deciding), WorkflowReading(self.books)
        self.is_open_workflow = reading.is_open
        landing = Landing(self._acceptor, self._settling, starting, ends)
        return Workflows(deciding, starting, ends, landing, chores, reading)

    def after_call(self) -> None:
        """Do what follows from a call, in its transaction: workflows go on whose jobs have ended, then what they made
        and what was given back is for those that wait."""
        self._workflows.ends.after_call()
        super().after_call()

    def rollback(self) -> None:
        """Undo the group, in the file and in memory."""
        super().rollback()
        self._workflows.ends.forget()
        self._workflows.deciding.work.rolled_back()
        self._chores.rolled_back()
        self._topics.rolled_back()
        self._schedule_rows.rolled_back()

    def capabilities(self) -> Capabilities:
        """See `penstock.ports.Store.capabilities`."""
        return Capabilities(durability="disk")

    def tasks(self) -> list[TaskRecord]:
        """See `penstock.ports.Store.tasks`."""
        return sorted(self.books.records.values(), key=lambda record: record.name)

    @atomic
    def enqueue(
        self, groups: Sequence[JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> EnqueueAnswer:
        """See `penstock.ports.Store.enqueue`."""
        if cursor is not None:
            return self._enqueue_with(cursor, groups, atomic=atomic)
        return self._acceptor.enqueue(groups, atomic=atomic)

    @draining
    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """See `penstock.ports.Store.lease`."""
        check_lease(request)
        return self._leasing.lease(request)

    @draining
    def extend(self, extension: Extension) -> Extended:
        """See `penstock.ports.Store.extend`."""
        check_extension(extension)
        return self._leasing.extend(extension)

    @draining
    def settle(self, outcomes: Outcomes) -> Settled:
        """See `penstock.ports.Store.settle`."""
        # All that may be refused is looked at before anything is written: it happens whole or not at all.
        check_outcomes(outcomes, self.clock.time())
        looked = None
        if outcomes.workflows or outcomes.expansions or outcomes.members:
            looked = self._workflows.landing.look(outcomes)
            outcomes = looked.outcomes
        children = self._settling.landing(outcomes) if outcomes.children else []
        if children:
            check_children(children)
            self._acceptor.check_queues({group.queue for group in children})
        if _may_return_jobs(outcomes):
            self._line.write_all()
        if looked is not None:
            self._workflows.landing.before(looked)
        settled = self._settling.settle(outcomes)
        if children:
            self._acceptor.land(children)
        if looked is not None:
            self._workflows.landing.after(looked)
        return settled

    @draining
    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """See `penstock.ports.Store.reconcile`."""
        check_holders(holder)
        self._line.write_all()
        return self._settling.reconcile(holder, fences)

    @property
    def suspects(self) -> bool:
        """Whether a chore failed: `tick` had better not be part of a group, which it would spoil."""
        return bool(self._apart.suspects)

    @property
    def wants_room(self) -> bool:
        """Whether a chore, or the log, found the disk full since room was last made."""
        return self._apart.wants_room or self.database.short

    def tick(self) -> Ticked:
        """See `penstock.ports.Store.tick`. In a group it raises what a chore raises; by itself it does not."""
        # What chores do is for nobody in particular, whoever has asked for something before in the same group.
        self.asking = None
        was_full = self.database.full
        ticked = self._tick_now()
        if was_full and not self.database.full:
            self._room.has_room()
        return ticked

    def _tick_now(self) -> Ticked:
        if self.in_group:
            return self._tick()
        if not self.suspects:
            with suppress(Exception):
                return self._tick()
        return self._chores.tick_apart()

    @atomic
    def _tick(self) -> Ticked:
        self._line.write_all()
        return self._chores.tick()

    def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[JobView | None]:
        """See `penstock.ports.Store.get`."""
        self.catch_up()
        views = []
        room_bytes = limits.ANSWER_BYTES_MAX
        for job_id in ids:
            view = self._inspector.view(job_id, result=result, body=body)
            views.append(view)
            if view is not None and (view.result or view.body):
                room_bytes -= len(view.result or b"") + len(view.body or b"")
                if room_bytes < 0:
                    raise BodyTooLarge(
                        f"These results and bodies are over {limits.ANSWER_BYTES_MAX} bytes together; "
                        "ask for fewer jobs at a time."
                    )
        return views

    def query(self, where: Filter, *, cursor: str | None = None, limit: int = 100) -> Page:
        """See `penstock.ports.Store.query`."""
        self.catch_up()
        self._line.write_all()
        return self._search.query(where, cursor, limit)

    def dead_counts(self) -> DeadCounts:
        """See `penstock.ports.Store.dead_counts`."""
        self.catch_up()
        return self.books.finished.kinds.counts()

    def stats(self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False) -> StatsPage:
        """See `penstock.ports.Store.stats`."""
        check_stats(cursor, busiest=busiest)
        self.catch_up()
        self._line.write_all()
        return self._inspector.busiest(limit) if busiest else self._inspector.stats(cursor, limit)

    def totals(self) -> Totals:
        """See `penstock.ports.Store.totals`."""
        self.catch_up()
        workflows = dict(self.database.rows("workflow_counts"))
        return Totals(len(self.books.queues), self.books.totals(), self.books.removed, workflows)

    @draining
    def close_lines(self, reason: Closed, *, queue: str | None = None, task: str | None = None) -> None:
        """See `penstock.ports.Store.close_lines`."""
        self._operating.close_lines(ClosedLine(queue, task, reason))

    @draining
    def open_lines(self, *, queue: str | None = None, task: str | None = None, reason: Closed | None = None) -> None:
        """See `penstock.ports.Store.open_lines`."""
        self._operating.open_lines(queue, task, reason)

    def closed_lines(self) -> list[ClosedLine]:
        """See `penstock.ports.Store.closed_lines`."""
        return self.books.closed.all()

    def make_room(self, size_bytes: int, spared: Collection[bytes]) -> bool:
        """After `StoreFull`: throw away what a transaction of this size needs, none of the jobs in ``spared``. Answers
        whether it is worth trying again. Not in a group."""
        self._apart.wants_room = False
        return self._room.make(size_bytes, spared)

    def health(self) -> StoreHealth:
        """See `penstock.ports.Store.health`."""
        dropped = (0, 0)
        with suppress(apsw.Error):
            dropped = self._room.dropped()
        return StoreHealth(
            disk_full=self.database.full,
            reserve_bytes=self.database.reserve_bytes(),
            results_dropped=dropped[0],
            records_dropped=dropped[1],
            jobs_set_aside=self._apart.jobs_set_aside + self.books.leases_without_job,
            workflows_set_aside=len(self._workflows.deciding.aside),
            aside_latest=self._workflows.deciding.aside.latest,
            redo=self._deferred.state,
            redo_set_aside=self._deferred.set_aside,
            faults=self.faults.present(self.clock.monotonic()),
            fault_counts=dict(self.faults.counts),
        )


def _may_return_jobs(outcomes: Outcomes) -> bool:
    """Whether some of the jobs may go back into the ready line."""
    ends_by_itself = outcomes.retried or outcomes.snoozed or outcomes.suspended
    return bool(ends_by_itself or outcomes.lost or outcomes.released or outcomes.refused)
