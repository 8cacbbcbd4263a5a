"""`python -m benchmarks [SUITE …] [--rivals] [--rival NAME …] [--json FILE] [--record FILE] [--quick]`."""

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

from rich.console import Console

from benchmarks import comparison, document, page
from benchmarks.harness import Bench
from benchmarks.processes import BenchmarkFailed
from benchmarks.report import Steps, is_met, show
from benchmarks.rivals.catalogue import chosen
from benchmarks.scale import FULL, QUICK
from benchmarks.subjects import SUBJECTS, Subject
from benchmarks.workspace import ENDING, ROOT

SUITES = tuple(
    "enqueue drain end_to_end latency recovery depth lines looking search flow workflow care ingest connection"
    " memory nsq".split()
)
COMPARISON = "side_by_side"
"""The suite that rivals take part in; it runs when they are asked for, or when it is named."""


def main() -> int:
    """Run the suites that were asked for. Exit status 1: one failed, or a server is missing where machines check.

    Whether targets are met is in the tables. That a rival fails is in its rows, and ends nothing.
    """
    options = _options()
    _clean_up_when_ended()
    console = Console(stderr=True)
    subjects = [make() for make in SUBJECTS.values()]
    _heading(console, subjects, quick=options.quick)
    failures: list[str] = []
    out = Console(width=None if sys.stdout.isatty() else 180)
    with Steps(console) as steps:
        bench = Bench(QUICK if options.quick else FULL, options.directory, steps, options.recovery_s)
        compared = _compared(console, options)
        if compared and comparison.is_checked_by_a_machine() and comparison.lacks_server(compared):
            console.print("A server is missing, and this is CI: nothing is measured.", style="bold red")
            return 1
        run = comparison.Run(options.directory, quick=options.quick) if compared else None
        for name in options.suites:
            if name == COMPARISON:
                assert run is not None, "it is begun whenever the comparison is asked for"
                # On the page, too.
                bench.failures += failures
                comparison.run(bench, run, compared, options.compared, options.record, out)
                if options.page and options.record.exists():
                    page.publish(options.record, options.page)
            else:
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


def _compared(console: Console, options: argparse.Namespace) -> list[comparison.Entry]:
    """Who takes part in the comparison; nobody when it is not asked for."""
    if COMPARISON not in options.suites:
        return []
    return comparison.entries(console, options.rival, rivals=options.rivals)


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
    if asked:
        out.print(f"{len(asked) - len(missed)} of {len(asked)} targets met.", style="bold")
    for line in missed:
        out.print(f"  not met: {line}", style="red", markup=False)
    for line in dict.fromkeys(failures + bench.failures):
        out.print(f"  failed: {line}", style="red", markup=False)


def _write(path: Path, bench: Bench) -> None:
    document.write(path, document.encoded([one.as_row() for one in bench.measurements if one.values]))


def _options() -> argparse.Namespace:
    everything = ", ".join((*SUITES, COMPARISON))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Penstock beside its controls.")
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help=f"one or more of {everything}; default all but the last"
    )
    parser.add_argument("--suite", action="append", dest="more", metavar="NAME", help="the same")
    parser.add_argument("--rivals", action="store_true", help=f"measure the rivals in the same run ({COMPARISON})")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME", help="only this rival; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what benchmarks.page makes the page from")
    parser.add_argument("--page", type=Path, metavar="FILE", help="make that page of it, and the plot beside it")
    parser.add_argument("--recovery-s", type=float, metavar="S", help="how long to wait for an interrupted job")
    parser.add_argument("--quick", action="store_true", help="run everything once and small: does it work?")
    parser.add_argument(
        "--directory", type=Path, default=ROOT / ".cache" / "bench", help="where to work: a disk, not memory"
    )
    options = parser.parse_args()
    options.suites += options.more or []
    options.rivals = options.rivals or bool(options.rival)
    for name in options.suites:
        if name not in (*SUITES, COMPARISON):
            parser.error(f"there is no suite {name}: choose from {everything}")
    options.compared = list(options.suites) or [COMPARISON]
    options.suites = options.suites or list(SUITES)
    if options.rivals and COMPARISON not in options.suites:
        options.suites.append(COMPARISON)
    options.record = options.record or options.directory.parent / comparison.RECORD
    try:
        chosen(options.rival)
    except ValueError as wrong:
        parser.error(str(wrong))
    _check_places(parser, options)
    return options


def _check_places(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """That nothing can be written is said now, and not when everything is measured."""
    files = [options.json, options.record, options.page]
    for place in [options.directory, *(file.parent for file in files if file is not None)]:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            parser.error(f"{place} cannot be made: {wrong.strerror}.")
        if not os.access(place, os.W_OK | os.X_OK):
            parser.error(f"{place} cannot be written to. Has another user made it?")


def _clean_up_when_ended() -> None:
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has it so
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    for other in ENDING:  # a terminal that closes may say so twice; the second time must not cut the cleaning short
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
