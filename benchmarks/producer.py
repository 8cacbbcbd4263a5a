"""A process that enqueues, through the face. Says ``ready``, waits for a line, works, says what it did in JSON.

* ``single --processes N --duration S``: each process enqueues one job after the other
* ``bulk --jobs N --batch B --threads T --task NAME``: one process, many jobs a call
* ``paced --samples N --gap S``: one job at a time into an idle worker, with a pause before each
* ``chord --jobs N``, ``chain --jobs N``: one of so many members, or steps, until its end; a small one before
* ``lingering --jobs N``: one job a line it is told, which stays until its executor is killed
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any, Final

import msgspec

from benchmarks.jobs import NO_OPS, app, async_off, async_result, gathered, lingering, link, noted
from benchmarks.processes import START_S, BenchmarkFailed, peak_mb
from benchmarks.record import percentile
from penstock import Chain, chain, chord, group

SMALL: Final = 4
"""What is composed first, so that nothing is cold."""
COMPOSED_S_MAX: Final = 600.0


def main() -> int:
    """Do as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=sorted(MODES))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--duration", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--task", choices=sorted(NO_OPS), default="async")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--gap", type=float, default=0.004)
    options = parser.parse_args()
    answer = MODES[options.mode](options)
    print(msgspec.json.encode(answer).decode(), flush=True)
    return 0


def _wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _bulk(options: argparse.Namespace) -> dict[str, Any]:
    task = NO_OPS[options.task]
    starts = iter(range(0, options.jobs, options.batch))

    def enqueue(_: int) -> None:
        for start in starts:
            app.enqueue_many([task.s(number) for number in range(start, min(start + options.batch, options.jobs))])

    with ThreadPoolExecutor(options.threads) as threads:
        app.enqueue_many([])  # connects
        _wait_for_start()
        began, spent = time.monotonic(), time.process_time()
        list(threads.map(enqueue, range(options.threads)))
        ended = time.monotonic()
    return {"count": options.jobs, "began_at": began, "ended_at": ended, "cpu_s": time.process_time() - spent}


def _paced(options: argparse.Namespace) -> dict[str, Any]:
    # The first jobs meet cold processes; they are told apart by being sent from nowhere.
    for _ in range(10):
        noted.enqueue(time.monotonic_ns())
        time.sleep(0.02)
    _wait_for_start()
    acks: list[float] = []
    pause = random.Random(7)
    for _ in range(options.samples):
        time.sleep(options.gap * pause.uniform(0.5, 1.5))
        before = time.monotonic_ns()
        noted.enqueue(before)
        acks.append((time.monotonic_ns() - before) / 1e6)
    return {"count": options.samples, "ack_p50_ms": percentile(acks, 50), "ack_p99_ms": percentile(acks, 99)}


def _lingering(options: argparse.Namespace) -> dict[str, Any]:
    app.enqueue_many([])  # connects
    print("ready", flush=True)
    for number in range(options.jobs):
        sys.stdin.readline()
        lingering.enqueue(number)
    return {"count": options.jobs}


# --- canvases ---------------------------------------------------------------------------------------------------------
def _chord(options: argparse.Namespace) -> dict[str, Any]:
    return _composed(options.jobs, _chord_of, lambda members: members * (members - 1) // 2)


def _chord_of(members: int) -> Chain[int]:
    return chord(group(async_result.s(number) for number in range(members)), gathered.s())


def _chain(options: argparse.Namespace) -> dict[str, Any]:
    return _composed(options.jobs, _chain_of, lambda steps: steps)


def _chain_of(steps: int) -> Chain[int]:
    return chain([link.s(0), *(link.s() for _ in range(steps - 1))])


def _composed(size: int, make: Callable[[int], Chain[int]], result_of: Callable[[int], int]) -> dict[str, Any]:
    make(SMALL).enqueue().result(START_S)
    _wait_for_start()
    began, spent = time.monotonic(), time.process_time()
    workflow = make(size).enqueue()
    sent = time.monotonic()
    result = workflow.result(COMPOSED_S_MAX)
    ended = time.monotonic()
    if result != result_of(size):
        raise BenchmarkFailed(f"{workflow} has come to {result}.")
    return {
        "began_at": began,
        "sent_at": sent,
        "ended_at": ended,
        "cpu_s": time.process_time() - spent,
        "peak_mb": peak_mb(os.getpid()),
    }


# --- many processes ---------------------------------------------------------------------------------------------------
def _singles(options: argparse.Namespace) -> dict[str, Any]:
    fork = get_context("fork")
    barrier = fork.Barrier(options.processes + 1)
    answers: SimpleQueue[Any] = fork.SimpleQueue()
    started = [
        fork.Process(target=_one_by_one, args=(options.duration, barrier, answers)) for _ in range(options.processes)
    ]
    for process in started:
        process.start()
    barrier.wait()
    _wait_for_start()
    barrier.wait()
    shares = [answers.get() for _ in started]
    for process in started:
        process.join()
    return {
        "counts": [share["count"] for share in shares],
        "cpu_s": sum(share["cpu_s"] for share in shares),
        "elapsed_s": max(share["elapsed_s"] for share in shares),
        "worst_ms": max(share["worst_ms"] for share in shares),
        "p50_ms": percentile([share["p50_ms"] for share in shares], 50),
        "p99_ms": max(share["p99_ms"] for share in shares),
    }


def _one_by_one(duration_s: float, barrier: Barrier, answers: SimpleQueue[Any]) -> None:
    async_off.enqueue(os.getpid())  # connects
    barrier.wait()
    barrier.wait()
    samples: list[float] = []
    spent = time.process_time()
    began = now = time.perf_counter()
    while now - began < duration_s:
        before = now
        async_off.enqueue(7)
        now = time.perf_counter()
        samples.append(now - before)
    answers.put(
        {
            "count": len(samples),
            "elapsed_s": now - began,
            "cpu_s": time.process_time() - spent,
            "worst_ms": max(samples) * 1000,
            "p50_ms": percentile(samples, 50) * 1000,
            "p99_ms": percentile(samples, 99) * 1000,
        }
    )


MODES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "single": _singles,
    "bulk": _bulk,
    "paced": _paced,
    "chord": _chord,
    "chain": _chain,
    "lingering": _lingering,
}

if __name__ == "__main__":
    sys.exit(main())
