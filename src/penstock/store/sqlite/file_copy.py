"""A copy of the database, made page by page while the database is used.

SQLite's backup copies some pages at a time. What the connection that is copied from changes meanwhile in pages that
have been copied is changed in the copy too, when it is committed. So the copy is the database as it is at the moment
when the last page is copied: all that was committed before, and nothing of a transaction that is open.

A step copies for a bounded time, between two transactions. Nothing is synced here, because a sync of so much would hold
up whoever waits for a commit: who asked for the copy syncs its file, in a process of its own.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from penstock.model import limits
from penstock.model.errors import CareFailed, InvalidOption, StoreUnavailable
from penstock.model.store_file import CopyStep
from penstock.store import permissions

UNFINISHED: Final = ".unfinished"
"""How the names of copies end. Who asked for one gives it another name when it is whole and synced. A file with such a
name is what an earlier copy left, and may be written over: the same request may come again when its answer is lost."""
_PAGES_AT_ONCE: Final = 32
"""Between two looks at the clock."""
_CACHE_KIB: Final = 2 * 1024
"""What the copy keeps in memory; the rest is written at once, so that no step has much to write."""


class FileCopy:
    """One copy. The file is made, and is closed to other users.

    Args:
        source: the connection that writes the database; the only one that may, or the copy begins anew each time
            another does.
        target: where to. Its name ends in UNFINISHED.
        now: monotonic seconds.

    Raises:
        InvalidOption: it has another name, or nothing can be made there.
        CareFailed: the disk has no room for it.
    """

    def __init__(self, source: apsw.Connection, target: Path, now: float) -> None:
        self.target = target
        self.asked_at = now
        self.is_done = False
        self._pages = 0
        if not target.name.endswith(UNFINISHED):
            raise InvalidOption(f"The name of a copy ends in {UNFINISHED}, not {target.name}.", field="target")
        try:
            permissions.check_place(target)
            target.unlink(missing_ok=True)
            os.close(permissions.open_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except StoreUnavailable as error:
            raise InvalidOption(error.message, field="target") from error
        except OSError as error:
            raise InvalidOption(f"{target} cannot be made: {error.strerror}.", field="target") from error
        self._connection = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            for pragma in (
                "journal_mode=off",
                "synchronous=off",
                "locking_mode=exclusive",
                f"cache_size=-{_CACHE_KIB}",
            ):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            self._backup = self._connection.backup("main", source, "main")
        except BaseException:
            self._connection.close()
            self._unlink()
            raise

    def step(self, now: float) -> CopyStep:
        """Copy some more pages. Not while a transaction is open.

        Raises:
            CareFailed: the copy cannot be written; it has been dropped.
        """
        self.asked_at = now
        if self.is_done:
            return CopyStep(self._pages, 0, is_done=True)
        self._check_room()
        until = time.perf_counter() + limits.SLICE_S
        try:
            while not self.is_done:
                self.is_done = self._backup.step(_PAGES_AT_ONCE)
                if time.perf_counter() >= until:
                    break
            self._pages = self._backup.page_count
            left = self._backup.remaining
            if self.is_done:
                self._backup.finish()
                self._connection.close()
        except (apsw.BusyError, apsw.LockedError):
            return CopyStep(self._backup.page_count, self._backup.remaining)
        except apsw.Error as error:
            self.is_done = False
            self.drop()
            raise CareFailed(f"{self.target} cannot be written: {type(error).__name__}: {error}.") from error
        return CopyStep(self._pages, left, is_done=self.is_done)

    def _check_room(self) -> None:
        disk = os.statvfs(self.target.parent)
        if disk.f_bavail * disk.f_frsize < limits.COPY_SPARED_BYTES:
            self.drop()
            raise CareFailed(
                f"The disk that holds {self.target.parent} is nearly full, and the copy is not to fill it: "
                "free some space, or name another disk."
            )

    def drop(self) -> None:
        """Let go of the copy. One that is not whole is removed. A second call does nothing."""
        if self.is_done:
            return
        with suppress(apsw.Error):
            self._backup.close(force=True)
        with suppress(apsw.Error):
            self._connection.close(force=True)
        self._unlink()

    def _unlink(self) -> None:
        with suppress(OSError):
            self.target.unlink()
