"""The run with the rivals, from who can be measured here to the record of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import document, side_by_side
from benchmarks.control import back_to_back
from benchmarks.document import Absence, Document, Facts
from benchmarks.harness import Bench
from benchmarks.ranking import show
from benchmarks.rivals import servers
from benchmarks.rivals.catalogue import Contender, chosen
from benchmarks.rivals.penstock import PenstockContender
from benchmarks.rivals.rival import Rival
from benchmarks.rows import SUITE
from benchmarks.workspace import Workspace

RECORD = "side-by-side.json"
PATHS = ("--record", "--json", "--directory", "--page")
"""Options that take a path."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A subject of the comparison, and why it is skipped. None: it is not."""

    subject: Contender
    skipped: str | None


class Run:
    """One run: begun before anything is measured, so that the record says when, and on what."""

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.began = time.monotonic()
        self.began_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        self.quick = quick
        with Workspace(directory) as workspace:
            self.machine = document.machine(back_to_back(workspace.path, 0.5).rate)

    def recorded(self, bench: Bench, entries: Sequence[Entry], absent: Sequence[Absence]) -> Document:
        """Everything so far."""
        return Document(
            began_at=self.began_at,
            duration_s=round(time.monotonic() - self.began, 1),
            command=said(sys.argv[1:]),
            quick=self.quick,
            repeats=bench.scale.repeats,
            machine=self.machine,
            subjects=[_facts(entry) for entry in entries],
            figures=[document.figure(one) for one in bench.measurements if one.values],
            absences=list(absent),
            failures=list(bench.failures),
        )


def entries(console: Console, names: Sequence[str], *, rivals: bool) -> list[Entry]:
    """Penstock, and the rivals that were asked for, installed where they can be."""
    found = [Entry(PenstockContender(), None)]
    for rival in chosen(names) if rivals else ():
        console.print(f"{rival.name} {rival.version()}: installing unless it is there", style="dim", highlight=False)
        reason = rival.install()
        if reason is not None:
            console.print(f"{rival.name} is skipped: {reason}", style="yellow", markup=False)
        found.append(Entry(rival, reason))
    return found


def lacks_server(found: Sequence[Entry]) -> bool:
    """Whether somebody is skipped for want of a server: where machines check, that is a failure, not a footnote."""
    return any(isinstance(entry.subject, Rival) and entry.subject.server.missing() for entry in found)


def is_checked_by_a_machine() -> bool:
    """Whether this runs where nobody reads what is skipped."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def run(bench: Bench, the_run: Run, found: Sequence[Entry], suites: Sequence[str], record: Path, out: Console) -> None:
    """Measure everybody, print the tables, and keep the record, also of a run that is cut short.

    ``suites``: what the run was asked for; the comparison keeps to what is about the same.
    """
    subjects = [entry.subject for entry in found if entry.skipped is None]
    groups = side_by_side.groups_for(suites)
    if not groups:
        out.print(f"The comparison has nothing about {', '.join(suites)}.", style="yellow", markup=False)
        return
    bench.steps.suite(SUITE, side_by_side.steps(bench, subjects, groups))

    def keep(comparison: side_by_side.Comparison) -> None:
        document.write(record, document.encoded(the_run.recorded(bench, found, _absences(comparison))))

    try:
        side_by_side.run_all(bench, subjects, groups, keep)
    finally:
        servers.remove_template()
    show(out, document.read(record))


def said(arguments: Sequence[str]) -> str:
    """The command of this run, without the paths of this machine."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in PATHS:
            next(rest, None)
        elif argument.partition("=")[0] not in PATHS:
            kept.append(argument)
    return " ".join(["python -m benchmarks", *kept])


def _absences(comparison: side_by_side.Comparison) -> list[Absence]:
    return [Absence(row=row, subject=subject, reason=reason) for (row, subject), reason in comparison.absent.items()]


def _facts(entry: Entry) -> Facts:
    subject = entry.subject
    return Facts(
        name=subject.name,
        version=subject.version(),
        packages=subject.packages(),
        server=subject.server_name,
        configuration=subject.configuration,
        acknowledged=subject.acknowledged,
        survives=list(subject.survives),
        skipped=entry.skipped,
    )
