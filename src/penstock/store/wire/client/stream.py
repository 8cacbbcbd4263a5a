"""What a blocking client does with its socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Final

_LOOK_S: Final = 0.0008
"""How long to look for an answer: longer than waking up takes, and than most commits of an idle machine."""
_YIELD_S: Final = 0.0001
"""When yielding takes longer than this, somebody else wants the processor, and looking would only be in the way."""


def send_at_once(sock: socket.socket, frame: bytes) -> bool:
    """Whether all of a frame went out; if not, the connection is over: half a frame must not be followed by another."""
    try:
        if sock.send(frame, socket.MSG_DONTWAIT) == len(frame):
            return True
    except OSError:
        pass
    shut(sock)
    return False


def send_whole(sock: socket.socket, frame: bytes, deadline: float) -> None:
    """Send all of a frame by ``deadline`` (monotonic seconds), or break the connection."""
    data: bytes | memoryview = frame
    try:
        while True:
            try:
                sent = sock.send(data)
            except BlockingIOError:
                sent = 0
                if time.monotonic() >= deadline:
                    raise
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
    except OSError:
        shut(sock)
    except BaseException:
        shut(sock)
        raise


def look(sock: socket.socket, buffer: memoryview) -> int:
    """Receive what comes soon without sleeping, while nobody else wants the processor. Answers the bytes; 0: none came,
    or the connection is over.
    """
    before = time.perf_counter()
    until = before + _LOOK_S
    while True:
        try:
            return sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            os.sched_yield()
        now = time.perf_counter()
        if now >= until or now - before > _YIELD_S:
            return 0
        before = now


def shut(sock: socket.socket) -> None:
    """Have whoever reads or sends notice that this connection is over."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def surely(act: Callable[..., None], *arguments: object) -> None:
    """Do what clears up, from its beginning again each time it is interrupted. The last interrupt goes on.

    Written out, because between a loop's rounds an interrupt would find nobody to do it again.
    """
    try:
        act(*arguments)
    except BaseException:
        try:
            act(*arguments)
        except BaseException:
            try:
                act(*arguments)
            except BaseException:
                act(*arguments)
                raise
            raise
        raise
