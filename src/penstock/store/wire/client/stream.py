"""One connection of the client for threads: connecting, sending frames, receiving frames.

`penstock.store.wire.client.exchange` makes a `Stream` for each connection and throws it away when the connection ends.
It lets at most one thread send and at most one thread receive at a time; the two may be different threads.

A thread may be interrupted between any two steps, by Ctrl-C or by a job's time limit. Bytes may then have been sent or
received of which no other thread knows. Interrupted sending is found out here: the mark `_is_sending` is set before the
first byte and taken back after the last. Interrupted receiving is found out by the exchange, which knows who receives.
In both cases the connection is ended; nobody tries to find the next frame on it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from typing import Final

from penstock.store.wire import protocol
from penstock.store.wire.client.reach import Dial

_WELCOME_BYTES: Final = 4096
_READ_BYTES: Final = 256 * 1024
_LOOK_S: Final = 0.0008
"""How long to look for an answer: longer than waking up takes, and than most commits of an idle machine."""
_YIELD_S: Final = 0.0001
"""When yielding takes longer than this, another process wants the processor, and looking would only be in its way."""
_SLEEPS: Final = 8
"""When looking has brought nothing, so many answers are waited for asleep before the next look."""


class Stream:
    """A connection to an owner that has answered the hello.

    Attributes:
        is_between_frames: the next byte to receive is the first of a frame.

    Args:
        sock: the connection; from here on it belongs to the stream.
        block_s: how long a call here blocks at most, so that its caller can look at its deadline.
    """

    __slots__ = (
        "_block_ms",
        "_buffer",
        "_is_sending",
        "_poll",
        "_reader",
        "_sleeps",
        "_sock",
        "_unread_bytes",
        "is_between_frames",
    )

    def __init__(self, sock: socket.socket, block_s: float) -> None:
        _block_at_most(sock, block_s)
        self._sock = sock
        self._block_ms = max(1, int(1000 * block_s))
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        self._poll = poll.poll
        self._reader = protocol.FrameReader()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._unread_bytes = 0
        self._is_sending = False
        self._sleeps = 0
        self.is_between_frames = True

    # --- sending ------------------------------------------------------------------------------------------------------
    def send(self, frame: bytes, deadline: float) -> None:
        """Send a whole frame by ``deadline`` (monotonic seconds), or end the connection."""
        if self._is_sending:
            # A thread was interrupted here: half of its frame must not be followed by another frame.
            self.shut()
            return
        self._is_sending = True
        rest: bytes | memoryview = frame
        try:
            while rest:
                try:
                    rest = memoryview(rest)[self._sock.send(rest) :]
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise
        except OSError:
            self.shut()
        except BaseException:
            self.shut()
            raise
        self._is_sending = False

    def send_at_once(self, frame: bytes) -> None:
        """Send a small frame without waiting, while no other thread sends. If not all of it goes out, the connection is
        ended."""
        try:
            if self._sock.send(frame, socket.MSG_DONTWAIT) == len(frame):
                return
        except OSError:
            pass
        self.shut()

    # --- receiving ----------------------------------------------------------------------------------------------------
    def receive_answer(self, number: int) -> bytes | None:
        """The payload of the answer with this number, if exactly that is received next; only while `is_between_frames`.

        Waking a sleeping thread takes as long as a third of an ``fdatasync``. So this looks for the answer for a moment
        before it sleeps. None: nothing has come, or something else; whatever has come, `receive` answers it.
        """
        try:
            size_bytes = 0 if self._sleeps else self._look()
            if not size_bytes:
                self._sleeps = (self._sleeps + 1) % _SLEEPS
                size_bytes = self._sock.recv_into(self._buffer) if self._poll(self._block_ms) else 0
        except OSError:
            size_bytes = 0
        answer = protocol.sole_answer(self._buffer, size_bytes, number)
        if answer is None:
            self._unread_bytes = size_bytes
        return answer

    def _look(self) -> int:
        """Receive what comes soon without sleeping, while no other process wants the processor. Answers the number of
        bytes; 0: none came, or the connection is over."""
        before = time.perf_counter()
        until = before + _LOOK_S
        while True:
            try:
                return self._sock.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()
            now = time.perf_counter()
            if now >= until or now - before > _YIELD_S:
                return 0
            before = now

    def receive(self) -> list[protocol.Frame] | None:
        """The frames that are whole with what comes next; none when nothing comes for a while. None: the connection is
        over.

        Raises:
            MalformedFrame: what has come is no frame.
        """
        size_bytes, self._unread_bytes = self._unread_bytes, 0
        if not size_bytes:
            try:
                # Who blocks in a receive is also woken, for nothing, when the owner has read what was sent. Who polls
                # is not.
                if not self._poll(self._block_ms):
                    return []
                size_bytes = self._sock.recv_into(self._buffer)
            except BlockingIOError:
                return []
            except OSError:
                return None
            if not size_bytes:
                return None
        frames = self._reader.feed(bytes(self._buffer[:size_bytes]))
        self.is_between_frames = not self._reader.size_bytes
        return frames

    # --- the end ------------------------------------------------------------------------------------------------------
    def shut(self) -> None:
        """End the connection. Threads that send or receive notice at once. Any thread may call this at any time."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Give the descriptor back. Only while nobody sends or receives, because its number may be used again."""
        self._sock.close()


def open_stream(dial: Dial, hello: bytes, block_s: float, until: float) -> tuple[Stream, protocol.Welcome]:
    """Connect and say ``hello``, with patience until ``until`` (monotonic seconds).

    Raises:
        StoreUnavailable: nobody can be dialled.
        OSError: the owner does not answer the hello, or closes the connection.
        PenstockError: why the owner refuses.
    """
    sock = dial(until)
    try:
        welcome = _greet(sock, hello, until)
        return Stream(sock, block_s), welcome
    except BaseException:
        sock.close()
        raise


def _greet(sock: socket.socket, hello: bytes, until: float) -> protocol.Welcome:
    sock.settimeout(max(0.001, until - time.monotonic()))
    sock.sendall(hello)
    reader = protocol.FrameReader()
    frames: list[protocol.Frame] = []
    while not frames:
        sock.settimeout(max(0.001, until - time.monotonic()))
        data = sock.recv(_WELCOME_BYTES)
        if not data:
            raise ConnectionResetError("it closed the connection")
        frames = reader.feed(data)
    # Nothing else was asked yet, so nothing else can have come.
    kind, _, payload = frames[0]
    if kind != protocol.ANSWER:
        raise protocol.error_of(payload)
    return protocol.decode_welcome(payload)


def _block_at_most(sock: socket.socket, block_s: float) -> None:
    """Let blocking calls return with BlockingIOError after so long, without a system call more for each of them."""
    whole = int(block_s)
    duration = struct.pack("ll", whole, max(1, int((block_s - whole) * 1_000_000)))
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, duration)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, duration)
