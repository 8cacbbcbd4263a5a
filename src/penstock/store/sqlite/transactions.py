"""Transactions over one SQLite file, each of one or several calls, and enqueues that are durable before theirs."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import apsw

from penstock.model import limits
from penstock.model.errors import StoreFull, StoreUnavailable
from penstock.model.interests import Interest
from penstock.ports import Clock
from penstock.process.repeated_faults import Faults
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.deferred_enqueues import Deferred
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.joining import Joining
from penstock.store.sqlite.operator_records import OperatorRecords
from penstock.store.sqlite.queue_names import QueueNames
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.ready_line import ReadyLine
from penstock.store.sqlite.redo_log import SIZE_BYTES, RedoLog, redo_path
from penstock.store.sqlite.refused_jobs import Refusals
from penstock.store.sqlite.searchable_arguments import SearchableArguments
from penstock.store.sqlite.unique_keys import UniqueKeys

_logger = logging.getLogger("penstock.store")

_ROOM_TRIES: Final = 4
"""How often an opening makes room on a full disk."""

T = TypeVar("T", bound="Transactions")
P = ParamSpec("P")
R = TypeVar("R")


def atomic(call: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """Make a call one transaction, unless one is open already."""

    @wraps(call)
    def wrapped(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.in_group:
            try:
                answer = call(self, *args, **kwargs)
                self.after_call()
            except apsw.Error as error:
                raise self.database.translate(error) from error
            return answer
        self.begin()
        try:
            answer = call(self, *args, **kwargs)
            self.after_call()
        except BaseException as error:
            self._undo(error)
            raise
        self.commit()
        self.tidy()
        return answer

    return wrapped


def draining(call: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """As `atomic`, for a call that adds no jobs: on a full disk room is made for the call, by dropping old results."""
    once = atomic(call)

    @wraps(call)
    def wrapped(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.in_group:
            return once(self, *args, **kwargs)
        if self.database.short:
            self.make_room(0, self.watched)
        for _ in range(_ROOM_TRIES):
            try:
                return once(self, *args, **kwargs)
            except StoreFull:
                if not self.make_room(0, self.watched):
                    raise
            except Exception as error:
                if not getattr(error, "passes_again", False):
                    raise
        return once(self, *args, **kwargs)

    return wrapped


class Transactions(ABC):
    """Opens, commits and undoes the transactions of a store.

    Several calls between `begin` and `commit` form one transaction: a group commit. A call in it that raises because of
    what it was asked has written nothing; after `StoreFull` or `StoreUnavailable` the group must be rolled back.
    """

    def __init__(self, path: Path, clock: Clock, *, queues_of_client_max: int = limits.QUEUES_OF_CLIENT_MAX) -> None:
        self.database = Database(path)
        self.clock = clock
        self.faults = Faults(_logger)
        self.in_group = False
        self.lost: str | None = None
        """Why the store cannot go on; its owner has to end. None: it can."""
        self.before_close: Callable[[], None] = lambda: None
        """Called before the log of the database is removed by closing it."""
        self._untidy = False
        self._closed = False
        try:
            self.books = Books(self.database, clock)
            self._records = OperatorRecords(self.database, clock)
        except apsw.Error as error:
            raise StoreUnavailable(f"Cannot open the store {path}: {error}.") from error
        self._refusals = Refusals(self.books)
        self._line = ReadyLine(self.books)
        self._joining = Joining(self.books, self._line)
        self._inspector = Inspector(self.books, self._refusals, self._joining)
        self._endings = Endings(self.books, self._refusals, self._joining)
        self._endings.listeners.register(Interest.SEARCHABLE, SearchableArguments(self.database).forget)
        self._names = QueueNames(self.books, self._line, queues_of_client_max)
        self._unique = UniqueKeys(self.books, self._inspector)
        self._endings.listeners.register(Interest.UNIQUE, self._unique.ended)
        self._acceptor = Acceptor(self.books, self._names, self._inspector, self._joining, self._unique, self._records)
        self._deferred = Deferred(self.books, self._acceptor)

    def _take_over(self, rise_epoch: Callable[[], None], *, redo: bool) -> None:
        """The last part of opening, once all parts are there: a new epoch, and rows of what the redo log holds.

        The log is read before anything is committed: any transaction makes it void, and makes rows of what was read.

        Raises:
            StoreFull: there is no room, not even in the reserve and when all is dropped that may be.
        """
        path = self.database.path
        log_path = redo_path(path)
        try:
            if redo or log_path.exists():
                log = RedoLog(log_path, bytes(self.database.value("redo_token")))
                self._deferred.open(log, takes=redo)
        except apsw.Error as error:
            raise StoreUnavailable(f"Cannot read {log_path}: {error}.") from error
        try:
            try:
                rise_epoch()
            except apsw.FullError:
                if not self._deferred.give_up(log_path):
                    raise
                rise_epoch()
        except apsw.FullError as error:
            raise StoreFull(
                f"The disk that holds {path} is full, and there is nothing of the store left to make room with; "
                "free some space, then start again."
            ) from error
        except apsw.Error as error:
            raise StoreUnavailable(f"Cannot open the store {path}: {error}.") from error
        for _ in range(_ROOM_TRIES):
            try:
                self.catch_up()
            except StoreFull:
                # The reserve has made room, or something has to go.
                self.make_room(SIZE_BYTES, ())
            else:
                return
        self.catch_up()

    @abstractmethod
    def make_room(self, size_bytes: int, spared: Collection[bytes]) -> bool:
        """See `SqliteStore.make_room`."""

    def after_call(self) -> None:
        """Do what follows from a call, in its transaction."""
        self._endings.unblocking.after_call()

    # --- transactions ------------------------------------------------------------------------------------------------
    @property
    def epoch(self) -> int:
        """Rises each time the file is opened."""
        return self.books.epoch

    @property
    def readied(self) -> set[tuple[str, str]]:
        """Lines, each a queue and a task, in which something became ready. The owner empties it."""
        return self._endings.readied

    @property
    def watched(self) -> set[bytes]:
        """Ids somebody waits for. The owner fills it."""
        return self._endings.listeners.watched

    @property
    def ended(self) -> list[bytes]:
        """Watched ids that ended. The owner empties it."""
        return self._endings.listeners.ended

    @property
    def asking(self) -> bytes | None:
        """The client whose request is being done; None: nobody's in particular. The owner sets it."""
        return self._names.asking

    @asking.setter
    def asking(self, client: bytes | None) -> None:
        self._names.asking = client

    def begin(self) -> None:
        """Open a group."""
        if self._untidy:
            self.tidy()
        try:
            self.database.begin()
        except apsw.Error as error:
            raise self.database.translate(error) from error
        self.in_group = True
        if self._deferred:
            self._apply_deferred()

    def _apply_deferred(self) -> None:
        try:
            self._deferred.apply()
        except Exception as error:
            failure = self.database.translate(error) if isinstance(error, apsw.Error) else None
            self.rollback()
            if failure is not None and not getattr(failure, "damaged", False):
                raise failure from error
            self._deferred.sift(self._failure_of)
            self.begin()
        except BaseException as error:
            self._undo(error)
            raise

    def _failure_of(self, step: Callable[[], None]) -> Exception | None:
        """Do something in a transaction that is undone. Answers what it raised.

        Raises:
            StoreFull, StoreUnavailable: the disk is full or fails.
        """
        self.database.begin()
        try:
            step()
            self._line.write_all()
        except Exception as error:
            failure = self.database.translate(error) if isinstance(error, apsw.Error) else None
            if failure is not None and not getattr(failure, "damaged", False):
                raise failure from error
            return error
        finally:
            self.rollback()
        return None

    def commit(self) -> None:
        """Make the group durable.

        Raises:
            StoreFull: the disk is full; the group is undone.
            StoreUnavailable: the disk failed; the group is undone.
        """
        try:
            self._line.write_all()
            self.books.save()
            wrote = self.database.commit()
        except BaseException as error:
            self._undo(error)
            raise
        self.in_group = False
        self._untidy = True
        self._line.committed()
        self._deferred.committed(wrote=wrote)

    def _undo(self, error: BaseException) -> None:
        """Undo the group because of this; what SQLite says is raised in the words of the contract."""
        failure = self.database.translate(error) if isinstance(error, apsw.Error) else None
        self.rollback()
        if failure is not None:
            raise failure from error

    def tidy(self) -> None:
        """Do what can wait until the clients of a commit have been answered."""
        if self._untidy:
            self._untidy = False
            self.books.committed()
            self.database.checkpoint()

    def rollback(self) -> None:
        """Undo the group, in the file and in memory.

        Raises:
            StoreUnavailable: memory cannot be filled from the file again; the store is `lost`.
        """
        self.in_group = False
        self._deferred.rolled_back()
        self._line.forget()
        self.books.told.clear()
        self._endings.listeners.ended.clear()
        try:
            self.database.rollback()
            if self.database.full:
                self.database.checkpoint()
            self.books.load(is_undone=True)
            self._refusals.load()
            self._records.load()
            self._line.rolled_back()
            self._joining.rolled_back()
            self._endings.unblocking.rolled_back()
        except Exception as error:
            self.lost = f"The store {self.database.path} cannot go on: it cannot be read any more ({error})."
            raise StoreUnavailable(self.lost) from error

    def alone(self, step: Callable[[], R]) -> R:
        """Do a step in a transaction of its own, whatever was done before. Not in a group.

        Raises:
            StoreFull, StoreUnavailable: as `commit`.
            Exception: what the step raised. It is undone; what ended in earlier transactions is still to be told.
        """
        ended = self._endings.listeners.ended[:]
        try:
            self.begin()
            try:
                self._line.write_all()
                answer = step()
                self.after_call()
            except BaseException as error:
                self._undo(error)
                raise
            self.commit()
        except BaseException:
            self._endings.listeners.ended[:] = ended
            raise
        self.tidy()
        return answer

    def close(self) -> None:
        """See `penstock.ports.Store.close`."""
        if not self._closed:
            self._closed = True
            try:
                with suppress(StoreFull, StoreUnavailable):
                    # What cannot be made rows of now is made rows of by the next opening.
                    self.catch_up()
            finally:
                self._deferred.close()
                self.before_close()
                self.database.close()

    def let_go(self) -> None:
        """Close the files after an opening that failed, whatever they say."""
        self._closed = True
        with suppress(apsw.Error):
            self._deferred.close()
        with suppress(apsw.Error):
            self.database.close()

    # --- before there are rows -------------------------------------------------------------------------------------
    @property
    def deferred(self) -> int:
        """Requests that are durable, and of which the next transaction makes rows."""
        return len(self._deferred)

    def defer(self, requests: Sequence[DeferredEnqueue]) -> bool:
        """Make enqueues durable without a transaction, which is several times as fast. False: that cannot be done with
        all of these, and none is; enqueue them. Not in a group."""
        assert not self.in_group, "what is deferred is not part of a transaction"
        if self._untidy:
            self.tidy()
        try:
            return self._deferred.add(requests)
        except apsw.Error:
            return False

    def catch_up(self) -> None:
        """Make rows of what is deferred.

        Raises:
            StoreFull: the disk is full; what is deferred stays so.
            StoreUnavailable: the disk failed; what is deferred stays so.
        """
        if self._deferred.wants_transaction and not self.in_group:
            self.begin()
            self.commit()
            self.tidy()

    # --- answers to repeated requests --------------------------------------------------------------------------------
    def record_answer(self, client: bytes, number: int, answer: bytes) -> None:
        """Keep the answer to a client's request, in the open group, in the place of one long answered."""
        self.books.journal.add_answer(client, number, answer)

    def answers_of(self, client: bytes, lowest: int = 0) -> dict[int, bytes]:
        """The answers kept for a client, by request number, from the lowest that is asked for."""
        self.tidy()
        return self.books.journal.answers_of(client, lowest) | self._deferred.answers_of(client, lowest)

    def forget_answers(self, before: float) -> None:
        """Drop the answers of clients not heard of since this time (Unix seconds)."""
        self.books.journal.forget_answers(before)
