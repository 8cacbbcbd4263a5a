"""A chord beside as many plain jobs whose results are kept, and the memory of each process beside a smaller one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from benchmarks import bodies
from benchmarks.drain import drained
from benchmarks.harness import Bench
from benchmarks.processes import START_S, BenchmarkFailed, Child, Spending, descendants, peak_mb, until
from benchmarks.producer import SMALL
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace

SUITE: Final = "workflow"
EXECUTORS: Final = 2
BATCH_JOBS: Final = 2_000
"""Plain jobs in one call: as many as members of a chord are."""
ROLES: Final = {
    "producer": "the producer",
    "owner": "the owner",
    "supervisor": "the supervisor",
    "executor": "an executor",
}
_WARM: Final = SMALL + 1


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a chord.

    Attributes:
        duration_s: from before the call that starts it to the start of its callback.
        read_s: from there until its result, the sum of all the members' results, is known to whoever asked.
        sent_s: until all members are accepted.
        peaks_mb: by role.
        spent: processor time a member, for people.
    """

    duration_s: float
    read_s: float
    sent_s: float
    peaks_mb: dict[str, float]
    spent: str


def steps(bench: Bench) -> int:
    return bench.scale.repeats * 2 + 1


def run(bench: Bench, subject: Subject) -> None:
    """Measure."""
    members, many = bench.scale.chord_members, bench.scale.chord_members_many
    plain = Control(f"{members:,} plain jobs, results kept", "s")
    took = bench.add(Measurement(SUITE, f"chord of {members:,} and its callback", subject.name, "s", [], plain))
    few: dict[str, list[float]] = {role: [] for role in ROLES}
    for repeat in bench.repeats():
        with bench.workspace(f"workflow: {members:,} plain jobs, {repeat + 1}") as workspace:
            duration_s, spent = _plain(workspace, members)
        plain.values.append(duration_s)
        with bench.workspace(f"workflow: chord of {members:,}, {repeat + 1}") as workspace:
            ran = _chord(workspace, members)
        took.values.append(ran.duration_s)
        took.note = f"{_told(ran)}; plain jobs: {spent}"
        for role, peak in ran.peaks_mb.items():
            few[role].append(peak)
    with bench.workspace(f"workflow: chord of {many:,}") as workspace:
        ran = _chord(workspace, many)
    bench.add(
        Measurement(SUITE, f"chord of {many:,} and its callback", subject.name, "s", [ran.duration_s], note=_told(ran))
    )
    for role, name in ROLES.items():
        control = Control(f"chord of {members:,}", "MB", few[role])
        row = f"peak memory of {name}, chord of {many:,}"
        bench.add(Measurement(SUITE, row, subject.name, "MB", [ran.peaks_mb[role]], control))


def _told(ran: Ran) -> str:
    read = f"all results read {ran.read_s:.2f} s after the callback began"
    return f"all accepted after {ran.sent_s:.2f} s; {read}; {ran.spent}"


def _plain(workspace: Workspace, jobs: int) -> tuple[float, str]:
    """From before the first call to the last body; and processor time a job."""
    site, worker = _started(workspace)
    shape = ("--jobs", str(jobs), "--batch", str(BATCH_JOBS), "--task", "result")
    warm = site.producer("bulk", "--jobs", str(_WARM), "--batch", "1", "--task", "result")
    warm.line()
    warm.say("go")
    warm.finish()
    until(lambda: bodies.read(workspace.bodies).count == _WARM, "the warm-up jobs run", START_S)
    producer = site.producer("bulk", *shape)
    producer.line()
    spending = Spending(_working(site, worker))
    producer.say("go")
    answer = producer.finish()
    tally = drained(site, workspace, worker, jobs + _WARM)
    return tally.last_at - answer["began_at"], spending.per_job(jobs, {"producer": answer["cpu_s"]})


def _chord(workspace: Workspace, members: int) -> Ran:
    site, worker = _started(workspace)
    producer = site.producer("chord", "--jobs", str(members))
    producer.line()
    spending = Spending(_working(site, worker))
    producer.say("go")
    answer: dict[str, Any] = producer.finish()
    spent = spending.per_job(members, {"producer": answer["cpu_s"]})
    tally = drained(site, workspace, worker, members + 1 + _WARM)
    began = answer["began_at"]
    return Ran(
        duration_s=tally.last_at - began,
        read_s=answer["ended_at"] - tally.last_at,
        sent_s=answer["sent_at"] - began,
        peaks_mb={
            "producer": answer["peak_mb"],
            "owner": max(map(peak_mb, site.keepers().values())),
            "supervisor": peak_mb(worker.pid),
            "executor": max(map(peak_mb, descendants(worker.pid))),
        },
        spent=spent,
    )


def _started(workspace: Workspace) -> tuple[PenstockSite, Child]:
    site = PenstockSite(workspace)
    site.start()
    return site, site.start_worker(executors=EXECUTORS)


def _working(site: PenstockSite, worker: Child) -> dict[str, list[int]]:
    """Called when jobs have run.

    Raises:
        BenchmarkFailed: there are no executors.
    """
    executors = descendants(worker.pid)
    if not executors:
        raise BenchmarkFailed("The worker has no executors.")
    owners = list(site.keepers().values())
    return {"owner": owners, "supervisor": [worker.pid], "executors": executors}
