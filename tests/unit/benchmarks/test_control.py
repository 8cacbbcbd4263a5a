from __future__ import annotations

from benchmarks import control


def test_back_to_back_leaves_no_file_and_counts_its_syncs(tmp_path):
    found = control.back_to_back(tmp_path, 0.01)
    assert found.rate > 0
    assert found.p50_ms <= found.p99_ms <= found.worst_ms
    assert not list(tmp_path.iterdir())


def test_spaced_leaves_no_file(tmp_path):
    found = control.spaced(tmp_path, 3, 0.0)
    assert found.p50_ms <= found.worst_ms
    assert not list(tmp_path.iterdir())
