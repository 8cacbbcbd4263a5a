"""No-op jobs that wait already, worked off: from the first body to the last, each counted by the executor it ran in."""

from __future__ import annotations

from benchmarks import bodies
from benchmarks.enqueue import fill
from benchmarks.harness import Bench, sync_control
from benchmarks.processes import START_S, BenchmarkFailed, Child, Spending, descendants, until
from benchmarks.record import Measurement
from benchmarks.subjects import Site, Subject
from benchmarks.workspace import Workspace

ABOUT = "the worker starts when all jobs wait; its start is not in the figure; leases and outcomes are all synced"
ROWS = {
    "async": "async",
    "plain": "plain",
    "results on": "result",
    "history on": "record",
    "results and history on": "default",
}
DRAIN_S_MAX = 300.0


def steps(bench: Bench) -> int:
    return bench.scale.repeats * len(ROWS) * len(bench.scale.drain_executors)


def run(bench: Bench, subject: Subject) -> None:
    """Measure every kind of job with every number of executors."""
    for executors in bench.scale.drain_executors:
        for row, task in ROWS.items():
            _row(bench, subject, f"{row}, {executors} executor{'s' if executors > 1 else ''}", task, executors)


def _row(bench: Bench, subject: Subject, name: str, task: str, executors: int) -> None:
    syncs = sync_control()
    rate = bench.add(Measurement("drain", name, subject.name, "jobs/s", [], syncs, subject.survives))
    for repeat in bench.repeats():
        with bench.workspace(f"drain: {name}, {repeat + 1}") as workspace:
            syncs.values.append(bench.sync_rate(workspace))
            site = subject.site(workspace)
            site.start()
            fill(site, bench.scale.drain_jobs, task)
            worker = site.start_worker(executors=executors)
            until(lambda: bodies.read(workspace.bodies).count > 0, "the first body runs", START_S, step_s=0.001)
            skipped, spending = bodies.read(workspace.bodies).count, Spending(_working(site, worker))
            tally = drained(site, workspace, worker, bench.scale.drain_jobs)
            rate.values.append(tally.rate)
            rate.note = spending.per_job(max(1, tally.count - skipped))


def _working(site: Site, worker: Child) -> dict[str, list[int]]:
    return {
        **{role: [pid] for role, pid in site.keepers().items()},
        "supervisor": [worker.pid],
        "executors": descendants(worker.pid),
    }


def drained(site: Site, workspace: Workspace, worker: Child, jobs: int) -> bodies.Tally:
    """Wait until so many bodies have run and every job is settled.

    Raises:
        BenchmarkFailed: they do not, or more bodies ran than there were jobs.
    """

    def done() -> bool:
        worker.check()
        return bodies.read(workspace.bodies).count >= jobs

    until(done, f"{jobs} bodies run", DRAIN_S_MAX, step_s=0.02)
    until(lambda: site.ledger().unfinished == 0, "every job is settled", DRAIN_S_MAX)
    tally = bodies.read(workspace.bodies)
    if tally.count != jobs:
        raise BenchmarkFailed(f"{jobs} jobs, but {tally.count} bodies ran.")
    return tally
