"""What a lease costs, how fast jobs drain and how big the owner is, with little and with very much in the store."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks import bodies
from benchmarks.harness import Bench, sync_control
from benchmarks.processes import BenchmarkFailed, pss_mb, until
from benchmarks.record import Control, Measurement, percentile
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace
from penstock.model.job import LeaseRequest, Outcomes

ABOUT = (
    "the same probes at each depth; lease cost is the engine's own, without the sync; the worker drains the first jobs "
    "in line; the control of a deep row is the shallow one of this run"
)
PROBE_JOBS = 40
SETTLE_S = 1.0
FILL_S_MAX = 1_800.0
EXECUTORS = 2
_HOLDER = b"benchmarks.depth"


@dataclass(frozen=True, slots=True)
class Depth:
    """What lies in the store besides the ready jobs that are measured with. ``name`` as in the table."""

    name: str
    ready: int
    scheduled: int = 0
    finished: int = 0


@dataclass(slots=True)
class Figures:
    """One depth's measurements, a value a repeat."""

    lease_us: Measurement
    asked_us: Measurement
    drain: Measurement
    memory_mb: Measurement


def depths(bench: Bench) -> list[Depth]:
    """The shallow one first."""
    scale = bench.scale
    low = scale.depth_low
    return [
        Depth(f"{low:,} waiting", low),
        Depth(f"{scale.depth_high:,} waiting", scale.depth_high),
        Depth(f"{scale.depth_scheduled:,} far-future", low, scheduled=scale.depth_scheduled),
        Depth(f"{scale.depth_finished:,} finished", low, finished=scale.depth_finished),
    ]


def steps(bench: Bench) -> int:
    return 4 * (1 + bench.scale.repeats)


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has no engine of ours to probe."""
    if subject.name != "penstock":
        return
    shallow: Figures | None = None
    for depth in depths(bench):
        with bench.workspace(f"depth: filling, {depth.name}") as workspace:
            figures = _rows(bench, depth, shallow)
            for repeat in bench.repeats():
                _fill(workspace, depth)
                bench.steps.step(f"depth: {depth.name}, {repeat + 1}")
                _measure(bench, workspace, depth, figures)
        if shallow is not None and depth.ready > bench.scale.depth_low:
            _compare(bench, shallow, figures)
        shallow = shallow or figures


def _rows(bench: Bench, depth: Depth, shallow: Figures | None) -> Figures:
    def row(what: str, unit: str, field: str) -> Measurement:
        control = sync_control() if shallow is None and unit == "jobs/s" else None
        if shallow is not None:
            control = Control("shallow", unit, getattr(shallow, field).values)
        return bench.add(Measurement("depth", f"{what}, {depth.name}", "penstock", unit, [], control))

    return Figures(
        row("lease cost", "µs a job", "lease_us"),
        row("lease asked of the owner", "µs a job", "asked_us"),
        row("drain", "jobs/s", "drain"),
        row("owner's memory (PSS)", "MB", "memory_mb"),
    )


def _compare(bench: Bench, shallow: Figures, deep: Figures) -> None:
    ratios = [a / b for a, b in zip(deep.lease_us.values, shallow.lease_us.values, strict=True)]
    bench.add(Measurement("depth", "lease cost, deep over shallow", "penstock", "×", ratios))
    asked = [a / b for a, b in zip(deep.asked_us.values, shallow.asked_us.values, strict=True)]
    bench.add(Measurement("depth", "lease asked of the owner, deep over shallow", "penstock", "×", asked))


def _fill(workspace: Workspace, depth: Depth) -> None:
    filler = workspace.python(
        "benchmarks.stock",
        str(workspace.store),
        *("--ready", str(depth.ready), "--scheduled", str(depth.scheduled), "--finished", str(depth.finished)),
        talks=True,
    )
    filler.line()
    filler.wait(FILL_S_MAX)


def _measure(bench: Bench, workspace: Workspace, depth: Depth, figures: Figures) -> None:
    if figures.drain.control is not None and figures.drain.control.name != "shallow":
        figures.drain.control.values.append(bench.sync_rate(workspace))
    probes = bench.scale.depth_probes
    probe = workspace.python(
        "benchmarks.probe", str(workspace.store), str(probes), str(PROBE_JOBS), talks=True
    ).finish()
    figures.lease_us.values.append(probe["lease_us"])
    figures.lease_us.note = f"p99 {probe['lease_p99_us']:.1f} µs; settling {probe['settle_us']:.1f} µs"
    _fill(workspace, depth)
    site = PenstockSite(workspace)
    site.start("benchmarks.roomy_owner")
    assert site.owner is not None
    figures.asked_us.values.append(_ask(site, probes // 2))
    figures.drain.values.append(_drain(bench, workspace, site))
    time.sleep(min(SETTLE_S, bench.scale.memory_settle_s))
    figures.memory_mb.values.append(pss_mb(site.owner.pid))
    kept = site.ledger().stats.succeeded
    if kept < depth.finished:
        raise BenchmarkFailed(f"Of {depth.finished:,} finished records {kept:,} are left: they were trimmed meanwhile.")
    site.stop()


def _ask(site: PenstockSite, probes: int) -> float:
    """Microseconds a job, from asking the owner to having the leases, sync and all."""
    times: list[float] = []
    for _ in range(probes):
        before = time.perf_counter()
        batch = site.client.lease(LeaseRequest(_HOLDER, PROBE_JOBS))
        times.append((time.perf_counter() - before) / PROBE_JOBS * 1e6)
        if len(batch.jobs) != PROBE_JOBS:
            raise BenchmarkFailed("The store is not as deep as it should be.")
        # Given back, so that the next probe finds the same depth.
        site.client.settle(Outcomes(_HOLDER, released=list(range(batch.first_fence, batch.first_fence + PROBE_JOBS))))
    return percentile(times, 50)


def _drain(bench: Bench, workspace: Workspace, site: PenstockSite) -> float:
    """The rate at which the first bodies run: as many as the `drain` suite has, or all there are."""
    for path in workspace.bodies.glob("*.bodies"):
        path.unlink()
    jobs = min(bench.scale.drain_jobs, site.ledger().stats.ready)
    worker = site.start_worker(executors=EXECUTORS)
    tally = bodies.Tally()

    def enough() -> bool:
        nonlocal tally
        worker.check()
        tally = bodies.read(workspace.bodies)
        return tally.count >= jobs

    until(enough, "the first jobs have run", FILL_S_MAX)
    worker.stop()
    return tally.rate
