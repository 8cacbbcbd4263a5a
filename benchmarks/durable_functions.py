"""Functions of ten durable steps that wait already, worked off, beside plain functions that keep nothing."""

from __future__ import annotations

from typing import Final

from benchmarks.drain import drained
from benchmarks.enqueue import fill
from benchmarks.harness import Bench
from benchmarks.jobs import DURABLE_STEPS
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace

SUITE: Final = "workflow"
EXECUTORS: Final = 2


def steps(bench: Bench) -> int:
    return bench.scale.repeats * 2


def run(bench: Bench, subject: Subject) -> None:
    """Measure. The target is in the comparison, beside DBOS and dura."""
    plain = Control("functions without steps", "jobs/s")
    what = f"drain, functions of {DURABLE_STEPS} durable steps"
    rate = bench.add(Measurement(SUITE, what, subject.name, "jobs/s", [], plain))
    for repeat in bench.repeats():
        with bench.workspace(f"workflow: plain functions, {repeat + 1}") as workspace:
            plain.values.append(_drained(workspace, bench.scale.durable_jobs, "async"))
        with bench.workspace(f"workflow: durable functions, {repeat + 1}") as workspace:
            rate.values.append(_drained(workspace, bench.scale.durable_jobs, "durable"))
    rate.note = f"{rate.value * DURABLE_STEPS:,.0f} steps a second, each synced before it returns"


def _drained(workspace: Workspace, jobs: int, task: str) -> float:
    site = PenstockSite(workspace)
    site.start()
    fill(site, jobs, task)
    worker = site.start_worker(executors=EXECUTORS)
    return drained(site, workspace, worker, jobs).rate
