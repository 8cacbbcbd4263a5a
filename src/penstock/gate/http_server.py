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

_QUIET: Final[dict[str, Any]] = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}
"""Leaves the process's logging as it is."""


class HttpServer(Server):
    """Serves one RSGI application from the running event loop.

    Args:
        application: what answers.
        sock: listens already; the server takes it over.
        grace_s: how long requests may take to end after `stop`.
        connections_max: how many may be open; more wait in the kernel's backlog.
    """

    def __init__(self, application: object, sock: socket.socket, grace_s: float, connections_max: int) -> None:
        super().__init__(
            application,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=int(limits.GATE_HEAD_READ_S * 1000)),
            websockets=False,
            backlog=limits.GATE_CONNECTIONS_MAX,
            backpressure=connections_max,
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
