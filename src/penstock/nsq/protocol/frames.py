"""What a daemon sends: ``int32 size | int32 type | data``, big-endian; the size counts what follows it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from penstock.nsq.protocol.errors import ProtocolError

RESPONSE: Final = 0
ERROR: Final = 1
MESSAGE: Final = 2

_HEAD: Final = struct.Struct(">ii")
MESSAGE_HEAD: Final = struct.Struct(">iiqH16s")
"""Of a message frame: its size, MESSAGE, the timestamp in nanoseconds, the number of this attempt, the id."""
MESSAGE_SIZE_BYTES: Final = 4 + 8 + 2 + 16
"""What of a message frame its size counts besides the body."""
MESSAGE_FRAME_BYTES: Final = MESSAGE_HEAD.size
"""What a message frame has besides the body."""
ATTEMPTS_MAX: Final = 65_535
"""The number of attempts has 16 bits. Beyond: it stays there."""

Sent = tuple[int, int, bytes, bytes]
"""A message as it is sent: its timestamp in nanoseconds, the number of this attempt, its id (16 bytes), its body."""


def response(data: bytes) -> bytes:
    """The frame of an answer."""
    return _HEAD.pack(len(data) + 4, RESPONSE) + data


def error_frame(error: ProtocolError) -> bytes:
    """The frame of an error."""
    data = error.data
    return _HEAD.pack(len(data) + 4, ERROR) + data


OK: Final = response(b"OK")
HEARTBEAT: Final = response(b"_heartbeat_")
CLOSE_WAIT: Final = response(b"CLOSE_WAIT")


def message_frame(timestamp_ns: int, attempt: int, message_id: bytes, body: bytes) -> bytes:
    """The frame of a message."""
    return MESSAGE_HEAD.pack(len(body) + MESSAGE_SIZE_BYTES, MESSAGE, timestamp_ns, attempt, message_id) + body


def message_frames(messages: Iterable[Sent]) -> bytes:
    """The frames of many messages, in one piece."""
    pack = MESSAGE_HEAD.pack
    parts: list[bytes] = []
    for timestamp_ns, attempt, message_id, body in messages:
        parts += pack(len(body) + MESSAGE_SIZE_BYTES, MESSAGE, timestamp_ns, attempt, message_id), body
    return b"".join(parts)
