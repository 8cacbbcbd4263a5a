"""Records of the redo log that could not be applied, kept in a file of their own for people to look at.

A record may be damaged, or written by a later version of Penstock. It was acknowledged, so it is not thrown away when
no rows can be made of it. The file lies beside the database as ``penstock.db-redo-refused`` and has one JSON object a
line: when the record was set aside, why, and the record in base 64. Penstock itself only counts its lines, and looks
whether a record is in it already.
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
"""The file's size. Beyond: a record is told in the owner's log and not kept."""


def refused_path(database: Path) -> Path:
    """Where such records of a database are kept."""
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
        """Keep a record, durably, once. A record that cannot be kept is told in the owner's log all the same."""
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
