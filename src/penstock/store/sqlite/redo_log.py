"""The redo log: a file of enqueues that are durable, but not rows in the database yet.

A small transaction writes three pages, and spends as much time in statements as in its sync. A request in the redo log
costs one write into a file that has its full size already, and a sync that has no size to record. The request stays in
the log until the next transaction makes rows of it (`deferred_enqueues`).

The file is a sequence of records, the first at its beginning: a head (`_HEAD`), then the payload. A record counts when
all of these hold:

* its checksum, which starts from the store's own token, is right;
* its place is the one after the record before it;
* its field ``before`` is the number that the next row of the journal will have.

The transaction that makes rows of the records writes that row of the journal. So the same commit makes the records
void, and nothing has to be erased.

Files are reached through SQLite's own layer (VFS), which syncs them as it syncs the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

import apsw

SIZE_BYTES: Final = 256 * 1024
RECORD_BYTES_MAX: Final = 64 * 1024
"""The largest record. A larger request gains nothing from the log, and goes through a transaction."""
_HEAD: Final = Struct(">IIQI")
"""Checksum of all that follows, size of the payload in bytes, ``before``, place."""
_CHECKSUM_BYTES: Final = 4
_BEFORE_AT: Final = 8
"""Where ``before`` stands in a head."""
_ZEROS: Final = bytes(RECORD_BYTES_MAX)
_FLAGS: Final = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE
_SYNC: Final = apsw.SQLITE_SYNC_NORMAL
_SYNC_DATA: Final = apsw.SQLITE_SYNC_NORMAL | apsw.SQLITE_SYNC_DATAONLY

assert SIZE_BYTES % RECORD_BYTES_MAX == 0, "the file is filled in whole steps"


def redo_path(database: Path) -> Path:
    """Where the redo log of a database lies: beside it, as its other files do."""
    return database.with_name(f"{database.name}-redo")


class RedoLog:
    """One open redo log.

    After a write or a sync has failed the log takes no more records. Those in it count until rows are made of them.

    Args:
        path: the file. It is made, in full size, when it is missing or short. Where there is no room for that, the log
            takes no records.
        token: the store's own, so that records of another store do not count.

    Raises:
        apsw.Error: the file is there and cannot be opened. The records in it must not be passed over.
    """

    def __init__(self, path: Path, token: bytes) -> None:
        self._seed = crc32(token)
        self._place = 0
        self._end = 0
        self._before = 0
        self._file: apsw.VFSFile | None = None
        self._takes = False
        was_there = path.exists()
        try:
            self._file = apsw.VFSFile("", os.path.abspath(path), [_FLAGS, 0])
            self._fill(self._file)
            # Even when the file was there: the process that made it may have been killed before it synced the name.
            _sync_entry(path)
            self._takes = True
        except (apsw.Error, OSError):
            if was_there and self._file is None:
                raise

    def _fill(self, file: apsw.VFSFile) -> None:
        """Give the file its full size, so that a sync has no size to record. Records in it stay."""
        size = file.xFileSize()
        if size >= SIZE_BYTES:
            return
        for offset in range(size, SIZE_BYTES, len(_ZEROS)):
            file.xWrite(_ZEROS[: SIZE_BYTES - offset], offset)
        file.xSync(_SYNC)

    @property
    def state(self) -> str:
        """``on``: the log takes records; ``failed``: its disk has failed, or had no room for it."""
        return "on" if self._takes else "failed"

    def read(self, before: int) -> tuple[list[bytes], list[bytes]]:
        """The payloads that count, in order, and the damaged stretches between them.

        A damaged record does not hide the ones behind it, which were acknowledged after it. A damaged stretch at the
        end was being written when the power went and was not acknowledged, so it is not answered.

        Raises:
            apsw.Error: the file cannot be read.
        """
        found: list[bytes] = []
        damaged: list[bytes] = []
        if self._file is None:
            return found, damaged
        content = self._file.xRead(min(SIZE_BYTES, self._file.xFileSize()), 0)
        offset = place = 0
        while (record := self._next(content, offset, place, before)) is not None:
            at, found_place, payload = record
            if at > offset:
                damaged.append(content[offset:at])
            found.append(payload)
            offset, place = at + _HEAD.size + len(payload), found_place + 1
        return found, damaged

    def _next(self, content: bytes, offset: int, place: int, before: int) -> tuple[int, int, bytes] | None:
        """The next record that counts, from an offset and a place on: where it stands, its place, its payload."""
        mark = before.to_bytes(8, "big")
        at = content.find(mark, offset + _BEFORE_AT)
        if at != offset + _BEFORE_AT and self._payload(content, offset) is not None:
            # A sound record of an earlier round of the log: the records behind it are older still.
            return None
        while at >= 0:
            start = at - _BEFORE_AT
            payload = self._payload(content, start)
            if payload is not None:
                told_place = _HEAD.unpack_from(content, start)[3]
                if told_place == place or (told_place > place and start > offset):
                    return start, told_place, payload
            at = content.find(mark, at + 1)
        return None

    def _payload(self, content: bytes, start: int) -> bytes | None:
        """The payload of the record that begins here; None: none does, or it is damaged."""
        if start + _HEAD.size > len(content):
            return None
        checksum, size_bytes, _, _ = _HEAD.unpack_from(content, start)
        end = start + _HEAD.size + size_bytes
        if end > len(content) or checksum != crc32(content[start + _CHECKSUM_BYTES : end], self._seed):
            return None
        return content[start + _HEAD.size : end]

    def write(self, payload: bytes, before: int) -> bool:
        """Make a record durable. Answers False when that was not possible: the request needs a transaction then."""
        if self._file is None or not self._takes:
            return False
        if before != self._before:
            self._before, self._place, self._end = before, 0, 0
        head = _HEAD.pack(0, len(payload), before, self._place)[_CHECKSUM_BYTES:]
        record = head + payload
        end = self._end + _CHECKSUM_BYTES + len(record)
        if end > SIZE_BYTES:
            return False
        record = crc32(record, self._seed).to_bytes(_CHECKSUM_BYTES, "big") + record
        try:
            self._file.xWrite(record, self._end)
            self._file.xSync(_SYNC_DATA)
        except apsw.Error:
            # Nobody knows whether the record is on the disk, and a later sync may say yes without having written it.
            self._takes = False
            return False
        self._place, self._end = self._place + 1, end
        return True

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        if self._file is not None:
            self._file.xClose()
            self._file = None


def _sync_entry(path: Path) -> None:
    """Have the file's name survive a power cut."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
