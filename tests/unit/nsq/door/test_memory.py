"""Figures of the process's own memory."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from penstock.nsq.door import memory
from penstock.nsq.door.memory import GarbagePauses, memory_statistics, resident_bytes


def test_pauses_are_noted_between_the_beginning_and_the_end() -> None:
    pauses = GarbagePauses()
    assert pauses.percentile_us(100) == 0
    before = list(gc.callbacks)
    pauses.begin()
    gc.collect()
    pauses.end()
    pauses.end()
    assert gc.callbacks == before
    assert len(pauses._pauses_ns) == 1


def test_which_pause_stands_for_how_many() -> None:
    pauses = GarbagePauses()
    pauses._pauses_ns.extend(1_000 * number for number in range(1, 101))
    assert [pauses.percentile_us(percent) for percent in (0, 95, 99, 100)] == [1, 96, 100, 100]


def test_figures() -> None:
    found = memory_statistics(GarbagePauses())
    assert found.heap_objects > 1_000
    assert found.heap_in_use_bytes == 0 or found.heap_in_use_bytes > 1_000_000
    assert list(found.members())[:2] == ["heap_objects", "heap_idle_bytes"]
    gc.collect()
    assert memory_statistics(GarbagePauses()).gc_total_runs > found.gc_total_runs


def test_where_the_system_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert resident_bytes() > 1_000_000
    for text in (None, "", "what this"):
        path = tmp_path / "statm"
        if text is not None:
            path.write_text(text)
        monkeypatch.setattr(memory, "_STATM", path)
        assert resident_bytes() == 0
