"""Workflows, durable steps and schedules, each figure beside plain work of the same run.

Each part is a module with the functions of a suite, and measures rows of its own.
"""

from __future__ import annotations

from typing import Final

from benchmarks import chains, chords, durable_functions, firing
from benchmarks.harness import Bench
from benchmarks.subjects import Subject

ABOUT = (
    "a chord: from before the call that starts it to the start of its callback, beside as many plain jobs with results"
    " kept; the most memory that each process has had, beside a chord of a tenth; a chain: each step, beside the idle"
    " latency of single jobs in the same worker; functions of ten durable steps that wait already, beside functions"
    " without; a firing: the engine's processor time, beside a store with a thousand schedules; how late the job of a"
    " slot runs, beside jobs with run_at. Two executors. Canvases and durable steps of rivals: RIVALS=1"
)
PARTS: Final = (chords, chains, durable_functions, firing)


def steps(bench: Bench) -> int:
    return sum(part.steps(bench) for part in PARTS)


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has none of this."""
    if subject.name == "penstock":
        for part in PARTS:
            part.run(bench, subject)
