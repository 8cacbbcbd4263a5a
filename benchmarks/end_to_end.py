"""A producer and a worker at once: from the first enqueue to the last body."""

from __future__ import annotations

from benchmarks import bodies
from benchmarks.drain import drained
from benchmarks.harness import Bench, sync_control
from benchmarks.processes import START_S, until
from benchmarks.record import Measurement
from benchmarks.subjects import Subject

ABOUT = "one producer, durable batches of 100; a worker with two executors; from the first enqueue to the last body"
BATCH_JOBS = 100
EXECUTORS = 2


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure; the worker is up and warm before the producer starts."""
    syncs = sync_control()
    rate = bench.add(
        Measurement("end_to_end", f"batches of {BATCH_JOBS}", subject.name, "jobs/s", [], syncs, subject.survives)
    )
    jobs = bench.scale.drain_jobs
    for repeat in bench.repeats():
        with bench.workspace(f"end to end, {repeat + 1}") as workspace:
            syncs.values.append(bench.sync_rate(workspace))
            site = subject.site(workspace)
            site.start()
            worker = site.start_worker(executors=EXECUTORS)
            warm = site.producer("bulk", "--jobs", "1")
            warm.line()
            warm.say("go")
            warm.finish()
            until(lambda: bodies.read(workspace.bodies).count == 1, "the worker runs its first job", START_S)
            producer = site.producer("bulk", "--jobs", str(jobs), "--batch", str(BATCH_JOBS))
            producer.line()
            producer.say("go")
            answer = producer.finish()
            tally = drained(site, workspace, worker, jobs + 1)
            rate.values.append(jobs / (tally.last_at - answer["began_at"]))
            ahead = jobs / (answer["ended_at"] - answer["began_at"])
            rate.note = f"the producer alone got {ahead:,.0f} jobs/s acknowledged"
