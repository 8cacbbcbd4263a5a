"""`SqliteStore`: the store contract over one SQLite file. Not thread-safe: its owner is its only caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from penstock.model import limits
from penstock.model.acceptance import check_groups, check_outcomes, check_priority, check_queue, check_run_at
from penstock.model.errors import StoreUnavailable
from penstock.model.job import (
    Capabilities,
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
    QueueStats,
    Step,
    TaskRecord,
    Ticked,
)
from penstock.model.states import State
from penstock.ports import Clock
from penstock.store.sqlite.accept import Acceptor
from penstock.store.sqlite.books import Books
from penstock.store.sqlite.chores import Chores
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.inspect import Inspector
from penstock.store.sqlite.leasing import Leasing
from penstock.store.sqlite.operating import Operating
from penstock.store.sqlite.ready import ReadyLine
from penstock.store.sqlite.settling import Settling

P = ParamSpec("P")
R = TypeVar("R")


def _atomic(call: Callable[Concatenate[SqliteStore, P], R]) -> Callable[Concatenate[SqliteStore, P], R]:
    """Make a call one transaction, unless one is open already."""

    @wraps(call)
    def wrapped(self: SqliteStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.in_group:
            try:
                return call(self, *args, **kwargs)
            except apsw.Error as error:
                raise self.database.translate(error) from error
        self.begin()
        try:
            answer = call(self, *args, **kwargs)
        except BaseException as error:
            self.rollback()
            if isinstance(error, apsw.Error):
                raise self.database.translate(error) from error
            raise
        self.commit()
        self.tidy()
        return answer

    return wrapped


class SqliteStore:
    """The embedded engine.

    Several calls between `begin` and `commit` form one transaction: a group commit. A call in it that raises because of
    what it was asked has written nothing; after `StoreFull` or `StoreUnavailable` the group must be rolled back.

    Args:
        path: the database file; made when missing.
        clock: where time comes from.
        records_max: finished records other than dead that are kept.
        dead_max: dead records that are kept.
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
    ) -> None:
        self.database = Database(Path(path))
        self.clock = clock
        self.in_group = False
        self._untidy = False
        self._closed = False
        try:
            self.books = Books(self.database, clock)
            self._rise_epoch()
        except apsw.Error as error:
            raise StoreUnavailable(f"Cannot open the store {path}: {error}.") from error
        self._inspector = Inspector(self.books)
        self._endings = Endings(self.books)
        self._line = ReadyLine(self.books)
        self._acceptor = Acceptor(self.books, self._inspector, self._endings, self._line)
        self._leasing = Leasing(self.books, self._endings, self._line)
        self._settling = Settling(self.books, self._endings, check_fences=check_fences)
        self._chores = Chores(
            self.books, self._endings, self._leasing, self._settling, records_max=records_max, dead_max=dead_max
        )
        self._operating = Operating(self.books, self._inspector, self._endings, self._chores)

    def _rise_epoch(self) -> None:
        """Take over. On a full disk the reserve makes room for it."""
        try:
            self.books.rise_epoch()
        except apsw.FullError as error:
            self.database.rollback()
            self.database.translate(error)
            self.books.load()
            self.books.rise_epoch()

    # --- transactions ------------------------------------------------------------------------------------------------
    @property
    def epoch(self) -> int:
        """Rises each time the file is opened."""
        return self.books.epoch

    @property
    def readied(self) -> set[str]:
        """Queues in which something became ready. The owner empties it."""
        return self._endings.readied

    @property
    def watched(self) -> set[bytes]:
        """Ids somebody waits for. The owner fills it."""
        return self._endings.watched

    @property
    def ended(self) -> list[bytes]:
        """Watched ids that ended. The owner empties it."""
        return self._endings.ended

    def begin(self) -> None:
        """Open a group."""
        if self._untidy:
            self.tidy()
        try:
            self.database.begin()
        except apsw.Error as error:
            raise self.database.translate(error) from error
        self.in_group = True

    def commit(self) -> None:
        """Make the group durable.

        Raises:
            StoreFull: the disk is full; the group is undone.
            StoreUnavailable: the disk failed; the group is undone.
        """
        try:
            self._line.write_all()
            self.books.save()
            self.database.commit()
        except apsw.Error as error:
            failure = self.database.translate(error)
            self.rollback()
            raise failure from error
        except BaseException:
            self.rollback()
            raise
        self.in_group = False
        self._untidy = True

    def tidy(self) -> None:
        """What a commit leaves to be done once those who wait have been answered."""
        if self._untidy:
            self._untidy = False
            self.books.committed()
            self.database.checkpoint()

    def rollback(self) -> None:
        """Undo the group, in the file and in memory."""
        self.in_group = False
        self._line.forget()
        self.books.told.clear()
        self.database.rollback()
        self.books.load()
        self._endings.ended.clear()

    def close(self) -> None:
        """See `penstock.ports.Store.close`."""
        if not self._closed:
            self._closed = True
            self.database.close()

    # --- the contract ------------------------------------------------------------------------------------------------
    def capabilities(self) -> Capabilities:
        """See `penstock.ports.Store.capabilities`."""
        return Capabilities(durability="disk")

    @_atomic
    def register_tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """See `penstock.ports.Store.register_tasks`."""
        self.books.register(tasks)

    def tasks(self) -> list[TaskRecord]:
        """See `penstock.ports.Store.tasks`."""
        return sorted(self.books.records.values(), key=lambda record: record.name)

    @_atomic
    def enqueue(self, groups: Sequence[JobGroup], *, atomic: bool = False) -> EnqueueAnswer:
        """See `penstock.ports.Store.enqueue`."""
        return self._acceptor.enqueue(groups, atomic=atomic)

    @_atomic
    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """See `penstock.ports.Store.lease`."""
        return self._leasing.lease(request)

    @_atomic
    def extend(self, extension: Extension) -> Extended:
        """See `penstock.ports.Store.extend`."""
        return self._leasing.extend(extension)

    @_atomic
    def settle(self, outcomes: Outcomes) -> list[int]:
        """See `penstock.ports.Store.settle`."""
        check_outcomes(outcomes)
        for _, groups in outcomes.children:
            check_groups(groups, self.clock.time())
            self._acceptor.check_queues({group.queue for group in groups})
        if _may_return_jobs(outcomes):
            self._line.write_all()
        stale, children = self._settling.settle(outcomes)
        for groups in children:
            self._acceptor.enqueue(groups, atomic=False)
        return stale

    @_atomic
    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """See `penstock.ports.Store.reconcile`."""
        self._line.write_all()
        return self._settling.reconcile(holder, fences)

    @_atomic
    def tick(self) -> Ticked:
        """See `penstock.ports.Store.tick`."""
        self._line.write_all()
        return self._chores.tick()

    def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[JobView | None]:
        """See `penstock.ports.Store.get`."""
        return [self._inspector.view(job_id, result=result, body=body) for job_id in ids]

    def query(self, where: Filter, *, cursor: int | None = None, limit: int = 100) -> Page:
        """See `penstock.ports.Store.query`."""
        self._line.write_all()
        return self._inspector.query(where, cursor, limit)

    def stats(self) -> dict[str, QueueStats]:
        """See `penstock.ports.Store.stats`."""
        self._line.write_all()
        return self._inspector.stats()

    @_atomic
    def cancel(self, ids: Sequence[bytes]) -> list[State | None]:
        """See `penstock.ports.Store.cancel`."""
        self._line.write_all()
        return [self._operating.cancel(job_id) for job_id in ids]

    @_atomic
    def revive(self, ids: Sequence[bytes]) -> list[State | None]:
        """See `penstock.ports.Store.revive`."""
        self._line.write_all()
        return [self._operating.revive(job_id) for job_id in ids]

    @_atomic
    def move(self, ids: Sequence[bytes], queue: str) -> list[State | None]:
        """See `penstock.ports.Store.move`."""
        check_queue(queue)
        self._acceptor.check_queues({queue})
        self._line.write_all()
        return [self._operating.move(job_id, queue) for job_id in ids]

    @_atomic
    def delete(self, ids: Sequence[bytes]) -> list[bool]:
        """See `penstock.ports.Store.delete`."""
        self._line.write_all()
        return [self._operating.delete(job_id) for job_id in ids]

    @_atomic
    def edit(
        self, ids: Sequence[bytes], *, priority: int | None = None, run_at: float | None = None
    ) -> list[State | None]:
        """See `penstock.ports.Store.edit`."""
        if priority is not None:
            check_priority(priority)
        if run_at is not None:
            check_run_at(run_at, self.clock.time())
        self._line.write_all()
        return [self._operating.edit(job_id, priority, run_at) for job_id in ids]

    @_atomic
    def cancel_where(self, where: Filter, *, cursor: int | None = None) -> Step:
        """See `penstock.ports.Store.cancel_where`."""
        self._line.write_all()
        return self._operating.step(where, cursor, self._operating.cancels)

    @_atomic
    def revive_where(self, where: Filter, *, cursor: int | None = None) -> Step:
        """See `penstock.ports.Store.revive_where`."""
        self._line.write_all()
        return self._operating.step(where, cursor, self._operating.revives)

    @_atomic
    def move_where(self, where: Filter, queue: str, *, cursor: int | None = None) -> Step:
        """See `penstock.ports.Store.move_where`."""
        check_queue(queue)
        self._acceptor.check_queues({queue})
        self._line.write_all()
        return self._operating.step(where, cursor, lambda job_id: self._operating.moves(job_id, queue))

    @_atomic
    def delete_where(self, where: Filter, *, cursor: int | None = None) -> Step:
        """See `penstock.ports.Store.delete_where`."""
        self._line.write_all()
        return self._operating.step(where, cursor, self._operating.delete)

    # --- answers to repeated requests --------------------------------------------------------------------------------
    def record_answer(self, client: bytes, number: int, answer: bytes) -> None:
        """Keep the answer to a client's request, in the open group, in the place of one long answered."""
        self.books.journal.add_answer(client, number, answer)

    def answers_of(self, client: bytes, lowest: int = 0) -> dict[int, bytes]:
        """The answers kept for a client, by request number, from the lowest that is asked for."""
        self.tidy()
        return self.books.journal.answers_of(client, lowest)

    def forget_answers(self, before: float) -> None:
        """Drop the answers of clients not heard of since this time (Unix seconds)."""
        self.books.journal.forget_answers(before)


def _may_return_jobs(outcomes: Outcomes) -> bool:
    """Whether some of the jobs may go back into the ready line."""
    return bool(outcomes.retried or outcomes.snoozed or outcomes.lost or outcomes.released)
