"""`python -m benchmarks [SUITE …] [--rivals] [--json FILE] [--quick]`."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn

import msgspec
from rich.console import Console

from benchmarks.harness import Bench
from benchmarks.processes import BenchmarkFailed
from benchmarks.report import Steps, is_met, show
from benchmarks.scale import FULL, QUICK
from benchmarks.subjects import SUBJECTS, Subject
from benchmarks.workspace import ROOT

SUITES = ("enqueue", "drain", "end_to_end", "latency", "recovery", "depth", "ingest", "memory")


def main() -> int:
    """Run the suites that were asked for. Exit status 1: one failed. Whether targets are met is in the tables."""
    options = _options()
    signal.signal(signal.SIGTERM, _end)
    console = Console(stderr=True)
    subjects = _subjects(console, rivals=options.rivals)
    _heading(console, subjects, quick=options.quick)
    failures: list[str] = []
    out = Console(width=None if sys.stdout.isatty() else 180)
    with Steps(console) as steps:
        bench = Bench(QUICK if options.quick else FULL, options.directory, steps)
        for name in options.suites or SUITES:
            failures += _run_suite(bench, import_module(f"benchmarks.{name}"), name, subjects, out)
            if options.json:
                _write(options.json, bench)
    _conclude(out, bench, failures)
    return 1 if failures else 0


def _run_suite(bench: Bench, suite: ModuleType, name: str, subjects: list[Subject], out: Console) -> list[str]:
    failures: list[str] = []
    first = len(bench.measurements)
    bench.steps.suite(name, suite.steps(bench) * len(subjects))
    for subject in subjects:
        try:
            suite.run(bench, subject)
        except BenchmarkFailed as failure:
            failures.append(f"{name} ({subject.name}): {failure}")
    bench.measurements[first:] = [one for one in bench.measurements[first:] if one.values]
    show(out, name, suite.ABOUT, bench.measurements[first:])
    for line in failures:
        out.print(line, style="red", markup=False)
    return failures


def _subjects(console: Console, *, rivals: bool) -> list[Subject]:
    """Those that can be measured here; Penstock alone unless rivals are asked for."""
    found: list[Subject] = []
    for name, make in SUBJECTS.items():
        if name != "penstock" and not rivals:
            continue
        subject = make()
        reason = subject.install()
        if reason is None:
            found.append(subject)
        else:
            console.print(f"{name} is skipped: {reason}", style="yellow", markup=False)
    if rivals and len(SUBJECTS) == 1:
        console.print("No rival is registered (benchmarks/subjects); Penstock is measured alone.", style="yellow")
    return found


def _heading(console: Console, subjects: list[Subject], *, quick: bool) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    console.print(f"{platform.platform()}, {cores} cores, Python {platform.python_version()}", highlight=False)
    for subject in subjects:
        console.print(f"{subject.name}: {subject.configuration}", highlight=False, soft_wrap=True)
    if quick:
        console.print("--quick: everything runs once and small; these figures compare with nothing.", style="yellow")


def _conclude(out: Console, bench: Bench, failures: list[str]) -> None:
    verdicts = [(one, is_met(one)) for one in bench.measurements]
    asked = [pair for pair in verdicts if pair[1] is not None]
    missed = [f"{one.suite}: {one.row}" for one, met in asked if not met]
    out.print(f"{len(asked) - len(missed)} of {len(asked)} targets met.", style="bold")
    for line in missed:
        out.print(f"  not met: {line}", style="red", markup=False)
    for line in failures:
        out.print(f"  failed: {line}", style="red", markup=False)


def _write(path: Path, bench: Bench) -> None:
    text = msgspec.json.format(msgspec.json.encode([one.as_row() for one in bench.measurements]), indent=2)
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(text + b"\n")
    draft.replace(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Penstock beside its controls.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"one or more of {', '.join(SUITES)}; default all")
    parser.add_argument("--suite", action="append", dest="more", metavar="NAME", help="the same")
    parser.add_argument("--rivals", action="store_true", help="measure the rivals in the same run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--quick", action="store_true", help="run everything once and small: does it work?")
    parser.add_argument(
        "--directory", type=Path, default=ROOT / ".cache" / "bench", help="where to work: a disk, not memory"
    )
    options = parser.parse_args()
    options.suites += options.more or []
    for name in options.suites:
        if name not in SUITES:
            parser.error(f"there is no suite {name}: choose from {', '.join(SUITES)}")
    return options


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
