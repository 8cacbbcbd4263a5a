"""Whether the files that an owner serves are still at their place.

An open file lives on when its name is gone. So when somebody deletes, renames or replaces a store's files, its owner
would go on accepting jobs that nobody will ever find. The owner looks every `limits.LOST_FILES_S`, and whenever a
transaction has failed, whether each name still leads to the file that it has open.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from msgspec import Struct

from penstock.store import permissions
from penstock.store.directory import OwnerLock, StoreDirectory

_PROCESSES: Final = Path("/proc")
_OWNER: Final = b"penstock owner"
"""The title of an owner's process."""


class LostFiles(Struct, frozen=True):
    """Which files are gone.

    Attributes:
        reason: for people.
        is_total: the database itself is gone, so nothing at its place may be touched any more. Otherwise the database
            is whole, and can be closed in order and opened again.
    """

    reason: str
    is_total: bool


class ServedFiles:
    """The files of one store as they were when its owner had opened them all.

    Args:
        directory: the store's.
        lock: the one that the owner holds.

    Raises:
        StoreUnavailable: a file is a symbolic link, or somebody else's.
    """

    def __init__(self, directory: StoreDirectory, lock: OwnerLock) -> None:
        self._directory = directory.path
        self._database = directory.database
        self._socket = Path(directory.socket_path)
        # The redo log may be missing: the engine does without it when it opens on a full disk.
        files = [directory.database, *(directory.path / f"{directory.database.name}-{end}" for end in ("wal", "redo"))]
        for path in files:
            permissions.check_place(path)
        known = {path: _identity(path) for path in (directory.path, *files, self._socket)}
        self._known = {path: found for path, found in known.items() if found is not None}
        self._known[directory.lock] = lock.identity()
        self._database_bytes = 0

    def lost(self) -> LostFiles | None:
        """Which files are gone; None: all are there."""
        for path, identity in self._known.items():
            found = _identity(path)
            if found == identity:
                continue
            what = "is not there any more" if found is None else "is not the one that was opened any more"
            is_total = path in {self._directory, self._database} or not self._is_known(self._database)
            rest = (
                "It was deleted, renamed or replaced while it was served. Nothing is accepted into what is left of it."
                if is_total
                else "The store itself is whole."
            )
            return LostFiles(f"{path} {what}. {rest}", is_total)
        return self._cut()

    def _cut(self) -> LostFiles | None:
        """Whether somebody else has written to the database. The engine never makes it smaller."""
        try:
            size_bytes = self._database.lstat().st_size
        except OSError:
            return None
        if size_bytes < self._database_bytes or not size_bytes:
            return LostFiles(
                f"{self._database} was emptied or cut short while it was served. Nothing is written over what is left "
                "of it: restore it from a copy.",
                is_total=True,
            )
        self._database_bytes = size_bytes
        return None

    def remove_socket(self) -> None:
        """Unlink the socket, if it still is this owner's."""
        if self._is_known(self._socket):
            self._socket.unlink(missing_ok=True)

    def _is_known(self, path: Path) -> bool:
        return path in self._known and _identity(path) == self._known[path]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def owner_of_deleted(lock: Path) -> int | None:
    """The process that still owns what was at this place before it was deleted, where the system tells; None: there is
    none. For who is about to make a new store there."""
    gone = f"{lock} (deleted)"
    try:
        pids = [name for name in os.listdir(_PROCESSES) if name.isdigit()]
    except OSError:
        return None
    for pid in pids:
        process = _PROCESSES / pid
        try:
            if (process / "comm").read_bytes().strip() != _OWNER:
                continue
            if any(_leads_to(process / "fd" / number, gone) for number in os.listdir(process / "fd")):
                return int(pid)
        except OSError:
            continue
    return None


def _leads_to(link: Path, place: str) -> bool:
    try:
        return os.readlink(link) == place
    except OSError:
        return False
