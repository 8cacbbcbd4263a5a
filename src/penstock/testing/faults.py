"""A disk that fails when it is told to, under SQLite: full, broken at the n-th operation, or without power.

`FaultyVFS` stands between SQLite and the file system. What it can show of a store: that an error at any moment leaves
nothing half done, that a full disk stops accepting and nothing else, and that whatever was acknowledged is on the disk
when the power goes.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

SECTOR_BYTES: Final = 512
"""What a disk writes whole. A write that was not synced may be lost by the sector."""

_PLENTY_BYTES: Final = 1 << 40
_numbers = itertools.count()


class FaultyVFS(apsw.VFS):
    """The default file system of every SQLite database that is opened inside its ``with`` block.

    Operations are writes, syncs and truncations, of all files together, in the order SQLite asks for them. A sync waits
    for no real disk: it is played, as the power cut is.

    Attributes:
        base: the name of the file system beneath.
        operations: how many there were so far.
        before: called before each operation, with nothing; a moment at which power may go. None: nobody asks.
        before_sync: called so before each sync.
        capacity_bytes: room for all files of the directories in use, whoever wrote them. Beyond: the disk is full.
            None: no limit.
    """

    def __init__(self) -> None:
        self._name = f"penstock-faulty-{next(_numbers)}"
        self.base = apsw.vfs_names()[0]
        super().__init__(self._name, self.base, makedefault=True)
        self.operations = 0
        self.before: Callable[[], None] | None = None
        self.before_sync: Callable[[], None] | None = None
        self.capacity_bytes: int | None = None
        self._fails_at: int | None = None
        self._lasting = True
        self._error: type[apsw.Error] = apsw.IOError
        self._disks: dict[str, _Platter] = {}

    def __enter__(self) -> FaultyVFS:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self.unregister()

    # --- faults ------------------------------------------------------------------------------------------------------
    def fail_at(self, operation: int, error: type[apsw.Error] = apsw.IOError, *, lasting: bool = True) -> None:
        """Let an operation fail: 1 is the next one. ``lasting``: every one after it fails too, until `heal`."""
        self._fails_at = self.operations + operation
        self._error = error
        self._lasting = lasting

    def heal(self) -> None:
        """No operation fails any more, and there is room."""
        self._fails_at = None
        self.capacity_bytes = None
        self.before = None
        self.before_sync = None

    def fill(self, directory: Path) -> None:
        """Let there be no room beyond what the files of this directory take now."""
        self.capacity_bytes = used_bytes(directory)

    def free_bytes(self, directory: Path) -> int:
        """How much room there is; a terabyte where there is no limit."""
        return _PLENTY_BYTES if self.capacity_bytes is None else max(0, self.capacity_bytes - used_bytes(directory))

    def check_room(self, directory: Path, more_bytes: int) -> None:
        """Pass when there is room for so much more in this directory.

        Raises:
            apsw.FullError: there is none.
        """
        if self.capacity_bytes is not None and more_bytes > 0:
            used = used_bytes(directory)
            if used + more_bytes > self.capacity_bytes:
                raise apsw.FullError(f"the disk is full: {used} bytes of {self.capacity_bytes}")

    def operate(self) -> None:
        """Count one operation, which may fail.

        Raises:
            apsw.Error: it was told to.
        """
        if self.before is not None:
            self.before()
        self.operations += 1
        at = self._fails_at
        if at is not None and (self.operations == at or (self._lasting and self.operations > at)):
            raise self._error(f"operation {self.operations} was told to fail")

    # --- power -------------------------------------------------------------------------------------------------------
    def cut_power(self, into: Path, chance: random.Random | None = None) -> None:
        """Write what a disk would hold had the power gone now into another directory, one file beside the other.

        What was synced is there. Of what was written since, each sector is there or not by ``chance``; None: nothing
        of it is.
        """
        for name, disk in self._disks.items():
            (into / os.path.basename(name)).write_bytes(disk.after_power_cut(chance))

    # --- what SQLite calls -------------------------------------------------------------------------------------------
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _FaultyFile:  # noqa: N802 - SQLite's name
        """Open a file of this disk."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return _FaultyFile(self, name, flags, None, _Platter(b""))
        known = self._disks.get(path)
        if known is None:
            known = self._disks[path] = _Platter(Path(path).read_bytes() if os.path.exists(path) else b"")
        return _FaultyFile(self, name, flags, path, known)

    def forget(self) -> None:
        """Somebody removed the files without asking SQLite."""
        self._disks.clear()

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - SQLite's name and call
        """Remove a file."""
        super().xDelete(filename, syncdir)
        self._disks.pop(filename, None)


class _FaultyFile(apsw.VFSFile):
    """One open file."""

    def __init__(
        self,
        disk: FaultyVFS,
        name: str | apsw.URIFilename | None,
        flags: list[int],
        path: str | None,
        platter: _Platter,
    ) -> None:
        super().__init__(disk.base, name, flags)
        self._disk = disk
        self._path = path
        self._platter = platter

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.operate()
        if self._path is not None:
            self._disk.check_room(Path(self._path).parent, offset + len(data) - self.xFileSize())
        super().xWrite(data, offset)
        self._platter.write(bytes(data), offset)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's signature and name
        if self._disk.before_sync is not None:
            self._disk.before_sync()
        self._disk.operate()
        self._platter.sync()

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.operate()
        super().xTruncate(newsize)
        self._platter.truncate(newsize)


class _Platter:
    """What is surely on the disk of one file, and what was only written."""

    def __init__(self, content: bytes) -> None:
        self._synced = bytearray(content)
        self._unsynced: list[tuple[int, bytes | None]] = []

    def write(self, data: bytes, offset: int) -> None:
        self._unsynced.append((offset, data))

    def truncate(self, size_bytes: int) -> None:
        self._unsynced.append((size_bytes, None))

    def sync(self) -> None:
        for offset, data in self._unsynced:
            _put(self._synced, offset, data)
        self._unsynced.clear()

    def after_power_cut(self, chance: random.Random | None) -> bytes:
        content = bytearray(self._synced)
        for offset, data in self._unsynced if chance is not None else ():
            assert chance is not None
            if data is None:
                if chance.random() < 0.5:
                    _put(content, offset, None)
                continue
            for start in range(0, len(data), SECTOR_BYTES):
                if chance.random() < 0.5:
                    _put(content, offset + start, data[start : start + SECTOR_BYTES])
        return bytes(content)


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write, or cut off at ``offset`` when there is no data."""
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def used_bytes(directory: Path) -> int:
    """What the files of a directory take."""
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.is_file())
