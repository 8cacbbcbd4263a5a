"""Giving the free pages of a store's file back to the disk, while nobody serves the store.

SQLite could do that in small steps if every page had a note of who points at it. To keep these notes costs each
transaction, so they are not kept (ADR 47). Instead the database is written anew, beside the old one, and takes its
place in one step: until then the old one is untouched.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from penstock.model import limits
from penstock.model.errors import CareFailed
from penstock.store.care.reaching import looked_into, opened, stopped
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.database import SCHEMA_VERSION

_SUFFIX: Final = "-compacted"


class Compaction(NamedTuple):
    """Sizes of the database before and after."""

    before_bytes: int
    after_bytes: int
    seconds: float


def compact(directory: StoreDirectory) -> Compaction:
    """Write the database anew, without its free pages. A detached owner is asked to leave; clients wait for the next.

    Raises:
        CareFailed: an owner serves the store and stays, the store has another schema, or the disk has no room for the
            new file beside the old one.
        StoreUnavailable: the store cannot be opened.
    """
    database = directory.database
    compacted = database.with_name(f"{database.name}{_SUFFIX}")
    with stopped(directory):
        started = time.monotonic()
        _check_schema(directory)
        try:
            with opened(directory) as engine:
                connection = engine.database.connection
                _check_room(connection, database)
                compacted.unlink(missing_ok=True)
                # Into a file of this name and this mode: SQLite makes others as the process's mask says.
                os.close(os.open(compacted, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                connection.execute("VACUUM INTO ?", (str(compacted),))
            before_bytes = database.stat().st_size
            _sync(compacted)
            # The engine is closed: everything is in the database, and there is no log that belongs to the old one.
            compacted.replace(database)
            _sync(database.parent)
        except apsw.Error as error:
            raise CareFailed(f"{compacted} cannot be written: {error}. The store is as it was.") from error
        finally:
            with suppress(OSError):
                compacted.unlink()
        return Compaction(before_bytes, database.stat().st_size, time.monotonic() - started)


def _check_schema(directory: StoreDirectory) -> None:
    """An older store would be upgraded by opening it, which nobody has asked for."""
    with looked_into(directory) as connection:
        version = int(connection.pragma("user_version"))
    if version != SCHEMA_VERSION:
        raise CareFailed(
            f"{directory.database} has schema version {version}, and this Penstock writes {SCHEMA_VERSION}: "
            "see penstock store migrate."
        )


def _check_room(connection: apsw.Connection, database: Path) -> None:
    used = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    needed = used * int(connection.pragma("page_size")) + limits.COPY_SPARED_BYTES
    disk = os.statvfs(database.parent)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise CareFailed(
            f"The new file is written beside the old one and needs {needed / 1e6:,.0f} MB, of which the disk has "
            f"{free / 1e6:,.0f} MB. The store is as it was."
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
