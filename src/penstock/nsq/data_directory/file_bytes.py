"""The bytes of a file, wherever they are asked for, of which little is in memory at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from penstock.model import limits
from penstock.nsq.data_directory.records import HEAD_BYTES

_NO_BYTES: Final = b""


class FileBytes:
    """An open file. What it has when it is opened counts; it is not watched.

    Attributes:
        size: in bytes.
    """

    def __init__(self, path: Path, chunk_bytes: int = limits.NSQ_READ_BYTES) -> None:
        self._chunk_bytes = max(chunk_bytes, 2 * HEAD_BYTES)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.size = os.fstat(self._descriptor).st_size
        self._first = 0
        self._chunk = _NO_BYTES

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def at(self, offset: int, count: int) -> bytes:
        """The bytes from ``offset`` on: ``count``, or as many as there are."""
        start = offset - self._first
        if start < 0 or start + count > len(self._chunk):
            if count > self._chunk_bytes:
                return self._read(offset, count)
            self._first, self._chunk, start = offset, self._read(offset, self._chunk_bytes), 0
        return self._chunk[start : start + count]

    def places(self, pattern: re.Pattern[bytes], first: int, end: int) -> Iterator[int]:
        """Where the pattern, which looks at `HEAD_BYTES` bytes, matches: from ``first`` on, all before ``end``."""
        while end - first >= HEAD_BYTES:
            chunk = self.at(first, min(self._chunk_bytes, end - first))
            if len(chunk) < HEAD_BYTES:
                return
            for found in pattern.finditer(chunk):
                yield first + found.start()
            first += len(chunk) - HEAD_BYTES + 1

    def _read(self, offset: int, count: int) -> bytes:
        parts: list[bytes] = []
        while count > 0:
            part = os.pread(self._descriptor, count, offset)
            if not part:
                break
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
