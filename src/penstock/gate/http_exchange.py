"""One HTTP request on its connection, and the way to answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Protocol

from penstock.gate.access import Headers
from penstock.gate.problems import Problem
from penstock.gate.requests import Answer, ClientGone
from penstock.model import limits

CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Way(Protocol):
    """The connection, as far as an exchange needs it.

    Attributes:
        client: who is behind it.
    """

    client: str | None

    def write(self, data: bytes) -> None:
        """Send; ClientGone where nobody is there any more."""
        ...

    def is_last(self) -> bool:
        """No request follows the one that is being answered."""
        ...

    def date(self) -> bytes:
        """The header line that says when it is."""
        ...

    def let_flow(self) -> None:
        """There is room for more of a body."""
        ...

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when the client has taken what was written, but for a little, or is gone; None: it has."""
        ...

    def unsent_bytes(self) -> int:
        """How much it has not taken."""
        ...

    def abort(self) -> None:
        """End the connection now."""
        ...


class Exchange:
    """A request whose head has arrived.

    Attributes:
        method: in capitals.
        path: decoded, without the query.
        query_string: not decoded.
        headers: names in lower case; the values of one that was repeated are joined by commas.
        complete: its body has arrived to the end, or it has none.
        answered: the answer has been sent.
        last: it said that the connection ends with it.
        buffered_bytes: of the body, arrived and not taken yet.
        task: which answers it.
        client: whose it is, as `penstock.gate.client_shares.client_of` tells.
    """

    __slots__ = (
        "_announce",
        "_chunks",
        "_failure",
        "_keep_alive",
        "_leaving",
        "_waiter",
        "_way",
        "answered",
        "buffered_bytes",
        "client",
        "complete",
        "headers",
        "last",
        "method",
        "path",
        "query_string",
        "task",
    )

    def __init__(self, way: Way, method: str, path: str, query_string: str, headers: Headers) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.complete = False
        self.answered = False
        self.last = False
        self.buffered_bytes = 0
        self.task: asyncio.Task[None] | None = None
        self._way = way
        self.client = way.client
        self._chunks: list[bytes] = []
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._leaving: asyncio.Future[None] | bool = False
        self._announce = "expect" in headers
        self._keep_alive = "connection" in headers and "keep-alive" in headers["connection"].lower()

    # --- the body, from the connection --------------------------------------------------------------------------------
    def feed(self, chunk: bytes) -> None:
        """More of it has arrived."""
        self._announce = False
        self._chunks.append(chunk)
        self.buffered_bytes += len(chunk)
        self._wake()

    def end(self) -> None:
        """It has arrived to the end."""
        self.complete = True
        self._wake()

    def arrived(self, body: bytes) -> None:
        """All of it has arrived at once, before anybody asked."""
        self._chunks.append(body)
        self.buffered_bytes = len(body)
        self.complete = True

    def fail(self, failure: Exception) -> None:
        """Nothing more will come, though it was not the end: whoever reads on is told so."""
        self._failure = failure
        self._wake()

    def leave(self) -> None:
        """Its client sends no more."""
        if isinstance(self._leaving, asyncio.Future) and not self._leaving.done():
            self._leaving.set_result(None)
        self._leaving = True

    def wants_more(self) -> bool:
        """Whether the connection should go on reading for it."""
        return self._waiter is not None or self.buffered_bytes < limits.GATE_READ_BYTES

    # --- the body, for the gate ---------------------------------------------------------------------------------------
    async def chunk(self) -> bytes:
        """The next part of the body; empty: that was all.

        Raises:
            Problem: it broke off.
            ClientGone: its sender went away.
        """
        while not self.complete and not self._chunks:
            await self._more()
        chunk = self.take()
        self._way.let_flow()
        return chunk

    def take(self) -> bytes:
        """What has arrived and has not been taken."""
        chunks, self._chunks = self._chunks, []
        self.buffered_bytes = 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def leaving(self) -> asyncio.Future[None]:
        """Done when the client sends no more: it has left, or has said all that it will. Asked for once."""
        future = asyncio.get_running_loop().create_future()
        if self._leaving is True:
            future.set_result(None)
        else:
            self._leaving = future
        return future

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._announce:
            self._announce = False
            self._way.write(_CONTINUE)
        self._waiter = asyncio.get_running_loop().create_future()
        self._way.let_flow()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the answer ---------------------------------------------------------------------------------------------------
    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send it, once.

        Raises:
            ClientGone: nobody is there any more.
        """
        self.last = not self.complete or self._way.is_last()
        if self._announce:
            # Its sender waits to be asked for the body, and will not be.
            self._announce = False
            self.fail(ClientGone())
        connection = CLOSE if self.last else _KEEP_ALIVE if self._keep_alive else b""
        content = b"" if self.method == "HEAD" else body
        self._way.write(answer_bytes(status, headers, len(body), self._way.date() + connection, content))
        self.answered = True

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when the client has taken the answer, but for a little, or is gone; None: it has."""
        return self._way.delivered()

    def unsent_bytes(self) -> int:
        """How much of the answer it has not taken."""
        return self._way.unsent_bytes()

    def give_up(self) -> None:
        """End the connection: its client does not take the answer."""
        self._way.abort()


class Application(Protocol):
    """What answers."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        ...

    def refuse(self, problem: Problem) -> Answer:
        """The answer to what is no request."""
        ...


def answer_bytes(status: int, headers: Sequence[tuple[str, str]], length: int, lines: bytes, content: bytes) -> bytes:
    """An answer as it is sent. ``lines`` are more header lines, ``length`` is what Content-Length says."""
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (_head(status, tuple(headers)), lines, length, content)


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("ascii")
