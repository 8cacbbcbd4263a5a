"""How deep JSON text is nested, told in one pass, a slice at a time.

Called once for each text, before any decoder sees it. The work grows with the length of the text alone, whatever is in
it; and no step of it is longer than a slice, so that other threads get their turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from operator import add
from typing import Final

from penstock.model import limits

SLICE_BYTES: Final = 64 * 1024
_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_BITS: Final = bytes.maketrans(b"[{]}", b"1100")
_LEAPS_PAY_BYTES: Final = range(1_024, 64 * 1_024)
_BACKSLASH: Final = ord("\\")


def _climbs(byte: int) -> list[int]:
    """How far from where it begins one is after each of eight brackets; a bit that is set opens."""
    return list(accumulate(1 if byte >> bit & 1 else -1 for bit in range(7, -1, -1)))


_NET: Final = [_climbs(byte)[-1] for byte in range(256)]
_PEAK: Final = [max(_climbs(byte)) for byte in range(256)]


def nested_too_deep(text: bytes) -> bool:
    """Whether JSON text is nested deeper than `limits.NESTING_MAX`. Exact for valid JSON, cheap for the usual job."""
    if len(text) <= 2 * limits.NESTING_MAX or _is_surely_flat(text):
        return False
    depth = quotes = 0
    for piece in _pieces(text):
        brackets, quotes = _outside_strings(piece, quotes)
        if _peak(brackets, depth) > limits.NESTING_MAX:
            return True
        depth += 2 * brackets.count(b"1") - len(brackets)
    return False


def _is_surely_flat(text: bytes) -> bool:
    """What is open anywhere in the first half was opened in it; in the second half, it is closed in it."""
    if len(text) < _LEAPS_PAY_BYTES.start:
        return text.count(b"[") + text.count(b"{") <= limits.NESTING_MAX
    middle = len(text) // 2
    return (
        _count(text[:middle], b"[", b"{") <= limits.NESTING_MAX
        and _count(text[middle:], b"]", b"}") <= limits.NESTING_MAX
    )


def _count(text: bytes, byte: bytes, other: bytes) -> int:
    """How often the two are there. `bytes.replace` leaps from one to the next where `bytes.count` looks at each byte,
    which pays where they are rare."""
    if len(text) in _LEAPS_PAY_BYTES:
        return len(text) - len(text.replace(byte, b"").replace(other, b""))
    return text.count(byte) + text.count(other)


def _pieces(text: bytes) -> Iterator[bytes]:
    """The text in slices, none of which begins with an escaped character."""
    at = 0
    while at < len(text):
        end = at + SLICE_BYTES
        piece = text[at:end]
        if piece[-1] == _BACKSLASH and (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            end += 1
            piece = text[at:end]
        yield piece
        at = end


def _outside_strings(piece: bytes, quotes: int) -> tuple[bytes, int]:
    """The brackets outside of strings, as ``1`` that opens and ``0`` that closes; the quotes up to its end.

    Args:
        piece: a slice of JSON text.
        quotes: before it; with an odd number it begins in a string.
    """
    if b"\\" in piece:
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Without two quotes side by side, every bracket is within a string or outside as before, and few strings are left.
    parts = piece.translate(_BITS, _NOT_STRUCTURE).replace(b'""', b"").split(b'"')
    return b"".join(parts[quotes % 2 :: 2]), quotes + len(parts) - 1


def _peak(brackets: bytes, depth: int) -> int:
    """How deep it gets, beginning at ``depth``, or an upper bound of that which is not too deep."""
    if depth + len(brackets) <= limits.NESTING_MAX:
        return depth + len(brackets)
    if not brackets:
        return depth
    # Eight brackets are looked at as one byte. What fills up the last of them closes, which is never a new peak.
    size = -(-len(brackets) // 8)
    packed = int(brackets.ljust(8 * size, b"0"), 2).to_bytes(size, "big")
    begins = accumulate(map(_NET.__getitem__, packed), initial=depth)
    highest: int = max(map(add, begins, map(_PEAK.__getitem__, packed)))
    return highest
