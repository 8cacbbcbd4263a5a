"""The HTTP server: accepts connections on a socket of ours, as many as there may be, and ends them in time."""

from __future__ import annotations

import asyncio
import heapq
import logging
import select
import socket
import ssl
import time
from contextlib import suppress
from email.utils import formatdate

from penstock.http.client_shares import Shares, client_of
from penstock.http.connection import HttpConnection
from penstock.http.exchange import Application
from penstock.http.head_cache import KnownHeads
from penstock.model import limits
from penstock.process.repeated_faults import Faults

logger = logging.getLogger("penstock.http")

_ACCEPTED_AT_ONCE = 64
_ACCEPTING = "accepting connections"


class HttpServer:
    """Serves one application from the running event loop.

    Args:
        application: what answers.
        sock: listens already; the server closes it when it stops.
        grace_s: how long requests may take to end after that.
        connections_max: how many may be open; more wait in the kernel's backlog.
        tls: connections are encrypted, as this says. None: they are not.
        idle_s: how long a connection may be idle between requests. None: as long as a head may take.
    """

    def __init__(
        self,
        application: Application,
        sock: socket.socket,
        grace_s: float,
        connections_max: int,
        *,
        tls: ssl.SSLContext | None = None,
        idle_s: float | None = None,
    ) -> None:
        self.application = application
        self.stopping = False
        self.date = b""
        self.now = time.monotonic()
        self.inbox = memoryview(bytearray(limits.HTTP_READ_BYTES))
        self.heads = KnownHeads()
        self._listening = sock
        self._grace_s = grace_s
        self._connections_max = connections_max
        self.idle_s = limits.HTTP_HEAD_READ_S if idle_s is None else idle_s
        self._tls = tls
        self._shares = Shares(connections_max)
        self._faults = Faults(logger)
        self._connections: set[HttpConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting = False
        self._emptied = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> bool:
        """Serve until ``stop``, then let requests end. Answers whether all did in time."""
        self._sweep()
        try:
            await stop.wait()
            self._leave()
            for connection in list(self._connections):
                connection.stop()
            if self._connections:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._grace_s):
                        await self._emptied.wait()
            return not self._connections
        finally:
            self._leave()
            for connection in list(self._connections):
                connection.abort()

    def _leave(self) -> None:
        """Accept nobody any more. The parent of this process may keep the socket open: clients that wait there are the
        next process's."""
        self.stopping = True
        self._pause()
        self._listening.close()

    def forget(self, connection: HttpConnection) -> None:
        """The connection is over: its client may have another, and others its place."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._shares.give_back(connection.client, 1)
        if not self._connections and self.stopping:
            self._emptied.set()
        self._resume()

    # --- accepting ----------------------------------------------------------------------------------------------------
    def _resume(self) -> None:
        if not self._accepting and not self.stopping and self._has_room():
            self._accepting = True
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._listening)

    def _has_room(self) -> bool:
        return len(self._connections) < self._connections_max

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._has_room():
                self._pause()
                return
            try:
                sock, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptors, no memory: the next sweep tries again.
                self._faults.note(_ACCEPTING, error, time.monotonic(), traceback=False)
                self._pause()
                return
            self._faults.passed(_ACCEPTING, self.now)
            client = client_of(address)
            if not self._shares.take(client, 1):
                # One machine has its share of the connections. The rest are for others.
                sock.close()
                continue
            connection = HttpConnection(self, client)
            self._connections.add(connection)
            opening = asyncio.ensure_future(self._open(sock, connection))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, connection: HttpConnection) -> None:
        try:
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else limits.HTTP_HEAD_READ_S,
            )
        except BaseException as error:
            sock.close()
            self.forget(connection)
            # An OSError: the client went away before its connection was set up, or does not speak TLS as it must.
            if not isinstance(error, OSError):
                raise

    def trouble(self) -> str | None:
        """Why nobody new is let in, for health; None: they are."""
        present = self._faults.present(time.monotonic())
        return f"No connection can be accepted: {present[0].message}." if present else None

    def _make_room(self) -> None:
        """Where clients wait to be accepted and there is no room, end connections that have been silent the longest."""
        if (self._has_room() and self.trouble() is None) or not _has_caller(self._listening):
            return
        still = self.now - limits.HTTP_GIVE_WAY_S
        silent = [(since, id(one), one) for one in self._connections if (since := one.silent_since()) < still]
        for _, _, connection in heapq.nsmallest(max(1, self._connections_max // 8), silent):
            connection.abort()

    # --- time ---------------------------------------------------------------------------------------------------------
    def _sweep(self) -> None:
        if self.stopping and not self._connections:
            return
        asyncio.get_running_loop().call_later(limits.HTTP_SWEEP_S, self._sweep)
        self.date = f"date: {formatdate(time.time(), usegmt=True)}\r\n".encode()
        self.now = now = time.monotonic()
        self._faults.tell(now)
        for connection in list(self._connections):
            connection.sweep(now)
        if not self.stopping:
            self._make_room()
        self._resume()


def _has_caller(listening: socket.socket) -> bool:
    """Whether somebody waits to be accepted."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    return bool(poll.poll(0))
