"""A queue is written into files as nsqd writes it, and so that they are on the disk when they are done."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.nsq.data_directory import file_names, queue_position
from penstock.nsq.data_directory.queue_position import QueuePosition
from penstock.nsq.data_directory.records import Record, encoded

_BUFFER_BYTES = 1024 * 1024


class QueueWriter:
    """Writes the records of one queue, in order. There are no files as long as there is no record.

    Args:
        directory: where the files go.
        queue: its name.
        file_bytes_max: what a file has at most, unless a record alone is longer.
    """

    def __init__(self, directory: Path, queue: str, file_bytes_max: int) -> None:
        self._directory = directory
        self._queue = queue
        self._file_bytes_max = file_bytes_max
        self._number = -1
        self._at = 0
        self._descriptor = -1
        self._buffer = bytearray()
        self.records = 0

    def add(self, record: Record) -> None:
        """Write one record."""
        data = encoded(record)
        if self._descriptor < 0 or (self._at and self._at + len(data) > self._file_bytes_max):
            self._begin()
        self._buffer += data
        self._at += len(data)
        self.records += 1
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write what is left and where reading and writing stand, and wait until the disk has all of it."""
        if self._descriptor < 0:
            return
        self._end()
        position = QueuePosition(self.records, 0, 0, self._number, self._at)
        write_whole(self._directory / file_names.position_file_name(self._queue), queue_position.as_text(position))

    def abandon(self) -> None:
        """Let go of what is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self) -> None:
        if self._descriptor >= 0:
            self._end()
        self._number += 1
        self._at = 0
        path = self._directory / file_names.data_file_name(self._queue, self._number)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _end(self) -> None:
        self._flush()
        os.fsync(self._descriptor)
        self.abandon()

    def _flush(self) -> None:
        _write_all(self._descriptor, self._buffer)
        self._buffer.clear()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole, and on the disk, or not at all."""
    beside = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.rename(path)


def sync_directory(path: Path) -> None:
    """Wait until the disk has the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    left.release()
