"""Numbers in the lines of commands, as nsqd reads them: 64 bits that overflow without a word. Pure."""

from __future__ import annotations

from typing import Final

_INT64: Final = 1 << 64
_NS_OF_MS: Final = 1_000_000
_SAFE_MS: Final = 10**12
"""So many milliseconds are less than 2**63 nanoseconds."""
_DIGITS_THAT_COUNT: Final = 64
"""2**64 divides 10**64, so no digit further left changes a number of 64 bits."""


def uint64(digits: bytes) -> int | None:
    """A number of digits, modulo 2**64; no digits at all are 0; None: it is no number."""
    if digits.isdigit():
        return int(digits[-_DIGITS_THAT_COUNT:]) % _INT64
    return None if digits else 0


def int64(number: int) -> int:
    """The same 64 bits as a number with a sign."""
    return (number + _INT64 // 2) % _INT64 - _INT64 // 2


def duration_ms(number_ms: int) -> int:
    """A number of milliseconds once it is one of nanoseconds in 64 bits with a sign, as nsqd has it."""
    return number_ms if number_ms < _SAFE_MS else int64(number_ms * _NS_OF_MS) // _NS_OF_MS
