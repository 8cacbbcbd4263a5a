"""Where a door's HTTP API is reached: at an HTTP and an HTTPS address, each served by a server of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Final

from penstock.http.server import HttpServer
from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.nsq.door.http_api import Door, HttpApi, tls_required
from penstock.nsq.door_sockets import DoorSockets
from penstock.nsq.http_access import HttpAccess, check_token, own_names_of
from penstock.nsq.http_application import HttpApplication
from penstock.nsq.listening import is_own, port_of, shown
from penstock.nsq.options import DoorOptions
from penstock.ports import AsyncStore
from penstock.process.descriptors import raise_limit

__all__ = ["HttpListeners"]

logger = logging.getLogger("penstock.nsqd")

_OF_DESCRIPTORS: Final = 8
"""At most one of so many descriptors is a connection to one address of HTTP: most are for NSQ's clients."""
_ALWAYS: Final = "true"
"""What ``-tls-required`` is where HTTP, too, must be encrypted."""


class HttpListeners:
    """Serves the HTTP API.

    Args:
        options: of the door.
        sockets: those of HTTP and HTTPS, as far as there are; its servers close them.
        tls: how HTTPS is encrypted. None: there is no certificate, and so no HTTPS.

    Raises:
        InvalidOption: the token is not what it may be.
    """

    def __init__(self, options: DoorOptions, sockets: DoorSockets, tls: ssl.SSLContext | None) -> None:
        self._options = options
        self._tls = tls
        self._http = sockets.http
        self._https = None if tls is None else sockets.https
        self._token = _read_token(options.http_token_file)

    @property
    def http_port(self) -> int:
        """The port of HTTP; -1: it is at a path, or nowhere."""
        return -1 if self._http is None else port_of(self._http) or -1

    @property
    def https_port(self) -> int:
        """Likewise of HTTPS."""
        return -1 if self._https is None else port_of(self._https) or -1

    def announce(self) -> None:
        """Say in the log where it listens, and whether anybody may use it."""
        if self._http is not None:
            logger.info("HTTP: listening on %s", shown(self._http))
        if self._https is not None:
            logger.info("HTTPS: listening on %s", shown(self._https))
        is_open = any(not is_own(sock) for sock in (self._http, self._https) if sock is not None)
        if is_open and self._token is None and not self._options.http_open:
            logger.warning(
                "HTTP: whoever reaches this machine may use the API: set -http-token-file, or -http-open if it is meant"
            )

    async def serve(self, store: AsyncStore, door: Door, tcp_port: int, stop: asyncio.Event) -> bool:
        """Serve until ``stop``, then let requests end. Answers whether all did in time.

        Args:
            store: of the door.
            door: this.
            tcp_port: the port of clients; -1: they come to a path.
            stop: set when it is time.
        """
        api = HttpApi(store, door, (tcp_port, self.http_port))
        servers: list[HttpServer] = []
        if self._http is not None:
            refusal = tls_required(self.https_port) if self._options.tls_required == _ALWAYS else None
            application = HttpApplication(api.routes, self._access(self._http), logger, refusal=refusal)
            servers.append(_server(application, self._http, None))
        if self._https is not None:
            application = HttpApplication(api.routes, self._access(self._https), logger)
            servers.append(_server(application, self._https, self._tls))
        if not servers:
            await stop.wait()
        return all(await asyncio.gather(*(server.run(stop) for server in servers)))

    def _access(self, sock: socket.socket) -> HttpAccess:
        address = self._options.https_address if sock is self._https else self._options.http_address
        names = own_names_of(address, self._options.broadcast_address, socket.gethostname()) if is_own(sock) else None
        return HttpAccess(self._token, own_names=names)


def _server(application: HttpApplication, sock: socket.socket, tls: ssl.SSLContext | None) -> HttpServer:
    return HttpServer(
        application,
        sock,
        limits.NSQ_HTTP_GRACE_S,
        min(limits.NSQ_HTTP_CONNECTIONS_MAX, max(1, raise_limit() // _OF_DESCRIPTORS)),
        tls=tls,
        idle_s=limits.NSQ_HTTP_IDLE_S,
    )


def _read_token(path: str) -> str | None:
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not ASCII"
        raise InvalidOption(f"Cannot read the token in {path}: {why}.", field="http_token_file") from None
    return check_token(text)
