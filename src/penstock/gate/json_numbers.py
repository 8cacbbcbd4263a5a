"""Numbers in JSON text that no decoder of ours takes: too large for a float, or of too many digits for an int.

Arguments whose values need not be made at the door are skipped by the decoder, which lets such numbers pass. They are
found here, so that the sender hears of them and not the worker.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from penstock.model import limits

_OUTLINE: Final = bytes(
    ord("0") if chr(byte) in "0123456789" else ord("e") if chr(byte) in "eE" else ord("+" if byte == ord("+") else " ")
    for byte in range(256)
)
_LARGE_EXPONENT: Final = b"0e000"
_LARGE_SIGNED: Final = b"0e+000"
_MANY_DIGITS: Final = 200
"""With fewer digits and an exponent of two, a number is less than 1e300."""
_DIGITS: Final = b"0" * _MANY_DIGITS
_SOME_DIGITS: Final = b"0" * 24
_DIGITS_PER_RUN_MAX: Final = 2 * _MANY_DIGITS
"""A number has fewer digits than this for each run of `_MANY_DIGITS` in it."""
_PART: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(-?[0-9][-+.0-9eE]*+)|[^"0-9-]{1,65535}+', re.DOTALL)
"""A string, a number, or a stretch of all else, not so long that finding its end takes long."""


def _is_decoded(text: bytes | memoryview) -> bool:
    """Whether it is decoded. Not for large texts: it may take long."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def unfit_number(text: bytes | memoryview) -> str | None:
    """What is wrong with the first number in JSON text that cannot be decoded; None: there is none."""
    if len(text) <= limits.GATE_LOOP_BYTES_MAX and _is_decoded(text):
        return None
    outline = bytes(text).translate(_OUTLINE)
    if (
        _LARGE_EXPONENT not in outline
        and _LARGE_SIGNED not in outline
        # To begin to look for many digits costs more than to look for some.
        and (_SOME_DIGITS not in outline or _DIGITS not in outline)
    ):
        return None
    for found in _PART.finditer(text):
        number = found[1]
        if number is not None and (len(number) >= _MANY_DIGITS or b"e" in number or b"E" in number):
            try:
                msgspec.json.decode(number)
            except msgspec.DecodeError as error:
                return str(error)
    return None


def digits_of_long_integers(text: bytes, most: int) -> int:
    """How many digits the integers of `_MANY_DIGITS` and more have together; 0 where it is plain that it is not over
    ``most``. To make one and to write it takes time by the square of its length."""
    if text.translate(_OUTLINE).count(_DIGITS) * _DIGITS_PER_RUN_MAX <= most:
        return 0
    numbers = (found[1] for found in _PART.finditer(text))
    return sum(len(one) for one in numbers if one and len(one) >= _MANY_DIGITS and one.lstrip(b"-").isdigit())
