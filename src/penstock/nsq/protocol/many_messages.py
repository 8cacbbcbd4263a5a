"""The messages of an MPUB: ``int32 count``, then for each ``int32 size`` and the message, big-endian. Pure."""

from __future__ import annotations

import struct
from typing import Final

from penstock.nsq.protocol import errors
from penstock.nsq.protocol.errors import ProtocolError

_MPUB: Final = "MPUB"
_size: Final = struct.Struct(">i").unpack_from


def cut_messages(data: bytes, at: int, count: int, size_max: int, bytes_max: int, bodies: list[bytes]) -> int:
    """Cut messages of an MPUB, each with its size before it, out of data until ``bodies`` has ``count`` of them.

    Args:
        data: what has arrived.
        at: where in it the next message begins.
        count: how many messages there are in all.
        size_max: how large a message may be.
        bytes_max: how many bytes from ``at`` on these messages may have.
        bodies: gets those that have arrived in whole.

    Returns:
        Where the first message begins that has not. With a full list: where they end.

    Raises:
        ProtocolError: a message is empty or too large, or they are together.
    """
    arrived = len(data)
    last = at + bytes_max
    append = bodies.append
    for index in range(len(bodies), count):
        start = at + 4
        if start > arrived:
            break
        size = _size(data, at)[0]
        if not 0 < size <= size_max:
            if size <= 0:
                raise ProtocolError(errors.E_BAD_MESSAGE, f"MPUB invalid message({index}) body size {size}", _MPUB)
            raise ProtocolError(errors.E_BAD_MESSAGE, f"MPUB message too big {size} > {size_max}", _MPUB)
        end = start + size
        if end > last:
            raise ProtocolError(errors.E_BAD_BODY, "MPUB body too big: its messages are more than its size", _MPUB)
        if end > arrived:
            break
        append(data[start:end])
        at = end
    return at


def message_count_of(data: bytes, at: int, body_size_max: int) -> int:
    """How many messages an MPUB has: the four bytes before the first.

    Raises:
        ProtocolError: none, or more than the largest body can have.
    """
    count: int = _size(data, at)[0]
    if not 0 < count <= (body_size_max - 4) // 5:
        raise ProtocolError(errors.E_BAD_BODY, f"MPUB invalid message count {count}", _MPUB)
    return count


def messages_of(body: bytes, msg_size_bytes_max: int, body_size_bytes_max: int) -> list[bytes]:
    """The messages of the whole body of an MPUB, as nsqd's HTTP API takes it too.

    Raises:
        ProtocolError: as the command does; and where the body ends before its last message does.
    """
    if len(body) < 4:
        raise ProtocolError(errors.E_BAD_BODY, "MPUB failed to read message count", _MPUB)
    count = message_count_of(body, 0, body_size_bytes_max)
    bodies: list[bytes] = []
    end = cut_messages(body, 4, count, msg_size_bytes_max, body_size_bytes_max - 4, bodies)
    if len(bodies) < count:
        what = "message body" if end + 4 <= len(body) else f"message({len(bodies)}) body size"
        raise ProtocolError(errors.E_BAD_MESSAGE, f"MPUB failed to read {what}", _MPUB)
    return bodies
