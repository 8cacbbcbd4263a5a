"""Penstock and its rivals at the same work, interleaved: a repeat goes through all of them before the next begins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import bodies, canvases
from benchmarks.harness import Bench
from benchmarks.kills import recovery
from benchmarks.processes import START_S, BenchmarkFailed, Child, until
from benchmarks.ranking import OWN
from benchmarks.record import Control, Measurement, Summary, percentile
from benchmarks.rivals import work
from benchmarks.rivals.catalogue import Contender
from benchmarks.rivals.rival import Crew, memory_mb, processor_s
from benchmarks.rows import (
    BULK,
    CHAIN,
    CHORD,
    COMPOSED,
    COMPUTE,
    COST,
    END_TO_END,
    LATENCY_P50,
    LATENCY_P99,
    MEMORY_IDLE,
    MEMORY_LOADED,
    NOOP,
    ONE_BY_ONE,
    RECOVERY,
    RESULT,
    ROWS,
    STEPS,
    SUITE,
    TWICE,
    UNFINISHED,
    WAIT,
)
from benchmarks.targets import TARGETS
from benchmarks.workspace import ROOT, Workspace

ABOUT = "the same bodies, payload and number of processes for everybody; repeats interleaved; bodies counted"
BATCH_JOBS = 1_000
BULK_JOBS_MAX = 200_000
WARM_JOBS = 10
JOBS_MIN = 100
GRACE_S = 0.3
GROUP_S_MAX = 240.0
"""A subject that takes longer hangs; its processes are killed, and the run goes on."""
COMPUTES_A_SECOND = 1_800
"""What two processes can do of jobs that compute for a millisecond; decides only how many are given to them."""
WAITS_A_SECOND = 90


@dataclass(slots=True)
class Comparison:
    """The figures so far, and why some are missing.

    Attributes:
        absent: by row and subject, the reason in words.
    """

    bench: Bench
    figures: dict[tuple[str, str], Measurement] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, row: str, subject: Contender, values: Sequence[float], *, note: str = "", cap: float = 0.0) -> None:
        """Values of a row. ``cap``: one that reaches it was not waited for any longer."""
        key = (row, subject.name)
        if key not in self.figures:
            unit, _ = ROWS[row]
            summary: Summary = "max" if row in (UNFINISHED, TWICE) else "median"
            measurement = Measurement(SUITE, row, subject.name, unit, [], None, subject.survives, summary)
            self.figures[key] = self.bench.add(measurement)
        found = self.figures[key]
        found.values.extend(values)
        found.cap = cap
        found.note = note or found.note or subject.notes.get(row, "")
        self.absent.pop(key, None)

    def has_none(self, rows: Sequence[str], subject: Contender, reason: str) -> None:
        """These rows stay empty, unless another repeat has filled them."""
        for row in rows:
            if (row, subject.name) not in self.figures:
                self.absent[row, subject.name] = reason


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that one installation yields.

    Attributes:
        suites: Penstock's own suites that are about the same.
    """

    name: str
    suites: tuple[str, ...]
    rows: tuple[str, ...]
    run: Callable[[Comparison, Contender, Workspace], None]
    repeated: bool = True


def groups_for(suites: Sequence[str]) -> list[Group]:
    """The groups that are about the same as some of Penstock's suites; all of them where the comparison is named."""
    return [group for group in GROUPS if SUITE in suites or set(group.suites) & set(suites)]


def steps(bench: Bench, subjects: Sequence[Contender], groups: Sequence[Group]) -> int:
    """How many installations there will be, at most."""
    return sum(
        bench.scale.repeats if group.repeated else 1
        for group in groups
        for subject in subjects
        if rows_for(subject, group)
    )


def rows_for(subject: Contender, group: Group) -> list[str]:
    """The rows of a group that are about a subject: what is composed of several jobs only where it says so."""
    return [row for row in group.rows if row not in COMPOSED or row in subject.composes]


def run_all(
    bench: Bench, subjects: Sequence[Contender], groups: Sequence[Group], done: Callable[[Comparison], None]
) -> Comparison:
    """Measure everybody. ``done`` is called after each group, so that a run cut short leaves what it had."""
    comparison = Comparison(bench)
    for group in groups:
        for repeat in range(bench.scale.repeats if group.repeated else 1):
            for subject in subjects:
                _one(comparison, group, subject, repeat)
        _beside_the_best(comparison)
        done(comparison)
    return comparison


def _beside_the_best(comparison: Comparison) -> None:
    """Where something is asked of Penstock's figure, the control is the best rival's of this run."""
    for (row, subject), own in comparison.figures.items():
        if subject != OWN or (SUITE, row) not in TARGETS:
            continue
        others = [one for (other, name), one in comparison.figures.items() if other == row and name != OWN]
        if others:
            best = (max if ROWS[row][1] == "more" else min)(others, key=lambda one: one.value)
            own.control = Control(f"the better of its rivals, {best.subject}", best.unit, best.values)


def _one(comparison: Comparison, group: Group, subject: Contender, repeat: int) -> None:
    about = rows_for(subject, group)
    rows = [row for row in about if subject.rows is None or row in subject.rows]
    comparison.has_none([row for row in about if row not in rows], subject, "not measured for this variant")
    if rows == [RESULT] and not subject.keeps_results:
        comparison.has_none(rows, subject, "keeps no results")
        return
    if not rows:
        return
    took_too_long = threading.Event()
    try:
        with comparison.bench.workspace(f"{group.name}: {subject.name}, {repeat + 1}") as workspace:
            limit_s = GROUP_S_MAX + scale_s(comparison.bench, group)

            def give_up() -> None:
                took_too_long.set()
                workspace.kill_all()

            watch = threading.Timer(limit_s, give_up)
            watch.daemon = True
            watch.start()
            try:
                group.run(comparison, subject, workspace)
            finally:
                watch.cancel()
    except Exception as failure:  # noqa: BLE001 - whatever goes wrong with one subject is told in its row
        said = (str(failure) or type(failure).__name__).replace(str(ROOT), ".")
        if took_too_long.is_set():
            said = f"it took more than {limit_s:.0f} s: {said}"
        comparison.has_none(rows, subject, f"failed: {in_short(said)}")
        comparison.bench.failures.append(f"{group.name}, {subject.name}, {repeat + 1}: {said}")


def scale_s(bench: Bench, group: Group) -> float:
    """What a group may take on top of `GROUP_S_MAX`: kills are waited for one after the other."""
    return 0.0 if group.repeated else START_S * bench.scale.compared_kills + bench.recovery_s_max


def in_short(text: str) -> str:
    """The first line of a failure, and the last where a process had more to say."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0].partition("): ")[0] + ")" if len(lines) > 1 and "): " in lines[0] else lines[0]
    return first if len(lines) == 1 else f"{first}: {lines[-1]}"


# --- putting in -------------------------------------------------------------------------------------------------------
def _enqueue(comparison: Comparison, subject: Contender, workspace: Workspace) -> None:
    scale = comparison.bench.scale
    site = subject.site(workspace)
    site.start("noop")
    duration = ("--duration", str(scale.compared_s))
    answer = _worked(site.producer("single", *duration))
    put_in = answer["count"] + 1
    comparison.add(ONE_BY_ONE, subject, [answer["count"] / (answer["ended_at"] - answer["began_at"])])
    bulk = site.producer("bulk", *duration, "--jobs", str(BULK_JOBS_MAX), "--batch", str(BATCH_JOBS))
    if bulk.line() == "ready":
        bulk.say("go")
        answer = bulk.finish()
        put_in += answer["count"] + 1
        comparison.add(BULK, subject, [answer["count"] / (answer["ended_at"] - answer["began_at"])])
    else:
        comparison.has_none([BULK], subject, "has none")
    waiting = site.waiting()
    if waiting != put_in:
        raise BenchmarkFailed(f"{put_in} jobs were put in; it says that it holds {waiting}.")


def _worked(producer: Child) -> dict[str, Any]:
    """Let a producer work at once, and hear what it did."""
    producer.line()
    producer.say("go")
    answer: dict[str, Any] = producer.finish()
    return answer


# --- working off ------------------------------------------------------------------------------------------------------
def jobs_for(subject: Contender, kind: str, duration_s: float) -> int:
    """How many jobs of a kind keep a subject busy for about so long."""
    most = {
        "compute": COMPUTES_A_SECOND,
        "wait": WAITS_A_SECOND * subject.at_once,
        "steps": subject.pace / work.STEPS,
    }.get(kind, subject.pace)
    return max(JOBS_MIN, round(min(subject.pace, most) * duration_s))


def _drain(row: str, kind: str) -> Group:
    """Jobs wait; the processes that run them start; from the first body to the last."""

    def run(comparison: Comparison, subject: Contender, workspace: Workspace) -> None:
        scale = comparison.bench.scale
        jobs = jobs_for(subject, kind, scale.compared_s)
        site = subject.site(workspace)
        site.start(kind)
        _worked(site.producer("fill", "--kind", kind, "--jobs", str(jobs), "--batch", str(BATCH_JOBS)))
        crew = site.crew(kind)
        sampled: list[float] = []

        def half_way() -> None:
            if row == NOOP:
                sampled.append(memory_mb([*site.keepers(), *crew.pids()]))

        tally = worked_off(workspace, crew, jobs, scale.compared_s_max, half_way)
        crew.kill()
        note = "" if tally.count == jobs else f"{tally.count:,} of {jobs:,} jobs within {scale.compared_s_max:.0f} s"
        comparison.add(row, subject, [tally.rate], note=note)
        if sampled:
            comparison.add(MEMORY_LOADED, subject, sampled)

    if row == NOOP:
        return Group(row, ("drain", "memory"), (row, MEMORY_LOADED), run)
    return Group(row, ("workflow",) if row in COMPOSED else ("drain",), (row,), run)


def worked_off(
    workspace: Workspace, crew: Crew, jobs: int, timeout_s: float, half_way: Callable[[], None]
) -> bodies.Tally:
    """Wait until so many bodies have run, or the time is up.

    Raises:
        BenchmarkFailed: none runs, or more run than there are jobs.
    """

    def count() -> int:
        crew.check()
        return bodies.read(workspace.bodies).count

    until(lambda: count() > 0, "the first body runs", START_S)
    deadline = time.monotonic() + timeout_s
    until(lambda: count() * 2 >= jobs or time.monotonic() > deadline, "half of the bodies run", timeout_s + 1)
    half_way()
    until(lambda: count() >= jobs or time.monotonic() > deadline, "the bodies run", timeout_s + 1, step_s=0.02)
    time.sleep(GRACE_S)
    tally = bodies.read(workspace.bodies)
    if tally.count > jobs:
        raise BenchmarkFailed(f"{jobs} jobs, but {tally.count} bodies ran.")
    return tally


def warmed_up(workspace: Workspace, crew: Crew) -> None:
    """Wait until the first jobs have run."""

    def done() -> bool:
        crew.check()
        return bodies.read(workspace.bodies).count == WARM_JOBS

    until(done, "the warm-up jobs run", START_S)


# --- both at once -----------------------------------------------------------------------------------------------------
def _end_to_end(comparison: Comparison, subject: Contender, workspace: Workspace) -> None:
    scale = comparison.bench.scale
    jobs = jobs_for(subject, "noop", scale.compared_s)
    site = subject.site(workspace)
    site.start("noop")
    crew = site.crew("noop")
    producer = site.producer("fill", "--jobs", str(jobs), "--batch", "100", "--warm", str(WARM_JOBS))
    producer.line()
    warmed_up(workspace, crew)
    before_s = processor_s([*site.keepers(), *crew.pids()])
    producer.say("go")
    answer = producer.finish()
    tally = worked_off(workspace, crew, jobs + WARM_JOBS, scale.compared_s_max, lambda: None)
    spent_s = processor_s([*site.keepers(), *crew.pids()]) - before_s + answer["cpu_s"]
    crew.kill()
    ran = tally.count - WARM_JOBS
    note = "" if ran == jobs else f"{ran:,} of {jobs:,} jobs within {scale.compared_s_max:.0f} s"
    comparison.add(END_TO_END, subject, [ran / (tally.last_at - answer["began_at"])], note=note)
    comparison.add(COST, subject, [spent_s / ran * 1_000], note=note)


def _latency(comparison: Comparison, subject: Contender, workspace: Workspace) -> None:
    scale = comparison.bench.scale
    site = subject.site(workspace)
    site.start("noted")
    crew = site.crew("noted")
    shape = ("--duration", str(scale.compared_s), "--gap", str(scale.compared_gap_s), "--warm", str(WARM_JOBS))
    producer = site.producer("paced", *shape)
    producer.line()
    warmed_up(workspace, crew)
    warm = bodies.read(workspace.bodies, notes=True).notes
    producer.say("go")
    jobs = producer.finish()["count"] + WARM_JOBS
    until(lambda: bodies.read(workspace.bodies).count >= jobs, "every job runs", START_S)
    notes = bodies.read(workspace.bodies, notes=True).notes
    for number in warm:
        notes.remove(number)
    if len(notes) != jobs - WARM_JOBS:
        raise BenchmarkFailed(f"{jobs - WARM_JOBS} jobs, but {len(notes)} bodies ran.")
    comparison.add(LATENCY_P50, subject, [percentile(notes, 50) / 1e6])
    comparison.add(LATENCY_P99, subject, [percentile(notes, 99) / 1e6])
    time.sleep(scale.memory_settle_s)
    comparison.add(MEMORY_IDLE, subject, [memory_mb([*site.keepers(), *crew.pids()])])
    crew.kill()


def _canvas(row: str, kind: str) -> Group:
    """A canvas: from before the call that starts it to its last body."""

    def run(comparison: Comparison, subject: Contender, workspace: Workspace) -> None:
        scale = comparison.bench.scale
        size = scale.compared_members if kind == "chord" else scale.compared_steps
        note = "" if row.endswith(f" {size:,}") else f"of {size:,}: this is a quick run"
        comparison.add(row, subject, [canvases.duration_s(subject, workspace, kind, size, GROUP_S_MAX)], note=note)

    return Group(row, ("workflow",), (row,), run)


def _recovery(comparison: Comparison, subject: Contender, workspace: Workspace) -> None:
    scale = comparison.bench.scale
    found = recovery(subject, workspace, scale.compared_kills, comparison.bench.recovery_s_max)
    note = subject.notes.get(RECOVERY, "")
    note = "; ".join(part for part in (note, found.said) if part)
    comparison.add(RECOVERY, subject, found.times_s, note=note, cap=comparison.bench.recovery_s_max)
    comparison.add(UNFINISHED, subject, [found.unfinished], note=found.told)
    comparison.add(TWICE, subject, [found.twice], note=found.told)


GROUPS = (
    Group("enqueue", ("enqueue",), (ONE_BY_ONE, BULK), _enqueue),
    _drain(NOOP, "noop"),
    _drain(RESULT, "result"),
    _drain(COMPUTE, "compute"),
    _drain(WAIT, "wait"),
    _drain(STEPS, "steps"),
    _canvas(CHORD, "chord"),
    _canvas(CHAIN, "chain"),
    Group("end to end", ("end_to_end",), (END_TO_END, COST), _end_to_end),
    Group("idle", ("latency", "memory"), (LATENCY_P50, LATENCY_P99, MEMORY_IDLE), _latency),
    Group("kills", ("recovery",), (RECOVERY, UNFINISHED, TWICE), _recovery, repeated=False),
)
