"""Where a door's HTTP API is reached: at an HTTP and an HTTPS address, each served by a server of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from penstock.http.server import HttpServer
from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.nsq.addresses import Address, is_loopback, parse_address
from penstock.nsq.door.http_api import Door, HttpApi, tls_required
from penstock.nsq.door_sockets import DoorSockets
from penstock.nsq.http_access import HttpAccess, check_token
from penstock.nsq.http_application import HttpApplication
from penstock.nsq.listening import listen, port_of, shown
from penstock.nsq.options import DoorOptions
from penstock.ports import AsyncStore

__all__ = ["HttpListeners"]

logger = logging.getLogger("penstock.nsqd")

_ALWAYS: Final = "true"
"""What ``-tls-required`` is where HTTP, too, must be encrypted."""


class HttpListeners:
    """The sockets of the HTTP API. To be made before anything is served, so that a port that is taken is told at once.

    Args:
        options: of the door.
        tls: how HTTPS is encrypted. None: there is no certificate, and so no HTTPS.
        sockets: that listen there already. None: it makes its own.

    Attributes:
        http: where HTTP is; None: nowhere.
        https: where HTTPS is; None: nowhere.

    Raises:
        InvalidOption: an address or the token is not what it may be.
        AddressUnavailable: a port is taken, or an address is not ours to have.
    """

    def __init__(self, options: DoorOptions, tls: ssl.SSLContext | None, sockets: DoorSockets | None = None) -> None:
        self._options = options
        self._tls = tls
        self._token = _read_token(options.http_token_file)
        self._closing = ExitStack()
        self._addresses: dict[socket.socket, Address] = {}
        if sockets is not None:
            self.http, self.https = sockets.http, sockets.https
            self._note(self.http, options.http_address, "http_address")
            self._note(self.https, options.https_address, "https_address")
            return
        try:
            self.http = self._listen(options.http_address, "http_address")
            self.https = None if tls is None else self._listen(options.https_address, "https_address")
        except BaseException:
            self.close()
            raise

    def _listen(self, text: str, field: str) -> socket.socket | None:
        if not text:
            return None
        address = parse_address(text, field)
        sock = self._closing.enter_context(listen(address))
        self._addresses[sock] = address
        return sock

    def _note(self, sock: socket.socket | None, text: str, field: str) -> None:
        if sock is not None:
            self._addresses[sock] = parse_address(text, field)

    def close(self) -> None:
        """Close the sockets. Those that are served are closed already."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def http_port(self) -> int:
        """The port of HTTP; -1: it is at a path, or nowhere."""
        return -1 if self.http is None else port_of(self.http) or -1

    @property
    def https_port(self) -> int:
        """Likewise of HTTPS."""
        return -1 if self.https is None else port_of(self.https) or -1

    def announce(self) -> None:
        """Say in the log where it listens, and whether anybody may use it."""
        if self.http is not None:
            logger.info("HTTP: listening on %s", shown(self.http))
        if self.https is not None:
            logger.info("HTTPS: listening on %s", shown(self.https))
        is_open = any(not is_loopback(address) for address in self._addresses.values())
        if is_open and self._token is None and not self._options.http_open:
            logger.warning(
                "HTTP: whoever reaches this machine may use the API: set -http-token-file, or -http-open if it is meant"
            )

    async def serve(
        self, store: AsyncStore, door: Door, tcp_port: Callable[[], int], stop: asyncio.Event, grace_s: float
    ) -> bool:
        """Serve until ``stop``, then let requests end. Answers whether all did in time.

        Args:
            store: of the door.
            door: this.
            tcp_port: tells the port of clients; -1: they come to a path.
            stop: set when it is time.
            grace_s: how long requests may take then.
        """
        api = HttpApi(store, door, lambda: (tcp_port(), self.http_port))
        ended: list[Awaitable[bool]] = []
        if self.http is not None:
            refusal = tls_required(self.https_port) if self._options.tls_required == _ALWAYS else None
            application = HttpApplication(api.routes, self._access(self.http), logger, refusal=refusal)
            ended.append(self._run(HttpServer(application, self.http, grace_s, _connections_max()), stop))
        if self.https is not None:
            application = HttpApplication(api.routes, self._access(self.https), logger)
            server = HttpServer(application, self.https, grace_s, _connections_max(), tls=self._tls)
            ended.append(self._run(server, stop))
        return all(await asyncio.gather(*ended))

    async def _run(self, server: HttpServer, stop: asyncio.Event) -> bool:
        return await server.run(stop)

    def _access(self, sock: socket.socket) -> HttpAccess:
        local = is_loopback(self._addresses[sock])
        own_names = (self._options.broadcast_address, socket.gethostname()) if local else None
        return HttpAccess(self._token, own_names=own_names)


def _connections_max() -> int:
    return limits.NSQ_HTTP_CONNECTIONS_MAX


def _read_token(path: str) -> str | None:
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not ASCII"
        raise InvalidOption(f"Cannot read the token in {path}: {why}.", field="http_token_file") from None
    return check_token(text)
