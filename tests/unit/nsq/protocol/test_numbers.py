"""Numbers of 64 bits that overflow as nsqd's do."""

from __future__ import annotations

import pytest

from penstock.nsq.protocol.numbers import duration_ms, int64, uint64


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        (b"", 0),
        (b"0", 0),
        (b"007", 7),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 0),
        (b"9" * 16_000, (10**16_000 - 1) % 2**64),
        (b"-1", None),
        (b"+1", None),
        (b"1.0", None),
        (b" 1", None),
        (b"1_0", None),
        ("١".encode(), None),
    ],
)
def test_digits(digits, number):
    assert uint64(digits) == number


@pytest.mark.parametrize(("number", "signed"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)])
def test_the_sign_is_the_highest_bit(number, signed):
    assert int64(number) == signed


@pytest.mark.parametrize(
    ("number_ms", "duration"),
    [
        (0, 0),
        (3_600_000, 3_600_000),
        (10**12, 10**12),
        ((2**63 - 1) // 10**6, (2**63 - 1) // 10**6),
        ((2**63 - 1) // 10**6 + 1, -((2**63 - 1) // 10**6) - 1),
        (2**64 - 1, -1),
    ],
)
def test_a_duration_is_one_of_nanoseconds(number_ms, duration):
    assert duration_ms(number_ms) == duration
