"""`make bench` works, at a size where the figures mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.nsq_peers import program

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {"suite", "row", "subject", "value", "unit", "survives", "control", "repeats"}


def bench(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--directory", str(directory / "work"), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.slow
def test_the_suites_run_and_leave_nothing_but_their_figures(tmp_path):
    run = bench(tmp_path, "drain", "memory", "--json", str(tmp_path / "figures.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert {row["suite"] for row in rows} == {"drain", "memory"}
    for row in rows:
        assert set(row) == FIELDS
        assert row["value"] > 0
        assert row["subject"] == "penstock"
    assert all(row["unit"] == "jobs/s" and row["control"] > 0 for row in rows if row["suite"] == "drain")
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.slow
def test_the_door_of_nsq_is_measured_beside_a_real_nsqd(tmp_path):
    program("nsqd")
    run = bench(tmp_path, "nsq", "--json", str(tmp_path / "figures.json"))
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())
    rates = [row for row in rows if row["unit"] == "messages/s" and row["subject"] == "penstock"]
    assert len(rates) == 6
    assert all(row["value"] > 0 and row["control"] > 0 for row in rates)
    assert len(rows) == len(rates) + 5
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.slow
def test_the_comparison_runs_without_rivals_and_makes_its_page(tmp_path):
    page = tmp_path / "benchmarks.md"
    run = bench(tmp_path, "side_by_side", "--recovery-s", "10", "--page", str(page))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "went wrong" not in page.read_text()
    assert "the best rival" not in page.read_text()
    assert (tmp_path / "benchmarks.svg").read_text().startswith("<svg")


def test_a_rival_that_does_not_exist_is_refused(tmp_path):
    run = bench(tmp_path, "--rival", "nobody")
    assert run.returncode == 2
    assert "no rival nobody" in run.stderr


def test_a_suite_that_does_not_exist_is_refused(tmp_path):
    run = bench(tmp_path, "speed")
    assert run.returncode == 2
    assert "there is no suite speed" in run.stderr
