"""Whether the files of a store are those that its last owner left. Checked before the store is opened.

SQLite takes an empty file for a new database, and a database without its log for one that was closed. Either way it
would start, and jobs would be gone without a word. So an owner leaves a note beside the database, in the file
``identity``. The note says which files the owner opened, and whether they are ``open`` or were being closed
(``closing``; from then on the log may be missing). It is written when the store has been opened, so that a power cut
while a new store is made leaves no note.

When the database is another file than the one in the note, somebody has restored a copy, and it is taken as it is. That
is refused when the log beside it is the one in the note: SQLite would put that log into a database that it was not
written for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from penstock.model.errors import StoreUnavailable
from penstock.store.sqlite import database as engine
from penstock.store.sqlite.redo_log import redo_path

OPEN: Final = "open"
CLOSING: Final = "closing"


class Note(msgspec.Struct, frozen=True):
    """The text of ``identity``. ``file``, ``log``, ``redo``: device and inode of the database, of its log and of the
    redo log; None: there was none."""

    state: str
    file: tuple[int, int]
    log: tuple[int, int] | None = None
    redo: tuple[int, int] | None = None


class StoreIdentity:
    """The note of one database. Only its owner, who holds the lock, writes it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._redo = redo_path(database)
        self._reserve = database.with_name("reserve")
        self._path = database.with_name("identity")
        self._opened: tuple[int, int] | None = None

    def check(self) -> None:
        """Pass when the files can be those that the last owner left.

        Raises:
            StoreUnavailable: a file is gone, empty or replaced.
        """
        if (unfinished := self._database.with_name(f"{self._database.name}.unfinished")).exists():
            raise StoreUnavailable(
                f"{unfinished} is a backup that was cut off before it was whole: remove {unfinished.parent}, and take "
                "another backup."
            )
        note = self._read()
        size_bytes = _size_bytes(self._database)
        if not size_bytes:
            if note is not None or _size_bytes(self._log):
                state = "is gone" if size_bytes is None else "is empty"
                raise StoreUnavailable(
                    f"{self._database} {state}, and there was a store in it. Restore it with its -wal and -redo from a "
                    f"copy. To begin with an empty store instead, move everything in {self._database.parent} away."
                )
            return
        if note is None or note.state != OPEN:
            return
        log_bytes = _size_bytes(self._log)
        if note.file != _file_of(self._database):
            if log_bytes and note.log == _file_of(self._log):
                raise StoreUnavailable(
                    f"{self._database} was replaced, and {self._log} beside it is still the log of the one before. "
                    "Move penstock.db-wal and penstock.db-redo away, or restore those that belong to it."
                )
            return
        if note.redo is not None and not _size_bytes(self._redo):
            raise StoreUnavailable(
                f"{self._redo} is gone or empty, and the owner that wrote it did not close the store: what was "
                f"accepted last may be in it alone. Bring it back, or remove {self._path} to go on without it."
            )
        if log_bytes or (log_bytes == 0 and (_size_bytes(self._reserve) or 0) < engine.RESERVE_BYTES):
            # On a full disk, where the reserve has been given up, the log is emptied now and then.
            return
        raise StoreUnavailable(
            f"{self._log} is {'gone' if log_bytes is None else 'empty'}, and the owner that wrote it did not close the "
            "store: what was accepted last may be in it alone. Bring it back. If another program has opened the "
            f"database meanwhile and put the log in, or to go on without it, remove {self._path} and start again."
        )

    def opened(self) -> None:
        """The store is open: its log is there from now on."""
        self._opened = _file_of(self._database)
        self._write(OPEN)

    def closing(self) -> None:
        """The store is about to be closed, and its log removed."""
        if _file_of(self._database) == self._opened:
            self._write(CLOSING)

    def _read(self) -> Note | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, state: str) -> None:
        """Write the note in place, because a full disk has no room for a second file. A torn note counts as none."""
        found = _file_of(self._database)
        if found is None:
            return
        note = Note(state, found, _file_of(self._log), _file_of(self._redo))
        text = msgspec.json.encode(note).ljust(_NOTE_BYTES) + b"\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.pwrite(descriptor, text, 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            # Without a note a missing file is not noticed next time. That must not keep the store from opening now.
            return


_NOTE_BYTES: Final = 240


def _size_bytes(path: Path) -> int | None:
    """None: it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _file_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
