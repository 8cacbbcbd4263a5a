"""What producers and jobs write down for the auditor: lines in files that only one process appends to.

A line is written with one system call before the next thing happens, so that a SIGKILL takes none of it back (a power
cut might; nobody pulls the plug here). What was cut short is left out when a file is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

ATTEMPTS: Final = "attempts"
EXECUTIONS: Final = "executions"


class Attempted(msgspec.Struct, array_like=True, frozen=True, tag="attempted"):
    """A producer is about to ask for a job.

    Attributes:
        token: names what is asked for; it is also an argument of the job. A repeat of the same request, or another
            request with the same idempotency key or for the same unique job, has the same token: however often it is
            asked for, it is one job.
        task: the task's name.
    """

    token: str
    task: str


class Acked(msgspec.Struct, array_like=True, frozen=True, tag="acked"):
    """The producer was told that the job is durable. ``id``: the job's id, in hexadecimal."""

    token: str
    id: str


class CancelAsked(msgspec.Struct, array_like=True, frozen=True, tag="cancel"):
    """The producer is about to ask for the job not to finish."""

    token: str


class Execution(msgspec.Struct, array_like=True, frozen=True, tag="execution"):
    """The body of a job has begun to run.

    Attributes:
        id: of the job, in hexadecimal.
        fence: of the lease it runs under.
        nonce: of this execution alone; it is what the job returns.
    """

    id: str
    token: str
    task: str
    attempt: int
    fence: int
    nonce: str
    pid: int


class ChildAsked(msgspec.Struct, array_like=True, frozen=True, tag="child"):
    """The body of a job has enqueued another one with its outcome, and goes on.

    Attributes:
        id: of the job that it will be, in hexadecimal.
        token: of that job.
        task: of that job.
        parent: id of the job that asked, in hexadecimal.
        nonce: of the execution that asked.
    """

    id: str
    token: str
    task: str
    parent: str
    nonce: str


class ChordAcked(msgspec.Struct, array_like=True, frozen=True, tag="chord"):
    """The producer was told that a chord is durable.

    Attributes:
        token: of the chord (`penstock.testing.torture.chord_shapes`).
        id: of the workflow that it is, in hexadecimal.
    """

    token: str
    id: str


class StepBegun(msgspec.Struct, array_like=True, frozen=True, tag="step"):
    """The function of a durable step is called.

    Attributes:
        id: of the job, in hexadecimal.
        name: of the step.
        fence: of the lease that the job runs under.
        value: what this call alone makes.
    """

    id: str
    name: str
    fence: int
    value: str


class StepKept(msgspec.Struct, array_like=True, frozen=True, tag="kept"):
    """A run of a job has learned what a step has come to; so that is recorded. Otherwise as `StepBegun`."""

    id: str
    name: str
    fence: int
    value: str


Line = Attempted | Acked | CancelAsked | Execution | ChildAsked | ChordAcked | StepBegun | StepKept
L = TypeVar("L")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class RecordFile:
    """Appends lines to a file of this process's own.

    Args:
        path: made when missing; nobody else may write to it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, *lines: Line) -> None:
        """Append; it is in the kernel's hands when this returns."""
        data = b"".join(_encode(line) + b"\n" for line in lines)
        written = os.write(self._descriptor, data)
        assert written == len(data), "a regular file takes all, or raises"

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read(directory: Path, kind: type[L]) -> Iterator[L]:
    """The lines of one kind in all files below ``directory``."""
    for path in sorted(directory.glob("*")):
        for text in path.read_bytes().split(b"\n"):
            try:
                line = _decode(text)
            except msgspec.DecodeError:
                continue
            if isinstance(line, kind):
                yield line
