"""`make demo`: index the standard library of this Python, and lose nothing on the way.

Starts Penstock on a fresh directory, posts one job a source file, kills an executor when a third is done and the owner
of the store when two thirds are, and shows the index and the ledger. Exit status 0 only when the ledger is right.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import corpus
import report
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from service import Service, Unavailable
from tasks import QUEUE

TARGET_S = 25.0
"""About how long the executors have to do; finer fingerprints fill the time."""
EXECUTORS_MAX = 4
_LOOK_S = 0.15
_DONE_WITHIN_S = 600.0

Counts = dict[str, int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo. Answers 0 when the ledger is right, 1 when it is not, 3 when Penstock could not be reached."""
    options = _options(argv)
    console = Console(highlight=False)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    place = Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    try:
        right = Demo(console, place, options).run()
    except Unavailable as error:
        console.print(f"[bold red]{error}", markup=True)
        return 3
    except KeyboardInterrupt:
        console.print("Interrupted; everything has been stopped.")
        shutil.rmtree(place, ignore_errors=True)
        return 130
    return 0 if right else 1


class Demo:
    """One run, from the source files to the ledger.

    Args:
        place: a fresh directory; the jobs and the index go there.
    """

    def __init__(self, console: Console, place: Path, options: argparse.Namespace) -> None:
        self._console = console
        self._place = place
        self._out = place / "index"
        self._sources = corpus.standard_library(options.files)
        self._target_s: float = options.target_s
        self._executors = min(EXECUTORS_MAX, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
        self._posted: dict[str, str] = {}
        self._refused = 0

    def run(self) -> bool:
        """Index, crash on the way, report. Answers whether the ledger is right."""
        size = sum(source.size_bytes for source in self._sources) / 1e6
        version = ".".join(map(str, sys.version_info[:3]))
        self._console.print(f"The standard library of Python {version}: {len(self._sources):,} files, {size:.1f} MB.")
        hashes = corpus.fitting_hashes(self._sources, self._target_s * self._executors)
        with Service(self._place / "jobs", self._executors) as service:
            self._console.print(
                f"Penstock is up with {self._executors} executors; fingerprints of {hashes} hashes each."
            )
            started = time.monotonic()
            with self._progress() as progress:
                self._watch(service, progress, hashes)
            elapsed_s = time.monotonic() - started
            counts = _counts(service)
            buried = self._buried(service, report.read_documents(self._out).documents)
            status = service.stop()
        figures = report.read_documents(self._out)
        report.show(self._console, figures, elapsed_s, counts["lost_total"], buried)
        right = self._account(figures, counts, buried) and status == 0
        shutil.rmtree(self._place / "jobs", ignore_errors=True)
        (self._place / "penstock.log").unlink(missing_ok=True)
        self._console.print(f"The index is in {self._out}", soft_wrap=True)
        return right

    def _watch(self, service: Service, progress: Progress, hashes: int) -> None:
        """Post everything, follow it to the end, and kill on the way."""
        total = len(self._sources)
        bar = progress.add_task("indexing", total=total, rate="")
        crashes = [(total // 3, "executor"), (2 * total // 3, "owner")]
        posts = corpus.batches(self._sources, self._out, hashes)
        started = time.monotonic()
        done = 0
        while done + self._refused < total:
            batch = next(posts, None)
            if batch is not None:
                self._post(service, *batch)
            else:
                time.sleep(_LOOK_S)
            counts = _counts(service)
            done = counts["succeeded_total"] + counts["dead_total"]
            elapsed_s = time.monotonic() - started
            progress.update(bar, completed=done, rate=f"{done / elapsed_s:,.0f} files/s")
            if crashes and done >= crashes[0][0]:
                self._crash(service, crashes.pop(0)[1], progress)
            if elapsed_s > _DONE_WITHIN_S:
                raise Unavailable(f"{total - done} jobs have not finished after {_DONE_WITHIN_S:.0f} s.")

    def _post(self, service: Service, batch: list[corpus.Source], body: bytes) -> None:
        for source, answer in zip(batch, service.post(body), strict=True):
            if "problem" in answer:
                self._refused += 1
                self._console.print(f"[red]{source.name} was refused: {answer['problem']['detail']}")
            else:
                self._posted[answer["id"]] = source.name

    def _crash(self, service: Service, role: str, progress: Progress) -> None:
        """SIGKILL one process of this role, and show that the ledger still holds."""
        pid = next(entry["pid"] for entry in service.get("/v1/stats")["processes"] if entry["role"] == role)
        os.kill(pid, signal.SIGKILL)
        counts = _counts(service)
        line, _ = report.ledger_line(counts)
        what = {"executor": "its job runs again", "owner": "the next one goes on from the disk"}[role]
        progress.console.print(f"[yellow]SIGKILL[/] to {role} {pid}: {what}.")
        progress.console.print(f"  {line}", soft_wrap=True)

    def _buried(self, service: Service, indexed: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Path -> error of the jobs that left no document, as the gate tells it."""
        found = {}
        for job_id, name in self._posted.items():
            if job_id not in indexed:
                job = service.get(f"/v1/jobs/{job_id}")
                if job["state"] == "dead":
                    found[name] = job["error"]
        return found

    def _account(self, figures: report.Figures, counts: Counts, buried: dict[str, Any]) -> bool:
        """Compare what the store says with what lies on the disk."""
        line, lost = report.ledger_line(counts)
        missing = [
            name for job_id, name in self._posted.items() if job_id not in figures.documents and name not in buried
        ]
        for name in missing:
            self._console.print(f"[bold red]lost: {name}")
        agreed = report.evidence(
            self._console,
            {
                "jobs posted, and accepted by the store": (len(self._posted), counts["accepted_total"]),
                "succeeded by the store, and documents on the disk": (
                    counts["succeeded_total"], len(figures.documents),
                ),
                "dead by the store, and reasons told": (counts["dead_total"], len(buried)),
                "files, and documents + reasons": (len(self._sources), len(figures.documents) + len(buried)),
            },
        )  # fmt: skip
        right = agreed and lost == 0 and not missing
        self._console.print(f"[bold {'green' if right else 'red'}]{line}", soft_wrap=True)
        return right

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), console=self._console,
        )  # fmt: skip


def _counts(service: Service) -> Counts:
    """The counters of our queue; zeros before the first job."""
    queues = service.get("/v1/stats")["queues"]
    names = [
        "scheduled",
        "blocked",
        "ready",
        "running",
        "accepted_total",
        "succeeded_total",
        "dead_total",
        "lost_total",
    ]
    counts: Counts = queues.get(QUEUE) or dict.fromkeys(names, 0)
    return counts


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, metavar="N", help="index only N files, evenly spread")
    parser.add_argument("--target-s", type=float, default=TARGET_S, metavar="S", help="about how long to work")
    return parser.parse_args(argv)


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
