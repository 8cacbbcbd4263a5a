"""Records of the redo log that could not be applied: kept in a file of their own, for people.

A record that was acknowledged is not thrown away because this Penstock cannot make rows of it: it may be damaged, or of
a later version. The file has one JSON object a line: when it was set aside, why, and the record in base 64. It lies
beside the database as ``penstock.db-redo-refused``, and is never read by Penstock itself but for its number of lines.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from pathlib import Path
from typing import Final

import msgspec

_logger = logging.getLogger("penstock.store")

BYTES_MAX: Final = 16 * 1024 * 1024
"""The file's size. Beyond: what is refused is told in the log and not kept."""


def refused_path(database: Path) -> Path:
    """Where they are kept."""
    return database.with_name(f"{database.name}-redo-refused")


class RedoQuarantine:
    """The file of records that could not be applied. It is made when there is something to keep.

    Attributes:
        count: records in it.
    """

    def __init__(self, database: Path) -> None:
        self._path = refused_path(database)
        self.count = len(self._lines())

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().splitlines()
        except OSError:
            return []

    def add(self, why: str, record: bytes) -> None:
        """Keep a record, durably, once. What cannot be kept is told all the same."""
        text = base64.b64encode(record)
        lines = self._lines()
        self.count = len(lines)
        if any(text in line for line in lines):
            return
        self.count += 1
        _logger.error(
            "a record of the redo log is set aside: %s. It is kept in %s, one JSON object a line; "
            "see `What can go wrong` in the documentation",
            why,
            self._path,
        )
        line = msgspec.json.encode({"at": time.time(), "why": why, "record": text.decode()}) + b"\n"
        if sum(map(len, lines)) + len(line) > BYTES_MAX:
            return
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            _logger.error("it cannot be kept there: %s", error)
