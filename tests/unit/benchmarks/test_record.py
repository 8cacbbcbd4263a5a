from __future__ import annotations

import json

import msgspec
import pytest

from benchmarks.record import Control, Measurement, Row, percentile


def measured(**changes):
    fields = {"suite": "drain", "row": "async", "subject": "penstock", "unit": "jobs/s", "values": [3.0, 1.0, 2.0]}
    return Measurement(**{**fields, **changes})


class TestRow:
    def test_has_the_fields_that_scripts_read(self):
        row = json.loads(msgspec.json.encode(measured(control=Control("sync", "syncs/s", [5.0, 7.0, 6.0])).as_row()))
        assert row == {
            "suite": "drain",
            "row": "async",
            "subject": "penstock",
            "value": 2.0,
            "unit": "jobs/s",
            "survives": ["worker-kill", "broker-kill", "power-cut"],
            "control": 6.0,
            "repeats": 3,
        }

    def test_without_a_control_says_null(self):
        assert measured().as_row().control is None
        assert measured(control=Control("sync", "syncs/s")).as_row().control is None

    def test_comes_back_as_it_went(self):
        row = measured().as_row()
        assert msgspec.json.decode(msgspec.json.encode(row), type=Row) == row

    @pytest.mark.parametrize(
        ("value", "kept"),
        [(0.0, 0.0), (123_456.7, 123_457.0), (1_234.5, 1_234.0), (12.3456, 12.35), (0.0123456, 0.01235)],
    )
    def test_claims_no_more_digits_than_were_measured(self, value, kept):
        assert measured(values=[value]).as_row().value == kept


class TestMeasurement:
    def test_is_the_median_of_its_repeats(self):
        assert measured(values=[9.0, 1.0, 2.0]).value == 2.0

    def test_does_not_average_a_worst_case_away(self):
        assert measured(values=[9.0, 1.0, 2.0], summary="max").value == 9.0
        assert measured(values=[9.0, 1.0, 2.0], summary="min").value == 1.0


class TestPercentile:
    def test_is_a_sample_that_enough_others_do_not_exceed(self):
        samples = [float(number) for number in range(1, 101)][::-1]
        assert percentile(samples, 50) == 50.0
        assert percentile(samples, 99) == 99.0
        assert percentile(samples, 100) == 100.0
        assert percentile([4.0], 1) == 4.0

    def test_of_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="no samples"):
            percentile([], 50)
