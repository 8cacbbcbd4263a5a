from __future__ import annotations

import pytest

from benchmarks.record import Control, Measurement
from benchmarks.report import is_met, number


def measured(suite, row, value, control=None):
    kept = None if control is None else Control("sync", "", [control])
    return Measurement(suite, row, "penstock", "", [value], kept)


@pytest.mark.parametrize(
    ("suite", "row", "value", "control", "met"),
    [
        ("enqueue", "1 process", 800.0, 1_000.0, True),
        ("enqueue", "1 process", 799.0, 1_000.0, False),
        ("enqueue", "16 processes", 2_000.0, 1_000.0, True),
        ("enqueue", "16 processes, slowest share", 0.49, None, False),
        ("enqueue", "16 processes, worst wait", 251.0, None, False),
        ("latency", "p50", 1.4, 0.2, True),
        ("latency", "p50", 1.5, 0.2, False),
        ("latency", "p99", 4.9, 0.2, True),
        ("latency", "p99", 8.0, 2.0, True),
        ("latency", "p99", 8.1, 2.0, False),
        ("depth", "lease cost, deep over shallow", 1.2, None, True),
        ("flow", "publish, 3 channels", 800.0, 1_000.0, True),
        ("ingest", "300 bytes", 499.0, 1_000.0, False),
        ("memory", "penstock up, idle", 120.0, 9.0, True),
        ("workflow", "chord of 100,000 and its callback", 1.6, 1.0, True),
        ("workflow", "chord of 100,000 and its callback", 1.61, 1.0, False),
        ("workflow", "peak memory of the owner, chord of 1,000,000", 112.0, 100.0, False),
        ("workflow", "a slot to the body of its job, 1,000,000 schedules, p50", 51.0, 1.0, False),
        ("side_by_side", "drain, functions of 10 durable steps", 50.0, 10.0, True),
        ("side_by_side", "drain, functions of 10 durable steps", 49.0, 10.0, False),
    ],
)
def test_a_figure_is_held_against_its_target_and_its_control(suite, row, value, control, met):
    assert is_met(measured(suite, row, value, control)) is met


def test_nothing_is_asked_of_a_row_without_a_target():
    assert is_met(measured("memory", "gate", 1e9)) is None


def test_nothing_is_asked_of_a_figure_that_has_nothing_beside_it():
    assert is_met(measured("side_by_side", "drain, functions of 10 durable steps", 50.0)) is None


@pytest.mark.parametrize(
    ("value", "text"), [(123_456.7, "123,457"), (999.6, "1000"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23")]
)
def test_figures_are_written_as_people_do(value, text):
    assert number(value) == text
