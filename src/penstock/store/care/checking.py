"""Check of a store: of the file itself where nobody serves it, else of a copy.

A check walks along every row, and compares what must agree at one moment. So it is not made in the owner: that copies
its file, some pages at a time, and the copy is checked here.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from penstock.model.errors import CareFailed
from penstock.model.store_file import Finding
from penstock.store.care.backing_up import Progress, copied
from penstock.store.care.reaching import looked_into, reading, served_or_held
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.database import SCHEMA_VERSION
from penstock.store.sqlite.file_check import Checked, check_file
from penstock.store.sqlite.file_copy import UNFINISHED
from penstock.store.sqlite.redo_log import RedoLog, redo_path
from penstock.store.sqlite.redo_quarantine import RedoQuarantine, refused_path
from penstock.store.wire.client.blocking import Client

COPY_NAME: Final = f"penstock.db-checked{UNFINISHED}"
"""The copy that is checked, in the directory of the store unless another is named. It is removed when that is done."""
_BEGINNINGS_MAX: Final = 3


class Check(NamedTuple):
    """What was looked at and found.

    Attributes:
        jobs: whose arguments, states and counts were looked at; 0 where the store has another schema.
        is_whole: False: the store has another schema, so only SQLite's own structures were checked.
        is_copy: a copy was checked, because the store is served.
    """

    findings: list[Finding]
    jobs: int
    schema_version: int
    is_whole: bool
    is_copy: bool
    seconds: float

    @property
    def instead(self) -> str:
        """What to do so that all of the store can be checked. Empty: it has been."""
        if self.is_whole:
            return ""
        if self.schema_version > SCHEMA_VERSION:
            return f"use the Penstock that wrote it; this one knows up to version {SCHEMA_VERSION}"
        return "upgrade it with `penstock store migrate`"


def check(directory: StoreDirectory, scratch: Path | None = None, told: Progress = lambda _: None) -> Check:
    """Check a store.

    Args:
        scratch: the directory in which a copy is made while the store is served; None: the store's own.
        told: how far the copy is.

    Raises:
        StoreUnavailable: the store cannot be reached, or cannot be read at all.
        InvalidOption, CareFailed: the copy cannot be made.
    """
    started = time.monotonic()
    with served_or_held(directory) as client:
        if client is None:
            with looked_into(directory) as connection:
                checked = check_file(connection)
                found = checked.findings + _redo(directory.database, connection)
        else:
            checked = _check_copy(client, (scratch or directory.path).resolve() / COPY_NAME, told)
            found = checked.findings
    found += _set_aside(directory.database)
    is_whole = checked.schema_version == SCHEMA_VERSION
    seconds = time.monotonic() - started
    return Check(found, checked.jobs, checked.schema_version, is_whole, client is not None, seconds)


def _check_copy(client: Client, copy: Path, told: Progress) -> Checked:
    try:
        for _ in range(_BEGINNINGS_MAX):
            if copied(lambda begin: client.copy_file(str(copy), begin=begin), copy, told):
                with reading(copy) as connection:
                    return check_file(connection)
    finally:
        for path in (copy, copy.with_name(f"{copy.name}-wal"), copy.with_name(f"{copy.name}-shm")):
            with suppress(OSError):
                path.unlink()
    raise CareFailed("The store's owner ended again and again while its file was copied; see owner.log.")


def _redo(database: Path, connection: apsw.Connection) -> list[Finding]:
    """Damaged records of the redo log. Of one that belongs to no owner any more, all that is in it counts."""
    path = redo_path(database)
    token = connection.execute("SELECT value FROM meta WHERE key = 'redo'").fetchall()
    if not token or not path.exists():
        return []
    ((number,),) = connection.execute("SELECT ifnull(max(number), 0) + 1 FROM journal").fetchall()
    with closing(RedoLog(path, bytes(token[0][0]))) as log:  # type: ignore[arg-type]  # a blob
        _, damaged = log.read(int(number))  # type: ignore[arg-type]  # a number
    if not damaged:
        return []
    told = f"records of {path.name} are damaged; the next owner sets them aside in {refused_path(database).name}"
    return [Finding("redo-damaged", told, len(damaged))]


def _set_aside(database: Path) -> list[Finding]:
    """Records of the redo log that an owner could not apply: jobs that were accepted, and are not in the store."""
    count = RedoQuarantine(database).count
    if not count:
        return []
    told = f"records of the redo log could not be applied and are kept in {refused_path(database).name}"
    return [Finding("redo-set-aside", told, count)]
