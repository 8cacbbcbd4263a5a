"""The HTTP server: granian inside this process, on a socket of ours.

Granian would bind with SO_REUSEPORT, so that a second gate on the same port would silently take half the requests;
and it does not say which port it got when asked for any.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from granian import net
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from penstock.model import limits
from penstock.model.errors import AddressUnavailable, InvalidOption

_QUIET: Final[dict[str, Any]] = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}
"""Leaves the process's logging as it is."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: the port is taken, or the address is not ours to have.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidOption(f"Cannot listen on {host} port {port}: {why}.", field="gate") from None
    try:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(limits.GATE_CONNECTIONS_MAX)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise AddressUnavailable(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from None
    return sock


class HttpServer(Server):
    """Serves one RSGI application from the running event loop.

    Args:
        application: what answers.
        sock: listens already; the server takes it over.
        grace_s: how long requests may take to end after `stop`.
    """

    def __init__(self, application: object, sock: socket.socket, grace_s: float) -> None:
        super().__init__(
            application,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=int(limits.GATE_HEAD_READ_S * 1000)),
            websockets=False,
            backlog=limits.GATE_CONNECTIONS_MAX,
            backpressure=limits.GATE_CONNECTIONS_MAX,
            log_dictconfig=_QUIET,
            log_enabled=False,
        )
        self._listening = sock
        self._grace_s = grace_s

    def _init_shared_socket(self) -> None:
        # Granian's own stub does not know what its processes hand each other.
        holder: Any = net.SocketHolder  # type: ignore[attr-defined]  # its stubs leave it out
        self._shd = holder(self._listening.detach(), False, limits.GATE_CONNECTIONS_MAX)

    async def run(self, stop: asyncio.Event) -> bool:
        """Serve until ``stop``, then let requests end. Answers whether all did in time.

        Raises:
            RuntimeError: the server ended by itself.
        """
        serving = asyncio.ensure_future(self.serve())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if serving.done():
            serving.result()
            raise RuntimeError("The HTTP server ended by itself.")
        self.stop()  # type: ignore[no-untyped-call]  # granian's, untyped
        done, _ = await asyncio.wait((serving,), timeout=self._grace_s)
        if done:
            serving.result()
        else:
            serving.cancel()
        return bool(done)
