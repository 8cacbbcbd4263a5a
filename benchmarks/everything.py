"""Jobs that use all of it, drained by a worker; and what a lease costs behind very many jobs that a key holds back."""

from __future__ import annotations

from typing import Final

from benchmarks import jobs
from benchmarks.drain import drained
from benchmarks.enqueue import fill
from benchmarks.harness import Bench
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite

SUITE: Final = "flow"
KEYS: Final = 1_000
TENANTS: Final = 100
_EXECUTORS: Final = 2
_BATCH_JOBS: Final = 5_000
_FEW: Final = 10


def steps(bench: Bench) -> int:
    return bench.scale.repeats * 4


def run(bench: Bench, subject: Subject) -> None:
    """Measure."""
    _drain(bench, subject)
    _behind(bench, subject)


def _drain(bench: Bench, subject: Subject) -> None:
    plain = Control("plain jobs, nothing kept", "jobs/s")
    what = f"drain, {KEYS:,} keys of cap 10, {TENANTS} tenants, unique, two tags, results kept"
    rate = bench.add(Measurement(SUITE, what, subject.name, "jobs/s", [], plain))
    for repeat in bench.repeats():
        plain.values.append(_drained(bench, f"flow: drain, {repeat + 1}", has_all=False))
        rate.values.append(_drained(bench, f"flow: everything, {repeat + 1}", has_all=True))


def _drained(bench: Bench, name: str, *, has_all: bool) -> float:
    count = bench.scale.drain_jobs
    with bench.workspace(name) as workspace:
        site = PenstockSite(workspace)
        site.start()
        if has_all:
            _fill(site, count)
        else:
            fill(site, count, "async")
        worker = site.start_worker(executors=_EXECUTORS)
        return drained(site, workspace, worker, count).rate


def _fill(site: PenstockSite, count: int) -> None:
    """Enqueue the jobs as an application does, so that each carries what the rules of its task go by."""
    site.client.register_tasks([jobs.everything.record()])
    jobs.app.redirect(str(site.workspace.store))
    try:
        for start in range(0, count, _BATCH_JOBS):
            numbers = range(start, min(count, start + _BATCH_JOBS))
            jobs.app.enqueue_many(
                [jobs.everything.s(number, f"key {number % KEYS}", f"tenant {number % TENANTS}") for number in numbers]
            )
    finally:
        jobs.app.close()


def _behind(bench: Bench, subject: Subject) -> None:
    """In the engine alone: a lease of ten while so many jobs of a key that has no slots stand ahead."""
    few = Control(f"with {_FEW} ahead", "µs")
    many = bench.scale.fair_jobs
    row = bench.add(Measurement(SUITE, f"lease behind {many:,} jobs of a capped key", subject.name, "µs", [], few))
    for repeat in bench.repeats():
        for ahead, values in ((_FEW, few.values), (many, row.values)):
            with bench.workspace(f"flow: {ahead:,} ahead, {repeat + 1}") as workspace:
                arguments = (str(workspace.store), str(ahead))
                values.append(workspace.python("benchmarks.capped_probe", *arguments, talks=True).finish()["lease_us"])
