"""Idle latency: another process enqueues one job, and its body begins."""

from __future__ import annotations

from benchmarks import bodies, control
from benchmarks.harness import SYNC_RATE, Bench
from benchmarks.processes import START_S, BenchmarkFailed, until
from benchmarks.record import Control, Measurement, percentile
from benchmarks.subjects import Subject

ABOUT = "from before enqueue() in one process to the start of the body in another; every job synced before it is leased"
WARM_JOBS = 10
EXECUTORS = 2


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure; the control syncs as sparsely as the producer."""
    controls = {"p50": Control(f"{SYNC_RATE}, p50", "ms"), "p99": Control(f"{SYNC_RATE}, p99", "ms")}
    rows = {
        name: bench.add(Measurement("latency", name, subject.name, "ms", [], controls[name], subject.survives))
        for name in ("p50", "p99")
    }
    count = bench.scale.latency_samples
    for repeat in bench.repeats():
        with bench.workspace(f"latency: {count} jobs, {repeat + 1}") as workspace:
            site = subject.site(workspace)
            site.start()
            site.start_worker(executors=EXECUTORS)
            producer = site.producer("paced", "--samples", str(count), "--gap", str(bench.scale.latency_gap_s))
            producer.line()
            until(lambda: bodies.read(workspace.bodies).count == WARM_JOBS, "the warm-up jobs run", START_S)
            warm = sorted(bodies.read(workspace.bodies, notes=True).notes)
            syncs = control.spaced(workspace.path, count // 2, bench.scale.latency_gap_s)
            producer.say("go")
            answer = producer.finish()
            until(lambda: bodies.read(workspace.bodies).count >= WARM_JOBS + count, "every job runs", START_S)
            notes = bodies.read(workspace.bodies, notes=True).notes
            for number in warm:
                notes.remove(number)
            if len(notes) != count:
                raise BenchmarkFailed(f"{count} jobs, but {len(notes)} bodies ran.")
        rows["p50"].values.append(percentile(notes, 50) / 1e6)
        rows["p99"].values.append(percentile(notes, 99) / 1e6)
        controls["p50"].values.append(syncs.p50_ms)
        controls["p99"].values.append(syncs.p99_ms)
        rows["p50"].note = f"enqueue() itself takes {answer['ack_p50_ms']:.2f} ms"
        rows["p99"].note = f"enqueue() itself takes {answer['ack_p99_ms']:.2f} ms"
