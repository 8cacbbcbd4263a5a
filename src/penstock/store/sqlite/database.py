"""The database file: opening it, its statements by name, one transaction at a time."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import msgspec

from penstock.model.errors import StoreFull, StoreUnavailable
from penstock.model.job import JobError
from penstock.store.sqlite.schema_upgrades import Upgrade, planned

_logger = logging.getLogger("penstock.store")

T = TypeVar("T")

SCHEMA_VERSION: Final = 7
SQLITE_VERSION_MIN: Final = (3, 51, 3)
"""Earlier versions can corrupt a WAL database (a race between checkpoint and reset)."""
CACHE_KIB: Final = 64 * 1024
WAL_PAGES: Final = 1_000
"""With so many pages in the write-ahead log, they are brought into the database as soon as all clients are answered."""
WAL_PAGES_MAX: Final = 4_000
"""With so many pages they are brought into the database before the clients are answered."""
RESERVE_BYTES: Final = 8 * 1024 * 1024
"""A file given up when the disk is full, so that what is accepted can still be worked off."""

_MANY: Final = 50
"""Values in one statement of `Database.run_over`."""
_PAGE_BYTES: Final = 4096
SLACK_BYTES: Final = 256 * 1024
"""Room inside the database that there has to be while the disk has none."""
NEAR_FULL_BYTES: Final = 64 * 1024 * 1024
"""Free space below which the log is kept to `WAL_PAGES` even when clients wait: bringing it into a database that has to
grow must find room in the reserve."""
LAST_BYTES: Final = 3 * 1024 * 1024
"""The part of the reserve that is kept back at first, because making room needs some itself (`disk_full`)."""
WAL_PAGES_FULL: Final = 128
"""As `WAL_PAGES`, while the disk is full: pages in the log take room twice."""
_FULL_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A quota and a limit on the size of files are a full disk too."""
assert WAL_PAGES * _PAGE_BYTES * 6 // 5 < RESERVE_BYTES - LAST_BYTES, "a log that only adds pages fits the reserve"

_DISK_FAILS: Final = (
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.NoLFSError,
    apsw.InterruptError,
)
"""Errors that whatever is asked next will meet as well. All others have to do with what was asked, or found."""

ROOM_BYTES_MIN: Final = 2 * RESERVE_BYTES
"""Free space below which the reserve is not taken back: a disk that is nearly full stays full for new jobs."""


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _load_statements() -> dict[str, str]:
    blocks = re.split(r"^-- name: (\w+)\n", _read("queries.sql"), flags=re.MULTILINE)[1:]
    return {
        name: "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()
        for name, text in zip(blocks[::2], blocks[1::2], strict=True)
    }


STATEMENTS: Final = _load_statements()


@cache
def of_many(name: str, values: int) -> str:
    """A statement for so many values at once, in place of its list of one."""
    return STATEMENTS[name].replace("(?)", f"({', '.join('?' * values)})")


def new_schema(look: Callable[[apsw.Connection], T]) -> T:
    """What a look at the tables of a new store answers."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(_read("schema.sql"))
        return look(connection)
    finally:
        connection.close()


def _check_version() -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, SQLITE_VERSION_MIN))
        raise StoreUnavailable(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt its write-ahead log; "
            f"install an apsw that brings SQLite {wanted} or later."
        )


def _error_type(*packed: Any) -> str:
    """The type of a packed error, for upgrades."""
    try:
        return msgspec.msgpack.decode(packed[0], type=JobError).type
    except (msgspec.DecodeError, TypeError):
        return "Corrupt"


def _held_bytes() -> int:
    """Room that the log keeps while the disk is full: twice what it may hold before it is brought in."""
    return 2 * WAL_PAGES_FULL * _PAGE_BYTES


class _Log:
    """How long the write-ahead log was at the last commit that wrote to it."""

    pages = 0
    commits = 0


class Database:
    """One connection and its transaction. Every commit is synced before it returns (``synchronous=FULL``)."""

    def __init__(self, path: Path) -> None:
        _check_version()
        self.path = path
        self.reserve = path.with_name("reserve")
        self._log_path = path.with_name(f"{path.name}-wal")
        self._log = _Log()
        self.full = False
        self.short = False
        """The disk is full and the log cannot be brought into the database: room has to be made."""
        self._near_full = self.free_bytes() < NEAR_FULL_BYTES
        try:
            self.connection = apsw.Connection(str(path), statementcachesize=len(STATEMENTS) + 32)
            self._configure()
            self._migrate()
        except apsw.Error as error:
            raise StoreUnavailable(f"Cannot open the store {path}: {error}.") from error
        if not self.refill_reserve():
            _logger.error("the disk that holds %s is full: new jobs are refused, others are worked off", path)

    def _configure(self) -> None:
        for pragma in (
            "page_size=4096",
            # Before the log is looked at: its index is in memory then, and no file that a full disk has no room for.
            "locking_mode=exclusive",
            "journal_mode=wal",
            "synchronous=full",
            "temp_store=memory",
            f"cache_size=-{CACHE_KIB}",
            "wal_autocheckpoint=0",
        ):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        # Else SQLite looks at the number that is bound to a LIMIT, and plans the statement anew each time. That takes
        # longer than a short statement itself.
        self.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        # No method of this object: a connection that could not be opened must go, and its lock with it, at once.
        log = self._log

        def note(_: apsw.Connection, __: str, pages: int) -> int:
            log.pages = pages
            log.commits += 1
            return apsw.SQLITE_OK

        self.connection.set_wal_hook(note)

    def _migrate(self) -> None:
        version = self.connection.pragma("user_version")
        if version > SCHEMA_VERSION:
            raise StoreUnavailable(
                f"{self.path} has schema version {version}, this Penstock knows up to {SCHEMA_VERSION}: "
                "upgrade Penstock."
            )
        if version == SCHEMA_VERSION:
            return
        upgrade = self._planned(version)
        texts = [f"upgrade_{step}.sql" for step in upgrade.steps] or ["schema.sql"]
        self.connection.create_scalar_function("error_type", _error_type, 1)
        with self.connection:
            for text in texts:
                self.connection.execute(_read(text))
            self.connection.pragma("user_version", SCHEMA_VERSION)
        if upgrade.steps:
            _logger.warning("%s was upgraded from schema version %d to %d", self.path, version, SCHEMA_VERSION)

    def _planned(self, version: int) -> Upgrade:
        """What there is to do, for which there is room.

        Raises:
            StoreUnavailable: there is none.
        """
        used = int(self.connection.pragma("page_count")) - int(self.connection.pragma("freelist_count"))
        upgrade = planned(version, SCHEMA_VERSION, used * _PAGE_BYTES)
        free_bytes = self.free_bytes()
        if upgrade.needed_bytes > free_bytes:
            raise StoreUnavailable(
                f"{self.path} has schema version {version}, and its upgrade to {SCHEMA_VERSION} needs "
                f"{upgrade.needed_bytes / 1e6:,.0f} MB of free space, of which there are {free_bytes / 1e6:,.0f} MB: "
                "free some, then start again. Nothing was changed."
            )
        return upgrade

    def run(self, name: str, *values: Any) -> None:
        """Execute one statement that answers nothing."""
        self.connection.execute(STATEMENTS[name], values)

    def run_many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute one statement for each row."""
        self.connection.executemany(STATEMENTS[name], rows)

    def run_over(self, name: str, values: Sequence[Any]) -> None:
        """Execute a statement that takes a list of values, `_MANY` of them at a time."""
        for start in range(0, len(values), _MANY):
            part = values[start : start + _MANY]
            self.connection.execute(of_many(name, len(part)), part)

    def rows(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(STATEMENTS[name], values).fetchall()

    def row(self, name: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        for found in self.connection.execute(STATEMENTS[name], values):
            return tuple(found)
        return None

    def value(self, name: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        found = self.row(name, *values)
        return found[0] if found else None

    def begin(self) -> None:
        """Open the transaction."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> bool:
        """Make it durable: returns when the log is synced. Answers whether there was anything to write."""
        before = self._log.commits
        self.connection.execute("COMMIT")
        if self._log.pages >= (WAL_PAGES if self._near_full else WAL_PAGES_MAX):
            self.checkpoint()
        return self._log.commits > before

    def checkpoint(self) -> None:
        """Bring the log into the database, if it has grown long. A disk that fails now has lost nothing: the log holds
        what it held, and the next commit finds out."""
        if self.full:
            self._checkpoint_full()
            return
        if self._log.pages < WAL_PAGES:
            return
        self._log.pages = 0
        self._near_full = self.free_bytes() < NEAR_FULL_BYTES
        with suppress(apsw.Error):
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _checkpoint_full(self) -> None:
        """On a full disk the log is kept short: what it holds must still find room in a database that has to grow."""
        if self._log.pages >= WAL_PAGES_FULL:
            self.short = not self.shrink_log()
        # The space that is left is for the log alone: the database must not grow into it.
        if self.free_bytes() + self.reserve_bytes() < LAST_BYTES + SLACK_BYTES:
            self.short = self.short or self.slack_bytes() < SLACK_BYTES
        self._keep_last()

    def slack_bytes(self) -> int:
        """Room inside the database: pages that nothing uses."""
        return int(self.connection.pragma("freelist_count")) * _PAGE_BYTES

    def shrink_log(self) -> bool:
        """Bring the whole log into the database, so that it begins anew. Answers whether that could be done.

        Its file keeps the room that a small transaction takes: what is given back to a full disk, another program may
        take. The next commit gives back the rest.
        """
        try:
            self._limit_log(_held_bytes())
            in_log, brought_in = self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            return False
        if brought_in < in_log:
            return False
        self._log.pages = 0
        return True

    def rollback(self) -> None:
        """Undo it, if SQLite has not done so already."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def translate(self, error: apsw.Error) -> StoreFull | StoreUnavailable:
        """What a failed statement means to a caller. On a full disk the reserve is given up: draining goes on."""
        if self._is_of_full_disk(error):
            self.give_up()
            return StoreFull(f"The disk that holds {self.path} is full; free space, then enqueue again.")
        damaged = not isinstance(error, _DISK_FAILS)
        kind = type(error).__name__
        return StoreUnavailable(f"The store {self.path} failed: {kind}: {error}.", damaged=damaged)

    def _is_of_full_disk(self, error: apsw.Error) -> bool:
        if isinstance(error, apsw.FullError) or "ENOSPC" in str(error):
            return True
        return isinstance(error, apsw.IOError) and self.connection.system_errno in _FULL_ERRNOS

    def give_up(self) -> None:
        """The disk is full: give up the reserve, but for the last part of it."""
        if not self.full:
            self.full = True
            # Whatever is in the log: it is to be short from now on.
            self._log.pages = WAL_PAGES_FULL
            _logger.error("the disk that holds %s is full: new jobs are refused, others are worked off", self.path)
        if self.reserve_bytes() > LAST_BYTES:
            with suppress(OSError):
                os.truncate(self.reserve, LAST_BYTES)
                self._hold_log()

    def give_up_last(self) -> None:
        """Give up the rest of the reserve too, to make room with it."""
        if self.reserve_bytes():
            self.reserve.unlink(missing_ok=True)
            self._hold_log()

    def _hold_log(self) -> None:
        """Take room for the log out of what the reserve has given up, before another program does.

        SQLite writes its log over from the beginning, so a transaction that fits needs nothing from the disk. Zeros
        behind what it has written are no pages to it.
        """
        with suppress(OSError):
            descriptor = os.open(self._log_path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.posix_fallocate(descriptor, 0, _held_bytes())
            finally:
                os.close(descriptor)

    def _limit_log(self, size_bytes: int) -> None:
        """Have the log's file cut to this size when it begins anew; -1: it is not cut, which is faster."""
        self.connection.execute(f"PRAGMA journal_size_limit={size_bytes}").fetchall()

    def _keep_last(self) -> None:
        """Take the last part of the reserve back, where there is room for it."""
        if self.reserve_bytes() < LAST_BYTES <= self.free_bytes() // 2:
            try:
                self.reserve.write_bytes(bytes(LAST_BYTES))
            except OSError:
                self.reserve.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """How much room the disk has for us."""
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def refill_reserve(self) -> bool:
        """Take the reserve (back), when the disk has room for that and more. Answers whether jobs are accepted now."""
        was_full = self.full
        try:
            if self.reserve_bytes() < RESERVE_BYTES:
                if self.free_bytes() < ROOM_BYTES_MIN:
                    self.full = True
                    return False
                # Twice as much, then half of it back: what is taken back must not be the last there is.
                self.reserve.write_bytes(bytes(ROOM_BYTES_MIN))
                os.truncate(self.reserve, RESERVE_BYTES)
            self.full = False
            if was_full:
                self._limit_log(-1)
        except OSError:
            self.reserve.unlink(missing_ok=True)
            self.full = True
        if was_full and not self.full:
            _logger.warning("the disk that holds %s has room again: new jobs are accepted", self.path)
        return not self.full

    def reserve_bytes(self) -> int:
        """How large the reserve is; 0: it was given up."""
        try:
            return self.reserve.stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Checkpoint and let go of the file. On a full disk the room of the log is kept for the next opening."""
        self.connection.close()
        if self.full:
            self._keep_last()
