"""Limits on a whole task: what a rate over eight workers admits, and what draining costs when all jobs are limited."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from benchmarks import bodies
from benchmarks.drain import DRAIN_S_MAX, drained
from benchmarks.enqueue import fill
from benchmarks.harness import Bench
from benchmarks.processes import START_S, until
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum

SUITE: Final = "flow"
WORKERS: Final = 8
RATE: Final = RateRule(500, per_s=1.0, burst=500)
_BURST_S: Final = 2.0
"""How long the burst may take; the stretches that are counted come after it."""
_BATCH_JOBS: Final = 5_000
_EVERYTHING: Final = (ConcurrencyRule(1_000_000), RateRule(10_000_000))
"""Limits that hold nothing back."""


def steps(bench: Bench) -> int:
    return bench.scale.repeats * 3


def run(bench: Bench, subject: Subject) -> None:
    """Measure."""
    _rates(bench, subject)
    _drain(bench, subject)


# --- a rate ----------------------------------------------------------------------------------------------------------


def _rates(bench: Bench, subject: Subject) -> None:
    """Bodies tell when they begin. The first lease comes after the enqueue, so the bucket is full until then."""
    what = f"{RATE.count} a second over {WORKERS} workers"
    fewest = bench.add(Measurement(SUITE, f"{what}, fewest in {_window(bench)}", subject.name, "of the rate", []))
    most = bench.add(Measurement(SUITE, f"{what}, most in {_window(bench)}", subject.name, "of the rate", []))
    over = bench.add(Measurement(SUITE, f"{what}, most beyond the bucket", subject.name, "jobs", [], summary="max"))
    for repeat in bench.repeats():
        seconds = _BURST_S + bench.scale.rate_windows * bench.scale.rate_window_s
        jobs = 500 + int(500 * (seconds + 1.0))
        with bench.workspace(f"flow: {what}, {repeat + 1}") as workspace:
            asked_at, began_at = _began(workspace, jobs)
        over.values.append(max(0.0, *(number - 500 - 500 * (at - asked_at) for number, at in enumerate(began_at, 1))))
        counts = _counts(began_at, bench.scale.rate_windows, bench.scale.rate_window_s)
        fewest.values.append(min(counts) / (500 * bench.scale.rate_window_s))
        most.values.append(max(counts) / (500 * bench.scale.rate_window_s))


def _began(workspace: Workspace, jobs: int) -> tuple[float, list[float]]:
    """When the jobs were enqueued, and when each of them began, in order."""
    site = PenstockSite(workspace)
    site.start()
    site.client.put_limits("task:bench.noted", [RATE])
    workers = [site.start_worker(executors=1) for _ in range(WORKERS)]
    until(lambda: site.client.owner_statistics().parked_leases >= WORKERS, "all workers wait", 4 * START_S)
    asked_at = time.monotonic()
    _enqueue(site, jobs)
    until(lambda: bodies.read(workspace.bodies).count >= jobs, f"{jobs} bodies run", DRAIN_S_MAX)
    for worker in workers:
        worker.check()
    return asked_at, sorted(at_ns / 1e9 for at_ns in bodies.read(workspace.bodies, notes=True).notes)


def _window(bench: Bench) -> str:
    return f"{bench.scale.rate_window_s:.0f} s"


def _counts(began_at: list[float], windows: int, window_s: float) -> list[int]:
    """How many bodies began in each stretch after the burst."""
    start = began_at[0] + _BURST_S
    edges = [(start + place * window_s, start + (place + 1) * window_s) for place in range(windows)]
    return [sum(low <= at < high for at in began_at) for low, high in edges]


def _enqueue(site: PenstockSite, jobs: int) -> None:
    body = b"m" + msgspec.msgpack.encode([[0], {}])
    crc = checksum(body)
    for first in range(0, jobs, _BATCH_JOBS):
        entries = [JobEntry(job, body, crc) for job in new_ids(min(_BATCH_JOBS, jobs - first))]
        site.client.enqueue([JobGroup("bench.noted", entries)])


# --- draining --------------------------------------------------------------------------------------------------------


def _drain(bench: Bench, subject: Subject) -> None:
    """The same jobs, limited and not."""
    plain = Control("not limited", "jobs/s")
    row = "drain async, 1 executor, limits that hold nothing back"
    rate = bench.add(Measurement(SUITE, row, subject.name, "jobs/s", [], plain))
    for repeat in bench.repeats():
        plain.values.append(_drained(bench, limited=False, name=f"flow: drain, {repeat + 1}"))
        rate.values.append(_drained(bench, limited=True, name=f"flow: {row}, {repeat + 1}"))


def _drained(bench: Bench, *, limited: bool, name: str) -> float:
    with bench.workspace(name) as workspace:
        site = PenstockSite(workspace)
        site.start()
        if limited:
            site.client.put_limits("task:bench.async_off", _EVERYTHING)
        fill(site, bench.scale.drain_jobs, "async")
        worker = site.start_worker(executors=1)
        return drained(site, workspace, worker, bench.scale.drain_jobs).rate
