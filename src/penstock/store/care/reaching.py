"""Getting at the file of a store: through its owner, or with its lock held, so that nobody else does meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

import apsw

from penstock.model import limits
from penstock.model.errors import CareFailed, Conflict, StoreUnavailable
from penstock.process.clock import SystemClock
from penstock.store import permissions
from penstock.store.directory import OwnerLock, StoreDirectory
from penstock.store.sqlite.store import SqliteStore
from penstock.store.startup_check import StoreIdentity
from penstock.store.wire.client.blocking import Client

_PAUSE_S: Final = 0.01
_CONNECT_S: Final = 1.0
_ROLE: Final = "care"


class EarlierOwner(CareFailed):
    """An owner of an earlier version of Penstock serves the store: stop it first."""


@contextmanager
def served_or_held(directory: StoreDirectory) -> Iterator[Client | None]:
    """A client of the owner that serves the store. None: nobody does, and the lock is held, so that nobody begins to.

    Raises:
        EarlierOwner: an owner of an earlier version of Penstock serves it.
        StoreUnavailable: the lock is taken and nobody serves, or the directory may not be used.
    """
    deadline = time.monotonic() + limits.RECONNECT_S_MAX
    while True:
        if _is_served(directory):
            with closing(Client.connect(directory.path, role=_ROLE)) as client:
                _check_owner(client)
                yield client
            return
        with _lock(directory) as lock:
            if lock.take():
                _prepare(directory)
                yield None
                return
        _pause(directory, deadline)


@contextmanager
def stopped(directory: StoreDirectory) -> Iterator[None]:
    """Hold the lock of a store that nobody serves. A detached owner is asked to leave; its clients wait for the next.

    Raises:
        CareFailed: an owner serves that stays, because `penstock up` started it.
        StoreUnavailable: the lock is taken and nobody serves, or the directory may not be used.
    """
    deadline = time.monotonic() + limits.RECONNECT_S_MAX
    with _lock(directory) as lock:
        while not lock.take():
            _ask_to_leave(directory)
            _pause(directory, deadline)
        _prepare(directory)
        yield


@contextmanager
def opened(directory: StoreDirectory) -> Iterator[SqliteStore]:
    """The engine over a store whose lock is held, opened and closed as its owner does it: upgraded, with the redo log
    in it, and noted.

    Raises:
        StoreUnavailable: it cannot be opened.
    """
    identity = StoreIdentity(directory.database)
    identity.check()
    engine = SqliteStore(directory.database, clock=SystemClock())
    with closing(engine):
        identity.opened()
        engine.before_close = identity.closing
        yield engine


@contextmanager
def looked_into(directory: StoreDirectory) -> Iterator[apsw.Connection]:
    """A connection that only reads the file of a store whose lock is held. The file, its log and its note stay as they
    are: an older store is not upgraded.

    Raises:
        StoreUnavailable: it is no database, or a file of it is missing.
    """
    StoreIdentity(directory.database).check()
    with reading(directory.database) as connection:
        yield connection


@contextmanager
def reading(database: str | os.PathLike[str]) -> Iterator[apsw.Connection]:
    """A connection that only reads a database of which nobody else has a connection.

    Raises:
        StoreUnavailable: it is no database.
    """
    try:
        log = f"{os.fspath(database)}-wal"
        has_log = os.path.exists(log) and os.path.getsize(log) > 0
        connection = apsw.Connection(os.fspath(database), flags=apsw.SQLITE_OPEN_READWRITE)
        with closing(connection):
            # What is in its log stays there: to bring it in would change the file.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_log))
            # The index of the log is in memory then, and no file.
            connection.execute("PRAGMA locking_mode=exclusive").fetchall()
            connection.execute("PRAGMA query_only=1").fetchall()
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            # Tables for the time of a check are written besides.
            connection.execute("PRAGMA query_only=0").fetchall()
            yield connection
    except apsw.Error as error:
        raise StoreUnavailable(f"{os.fspath(database)} cannot be read: {type(error).__name__}: {error}.") from error


@contextmanager
def _lock(directory: StoreDirectory) -> Iterator[OwnerLock]:
    lock = directory.open_lock()
    try:
        yield lock
    finally:
        lock.release()


def _is_served(directory: StoreDirectory) -> bool:
    try:
        directory.connect(_CONNECT_S).close()
    except OSError:
        return False
    return True


def _check_owner(client: Client) -> None:
    owner = client.owner_statistics()
    if not owner.schema_version:
        raise EarlierOwner(
            f"Process {owner.pid} serves this store with an earlier Penstock, which cannot do this: stop it first."
        )


def _prepare(directory: StoreDirectory) -> None:
    """What an owner does before it opens a store, once it has the lock."""
    os.umask(permissions.OTHERS)
    permissions.tighten(directory.path)
    directory.check_format()


def _ask_to_leave(directory: StoreDirectory) -> None:
    with suppress(StoreUnavailable), closing(Client.connect(directory.path, start_owner=False, reach_s=1.0)) as client:
        try:
            client.hand_over()
        except Conflict as error:
            raise CareFailed(f"This is done with the store stopped. {error.message}") from error


def _pause(directory: StoreDirectory, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise StoreUnavailable(f"Another process holds the lock of {directory.path}: wait until it is done.")
    time.sleep(_PAUSE_S)
