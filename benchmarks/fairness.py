"""Fairness: how many jobs of others are leased before a newcomer's, and what turns cost beside plain jobs."""

from __future__ import annotations

from typing import Final

from benchmarks.harness import Bench
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject

SUITE: Final = "flow"
TENANTS: Final = (1, 10, 100)
_FIGURES: Final = (("enqueue", "enqueue in bulk"), ("drain", "lease and settle"))


def steps(bench: Bench) -> int:
    return bench.scale.repeats * (1 + len(TENANTS))


def run(bench: Bench, subject: Subject) -> None:
    """Measure, in the engine alone: without the wire, and without waiting for the disk."""
    jobs = bench.scale.fair_jobs
    plain = {field: Control("plain jobs", "jobs/s") for field, _ in _FIGURES}
    before = {
        tenants: bench.add(
            Measurement(
                SUITE, f"leased before a newcomer's, {_ahead(jobs, tenants)}", subject.name, "jobs", [], summary="max"
            )
        )
        for tenants in TENANTS
    }
    rates = {
        (tenants, field): bench.add(
            Measurement(SUITE, f"{what}, {tenants} tenants in turn", subject.name, "jobs/s", [], plain[field])
        )
        for tenants in TENANTS[-1:]
        for field, what in _FIGURES
    }
    for repeat in bench.repeats():
        for field, rate in _found(bench, jobs, 0, repeat).items():
            plain[field].values.append(rate)
        for tenants, row in before.items():
            found = _found(bench, jobs, tenants, repeat)
            row.values.append(found["before"])
            for field, _ in _FIGURES:
                if (tenants, field) in rates:
                    rates[tenants, field].values.append(found[field])


def _ahead(jobs: int, tenants: int) -> str:
    if tenants == 1:
        return f"{jobs:,} of one tenant ahead"
    return f"{jobs:,} of {tenants} tenants ahead"


def _found(bench: Bench, jobs: int, tenants: int, repeat: int) -> dict[str, float]:
    with bench.workspace(f"flow: {tenants or 'no'} tenants, {repeat + 1}") as workspace:
        arguments = (str(workspace.store), str(jobs), str(tenants))
        found: dict[str, float] = workspace.python("benchmarks.fair_probe", *arguments, talks=True).finish()
    return found
