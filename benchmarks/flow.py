"""Flow control, topics and search, each figure beside plain work of the same run.

Each part is a module with the functions of a suite, and measures rows of its own.
"""

from __future__ import annotations

from typing import Final

from benchmarks import everything, fairness, limited, publishing
from benchmarks.harness import Bench
from benchmarks.subjects import Subject

ABOUT = (
    "what limits, fairness, unique jobs, topics and search cost; the control of each row is plain work of the same run"
)
PARTS: Final = (publishing, limited, fairness, everything)


def steps(bench: Bench) -> int:
    return sum(part.steps(bench) for part in PARTS)


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has none of this."""
    if subject.name == "penstock":
        for part in PARTS:
            part.run(bench, subject)
