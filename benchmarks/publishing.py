"""What publishing costs: messages to several channels, beside as many jobs enqueued in bulk; large ones, in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.harness import Bench
from benchmarks.processes import BenchmarkFailed
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.workspace import Workspace

SUITE: Final = "flow"
SMALL_BYTES: Final = 200
LARGE_BYTES: Final = 100_000
BATCH_JOBS: Final = 6_000
CHANNELS: Final = (1, 3, 10)
_ROW: Final = "publish, {} channel{}"


def steps(bench: Bench) -> int:
    return bench.scale.repeats * (1 + len(CHANNELS) + 2)


def run(bench: Bench, subject: Subject) -> None:
    """Measure. Jobs are counted in channels: a message to three channels is three jobs."""
    control = Control("bulk enqueue", "jobs/s")
    plain = bench.add(Measurement(SUITE, f"enqueue in bulk, {SMALL_BYTES} bytes", subject.name, "jobs/s", []))
    rows = {
        number: bench.add(
            Measurement(SUITE, _ROW.format(number, "s" * (number > 1)), subject.name, "jobs/s", [], control)
        )
        for number in CHANNELS
    }
    for repeat in bench.repeats():
        plain.values.append(_rate(bench, subject, 0, repeat))
        control.values.append(plain.values[-1])
        for number, row in rows.items():
            row.values.append(_rate(bench, subject, number, repeat))
    _bytes(bench, subject)


def _rate(bench: Bench, subject: Subject, channels: int, repeat: int) -> float:
    """Jobs a second. 0 channels: plain jobs."""
    with bench.workspace(f"flow: {channels or 'no'} channels, {repeat + 1}") as workspace:
        site = subject.site(workspace)
        site.start()
        found = _probe(workspace, channels, bench.scale.bulk_jobs, SMALL_BYTES)
    return found["jobs"] / found["elapsed_s"]


def _bytes(bench: Bench, subject: Subject) -> None:
    """Bytes that the owner writes for a large message, as a multiple of its size."""
    one = Control("to one channel", "× the message")
    ten = bench.add(Measurement(SUITE, "bytes written, 100 KB to ten channels", subject.name, "× the message", [], one))
    ten.note = "the log and the database, which the log is brought into: about twice what there is to write"
    for repeat in bench.repeats():
        for channels, values in ((1, one.values), (10, ten.values)):
            with bench.workspace(f"flow: bytes, {channels} channels, {repeat + 1}") as workspace:
                site = subject.site(workspace)
                site.start()
                owner = site.keepers()["owner"]
                before = _written(owner)
                found = _probe(workspace, channels, bench.scale.publish_large * channels, LARGE_BYTES)
                values.append((_written(owner) - before) / (found["jobs"] / channels * LARGE_BYTES))


def _probe(workspace: Workspace, channels: int, jobs: int, size_bytes: int) -> dict[str, float]:
    arguments = (str(workspace.store), str(channels), str(jobs), str(size_bytes), str(BATCH_JOBS))
    found: dict[str, float] = workspace.python("benchmarks.publish_probe", *arguments, talks=True).finish()
    if found["accepted"] != found["jobs"]:
        raise BenchmarkFailed(f"{found['jobs']:.0f} jobs were asked for; the ledger says {found['accepted']:.0f}.")
    return found


def _written(pid: int) -> int:
    """Bytes that a process has had written to the disk."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
