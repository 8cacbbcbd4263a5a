"""The memory of this process, and how long Python stood still to collect garbage, under the names of nsqd's figures."""

from __future__ import annotations

import gc
import os
import sys
from collections import deque
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

__all__ = ["GarbagePauses", "MemoryStatistics", "memory_statistics"]

_PAUSES_KEPT: Final = 256
_STATM: Final = Path("/proc/self/statm")
"""Where Linux says how much memory the process has, in pages; the second number is what is resident."""


class MemoryStatistics(Struct, frozen=True):
    """Figures of the heap. What Go tells and Python does not know is 0.

    Attributes:
        heap_objects: blocks that Python has allocated.
        heap_idle_bytes: 0.
        heap_in_use_bytes: what the process has in memory.
        heap_released_bytes: 0.
        gc_pause_usec_100: the longest of the last collections, in microseconds.
        gc_pause_usec_99: 99 of 100 were no longer.
        gc_pause_usec_95: 95 of 100 were no longer.
        next_gc_bytes: 0: Python counts objects, not bytes.
        gc_total_runs: collections since the process was started.
    """

    heap_objects: int
    heap_idle_bytes: int
    heap_in_use_bytes: int
    heap_released_bytes: int
    gc_pause_usec_100: int
    gc_pause_usec_99: int
    gc_pause_usec_95: int
    next_gc_bytes: int
    gc_total_runs: int

    def members(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


class GarbagePauses:
    """Notes how long each collection takes, from `begin` to `end`."""

    def __init__(self) -> None:
        self._pauses_ns: deque[int] = deque(maxlen=_PAUSES_KEPT)
        self._started_ns = 0

    def begin(self) -> None:
        """Note them from now on."""
        gc.callbacks.append(self._note)

    def end(self) -> None:
        """Note them no more."""
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)

    def _note(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._started_ns = perf_counter_ns()
        else:
            self._pauses_ns.append(perf_counter_ns() - self._started_ns)

    def percentile_us(self, percent: int) -> int:
        """The pause that so many of 100 of the last ones were no longer than, in microseconds; 0: there was none."""
        pauses = sorted(self._pauses_ns)
        if not pauses:
            return 0
        return pauses[min(len(pauses) - 1, len(pauses) * percent // 100)] // 1_000


def memory_statistics(pauses: GarbagePauses) -> MemoryStatistics:
    """The figures now."""
    return MemoryStatistics(
        heap_objects=sys.getallocatedblocks(),
        heap_idle_bytes=0,
        heap_in_use_bytes=resident_bytes(),
        heap_released_bytes=0,
        gc_pause_usec_100=pauses.percentile_us(100),
        gc_pause_usec_99=pauses.percentile_us(99),
        gc_pause_usec_95=pauses.percentile_us(95),
        next_gc_bytes=0,
        gc_total_runs=sum(generation["collections"] for generation in gc.get_stats()),
    )


def resident_bytes() -> int:
    """What this process has in memory; 0: the system does not say."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
