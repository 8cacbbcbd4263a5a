"""One connection of an `AsyncClient`: the hello first, then frames for the client."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from typing import Any, Protocol

import msgspec

from penstock.model.errors import PenstockError
from penstock.store.wire import protocol
from penstock.store.wire.client.reach import Dial


class LinkUser(Protocol):
    """Who a link belongs to."""

    def hello(self) -> bytes:
        """The first frame to send."""
        ...

    def welcomed(self, link: Link, welcome: protocol.Welcome) -> None:
        """The owner has answered the hello."""
        ...

    def deliver(self, link: Link, kind: int, number: int, payload: bytes) -> None:
        """A frame has arrived."""
        ...

    def lost(self, link: Link) -> None:
        """The connection is over."""
        ...


class Held:
    """The socket that a client has open now. It knows neither client nor loop, so who holds it keeps neither."""

    __slots__ = ("sock",)

    def __init__(self) -> None:
        self.sock: socket.socket | None = None

    def close(self) -> None:
        """Close what an event loop has left open that will not run again. From any thread."""
        if self.sock is not None:
            self.sock.close()


class Link(asyncio.Protocol):
    """One connection. Its first frame is the owner's welcome; it hands all others to the client.

    Attributes:
        sock: as the event loop got it.
    """

    def __init__(self, client: LinkUser, sock: socket.socket) -> None:
        self._client = client
        self.sock = sock
        self._reader = protocol.FrameReader()
        self.transport: Any = None
        self._descriptor = -1
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Who waits for the greeting may have given up; that is no error of its own.
        self.greeted.add_done_callback(lambda future: future.cancelled() or future.exception())

    def send(self, frame: bytes) -> None:
        """Send a frame; the client's bounds on requests bound what is queued. On a connection that ends it is left to
        be repeated on the next.

        It is sent now, not when the event loop has nothing else to do, where nothing is queued before it.
        """
        transport = self.transport
        if transport.is_closing():
            return
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, frame)
            except BlockingIOError:
                pass
            except OSError:
                transport.abort()
                return
        if sent < len(frame):
            transport.write(memoryview(frame)[sent:])

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()
        self.transport.write(self._client.hello())

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that are whole."""
        try:
            for kind, number, payload in self._reader.feed(data):
                if self.greeted.done():
                    self._client.deliver(self, kind, number, payload)
                elif kind == protocol.ANSWER:
                    self.greeted.set_result(None)
                    self._client.welcomed(self, protocol.decode_welcome(payload))
                else:
                    self.greeted.set_exception(protocol.error_of(payload))
        except (PenstockError, msgspec.DecodeError):
            self.transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell whoever waits for the welcome, and the client."""
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError("it closed the connection"))
        self._client.lost(self)


async def open_link(dial: Dial, user: LinkUser, patience_s: float) -> None:
    """Make a connection; when this returns, ``user`` has been welcomed.

    Raises:
        StoreUnavailable, StoreOverloaded: as dialled, or as the owner answered.
        OSError, TimeoutError: it does not answer.
    """
    loop = asyncio.get_running_loop()
    sock = await _dialled(dial, time.monotonic() + patience_s)
    try:
        sock.setblocking(False)
        _, link = await loop.create_unix_connection(lambda: Link(user, sock), sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        async with asyncio.timeout(patience_s):
            await link.greeted
    except BaseException:
        link.abort()
        raise


async def _dialled(dial: Dial, until: float) -> socket.socket:
    """What ``dial`` answers, in a thread of its own.

    Not in the loop's executor: a program that is ending can have none, and `asyncio.run` fails then on having tried.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[socket.socket] = loop.create_future()

    def tell(sock: socket.socket | None, error: BaseException | None) -> None:
        if answer.done():
            # Who asked has left.
            if sock is not None:
                sock.close()
        elif sock is not None:
            answer.set_result(sock)
        elif error is not None:
            answer.set_exception(error)

    def run() -> None:
        sock = error = None
        try:
            sock = dial(until)
        except Exception as raised:  # noqa: BLE001 - it is raised where it is waited for
            error = raised
        try:
            loop.call_soon_threadsafe(tell, sock, error)
        except RuntimeError:
            # The loop is closed.
            if sock is not None:
                sock.close()

    try:
        threading.Thread(target=run, name="penstock dial", daemon=True).start()
    except RuntimeError:
        # A program that is ending starts no threads any more. Nothing else waits for its loop then.
        return dial(until)
    return await answer
