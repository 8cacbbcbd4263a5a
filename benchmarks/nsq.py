"""The door of NSQ: what clients of NSQ get from it, beside NSQ's own nsqd under the same load in the same run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import control
from benchmarks.harness import SYNC_RATE, Bench
from benchmarks.nsq_daemons import Daemon, Door, Nsqd, nsqd
from benchmarks.nsq_load import GAP_S
from benchmarks.processes import START_S, BenchmarkFailed, Spending, cpu_s, pss_mb, until
from benchmarks.record import WORKER_KILL, Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.workspace import Workspace

SUITE: Final = "nsq"
ABOUT = (
    "bodies of 200 bytes, counted; the same raw clients for both; an OK of ours is synced, nsqd (-mem-queue-size=0)"
    " writes to its files and syncs them every 2,500 messages or 2 s"
)
ON_DISK: Final = Control("nsqd on disk", "messages/s")
READY: Final = 2_500
LOT: Final = 200
WORK_S: Final = 300.0
"""How long a load may take."""
_FILL_LOT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Load:
    """A row about messages a second.

    Attributes:
        mode: of `benchmarks.nsq_load`, as are the others.
        is_small: far fewer messages, because each is waited for.
    """

    row: str
    mode: str
    connections: int
    ahead: int
    is_small: bool = False


LOADS: Final = (
    Load("MPUB of 200, 2 connections", "mpub", 2, LOT),
    Load("PUB, 2 connections, 100 ahead", "pub", 2, 100),
    Load("PUB, 64 connections, one at a time", "pub", 64, 1, is_small=True),
    Load("PUB, 256 connections, one at a time", "pub", 256, 1, is_small=True),
    Load("pull, RDY 2,500, FIN each", "pull", 2, READY),
    Load("pull, 64 connections at RDY 1, FIN each", "pull", 64, 1, is_small=True),
)
SYNCED_PULL: Final = "pull from an nsqd that syncs every message"


def steps(bench: Bench) -> int:
    return bench.scale.repeats * (2 * len(LOADS) + 3) + 2


def run(bench: Bench, subject: Subject) -> None:
    """Measure; only Penstock has such a door."""
    if subject.name != "penstock":
        return
    for load in LOADS:
        _rate(bench, subject, load)
    _synced_pull(bench)
    _latency(bench, subject)
    _idle(bench, subject)
    _waiting(bench, subject)


def _rate(bench: Bench, subject: Subject, load: Load) -> None:
    beside = Control(ON_DISK.name, ON_DISK.unit)
    row = bench.add(Measurement(SUITE, load.row, subject.name, "messages/s", [], beside, subject.survives))
    count = bench.scale.nsq_messages_one_by_one if load.is_small else bench.scale.nsq_messages
    for repeat in bench.repeats():
        if nsqd() is not None:
            with bench.workspace(f"nsq: {load.row}, nsqd, {repeat + 1}") as workspace:
                beside.values.append(_under(workspace, Nsqd(workspace), load, count)[0])
        with bench.workspace(f"nsq: {load.row}, {repeat + 1}") as workspace:
            value, row.note = _under(workspace, Door(workspace), load, count)
        row.values.append(value)
    if nsqd() is None:
        row.note += "; there is no nsqd to compare with: make nsq-peers"


def _synced_pull(bench: Bench) -> None:
    """What nsqd does when it syncs as we do, for information."""
    if nsqd() is None:
        return
    row = bench.add(Measurement(SUITE, SYNCED_PULL, "nsqd", "messages/s", [], None, (WORKER_KILL,)))
    load = Load(SYNCED_PULL, "pull", 2, READY)
    for repeat in bench.repeats():
        with bench.workspace(f"nsq: {SYNCED_PULL}, {repeat + 1}") as workspace:
            value, _ = _under(workspace, Nsqd(workspace, ["-sync-every=1"]), load, bench.scale.nsq_messages_synced)
        row.values.append(value)


def _under(workspace: Workspace, daemon: Daemon, load: Load, count: int) -> tuple[float, str]:
    """Messages a second under a load, and who spent what on it."""
    if load.mode == "pull":
        _loaded(workspace, daemon, "mpub", count, 2, math.gcd(count, _FILL_LOT))
        _until_waiting(daemon, count)
    spending = Spending(daemon.pids)
    told = _loaded(workspace, daemon, load.mode, count, load.connections, load.ahead)
    began = time.perf_counter()
    _until_waiting(daemon, 0 if load.mode == "pull" else count)
    # What was published is durable when it is answered; what was finished is not answered, and is waited for.
    elapsed_s = told["elapsed_s"] + (time.perf_counter() - began if load.mode == "pull" else 0.0)
    return count / elapsed_s, spending.per_job(count, {"the load": told["cpu_s"]}).replace("a job", "a message")


def _loaded(workspace: Workspace, daemon: Daemon, mode: str, count: int, connections: int, ahead: int) -> Any:
    """Put a load on a daemon; what it tells of it."""
    arguments = (mode, str(daemon.port), str(count), str(connections), str(ahead))
    child = workspace.python("benchmarks.nsq_load", *arguments, talks=True)
    child.line()
    child.say("go")
    told = child.finish()
    if told["count"] != count:
        raise BenchmarkFailed(f"{told['count']} messages of {count} were counted.")
    return told


def _latency(bench: Bench, subject: Subject) -> None:
    synced = Control(f"{SYNC_RATE}, p50", "ms")
    row = bench.add(Measurement(SUITE, "PUB to delivery, idle, p50", subject.name, "ms", [], synced, subject.survives))
    count = bench.scale.latency_samples
    for repeat in bench.repeats():
        with bench.workspace(f"nsq: latency, {repeat + 1}") as workspace:
            daemon = Door(workspace)
            synced.values.append(control.spaced(workspace.path, count // 2, GAP_S).p50_ms)
            told = _loaded(workspace, daemon, "latency", count, 1, 1)
        row.values.append(told["p50_ms"])
        row.note = f"p99 {told['p99_ms']:.2f} ms; the OK itself comes after {told['ok_p50_ms']:.2f} ms"


def _idle(bench: Bench, subject: Subject) -> None:
    """What consumers cost that wait for messages."""
    number = bench.scale.nsq_idle
    memory = bench.add(Measurement(SUITE, f"memory of {number:,} idle consumers", subject.name, "MB", []))
    share = bench.add(Measurement(SUITE, f"processor share of {number:,} idle consumers", subject.name, "%", []))
    for repeat in bench.repeats():
        with bench.workspace(f"nsq: {number:,} idle consumers, {repeat + 1}") as workspace:
            daemon = Door(workspace)
            pids = [pid for pids in daemon.pids.values() for pid in pids]
            time.sleep(bench.scale.memory_settle_s)
            before_mb = sum(map(pss_mb, pids))
            arguments = ("idle", str(daemon.port), "0", str(number), "1")
            child = workspace.python("benchmarks.nsq_load", *arguments, talks=True)
            child.line()
            time.sleep(bench.scale.memory_settle_s)
            memory.values.append(sum(map(pss_mb, pids)) - before_mb)
            began, before_s = time.perf_counter(), sum(map(cpu_s, pids))
            time.sleep(bench.scale.nsq_idle_s)
            share.values.append((sum(map(cpu_s, pids)) - before_s) / (time.perf_counter() - began) * 100)
            child.say("go")
            child.finish()


def _waiting(bench: Bench, subject: Subject) -> None:
    """The door's memory beside a channel in which very many messages wait, after it gave out a few of them."""
    few, many = bench.scale.nsq_waiting
    beside = Control(f"with {few:,}", "MB")
    row = bench.add(
        Measurement(SUITE, f"memory of the door, {many:,} messages waiting", subject.name, "MB", [], beside)
    )
    for count, values in ((few, beside.values), (many, row.values)):
        with bench.workspace(f"nsq: {count:,} messages waiting") as workspace:
            daemon = Door(workspace)
            _loaded(workspace, daemon, "mpub", count, 2, _FILL_LOT)
            _until_waiting(daemon, count)
            taken = min(few, READY)
            _loaded(workspace, daemon, "pull", taken, 1, 100)
            _until_waiting(daemon, count - taken)
            values.append(pss_mb(daemon.child.pid))


def _until_waiting(daemon: Daemon, count: int) -> None:
    """Until so many messages of the channel are not finished."""
    until(lambda: daemon.waiting() == count, f"{count:,} messages are left in the channel", START_S, step_s=0.002)
