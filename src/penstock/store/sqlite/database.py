"""The database file: opening it, its statements by name, one transaction at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

import apsw

from penstock.model.errors import StoreFull, StoreUnavailable

SCHEMA_VERSION: Final = 4
SQLITE_VERSION_MIN: Final = (3, 51, 3)
"""Earlier versions can corrupt a WAL database (a race between checkpoint and reset)."""
CACHE_KIB: Final = 64 * 1024
WAL_PAGES: Final = 1_000
"""Pages in the log from which on they are brought into the database as soon as nobody waits."""
WAL_PAGES_MAX: Final = 4_000
"""As `WAL_PAGES`, whoever waits."""
RESERVE_BYTES: Final = 8 * 1024 * 1024
"""A file given up when the disk is full, so that what is accepted can still be worked off."""

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


def _check_version() -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, SQLITE_VERSION_MIN))
        raise StoreUnavailable(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt its write-ahead log; "
            f"install an apsw that brings SQLite {wanted} or later."
        )


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
        self._log = _Log()
        try:
            self.connection = apsw.Connection(str(path), statementcachesize=len(STATEMENTS) + 32)
            self._configure()
            self._migrate()
        except apsw.Error as error:
            raise StoreUnavailable(f"Cannot open the store {path}: {error}.") from error
        self.full = False
        self.refill_reserve()

    def _configure(self) -> None:
        for pragma in (
            "page_size=4096",
            "journal_mode=wal",
            "synchronous=full",
            "locking_mode=exclusive",
            "temp_store=memory",
            f"cache_size=-{CACHE_KIB}",
            "wal_autocheckpoint=0",
        ):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
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
        steps = (
            [f"upgrade_{step}.sql" for step in range(version + 1, SCHEMA_VERSION + 1)] if version else ["schema.sql"]
        )
        with self.connection:
            for step in steps:
                self.connection.execute(_read(step))
            self.connection.pragma("user_version", SCHEMA_VERSION)

    def run(self, name: str, *values: Any) -> None:
        """Execute one statement that answers nothing."""
        self.connection.execute(STATEMENTS[name], values)

    def run_many(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute one statement for each row."""
        self.connection.executemany(STATEMENTS[name], rows)

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
        if self._log.pages >= WAL_PAGES_MAX:
            self.checkpoint()
        return self._log.commits > before

    def checkpoint(self) -> None:
        """Bring the log into the database, if it has grown long. A disk that fails now has lost nothing: the log holds
        what it held, and the next commit finds out."""
        if self._log.pages < WAL_PAGES:
            return
        self._log.pages = 0
        with suppress(apsw.Error):
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def rollback(self) -> None:
        """Undo it, if SQLite has not done so already."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def translate(self, error: apsw.Error) -> StoreFull | StoreUnavailable:
        """What a failed statement means to a caller. On a full disk the reserve is given up: draining goes on."""
        if isinstance(error, apsw.FullError) or "ENOSPC" in str(error):
            self.full = True
            self.reserve.unlink(missing_ok=True)
            return StoreFull(f"The disk that holds {self.path} is full; free space, then enqueue again.")
        damaged = not isinstance(error, _DISK_FAILS)
        kind = type(error).__name__
        return StoreUnavailable(f"The store {self.path} failed: {kind}: {error}.", damaged=damaged)

    def refill_reserve(self) -> bool:
        """Take the reserve (back), when the disk has room for that and more. Answers whether jobs are accepted now."""
        try:
            if not self.reserve.exists() or self.reserve.stat().st_size < RESERVE_BYTES:
                disk = os.statvfs(self.path.parent)
                if disk.f_bavail * disk.f_frsize < ROOM_BYTES_MIN:
                    self.full = True
                    return False
                # Twice as much, then half of it back: what is taken back must not be the last there is.
                self.reserve.write_bytes(bytes(ROOM_BYTES_MIN))
                os.truncate(self.reserve, RESERVE_BYTES)
            self.full = False
        except OSError:
            self.reserve.unlink(missing_ok=True)
            self.full = True
        return not self.full

    def reserve_bytes(self) -> int:
        """How large the reserve is; 0: it was given up."""
        try:
            return self.reserve.stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Checkpoint and let go of the file."""
        self.connection.close()
