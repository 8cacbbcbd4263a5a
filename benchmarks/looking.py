"""How long a search that matches nothing holds up who wants something committed."""

from __future__ import annotations

import time

from benchmarks.depth import FILL_S_MAX
from benchmarks.harness import Bench
from benchmarks.record import Control, Measurement, percentile
from benchmarks.stock import TASK
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum

ABOUT = (
    "searches that match none of the jobs in the store, asked again and again; pages and steps are the engine's own "
    "processor time; a "
    "commit is one job enqueued and synced, one after another; its delay is its time beside the search less its time "
    "alone, each at the 99th percentile"
)
_BODY = b"m\x92\x90\x80"


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has no engine of ours to ask."""
    if subject.name != "penstock":
        return
    jobs = bench.scale.looking_jobs

    def row(name: str, control: Control | None = None) -> Measurement:
        return bench.add(Measurement("looking", name, "penstock", "ms", [], control))

    page, step = row("longest page of a search"), row("longest step of a bulk action")
    alone = Control("alone", "ms")
    beside, delay = row("commit beside a search, p99", alone), row("delay of a commit by a search")
    for repeat in bench.repeats():
        with bench.workspace(f"looking: {jobs:,} jobs, {repeat + 1}") as workspace:
            _fill(workspace, jobs)
            slices = workspace.python("benchmarks.searcher", "slices", str(workspace.store), talks=True).finish()
            page.values.append(slices["page_ms"])
            page.note = f"{slices['pages']:,} pages through {jobs:,} jobs, {slices['search_s']:.1f} s in all"
            step.values.append(slices["step_ms"])
            site = PenstockSite(workspace)
            site.start("benchmarks.roomy_owner")
            before = _commits(site, bench.scale.looking_commits)
            searcher = workspace.python("benchmarks.searcher", "beside", str(workspace.store), talks=True)
            searcher.line()
            during = _commits(site, bench.scale.looking_commits)
            searcher.say("enough")
            searched = searcher.finish()
            site.stop()
        alone.values.append(percentile(before, 99))
        beside.values.append(percentile(during, 99))
        delay.values.append(percentile(during, 99) - percentile(before, 99))
        longest = f"longest {max(during):.1f} ms, alone {max(before):.1f} ms"
        beside.note = f"{longest}; {searched['pages']:,.0f} pages meanwhile"


def _fill(workspace: Workspace, jobs: int) -> None:
    half = str(jobs // 2)
    filler = workspace.python("benchmarks.stock", str(workspace.store), "--ready", half, "--finished", half, talks=True)
    filler.line()
    filler.wait(FILL_S_MAX)


def _commits(site: PenstockSite, count: int) -> list[float]:
    """How long each of so many enqueues took, in milliseconds."""
    times: list[float] = []
    for _ in range(count):
        group = JobGroup(TASK, [JobEntry(new_id(), _BODY, checksum(_BODY))])
        before = time.perf_counter()
        site.client.enqueue([group])
        times.append((time.perf_counter() - before) * 1e3)
    return times
