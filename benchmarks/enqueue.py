"""Durable enqueueing through the face: one by one from 1, 4, 16 and 64 processes at once, and in bulk from one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks import exchange
from benchmarks.harness import Bench, sync_control
from benchmarks.processes import START_S, BenchmarkFailed, Spending
from benchmarks.record import Measurement
from benchmarks.subjects import Site, Subject

ABOUT = "each enqueue returns after its commit is synced; the owner is a process of its own"
PROCESSES = (1, 4, 16, 64)
FAIR_PROCESSES = 16
BATCH_JOBS = 5_000
BULK_THREADS = (1, 2)


def steps(bench: Bench) -> int:
    return bench.scale.repeats * (len(PROCESSES) + len(BULK_THREADS))


def run(bench: Bench, subject: Subject) -> None:
    """Measure; the controls are taken just before and after each repeat."""
    for processes in PROCESSES:
        _one_by_one(bench, subject, processes)
    for threads in BULK_THREADS:
        _bulk(bench, subject, threads)


def _one_by_one(bench: Bench, subject: Subject, processes: int) -> None:
    name = f"{processes} process{'es' if processes > 1 else ''}"
    syncs = sync_control()
    rate = bench.add(Measurement("enqueue", name, subject.name, "jobs/s", [], syncs, subject.survives))
    share = Measurement(
        "enqueue", f"{name}, slowest share", subject.name, "of an equal share", [], None, subject.survives, "min"
    )
    wait = Measurement("enqueue", f"{name}, worst wait", subject.name, "ms", [], None, subject.survives, "max")
    if processes == FAIR_PROCESSES:
        bench.add(share)
        bench.add(wait)
    bound: list[float] = []
    for repeat in bench.repeats():
        with bench.workspace(f"enqueue: {name}, {repeat + 1}") as workspace:
            before = bench.sync_rate(workspace)
            site = subject.site(workspace)
            site.start()
            producer = site.producer("single", "--processes", str(processes), "--duration", str(bench.scale.enqueue_s))
            producer.line()
            spending = Spending({role: [pid] for role, pid in site.keepers().items()})
            producer.say("go")
            answer = producer.finish()
            spent = spending.per_job(sum(answer["counts"]), {"producers": answer["cpu_s"]})
            asked = sum(answer["counts"]) + processes
            if site.ledger().accepted != asked:
                raise BenchmarkFailed(f"{asked} jobs were enqueued; the ledger says {site.ledger().accepted}.")
            # A disk's mood changes within seconds, and this row is held against it.
            syncs.values.append((before + bench.sync_rate(workspace)) / 2)
            bound.append(exchange.rate(workspace.path, processes, bench.scale.enqueue_s))
        counts = answer["counts"]
        rate.values.append(sum(counts) / answer["elapsed_s"])
        share.values.append(min(counts) * len(counts) / sum(counts))
        wait.values.append(answer["worst_ms"])
        rate.note = f"a call takes {answer['p50_ms']:.2f} ms at the median, p99 {answer['p99_ms']:.1f} ms; {spent}"
        rate.note += f"; the same exchange without a store: {median(bound):,.0f}/s"


def _bulk(bench: Bench, subject: Subject, threads: int) -> None:
    name = "bulk" if threads == 1 else f"bulk, {threads} threads"
    syncs = sync_control()
    rate = bench.add(Measurement("enqueue", name, subject.name, "jobs/s", [], syncs, subject.survives))
    for repeat in bench.repeats():
        with bench.workspace(f"enqueue: {name}, {repeat + 1}") as workspace:
            syncs.values.append(bench.sync_rate(workspace))
            site = subject.site(workspace)
            site.start()
            spending = Spending({role: [pid] for role, pid in site.keepers().items()})
            filled = fill(site, bench.scale.bulk_jobs, "async", threads=threads)
            spent = spending.per_job(bench.scale.bulk_jobs, {"producer": filled.cpu_s})
        rate.values.append(filled.rate)
        rate.note = f"one process, {BATCH_JOBS:,} jobs a call; {spent}"


@dataclass(frozen=True, slots=True)
class Filled:
    """What a producer did. ``rate`` in jobs a second; ``cpu_s`` is its own."""

    rate: float
    cpu_s: float


def fill(site: Site, jobs: int, task: str, *, threads: int = 1) -> Filled:
    """Put jobs in, from one process.

    Raises:
        BenchmarkFailed: the ledger does not agree.
    """
    shape = ("--jobs", str(jobs), "--batch", str(BATCH_JOBS), "--threads", str(threads), "--task", task)
    producer = site.producer("bulk", *shape)
    producer.line()
    producer.say("go")
    answer = producer.finish()
    producer.wait(START_S)
    if site.ledger().accepted != jobs:
        raise BenchmarkFailed(f"{jobs} jobs were enqueued; the ledger says {site.ledger().accepted}.")
    return Filled(jobs / (answer["ended_at"] - answer["began_at"]), answer["cpu_s"])
