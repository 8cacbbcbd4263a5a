"""nsqlookupd's TCP port: one connection for each client, and how many there may be."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from itertools import count
from typing import Final, cast

from penstock.http.client_shares import Shares, client_of
from penstock.model import limits
from penstock.nsq.lookup.conversation import Conversation

__all__ = ["LookupConnection", "LookupConnections"]

logger = logging.getLogger("penstock.nsqlookupd")

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A machine that is gone without a word is noticed after 75 s."""
_numbers = count(1)

Converse = Callable[[str], Conversation]
"""Begins a conversation with the client at an address."""


class LookupConnections:
    """The connections there are.

    Args:
        converse: begins a conversation.
        now_ns: the registry's clock.
    """

    def __init__(self, converse: Converse, now_ns: Callable[[], int]) -> None:
        self.converse = converse
        self.now_ns = now_ns
        self._shares = Shares(limits.NSQLOOKUPD_CONNECTIONS_MAX)
        self._open: dict[LookupConnection, None] = {}
        """The one that has been silent the longest is the first."""

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: LookupConnection) -> bool:
        """A connection is made. Answers whether there is room for it."""
        if not self._shares.take(connection.client, 1) and not self._gave_way(connection):
            return False
        self._open[connection] = None
        return True

    def heard(self, connection: LookupConnection) -> None:
        """Something was said on it."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def leave(self, connection: LookupConnection) -> None:
        """It is over."""
        if connection in self._open:
            del self._open[connection]
            self._shares.give_back(connection.client, 1)

    def close_all(self) -> None:
        """End all of them."""
        for connection in list(self._open):
            connection.close()

    def _gave_way(self, newcomer: LookupConnection) -> bool:
        silent = next(iter(self._open), None)
        if silent is None or self.now_ns() - silent.heard_ns < limits.NSQLOOKUPD_SILENT_S * 1e9:
            return False
        self.leave(silent)
        silent.close()
        return self._shares.take(newcomer.client, 1)


class LookupConnection(asyncio.Protocol):
    """One client's connection.

    Args:
        connections: of which it is one.

    Attributes:
        client: whose it is, as `penstock.http.client_shares.client_of` tells.
        heard_ns: when something was last said on it.
    """

    def __init__(self, connections: LookupConnections) -> None:
        self.client: str | None = None
        self.heard_ns = 0
        self._name = ""
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._conversation: Conversation | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        # The transports of uvloop are no subclasses of asyncio's.
        self._transport = transport = cast(asyncio.Transport, transport)
        self.heard_ns = self._connections.now_ns()
        address = transport.get_extra_info("peername")
        self.client = client_of(address if isinstance(address, tuple) else ())
        if not self._connections.enter(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=limits.NSQLOOKUPD_READ_BYTES)
        _watch_machine(transport.get_extra_info("socket"))
        self._name = _shown(address)
        self._conversation = self._connections.converse(self._name)
        logger.info("TCP: new client(%s)", self._name)

    def data_received(self, data: bytes) -> None:
        """Answer what was said."""
        if self._conversation is None or self._transport is None:
            return
        self.heard_ns = self._connections.now_ns()
        self._connections.heard(self)
        answers = self._conversation.take(data, self.heard_ns)
        if answers:
            self._transport.write(answers)
        if self._conversation.ended:
            self._transport.close()

    def eof_received(self) -> None:
        """The client says no more. What it waits for is sent, and the connection ends."""
        if self._conversation is not None and self._transport is not None:
            self._transport.write(self._conversation.stop_reading())

    def pause_writing(self) -> None:
        """The client does not take its answers: it is not read from."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """What the client had registered is its no more."""
        self._connections.leave(self)
        if self._conversation is not None:
            peer = self._conversation.peer
            logger.info("client(%s) closed%s", self._name, f"; it was {peer.node}" if peer else "")
            self._conversation.leave()

    def close(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()


def _shown(address: object) -> str:
    """A client's address, as Go shows it; a client of a Unix socket has none, and gets a number."""
    if not isinstance(address, tuple):
        return f"@{next(_numbers)}"
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _watch_machine(sock: socket.socket | None) -> None:
    """Have the system notice when the client's machine is gone."""
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
