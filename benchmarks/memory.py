"""What an idle `penstock up` takes: the PSS of every process of the tree."""

from __future__ import annotations

import sys
import time

from benchmarks import bodies
from benchmarks.harness import Bench
from benchmarks.processes import START_S, descendants, pss_mb, until
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace, free_port, listens
from penstock.process import process_file

ABOUT = "PSS (shared pages counted in part) of every process of `penstock up` with two executors, after one job, idle"
EXECUTORS = 2
TOTAL = "penstock up, idle"


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure each process and their sum."""
    if subject.name != "penstock":
        return
    bare = Control("one bare interpreter", "MB")
    rows = {TOTAL: bench.add(Measurement("memory", TOTAL, subject.name, "MB", [], bare, subject.survives))}
    for repeat in bench.repeats():
        with bench.workspace(f"memory, {repeat + 1}") as workspace:
            bare.values.append(_bare(bench, workspace))
            found = _tree(bench, workspace)
        rows[TOTAL].values.append(sum(found.values()))
        for name, size_mb in found.items():
            if name not in rows:
                rows[name] = bench.add(Measurement("memory", name, subject.name, "MB", [], None, subject.survives))
            rows[name].values.append(size_mb)


def _bare(bench: Bench, workspace: Workspace) -> float:
    child = workspace.start([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"], talks=True)
    child.line()
    time.sleep(min(0.5, bench.scale.memory_settle_s))
    size_mb = pss_mb(child.pid)
    child.stop()
    return size_mb


def _tree(bench: Bench, workspace: Workspace) -> dict[str, float]:
    """MB by process, named as the node names them."""
    site = PenstockSite(workspace)
    port = free_port()
    node = site.start_node(executors=EXECUTORS, port=port)

    def ready() -> bool:
        node.check()
        return listens(port) and process_file.read(workspace.store).executors_ready == EXECUTORS

    until(ready, "the node is ready", START_S)
    producer = site.producer("bulk", "--jobs", "1")
    producer.line()
    producer.say("go")
    producer.finish()
    producer.wait(START_S)
    until(lambda: bodies.read(workspace.bodies).count == 1, "a job runs", START_S)
    time.sleep(bench.scale.memory_settle_s)
    roles = {entry.pid: entry.role for entry in process_file.read(workspace.store).processes}
    sizes: dict[str, float] = {"root": pss_mb(node.pid)}
    for pid in descendants(node.pid):
        role = roles.get(pid, "other")
        while role in sizes:
            role += " +"
        sizes[role] = pss_mb(pid)
    return sizes
