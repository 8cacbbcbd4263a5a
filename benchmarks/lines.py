"""What leases and totals cost over many lines, against one, and behind many jobs of a task that nobody asked for."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.harness import Bench
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject

ABOUT = (
    "leases of 100 jobs of one task, enqueued in turn over all queues; the engine's own cost a job, without the commit "
    "and with it; the control of each row is that of one queue in this run"
)
FIGURES = (
    ("lease cost", "µs a job", "lease_us"),
    ("lease cost, committed", "µs a job", "committed_us"),
    ("totals", "µs", "totals_us"),
)


@dataclass(frozen=True, slots=True)
class Lines:
    """How many queues there are, and how many jobs of another task stand in front. ``name`` as in the table."""

    name: str
    queues: int
    unknown: int = 0


def settings(bench: Bench) -> list[Lines]:
    """That of one queue first."""
    few, many = bench.scale.lines_queues
    unknown = bench.scale.lines_unknown
    return [
        Lines("1 queue", 1),
        Lines(f"{few:,} queues", few),
        Lines(f"{many:,} queues", many),
        Lines(f"{unknown:,} of an unknown task in front", 1, unknown),
    ]


def steps(bench: Bench) -> int:
    return len(settings(bench)) * bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has no engine of ours to probe."""
    if subject.name != "penstock":
        return
    alone: dict[str, list[float]] = {}
    for lines in settings(bench):
        rows = {
            field: bench.add(Measurement("lines", f"{what}, {lines.name}", "penstock", unit, [], None))
            for what, unit, field in FIGURES
        }
        for repeat in bench.repeats():
            bench.steps.step(f"lines: {lines.name}, {repeat + 1}")
            with bench.workspace(f"lines: {lines.name}") as workspace:
                arguments = (str(workspace.store), str(lines.queues), str(lines.unknown), str(bench.scale.lines_probes))
                found = workspace.python("benchmarks.line_probe", *arguments, talks=True).finish()
            for field, row in rows.items():
                row.values.append(found[field])
        if not alone:
            alone = {field: list(row.values) for field, row in rows.items()}
            continue
        for what, unit, field in FIGURES:
            rows[field].control = Control("one queue", unit, alone[field])
            ratios = [a / b for a, b in zip(rows[field].values, alone[field], strict=True)]
            bench.add(Measurement("lines", f"{what}, {lines.name} over 1 queue", "penstock", "×", ratios))
