"""Control for the gate: a server alone, each body appended to a file and synced, in groups, before it is answered.

`python -m benchmarks.bare_gate PORT FILE` is granian; with `own` behind it, the gate's own HTTP connections without the
gate.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from penstock.http.exchange import HttpExchange
from penstock.http.listening import bind
from penstock.http.messages import Answer
from penstock.http.problems import HttpProblem
from penstock.http.server import HttpServer

_HEADERS = (("content-type", "application/json"),)
_ANSWER = b'{"id":"00000000-0000-7000-8000-000000000000","state":"ready","duplicate":false,"durability":"disk"}'
_CONNECTIONS_MAX = 2_048


class SyncedFile:
    """Appends what is pending, syncs once, then tells everybody who waits."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._loop = loop
        self._pending: list[tuple[bytes, asyncio.Future[None]]] = []
        self._wanted = threading.Semaphore(0)
        threading.Thread(target=self._commit_all, daemon=True).start()

    def append(self, data: bytes) -> asyncio.Future[None]:
        """Done when ``data`` is on disk."""
        future = self._loop.create_future()
        self._pending.append((data, future))
        if len(self._pending) == 1:
            self._wanted.release()
        return future

    def _commit_all(self) -> None:
        while True:
            self._wanted.acquire()
            group, self._pending = self._pending, []
            os.write(self._file, b"\n".join([data for data, _ in group]) + b"\n")
            os.fdatasync(self._file)
            self._loop.call_soon_threadsafe(_tell, [future for _, future in group])


def _tell(waiting: list[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)


class BareGate:
    """The least that could be called a gate."""

    def __init__(self, file: SyncedFile) -> None:
        self._file = file

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        body = await protocol()
        await self._file.append(body)
        protocol.response_bytes(202, list(_HEADERS), _ANSWER)


class BareApplication:
    """The same, for the gate's own HTTP server."""

    def __init__(self, file: SyncedFile) -> None:
        self._file = file

    async def serve(self, exchange: HttpExchange) -> None:
        body = exchange.take() if exchange.complete else b"".join([chunk async for chunk in _chunks(exchange)])
        await self._file.append(body)
        exchange.answer(202, _HEADERS, _ANSWER)

    def refuse(self, problem: HttpProblem) -> Answer:
        return problem.answer()


async def _chunks(exchange: HttpExchange) -> AsyncIterator[bytes]:
    while chunk := await exchange.chunk():
        yield chunk


async def serve_own(port: int, path: str) -> None:
    """Answer until killed, over the gate's own connections."""
    application = BareApplication(SyncedFile(path, asyncio.get_running_loop()))
    await HttpServer(application, bind("127.0.0.1", port), 1.0, _CONNECTIONS_MAX).run(asyncio.Event())


async def serve(port: int, path: str) -> None:
    """Answer until killed, over granian."""
    server = Server(
        BareGate(SyncedFile(path, asyncio.get_running_loop())),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_CONNECTIONS_MAX,
        backpressure=_CONNECTIONS_MAX,
        log_enabled=False,
    )
    await server.serve()


if __name__ == "__main__":
    uvloop.run((serve_own if "own" in sys.argv[3:] else serve)(int(sys.argv[1]), sys.argv[2]))
