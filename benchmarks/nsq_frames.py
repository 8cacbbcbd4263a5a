"""What an NSQ client sends and gets, for clients that must cost next to nothing.

Commands are built beforehand, and what arrives is looked at in bulk.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Final

BODY_BYTES: Final = 200
OK_BYTES: Final = 10
"""A frame that says OK: size, kind, two letters."""
HEARTBEAT: Final = b"\0\0\0\x0f\0\0\0\0_heartbeat_"
MESSAGE_BYTES: Final = 34 + BODY_BYTES
"""A frame with a message: size, kind, time, attempts, id, body."""
_IDS: Final = struct.Struct(f">I4x8x2x16s{BODY_BYTES}x")
_SIZE: Final = struct.Struct(">I")


def body(number: int) -> bytes:
    """A body of the size that counts; its first eight bytes are the number."""
    return number.to_bytes(8, "big") + b"x" * (BODY_BYTES - 8)


def pub(topic: str, message: bytes) -> bytes:
    """PUB."""
    return f"PUB {topic}\n".encode() + _SIZE.pack(len(message)) + message


def mpub(topic: str, messages: Sequence[bytes]) -> bytes:
    """MPUB."""
    inner = _SIZE.pack(len(messages)) + b"".join(_SIZE.pack(len(one)) + one for one in messages)
    return f"MPUB {topic}\n".encode() + _SIZE.pack(len(inner)) + inner


def connect(port: int) -> socket.socket:
    """A connection that has introduced itself. For a minute there are no heartbeats among what comes."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    told = {"client_id": "benchmark", "user_agent": "benchmark", "heartbeat_interval": 60_000}
    words = json.dumps(told).encode()
    connection.sendall(b"  V2IDENTIFY\n" + _SIZE.pack(len(words)) + words)
    expect_ok(connection)
    return connection


def subscribe(connection: socket.socket, topic: str, channel: str) -> None:
    """SUB, answered."""
    connection.sendall(f"SUB {topic} {channel}\n".encode())
    expect_ok(connection)


def expect_ok(connection: socket.socket) -> None:
    """Read the answer OK.

    Raises:
        ValueError: something else came.
    """
    answer = read(connection, OK_BYTES)
    if answer[8:] != b"OK":
        raise ValueError(f"Instead of OK came {answer!r}.")


def read(connection: socket.socket, size_bytes: int) -> bytes:
    """So many bytes.

    Raises:
        ValueError: the connection ended.
    """
    got = bytearray()
    while len(got) < size_bytes:
        piece = connection.recv(size_bytes - len(got))
        if not piece:
            raise ValueError(f"The connection ended after {bytes(got)!r}.")
        got += piece
    return bytes(got)


def ids(frames: memoryview) -> list[bytes]:
    """The ids of the messages in whole frames.

    Raises:
        ValueError: something other than messages of our size has come.
    """
    rows = list(_IDS.iter_unpack(frames))
    if any(size != MESSAGE_BYTES - 4 for size, _ in rows):
        raise ValueError("Something other than a message came.")
    return [one for _, one in rows]


def fins(finished: Sequence[bytes]) -> bytes:
    """FIN of each of these."""
    return b"FIN " + b"\nFIN ".join(finished) + b"\n"
