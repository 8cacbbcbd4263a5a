from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks import chains, chords, durable_functions, firing, workflow
from benchmarks.harness import Bench
from benchmarks.report import Steps
from benchmarks.scale import FULL, QUICK
from benchmarks.targets import TARGETS


class Subject:
    def __init__(self, name):
        self.name = name


PEAKS_MB = {"producer": 1.0, "owner": 2.0, "supervisor": 3.0, "executor": 4.0}


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Runs the suite of a scale without doing anything, and answers its rows by name."""
    monkeypatch.setattr(chords, "_plain", lambda _, jobs: (jobs / 1e5, "nothing"))
    monkeypatch.setattr(chords, "_chord", lambda _, members: chords.Ran(members / 1e5, 0.1, 0.1, PEAKS_MB, "nothing"))
    monkeypatch.setattr(chains, "_chained", lambda *_: chains.Ran(1.0, 1.2, 30.0))
    monkeypatch.setattr(durable_functions, "_drained", lambda *_: 500.0)
    monkeypatch.setattr(firing, "_firing_us", lambda _bench, _workspace, schedules: float(schedules))
    monkeypatch.setattr(firing, "_lateness", lambda *_: ([1.0], [2.0]))

    def rows(scale, name="penstock"):
        bench = Bench(scale, tmp_path, Steps(Console(file=io.StringIO())))
        workflow.run(bench, Subject(name))
        return {one.row: one for one in bench.measurements}

    return rows


def test_every_target_of_the_suite_is_of_a_row_of_a_full_run(rows):
    found = rows(FULL)
    assert {row for suite, row in TARGETS if suite == "workflow"} <= set(found)
    for one in found.values():
        assert one.values


def test_a_quick_run_is_held_against_no_target_of_a_size(rows):
    quick = {row for row in rows(QUICK) if ("workflow", row) in TARGETS}
    assert quick == set()


def test_rows_stand_beside_their_controls(rows):
    found = rows(FULL)
    assert found["chord of 100,000 and its callback"].control_value == 1.0
    assert found["peak memory of the owner, chord of 1,000,000"].control.values == [2.0] * FULL.repeats
    assert found["a firing, 1,000,000 schedules in the store"].control_value == 1_000.0
    assert found["chain of 1,000, a step"].control_value == 1.0


def test_who_is_not_penstock_has_none_of_this(rows):
    assert rows(QUICK, "somebody") == {}


def test_steps_are_as_many_as_workspaces(tmp_path, rows, monkeypatch):
    opened = []
    monkeypatch.setattr(Steps, "step", lambda _, text: opened.append(text))
    rows(QUICK)
    assert len(opened) == workflow.steps(Bench(QUICK, tmp_path, Steps(Console(file=io.StringIO()))))
