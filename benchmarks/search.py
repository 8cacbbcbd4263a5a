"""How long a page of jobs takes to be found among very many."""

from __future__ import annotations

from benchmarks.depth import FILL_S_MAX
from benchmarks.harness import Bench
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject

ABOUT = (
    "pages of 100 jobs, in the engine's own process, the slowest of 20 of each kind; most jobs in the file have ended; "
    "what an index leads to, then a search that all jobs are gone through for, and what being found costs a job from "
    "enqueueing to settling"
)


def steps(bench: Bench) -> int:
    return 2 * bench.scale.search_repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has no engine of ours to ask."""
    if subject.name != "penstock":
        return
    finished, ready = bench.scale.search_finished, bench.scale.search_ready

    def row(name: str, unit: str, control: Control | None = None) -> Measurement:
        return bench.add(Measurement("search", name, "penstock", unit, [], control))

    slowest = row("slowest page that an index leads to", "ms")
    pages: dict[str, Measurement] = {}
    piece, walk = row("longest slice of a search through all jobs", "ms"), row("search through all jobs", "s")
    counts = row("dead jobs by task and error", "µs")
    plain = Control("without", "µs a job")
    cost = row("job with two searchable arguments", "µs a job", plain)
    for repeat in range(bench.scale.search_repeats):
        with bench.workspace(f"search: filling, {repeat + 1}") as workspace:
            amounts = (str(workspace.store), str(finished), str(ready))
            filler = workspace.python("benchmarks.search_stock", *amounts, talks=True)
            filler.line()
            filler.wait(FILL_S_MAX)
            bench.steps.step(f"search: {repeat + 1}")
            probe = workspace.python("benchmarks.search_probe", *amounts, talks=True)
            found = probe.finish()
        for name, value in found["pages_ms"].items():
            if name not in pages:
                pages[name] = row(f"page: {name}", "ms")
            pages[name].values.append(value)
        worst = max(found["pages_ms"], key=found["pages_ms"].get)
        slowest.values.append(found["pages_ms"][worst])
        slowest.note = f"{finished + ready:,} jobs, {finished:,} of them have ended; it is: {worst}"
        piece.values.append(found["slice_ms"])
        walk.values.append(found["walk_s"])
        walk.note = f"{found['slices']:,} slices"
        counts.values.append(found["counts_us"])
        plain.values.append(found["plain_us"])
        cost.values.append(found["searchable_us"])
