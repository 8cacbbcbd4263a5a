"""The messages in a body of ``/mpub``: one a line, or each behind its length. Pure."""

from __future__ import annotations

from typing import Final

from penstock.nsq.http_routes import ApiError

__all__ = ["lines_of", "messages_of"]

_LENGTH_BYTES: Final = 4
_MESSAGE_BYTES_MIN: Final = 5
"""The least that a message takes of a body: its length, and a byte."""


def lines_of(body: bytes, message_bytes_max: int) -> list[bytes]:
    """The lines that are not empty.

    Raises:
        ApiError: 413 ``MSG_TOO_BIG``.
    """
    lines = [line for line in body.split(b"\n") if line]
    if any(len(line) > message_bytes_max for line in lines):
        raise ApiError(413, "MSG_TOO_BIG")
    return lines


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
