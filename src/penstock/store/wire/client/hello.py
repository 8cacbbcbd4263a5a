"""The hello, as a client says it."""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

from penstock.store.wire import protocol
from penstock.store.wire.client.session import Session

_HELLO: Final = 0
_READ_BYTES: Final = 4096


def hello_frame(session: Session, role: str) -> bytes:
    """The first frame of a connection."""
    hello = protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), session.identity, role, session.lowest)
    return protocol.frame(protocol.HELLO, _HELLO, protocol.encode(hello))


def greet(sock: socket.socket, session: Session, role: str, until: float) -> protocol.Welcome:
    """Say hello on a new connection, with patience until ``until`` (monotonic seconds).

    Raises:
        OSError: the owner does not answer, or closes.
        PenstockError: its reason to refuse.
    """
    sock.settimeout(max(0.001, until - time.monotonic()))
    sock.sendall(hello_frame(session, role))
    reader = protocol.FrameReader()
    frames: list[protocol.Frame] = []
    while not frames:
        sock.settimeout(max(0.001, until - time.monotonic()))
        data = sock.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("it closed the connection")
        frames = reader.feed(data)
    # Nothing else was asked yet, so nothing else can have come.
    kind, _, payload = frames[0]
    if kind != protocol.ANSWER:
        raise protocol.error_of(payload)
    return protocol.decode_welcome(payload)


def look_up_every(sock: socket.socket, pause_s: float) -> None:
    """Let blocking calls return with BlockingIOError this often, without a system call more for each of them."""
    whole = int(pause_s)
    duration = struct.pack("ll", whole, max(1, int((pause_s - whole) * 1_000_000)))
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, duration)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, duration)
