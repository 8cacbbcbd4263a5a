"""Quantiles of latencies."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.door.latency import LatencyWindow, latency_json

QUANTILES = (1.0, 0.99, 0.5, 0.01)


def told(windows, quantiles=QUANTILES, now=0.0):
    answer = latency_json(windows, quantiles, now)
    return {one["quantile"]: one["value"] / 1e9 for one in answer["percentiles"]}


@given(st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=200), st.floats(0.001, 1.0))
def test_a_quantile_is_told_within_a_hundredth(latencies, quantile):
    window = LatencyWindow(600, 0.0)
    for latency_s in latencies:
        window.add(latency_s, 0.0)
    exact = sorted(latencies)[max(1, math.ceil(quantile * len(latencies))) - 1]
    assert told([window], [quantile])[quantile] == pytest.approx(exact, rel=0.0101, abs=1e-9)


def test_the_largest_is_told_as_it_is():
    window = LatencyWindow(600, 0.0)
    for latency_s in (0.001, 0.123456789):
        window.add(latency_s, 0.0)
    assert told([window])[1.0] == 0.123456789


def test_channels_of_a_topic_are_put_together():
    fast, slow = LatencyWindow(600, 0.0), LatencyWindow(600, 0.0)
    for _ in range(99):
        fast.add(0.01, 0.0)
    slow.add(10.0, 0.0)
    answer = latency_json([fast, slow], QUANTILES, 0.0)
    assert answer["count"] == 100
    found = told([fast, slow])
    assert found[0.99] == pytest.approx(0.01, rel=0.0101)
    assert found[1.0] == 10.0


def test_what_is_older_than_the_window_is_forgotten():
    window = LatencyWindow(10, 0.0)
    window.add(9.0, 1.0)
    assert told([window], now=4.9)[1.0] == 9.0
    window.add(1.0, 6.0)
    assert told([window], now=9.9)[1.0] == 9.0
    assert told([window], now=10.0)[1.0] == 1.0
    assert latency_json([window], QUANTILES, 1_000.0) == {
        "count": 0,
        "percentiles": [{"quantile": quantile, "value": 0} for quantile in QUANTILES],
    }


def test_a_long_silence_forgets_both_halves():
    window = LatencyWindow(10, 0.0)
    window.add(9.0, 1.0)
    window.add(1.0, 100.0)
    assert told([window], now=100.0)[1.0] == 1.0


def test_a_clock_that_was_set_back_between_two_hosts_is_no_negative_latency():
    window = LatencyWindow(10, 0.0)
    window.add(-5.0, 0.0)
    window.add(0.0, 0.0)
    assert told([window])[1.0] == 1e-6


def test_nothing_is_said_where_no_quantile_is_asked_for():
    assert latency_json([], (), 0.0) == {"count": 0, "percentiles": None}
