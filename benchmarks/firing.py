"""Schedules: what a firing costs among very many, and how late the job of a slot runs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks import bodies
from benchmarks.depth import FILL_S_MAX
from benchmarks.harness import Bench
from benchmarks.processes import START_S, Child, until
from benchmarks.record import Control, Measurement, percentile
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.schedules import Schedule

SUITE: Final = "workflow"
TASK: Final = "bench.punctual"
AHEAD_S: Final = 1.0
"""The first slot lies so far ahead of when they are made."""
GAP_S: Final = 0.03
EXECUTORS: Final = 2


def steps(bench: Bench) -> int:
    return bench.scale.schedule_repeats * 2


def run(bench: Bench, subject: Subject) -> None:
    """Measure."""
    few, many = bench.scale.schedules
    alone = Control(f"with {few:,}", "µs")
    cost = bench.add(Measurement(SUITE, f"a firing, {many:,} schedules in the store", subject.name, "µs", [], alone))
    cost.note = (
        "the engine's processor time with the commit, without the sync; so many are due at a time as fire in one step"
    )
    rows: dict[int, Measurement] = {}
    for percent in (50, 99):
        control = Control(f"a job with run_at, p{percent}", "ms")
        what = f"a slot to the body of its job, {many:,} schedules, p{percent}"
        rows[percent] = bench.add(Measurement(SUITE, what, subject.name, "ms", [], control))
    for repeat in range(bench.scale.schedule_repeats):
        with bench.workspace(f"workflow: {few:,} schedules, {repeat + 1}") as workspace:
            alone.values.append(_firing_us(bench, workspace, few))
        with bench.workspace(f"workflow: {many:,} schedules, {repeat + 1}") as workspace:
            cost.values.append(_firing_us(bench, workspace, many))
            delayed, fired = _lateness(workspace, bench.scale.schedule_slots)
        for percent, row in rows.items():
            row.values.append(percentile(fired, percent))
            assert row.control is not None, "it was made with one"
            row.control.values.append(percentile(delayed, percent))


def _firing_us(bench: Bench, workspace: Workspace, schedules: int) -> float:
    """In the engine alone; the store has so many schedules afterwards."""
    arguments = (str(workspace.store), str(schedules), str(bench.scale.schedule_rounds))
    probe = workspace.python("benchmarks.firing_probe", *arguments, talks=True)
    found: dict[str, float] = probe.finish()
    return found["firing_us"]


# --- in time ----------------------------------------------------------------------------------------------------------
def _lateness(workspace: Workspace, count: int) -> tuple[list[float], list[float]]:
    """How many milliseconds after their time the jobs of so many ``run_at``, and of so many slots, ran."""
    site = PenstockSite(workspace)
    site.start()
    worker = site.start_worker(executors=EXECUTORS)
    # What the probe has fired runs first.
    until(lambda: site.ledger().unfinished == 0, "what was fired before has run", FILL_S_MAX)

    def delay(_: int, at: float) -> None:
        site.client.enqueue([_job(at, run_at=at)])

    def schedule(number: int, at: float) -> None:
        site.client.put_schedule(Schedule(f"slot-{number}", call=_job(at), at=at))

    return _late(workspace, worker, count, delay), _late(workspace, worker, count, schedule)


def _job(at: float, run_at: float | None = None) -> JobGroup:
    body = b"m" + msgspec.msgpack.encode([[int(at * 1e9)], {}])
    return JobGroup(TASK, [JobEntry(new_id(), body, checksum(body))], run_at=run_at)


def _late(workspace: Workspace, worker: Child, count: int, ask: Callable[[int, float], None]) -> list[float]:
    before = bodies.read(workspace.bodies, notes=True)
    chance = random.Random(7)
    at = time.time() + AHEAD_S
    for number in range(count):
        at += GAP_S * chance.uniform(0.5, 1.5)
        ask(number, at)

    def done() -> bool:
        worker.check()
        return bodies.read(workspace.bodies).count >= before.count + count

    until(done, "every slot's job runs", START_S)
    notes = bodies.read(workspace.bodies, notes=True).notes
    for number in before.notes:
        notes.remove(number)
    return [note / 1e6 for note in notes]
