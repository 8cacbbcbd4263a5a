"""The retry policy is a pure value."""

from __future__ import annotations

import random
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.errors import InvalidOption
from penstock.tasks.retry import Retry, Snooze

RANDOM = random.Random(7)


def _waits(retry, count=6):
    return [retry.delay_s(attempt, RANDOM) for attempt in range(1, count + 1)]


def test_exponential_waits_multiply():
    assert _waits(Retry(base_s=2, factor=3, jitter=False), 4) == [2, 6, 18, 54]


def test_linear_waits_add():
    assert _waits(Retry(backoff="linear", base_s=2, jitter=False), 4) == [2, 4, 6, 8]


def test_fibonacci_waits_add_the_last_two():
    assert _waits(Retry(backoff="fibonacci", base_s=2, jitter=False)) == [2, 2, 4, 6, 10, 16]


def test_constant_waits_stay():
    assert _waits(Retry(backoff="constant", base_s=2, jitter=False), 3) == [2, 2, 2]


@given(
    backoff=st.sampled_from(["exponential", "linear", "constant", "fibonacci"]),
    attempt=st.integers(1, 2**31),
    base_s=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    max_s=st.floats(0, 1e6),
    jitter=st.booleans(),
)
def test_no_wait_is_negative_or_longer_than_its_most(backoff, attempt, base_s, factor, max_s, jitter):
    retry = Retry(backoff=backoff, base_s=base_s, factor=factor, max_s=max_s, jitter=jitter)
    assert 0 <= retry.delay_s(attempt, RANDOM) <= max_s


def test_jitter_spreads_over_the_whole_wait():
    waits = [Retry(base_s=10).delay_s(1, RANDOM) for _ in range(1000)]
    assert min(waits) < 1
    assert 9 < max(waits) <= 10


def test_the_last_attempt_is_the_last():
    retry = Retry(max_attempts=2, jitter=False)
    assert retry.decide(ValueError(), 1, RANDOM) == 1.0
    assert retry.decide(ValueError(), 2, RANDOM) is None


def test_an_exception_that_is_not_worth_it_ends_the_job_at_once():
    retry = Retry(on=(OSError,), jitter=False)
    assert retry.decide(ConnectionError(), 1, RANDOM) == 1.0
    assert retry.decide(ValueError(), 1, RANDOM) is None


def test_a_policy_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Retry().max_attempts = 3


@pytest.mark.parametrize(
    "field, value",
    [
        ("max_attempts", 0),
        ("max_attempts", True),
        ("max_attempts", 1.5),
        ("backoff", "slowly"),
        ("base_s", -1),
        ("base_s", "1"),
        ("factor", 0.5),
        ("factor", float("inf")),
        ("max_s", float("nan")),
        ("jitter", 1),
        ("on", ValueError),
        ("on", ("ValueError",)),
    ],
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(InvalidOption) as caught:
        Retry(**{field: value})
    assert caught.value.field == field


def test_a_snooze_says_for_how_long():
    assert Snooze(3).delay_s == 3.0
    with pytest.raises(InvalidOption):
        Snooze(-1)
