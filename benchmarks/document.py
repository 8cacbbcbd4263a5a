"""The record of a run: everything that the page says, and nothing that has to be measured again to say it."""

from __future__ import annotations

import math
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.record import Measurement
from benchmarks.report import is_met
from benchmarks.targets import TARGETS


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran. ``syncs_a_second``: plain appends of 512 bytes, each synced, before the run."""

    system: str
    processor: str
    cores: int
    memory_gb: float
    python: str
    syncs_a_second: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A subject. ``skipped``: why it was not measured; None: it was."""

    name: str
    version: str
    packages: dict[str, str]
    server: str
    configuration: str
    acknowledged: str
    survives: list[str]
    skipped: str | None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a subject with all its repeats; see `benchmarks.record.Measurement`.

    Attributes:
        target: what is asked of it, in words; empty: nothing.
        met: whether it is as asked. None: nothing is asked.
    """

    suite: str
    row: str
    subject: str
    unit: str
    value: float
    values: list[float]
    cap: float
    note: str
    survives: list[str]
    control_name: str
    control: float | None
    target: str
    met: bool | None


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """A row that a subject has no figure in, and why."""

    row: str
    subject: str
    reason: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes:
        began_at: in UTC, as ``YYYY-MM-DD HH:MM``.
        quick: whether it was only to see that everything works.
        failures: what went wrong in single repeats.
    """

    began_at: str
    duration_s: float
    command: str
    quick: bool
    repeats: int
    machine: Machine
    subjects: list[Facts]
    figures: list[Figure]
    absences: list[Absence]
    failures: list[str]


def figure(one: Measurement) -> Figure:
    """A measurement as it is recorded."""
    target = TARGETS.get((one.suite, one.row))
    control = one.control_value
    return Figure(
        suite=one.suite,
        row=one.row,
        subject=one.subject,
        unit=one.unit,
        value=one.value,
        values=list(one.values),
        cap=one.cap,
        note=one.note,
        survives=list(one.survives),
        control_name=f"{one.control.name} ({one.control.unit})" if one.control is not None else "",
        control=control if control is not None and math.isfinite(control) else None,
        target=target.text if target else "",
        met=is_met(one),
    )


def machine(syncs_a_second: float) -> Machine:
    """This one."""
    return Machine(
        system=platform.platform(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        python=platform.python_version(),
        syncs_a_second=round(syncs_a_second),
    )


def write(path: Path, content: bytes) -> None:
    """Replace a file at once: whoever reads it sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as draft:
        draft.write(content)
    shutil.move(draft.name, path)
    path.chmod(0o644)


def encoded(value: object) -> bytes:
    """JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def read(path: Path) -> Document:
    """A record that was written.

    Raises:
        OSError, msgspec.DecodeError: there is none, or it is not one.
    """
    return msgspec.json.decode(path.read_bytes(), type=Document)


def by_row(figures: Sequence[Figure], suite: str) -> dict[str, list[Figure]]:
    """The figures of a suite, row by row, in their order."""
    rows: dict[str, list[Figure]] = {}
    for one in figures:
        if one.suite == suite:
            rows.setdefault(one.row, []).append(one)
    return rows


def _processor() -> str:
    for path, name in ((Path("/proc/cpuinfo"), "model name"),):
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith(name):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
