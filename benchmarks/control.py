"""The control: what a plain append and `fdatasync` cost on this disk, in this run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.record import percentile

APPEND_BYTES: Final = 512
"""About what one small job comes to in a file."""


@dataclass(frozen=True, slots=True)
class Syncs:
    """Appends, each synced before the next. Times in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float


def back_to_back(directory: Path, duration_s: float) -> Syncs:
    """Append and sync as fast as it goes, for so long."""
    path = directory / "control"
    samples: list[float] = []
    with path.open("wb", buffering=0) as file:
        block = os.urandom(APPEND_BYTES)
        began = now = time.perf_counter()
        while now - began < duration_s:
            before = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            now = time.perf_counter()
            samples.append(now - before)
    path.unlink()
    return _summed(samples, now - began)


def spaced(directory: Path, count: int, gap_s: float) -> Syncs:
    """So many appends with a pause before each: what a lone sync costs on an idle disk."""
    path = directory / "control"
    samples: list[float] = []
    with path.open("wb", buffering=0) as file:
        block = os.urandom(APPEND_BYTES)
        for _ in range(count):
            time.sleep(gap_s)
            before = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            samples.append(time.perf_counter() - before)
    path.unlink()
    return _summed(samples, sum(samples))


def _summed(samples: list[float], elapsed_s: float) -> Syncs:
    return Syncs(
        rate=len(samples) / elapsed_s,
        p50_ms=percentile(samples, 50) * 1000,
        p99_ms=percentile(samples, 99) * 1000,
        worst_ms=max(samples) * 1000,
    )
