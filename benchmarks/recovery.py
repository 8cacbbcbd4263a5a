"""The process that runs a job is killed: how long until the job's body begins again elsewhere."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

from benchmarks import bodies
from benchmarks.control import back_to_back
from benchmarks.harness import SYNC_RATE, Bench
from benchmarks.processes import START_S, BenchmarkFailed, Child, descendants, until
from benchmarks.record import Control, Measurement, percentile
from benchmarks.subjects import Subject
from benchmarks.workspace import Workspace

ABOUT = "SIGKILL of the executor in the middle of a plain job, with a second executor alive; killed to body begun again"
EXECUTORS = 2
BACK_S_MAX = 60.0


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Kill one executor after the other, each time waiting until two are alive again."""
    controls = {"p50": Control(f"{SYNC_RATE}, p50", "ms"), "p99": Control(f"{SYNC_RATE}, p99", "ms")}
    rows = {
        name: bench.add(Measurement("recovery", name, subject.name, "ms", [], controls[name], subject.survives))
        for name in ("p50", "p99")
    }
    kills = bench.scale.recovery_kills
    for repeat in bench.repeats():
        with bench.workspace(f"recovery: {kills} kills, {repeat + 1}") as workspace:
            syncs = back_to_back(workspace.path, bench.scale.control_s)
            stage = bodies.Stage(workspace.bodies)
            site = subject.site(workspace)
            site.start()
            worker = site.start_worker(executors=EXECUTORS)
            times_ms = _kill_all(workspace, worker, site.producer("lingering", "--jobs", str(kills)), stage, kills)
            ran = bodies.read(workspace.bodies).count
            stage.close()
        if ran != kills:
            raise BenchmarkFailed(f"{kills} jobs were interrupted, {ran} of them ended.")
        for name, percent in (("p50", 50), ("p99", 99)):
            rows[name].values.append(percentile(times_ms, percent))
        rows["p99"].note = f"{kills} kills a repeat; the slowest of the last repeat took {max(times_ms):.1f} ms"
        controls["p50"].values.append(syncs.p50_ms)
        controls["p99"].values.append(syncs.p99_ms)


def _kill_all(workspace: Workspace, worker: Child, producer: Child, stage: bodies.Stage, kills: int) -> list[float]:
    """Milliseconds from each kill to its job's next body."""
    producer.line()
    times_ms: list[float] = []
    whole = 0
    for number in range(kills):
        producer.say("one more")
        until(partial(stage.has_begun, number, runs=1), "a job starts", START_S, step_s=0.001)
        whole = whole or _steady(worker)
        _, pid = stage.run(number, 0)
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(partial(stage.has_begun, number, runs=2), "the job runs again", BACK_S_MAX, step_s=0.001)
        again_at, _ = stage.run(number, 1)
        times_ms.append((again_at - killed_at) * 1000)
        until(partial(_is_whole, workspace, worker, number + 1, whole), "a spare executor is alive again", START_S)
    producer.finish()
    return times_ms


def _is_whole(workspace: Workspace, worker: Child, ended: int, processes: int) -> bool:
    return bodies.read(workspace.bodies).count >= ended and len(descendants(worker.pid)) >= processes


def _steady(worker: Child) -> int:
    """How many processes the worker has once it has stopped growing."""
    count = 0
    while (now := len(descendants(worker.pid))) != count:
        count = now
        time.sleep(0.3)
    return count
