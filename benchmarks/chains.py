"""A chain of steps that each need the one before, beside the idle latency of single jobs in the same worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks import bodies
from benchmarks.drain import drained
from benchmarks.harness import Bench
from benchmarks.latency import WARM_JOBS
from benchmarks.processes import START_S, until
from benchmarks.producer import SMALL
from benchmarks.record import Control, Measurement, percentile
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace

SUITE: Final = "workflow"
EXECUTORS: Final = 2


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure."""
    count = bench.scale.chain_steps
    idle = Control("idle latency, p50", "ms")
    a_step = bench.add(Measurement(SUITE, f"chain of {count:,}, a step", subject.name, "ms", [], idle))
    for repeat in bench.repeats():
        with bench.workspace(f"workflow: chain of {count:,}, {repeat + 1}") as workspace:
            ran = _chained(bench, workspace, count)
        idle.values.append(ran.idle_ms)
        a_step.values.append(ran.step_ms)
        a_step.note = f"from before the call to the last body; the chain is accepted after {ran.sent_ms:.0f} ms"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a chain: of a single job before it, of each step, and until it was accepted."""

    idle_ms: float
    step_ms: float
    sent_ms: float


def _chained(bench: Bench, workspace: Workspace, count: int) -> Ran:
    site = PenstockSite(workspace)
    site.start()
    worker = site.start_worker(executors=EXECUTORS)
    idle_ms = _idle_ms(bench, site, workspace)
    before = bodies.read(workspace.bodies).count
    producer = site.producer("chain", "--jobs", str(count))
    producer.line()
    producer.say("go")
    answer = producer.finish()
    tally = drained(site, workspace, worker, before + SMALL + count)
    began = answer["began_at"]
    return Ran(idle_ms, (tally.last_at - began) / count * 1e3, (answer["sent_at"] - began) * 1e3)


def _idle_ms(bench: Bench, site: PenstockSite, workspace: Workspace) -> float:
    count = bench.scale.latency_samples
    producer = site.producer("paced", "--samples", str(count), "--gap", str(bench.scale.latency_gap_s))
    producer.line()
    until(lambda: bodies.read(workspace.bodies).count == WARM_JOBS, "the warm-up jobs run", START_S)
    warm = bodies.read(workspace.bodies, notes=True).notes
    producer.say("go")
    producer.finish()
    until(lambda: bodies.read(workspace.bodies).count == WARM_JOBS + count, "every job runs", START_S)
    notes = bodies.read(workspace.bodies, notes=True).notes
    for number in warm:
        notes.remove(number)
    return percentile(notes, 50) / 1e6
