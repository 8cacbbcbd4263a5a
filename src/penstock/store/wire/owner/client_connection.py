"""The owner's end of one client's connection: bytes in, frames out, with bounds on both."""

from __future__ import annotations

import selectors
import socket
from collections import deque
from itertools import islice
from typing import Any, Final

from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.store.wire.calls import Call
from penstock.store.wire.protocol import CLOSING, Frame, FrameReader, failure, frame

READ_BYTES: Final = 256 * 1024
_READS_AT_ONCE: Final = 16
_FRAMES_AT_ONCE: Final = 64
_REQUEST_BYTES: Final = 64
"""What a request counts for besides its payload, so that empty requests are bounded too."""
_LEASES_REMEMBERED: Final = limits.CLIENT_REQUESTS_MAX

_buffer = memoryview(bytearray(READ_BYTES))


class Request:
    """One request of a client, waiting for its group."""

    __slots__ = ("call", "connection", "number", "payload")

    def __init__(self, connection: Connection, call: Call, number: int, payload: bytes) -> None:
        self.connection = connection
        self.call = call
        self.number = number
        self.payload = payload


class Connection:
    """One client's connection.

    Attributes:
        client: the identity of the client; None until its hello.
        role: for people: gate, worker, client.
        answers: by request number, answers recorded before this connection, for requests that the client repeats.
        leased: by request number, (first fence, count) of leases whose answers may not have arrived.
        forgotten: numbers of requests whose callers have gone before it was known whether these are parked.
        inbox: requests that wait for a group, oldest first.
        outbox: bytes that wait to be sent.
        parked: by request number, requests that wait beyond their group.
        served_s: how much of the owner's time this client has had, as `turns` counts it.
        events: what the selector watches for on this connection.
        process: the process that connected, where the system tells; else 0.
        open: False once it was closed.
    """

    __slots__ = (
        "answers",
        "client",
        "events",
        "forgotten",
        "inbox",
        "inbox_bytes",
        "leased",
        "open",
        "outbox",
        "outbox_bytes",
        "parked",
        "process",
        "reader",
        "role",
        "served_s",
        "sock",
    )

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader()
        self.client: bytes | None = None
        self.role = ""
        self.answers: dict[int, bytes] = {}
        self.leased: dict[int, tuple[int, int]] = {}
        self.forgotten: dict[int, None] = {}
        self.inbox: deque[Request] = deque()
        self.inbox_bytes = 0
        self.outbox: deque[bytes | memoryview] = deque()
        self.outbox_bytes = 0
        self.parked: dict[int, Any] = {}
        self.served_s = 0.0
        self.events = 0
        self.process = 0
        self.open = True

    def receive(self) -> tuple[list[Frame], int, bool]:
        """Read what has arrived, within bounds: frames, bytes, and whether the client is still there. Of who has not
        said hello yet little is read at once.

        Raises:
            MalformedFrame: it speaks something else.
        """
        frames: list[Frame] = []
        total = 0
        for _ in range(_READS_AT_ONCE if self.client is not None else 1):
            try:
                count = self.sock.recv_into(_buffer)
            except BlockingIOError:
                break
            except OSError:
                return frames, total, False
            if not count:
                return frames, total, False
            found = self.reader.feed(bytes(_buffer[:count]))
            if not total and count < READ_BYTES:
                return found, count, True
            total += count
            frames += found
            if count < READ_BYTES:
                break
        return frames, total, True

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have the selector wait until the connection can be read from or written to, as far as there is a need."""
        events = (selectors.EVENT_READ if self.wants_to_read else 0) | (selectors.EVENT_WRITE if self.outbox else 0)
        if events == self.events:
            return
        if not self.events:
            selector.register(self.sock, events, self)
        elif not events:
            selector.unregister(self.sock)
        else:
            selector.modify(self.sock, events, self)
        self.events = events

    def put(self, request: Request) -> None:
        """Queue a request for a group."""
        self.inbox.append(request)
        self.inbox_bytes += len(request.payload) + _REQUEST_BYTES

    def take(self) -> Request:
        """The oldest request."""
        request = self.inbox.popleft()
        self.inbox_bytes -= len(request.payload) + _REQUEST_BYTES
        return request

    def send(self, said: bytes) -> None:
        """Queue a frame for the client; `flush` sends it."""
        self.outbox.append(said)
        self.outbox_bytes += len(said)

    def flush(self) -> bool:
        """Send what the socket takes. Answers whether the client is still there."""
        while self.outbox:
            try:
                if len(self.outbox) == 1:
                    sent = self.sock.send(self.outbox[0])
                else:
                    sent = self.sock.sendmsg(islice(self.outbox, _FRAMES_AT_ONCE))
            except BlockingIOError:
                return True
            except OSError:
                return False
            if sent == self.outbox_bytes:
                self.outbox.clear()
                self.outbox_bytes = 0
            else:
                self._drop(sent)
        return True

    def say_last(self, error: PenstockError) -> None:
        """Tell the client why it is let go, as far as its socket takes it at once, and close."""
        self.send(frame(CLOSING, 0, failure(error)))
        self.flush()
        self.close()

    def _drop(self, sent: int) -> None:
        self.outbox_bytes -= sent
        while sent:
            head = self.outbox[0]
            if sent < len(head):
                # A view, so that a large answer to a slow reader is not copied again at every step.
                self.outbox[0] = memoryview(head)[sent:]
                return
            sent -= len(head)
            self.outbox.popleft()

    @property
    def clogged(self) -> bool:
        """Whether the client does not read its answers. Nothing more is done for it until it does."""
        return self.outbox_bytes > limits.OWNER_OUTBOX_BYTES_MAX

    @property
    def wants_to_read(self) -> bool:
        """Whether there is room for more requests."""
        return self.inbox_bytes <= limits.OWNER_INBOX_BYTES_MAX and not self.clogged

    def remember_lease(self, number: int, first_fence: int, count: int) -> None:
        """Note which fences an answer gives out. When the client repeats the request, the answer was lost, and the
        leases are taken back.
        """
        if len(self.leased) >= _LEASES_REMEMBERED:
            del self.leased[next(iter(self.leased))]
        self.leased[number] = (first_fence, count)

    def forget(self, number: int) -> None:
        """Note that the caller of a request has gone. The request may be in the inbox yet, and is not to be parked."""
        if self.inbox:
            if len(self.forgotten) >= limits.CLIENT_CALLERS_MAX:
                del self.forgotten[next(iter(self.forgotten))]
            self.forgotten[number] = None

    def close(self) -> None:
        """Close the socket and forget all that waits. A second call does nothing."""
        self.open = False
        self.inbox.clear()
        self.outbox.clear()
        self.inbox_bytes = self.outbox_bytes = 0
        self.sock.close()
