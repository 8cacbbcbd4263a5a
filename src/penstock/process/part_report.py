"""What a part of a node tells the process that started it: lines of JSON on an inherited pipe.

The first thing said is that it is ready. After that a supervisor says which processes it has, at every change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import msgspec

__all__ = ["READY", "PartReport", "ProcessEntry", "Reporter", "parse"]

READY: Final = b"ready"
"""The line that says so, for a part that has no JSON at hand."""


class ProcessEntry(msgspec.Struct, frozen=True):
    """One process of a node. ``role``: owner, gate, nsqd, supervisor, forkserver or executor."""

    role: str
    pid: int


class PartReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line.

    Attributes:
        ready: the part does its work now.
        processes: what runs below the part, all of it. None: as before.
        executors_ready: how many executors take jobs. None: as before.
        failure: why the part ends, in one line.
        address: where it listens, ``host:port``.
        lost: with a failure: what the part served is gone, and starting it again would serve something else.
    """

    ready: bool | None = None
    processes: list[ProcessEntry] | None = None
    executors_ready: int | None = None
    failure: str | None = None
    address: str | None = None
    lost: bool | None = None


class Reporter:
    """The part's end. With no pipe, saying something does nothing."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def ready(self, address: str | None = None) -> None:
        """Say that the part does its work now; at this address, if it has one."""
        self._write(PartReport(ready=True, address=address))

    def processes(self, entries: Iterable[tuple[str, int]], executors_ready: int) -> None:
        """Say which processes (role, pid) there are below, and how many executors take jobs."""
        self._write(
            PartReport(processes=[ProcessEntry(role, pid) for role, pid in entries], executors_ready=executors_ready)
        )

    def failure(self, why: str) -> None:
        """Say in one line why the part ends."""
        self._write(PartReport(failure=why))

    def lost(self, why: str) -> None:
        """Say in one line why the part ends and must not be started again: what it served is gone."""
        self._write(PartReport(failure=why, lost=True))

    def close(self) -> None:
        """Close the pipe. A second close does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, report: PartReport) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, msgspec.json.encode(report) + b"\n")
        except (BrokenPipeError, BlockingIOError):
            self._fd = None


def parse(line: bytes) -> PartReport | None:
    """What a line says; None when it is not a report."""
    if line.strip() == READY:
        return PartReport(ready=True)
    try:
        return msgspec.json.decode(line, type=PartReport)
    except msgspec.DecodeError:
        return None
