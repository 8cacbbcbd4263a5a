"""The messages in a body of ``/mpub``: one a line, or each behind its length. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from penstock.nsq.http_routes import ApiError

__all__ = ["lines_of", "messages_of"]

_PART_BYTES: Final = 16 * 1024
_LENGTH_BYTES: Final = 4
_MESSAGE_BYTES_MIN: Final = 5
"""The least that a message takes of a body: its length, and a byte."""


def lines_of(body: bytes, message_bytes_max: int, count_max: int) -> Iterator[list[bytes]]:
    """The lines that are not empty, at most so many at a time: a body may have millions.

    Raises:
        ApiError: 413 ``MSG_TOO_BIG``, before any line is told.
    """
    if re.search(rb"[^\n]{%d}" % (message_bytes_max + 1), body) is not None:
        raise ApiError(413, "MSG_TOO_BIG")
    return _lines(body, count_max)


def _lines(body: bytes, count_max: int) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    at = 0
    while at < len(body):
        end = body.find(b"\n", at + _PART_BYTES)
        end = len(body) if end < 0 else end
        lines += filter(None, body[at:end].split(b"\n"))
        at = end + 1
        while len(lines) >= count_max:
            yield lines[:count_max]
            del lines[:count_max]
    if lines:
        yield lines


def messages_of(body: bytes, message_bytes_max: int, body_bytes_max: int) -> list[bytes]:
    """The messages behind their lengths, of which the first number says how many there are; what follows is left.

    Raises:
        ApiError: 413 ``BAD_BODY`` or ``BAD_MESSAGE``.
    """
    count = int.from_bytes(body[:_LENGTH_BYTES], "big", signed=True)
    if len(body) < _LENGTH_BYTES or not 0 < count <= (body_bytes_max - _LENGTH_BYTES) // _MESSAGE_BYTES_MIN:
        raise ApiError(413, "BAD_BODY")
    messages: list[bytes] = []
    at = _LENGTH_BYTES
    for _ in range(count):
        start = at + _LENGTH_BYTES
        size_bytes = int.from_bytes(body[at:start], "big", signed=True)
        at = start + size_bytes
        if start > len(body) or not 0 < size_bytes <= message_bytes_max or at > len(body):
            raise ApiError(413, "BAD_MESSAGE")
        messages.append(body[start:at])
    return messages
