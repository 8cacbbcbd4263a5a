"""Enqueues that were acknowledged from the redo log, and of which the next transaction makes rows.

An enqueue is deferred only when it is certain to be accepted, because its answer is given before there is a row. Every
other enqueue is done in a transaction. Before anybody looks into the store, a transaction makes rows of all deferred
enqueues, so nobody can tell that an enqueue was deferred, except by the time it took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from penstock.model.acceptance import CHECKSUM_MAX, check_groups, check_searchable
from penstock.model.errors import PenstockError
from penstock.model.ids import ID_BYTES
from penstock.model.job import MESSAGE_TASK, JobGroup
from penstock.model.limits import PRIORITY_MAX, PRIORITY_MIN
from penstock.model.topics import is_of_topic
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.redo_log import RECORD_BYTES_MAX, RedoLog
from penstock.store.sqlite.redo_quarantine import RedoQuarantine
from penstock.store.sqlite.row_numbers import row_numbers

REQUESTS_MAX: Final = 256
"""Requests deferred at a time. With the next one, a transaction is due."""
_SHARED_S: Final = 0.01
"""Jobs that were accepted within this time are given the same one, so that they can be written together."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[float, list[DeferredEnqueue]]).decode


class _Accepted(NamedTuple):
    """``at``: when, Unix seconds."""

    at: float
    request: DeferredEnqueue


class Deferred:
    """The enqueues that are in the redo log, and not in rows yet."""

    def __init__(self, books: Books, acceptor: Acceptor) -> None:
        self.books = books
        self._acceptor = acceptor
        self._log: RedoLog | None = None
        self._is_given_up = False
        self._quarantine = RedoQuarantine(books.database.path)
        self._is_void_due = False
        self._waiting: list[_Accepted] = []
        self._numbers: set[int] = set()
        self._is_applied = False
        self._is_trusted = True
        self._highest: int | None = None

    @property
    def state(self) -> str:
        """Whether the log takes enqueues: ``on``, ``off`` as configured, ``failed``."""
        if self._log is None:
            return "failed" if self._is_given_up else "off"
        return self._log.state

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def set_aside(self) -> int:
        """Records that could not be applied and are kept in a file of their own."""
        return self._quarantine.count

    @property
    def wants_transaction(self) -> bool:
        """Whether a transaction has to be made: for rows, or to make void what was set aside."""
        return bool(self._waiting) or self._is_void_due

    def open(self, log: RedoLog, *, takes: bool = True) -> None:
        """Take the log over, and remember the enqueues that a former owner left in it.

        Args:
            log: closed by `close`.
            takes: False: enqueues in the log count, and none are added.
        """
        payloads, damaged = log.read(self.books.journal.next_number)
        for payload in damaged:
            self._refuse("its checksum is wrong", payload)
        for payload in payloads:
            try:
                at, requests = _decode(payload)
            except (msgspec.DecodeError, ValueError) as error:
                self._refuse(f"it cannot be decoded ({error}); a later Penstock may have written it", payload)
                continue
            self._waiting += [_Accepted(at, request) for request in requests]
        if takes:
            self._log = log
        else:
            log.close()

    def _refuse(self, why: str, payload: bytes) -> None:
        """Set a record aside, durably."""
        self._quarantine.add(why, payload)
        # A transaction is due in any case: it makes the record in the log void.
        self.books.journal.require_row()
        self._is_void_due = True

    def sift(self, failure_of: Callable[[Callable[[], None]], Exception | None]) -> None:
        """Set aside the enqueues that rows cannot be made of. Not while a transaction is open.

        Args:
            failure_of: does something in a transaction that is undone whatever comes of it, and answers what it raised.
        """
        good: list[_Accepted] = []
        for accepted in self._waiting:
            error = failure_of(partial(self._apply, [*good, accepted]))
            if error is None:
                good.append(accepted)
            else:
                self._refuse(f"{type(error).__name__}: {error}", _encode((accepted.at, [accepted.request])))
        self._waiting = good

    def give_up(self, path: Path) -> bool:
        """Remove the log from a full disk, if nothing is in it. Answers whether that was done."""
        if self._log is None or self._waiting:
            return False
        self._log.close()
        self._log = None
        self._is_given_up = True
        path.unlink(missing_ok=True)
        return True

    def add(self, requests: Sequence[DeferredEnqueue]) -> bool:
        """Make these durable, all or none. False: none is, and they must be enqueued.

        Raises:
            apsw.Error: the file cannot be read.
        """
        if (
            self._log is None
            or not self._is_trusted
            or self.books.database.full
            or self._acceptor.records.holds.drains
            or len(self._waiting) + len(requests) > REQUESTS_MAX
        ):
            return False
        now = self.books.clock.time()
        ids: list[bytes] = []
        for request in requests:
            for group in request.groups:
                if not self._is_plain(group, now):
                    return False
                for job in group.jobs:
                    if (
                        job.idempotency_key is not None
                        or job.values is not None
                        or (job.searchable is not None and not _may_be_found_by(group.task, job.searchable))
                        or len(job.id) != ID_BYTES
                        or not 0 <= job.checksum <= CHECKSUM_MAX
                        or job.id in self.books.displaced
                    ):
                        return False
                    ids.append(job.id)
        numbers = row_numbers(ids)
        if not numbers or not self._are_free(numbers):
            return False
        payload = _encode((now, requests))
        if len(payload) > RECORD_BYTES_MAX or not self._log.write(payload, self.books.journal.next_number):
            return False
        self._waiting += [_Accepted(now, request) for request in requests]
        self._numbers.update(numbers)
        return True

    def _is_plain(self, group: JobGroup, now: float) -> bool:
        """Whether its jobs, if they are new, are certain to be accepted, and ready at once."""
        books = self.books
        if (
            group.delay_s is not None
            or group.run_at is not None
            or group.queue not in books.queue_by_name
            or group.task not in books.task_ids
            # Channels are queues too, and messages jobs; but only who publishes makes any.
            or is_of_topic(group.queue)
            or group.task == MESSAGE_TASK
            or group.unique is not None
            or not PRIORITY_MIN <= group.priority <= PRIORITY_MAX
        ):
            return False
        if group.expires_s is None and not group.headers and not group.tags:
            return True
        try:
            check_groups([group], now)
        except PenstockError:
            # The transaction that it goes through instead refuses it, and says why.
            return False
        return True

    def _are_free(self, numbers: list[int]) -> bool:
        """Whether no job has one of these row numbers, and no two of them are the same."""
        if len(numbers) > 1 and len(set(numbers)) < len(numbers):
            return False
        if not self._numbers.isdisjoint(numbers):
            return False
        if self._highest is None:
            self._highest = int(self.books.database.value("highest") or 0)
        # Numbers rise with time: those of new jobs are above all others, but for what other processes made just now.
        below = [number for number in numbers if number <= self._highest]
        return not any(self.books.database.value("id_at", number) for number in below)

    def answers_of(self, client: bytes, lowest: int) -> dict[int, bytes]:
        """The answers given to a client, by request number, from the lowest that is asked for."""
        return {
            request.number: request.answer
            for _, request in self._waiting
            if request.client == client and request.number >= lowest
        }

    # --- making rows -------------------------------------------------------------------------------------------------
    def apply(self) -> None:
        """Make rows of them, the first thing in a transaction that was just opened."""
        if not self._waiting:
            return
        self._apply(self._waiting)
        self._is_applied = True

    def _apply(self, waiting: list[_Accepted]) -> None:
        for at, group in self._merged(waiting):
            self._acceptor.accept(group, at)
        for _, request in waiting:
            self.books.journal.add_answer(request.client, request.number, request.answer)

    def _merged(self, waiting: list[_Accepted]) -> list[tuple[float, JobGroup]]:
        """Their groups in order; neighbours that are alike are one. With each, when it was accepted."""
        merged: list[tuple[float, JobGroup]] = []
        for at, request in waiting:
            for group in request.groups:
                if merged and abs(at - merged[-1][0]) < _SHARED_S and _are_alike(merged[-1][1], group):
                    merged[-1][1].jobs.extend(group.jobs)
                else:
                    merged.append((at, replace(group, jobs=list(group.jobs))))
        return merged

    def committed(self, *, wrote: bool) -> None:
        """The open transaction is durable. ``wrote``: it had something to write."""
        # A commit that wrote nothing has not taken the place of an undone transaction before it.
        self._is_trusted = self._is_trusted or wrote
        self._highest = None
        self._is_void_due = False
        if self._is_applied:
            self._is_applied = False
            self._waiting.clear()
            self._numbers.clear()

    def rolled_back(self) -> None:
        """The open transaction was undone.

        If that was because its commit failed, the next opening of the file may still bring it about, and with it make
        void what is in the log; so nothing is added until another transaction has been written in its place.
        """
        self._is_applied = self._is_trusted = False
        self._highest = None

    def close(self) -> None:
        """Let go of the log."""
        if self._log is not None:
            self._log.close()


def _may_be_found_by(task: str, searchable: dict[str, str]) -> bool:
    try:
        check_searchable(task, searchable)
    except PenstockError:
        # The transaction refuses it.
        return False
    return True


def _are_alike(one: JobGroup, other: JobGroup) -> bool:
    return (
        one.task == other.task
        and one.queue == other.queue
        and one.priority == other.priority
        and one.expires_s == other.expires_s
        and not (one.headers or one.tags or other.headers or other.tags)
    )
