"""What the engine tells of its file, and the copy that is made of it."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.store_file import CopyStep, FileStatistics
from penstock.store.sqlite.database import SCHEMA_VERSION
from penstock.store.sqlite.file_copy import FileCopy
from penstock.store.sqlite.redo_log import redo_path
from penstock.store.sqlite.row_counts import count_rows
from penstock.store.sqlite.transactions import Transactions


class FileCareCalls(Transactions):
    """The calls of the engine that are about its file. None of them is made in a group."""

    schema_version = SCHEMA_VERSION
    _copy: FileCopy | None = None

    def copy_file(self, target: str, *, begin: bool) -> CopyStep:
        """Copy the next pages of the database into a file.

        Args:
            target: an absolute path.
            begin: make the file and begin, with all that was accepted before; else go on.

        Raises:
            InvalidOption: nothing can be made there.
            Conflict: another copy is being made.
            CareFailed: it cannot be written. Nothing of it is left.
        """
        assert not self.in_group, "a page that a transaction has changed cannot be copied"
        now = self.clock.monotonic()
        path = Path(target)
        if begin:
            if not path.is_absolute():
                raise InvalidOption(f"{target} is no absolute path.", field="target")
            self._let_go_for(path, now)
            # What is in the redo log was accepted too.
            self.catch_up()
            self._copy = FileCopy(self.database.connection, path, now)
        copy = self._copy
        if copy is None or copy.target != path:
            return CopyStep(is_unknown=True)
        try:
            step = copy.step(now)
        except BaseException:
            self._copy = None
            raise
        if step.is_done:
            self._copy = None
        return step

    def _let_go_for(self, target: Path, now: float) -> None:
        """Give up the present copy, if it may make room for another one."""
        if self._copy is None:
            return
        if self._copy.target != target and not self._is_idle(self._copy, now):
            raise Conflict(
                f"A copy of this store is being made already, in {self._copy.target}: wait until it is done, "
                f"or {limits.COPY_IDLE_S:.0f} s after it was interrupted."
            )
        self.drop_copy()

    def _is_idle(self, copy: FileCopy, now: float) -> bool:
        return now - copy.asked_at >= limits.COPY_IDLE_S

    def drop_idle_copy(self) -> None:
        """Give up a copy of which nobody asks for more. The owner calls this now and then."""
        if self._copy is not None and self._is_idle(self._copy, self.clock.monotonic()):
            self.drop_copy()

    def drop_copy(self) -> None:
        """Give up the copy that is being made, if there is one."""
        if self._copy is not None:
            self._copy.drop()
            self._copy = None

    def file_statistics(self, cursor: str | None = None) -> FileStatistics:
        """See `FileStatistics`. Rows are counted for a bounded time; a cursor goes on."""
        return file_statistics(self.database.connection, self.database.path, cursor, limits.SLICE_S)

    def close(self) -> None:
        """See `penstock.ports.Store.close`."""
        self.drop_copy()
        super().close()


def file_statistics(connection: apsw.Connection, path: Path, cursor: str | None, for_s: float) -> FileStatistics:
    """What a connection tells of the database at this path. ``for_s``: how long rows are counted."""
    rows, after = count_rows(connection, cursor, for_s)
    disk = os.statvfs(path.parent)
    return FileStatistics(
        schema_version=int(connection.pragma("user_version")),
        size_bytes=_size_bytes(path),
        log_bytes=_size_bytes(path.with_name(f"{path.name}-wal")),
        redo_bytes=_size_bytes(redo_path(path)),
        reserve_bytes=_size_bytes(path.with_name("reserve")),
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
        page_bytes=int(connection.pragma("page_size")),
        pages=int(connection.pragma("page_count")),
        pages_free=int(connection.pragma("freelist_count")),
        rows=rows,
        cursor=after,
    )


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
