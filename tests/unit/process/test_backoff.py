"""Delays that grow."""

from __future__ import annotations

import pytest

from penstock.process.backoff import Backoff


def test_each_delay_is_factor_times_the_one_before_up_to_the_largest():
    backoff = Backoff(base_s=1.0, s_max=10.0, factor=2.0)
    assert [backoff.delay_s(failures) for failures in range(7)] == [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize("failures", [1_000, 10**9])
def test_many_failures_overflow_nothing(failures):
    assert Backoff(base_s=1.0, s_max=60.0, factor=10.0).delay_s(failures) == 60.0


def test_jitter_takes_away_at_most_its_part():
    backoff = Backoff(base_s=8.0, s_max=100.0, jitter=0.5)
    assert backoff.delay_s(1, lambda: 0.0) == 8.0
    assert backoff.delay_s(1, lambda: 1.0) == 4.0
    assert backoff.delay_s(1) == 8.0
