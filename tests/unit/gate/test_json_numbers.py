"""Numbers that no decoder of ours takes are found without decoding the rest."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gate.json_numbers import digits_of_long_integers, unfit_number
from penstock.model import limits

LARGE = b'"' + b"x" * limits.GATE_LOOP_BYTES_MAX + b'"'
"""So much text that it is not decoded to find out."""
UNFIT = [b"1e999", b"-1e400", b"1E+999", b"9" * 400 + b"e1", b"1" * 5_000]
FIT = [b"1e308", b"-1e-999", b"0", b"1.5e+300", b"9" * 100, b"1" * 300]


def decoded(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


@pytest.mark.parametrize("around", [b"[%b]", b"[" + LARGE + b",%b]", b"[%b," + LARGE + b"]", b'{"a":%b}'])
@pytest.mark.parametrize("number", [*UNFIT, *FIT])
def test_a_number_is_unfit_where_it_cannot_be_decoded(around: bytes, number: bytes) -> None:
    text = around.replace(b"%b", number)
    assert (unfit_number(text) is None) == decoded(text)


@pytest.mark.parametrize("number", UNFIT)
def test_what_stands_in_a_string_is_no_number(number: bytes) -> None:
    for string in (b'"%b"', b'"\\"%b"', b'"\\\\\\"%b\\""'):
        assert unfit_number(b"[" + LARGE + b"," + string.replace(b"%b", number) + b"]") is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(), max_size=20))
def test_what_json_writes_is_fit(values: list[object]) -> None:
    text = b"[" + LARGE + b"," + json.dumps(values).encode() + b"]"
    if decoded(text):
        assert unfit_number(text) is None


def test_digits_of_long_integers_are_counted() -> None:
    text = b"[%b,%b,1.5e3,%b]" % (b"1" * 250, b"-" + b"2" * 300, b"3" * 100)
    assert digits_of_long_integers(text, 100) == 250 + 301
    assert digits_of_long_integers(text, 10_000) == 0
    assert digits_of_long_integers(b'["%b"]' % (b"1" * 900), 100) == 0
