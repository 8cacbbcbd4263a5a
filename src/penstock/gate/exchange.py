"""One HTTP request on its connection, and the way to answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Protocol

from penstock.gate.access import Headers
from penstock.gate.heads import split_target
from penstock.gate.problems import Problem
from penstock.gate.requests import ClientGone
from penstock.model import limits

CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Way(Protocol):
    """The connection, as far as an exchange needs it."""

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
    """

    __slots__ = (
        "_announce",
        "_chunks",
        "_failure",
        "_keep_alive",
        "_leaving",
        "_waiter",
        "_wakes_beyond",
        "_way",
        "answered",
        "buffered_bytes",
        "complete",
        "headers",
        "last",
        "method",
        "path",
        "query_string",
        "task",
    )

    def __init__(self, way: Way, method: str, target: bytes, headers: dict[str, str]) -> None:
        self.method = method
        self.path, self.query_string = split_target(method, target, headers)
        self.headers: Headers = headers
        self.complete = False
        self.answered = False
        self.last = False
        self.buffered_bytes = 0
        self.task: asyncio.Task[None] | None = None
        self._way = way
        self._chunks: list[bytes] = []
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._leaving: asyncio.Future[None] | bool = False
        self._wakes_beyond = 0
        self._announce = "expect" in headers
        self._keep_alive = "connection" in headers and "keep-alive" in headers["connection"].lower()

    # --- the body, from the connection --------------------------------------------------------------------------------
    def feed(self, chunk: bytes) -> None:
        """More of it has arrived."""
        self._announce = False
        self._chunks.append(chunk)
        self.buffered_bytes += len(chunk)
        if self.buffered_bytes > self._wakes_beyond:
            self._wake()

    def end(self) -> None:
        """It has arrived to the end."""
        self.complete = True
        self._wake()

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
    async def whole(self, length: int) -> bytes:
        """All of the body, which was announced as ``length`` bytes.

        Raises:
            Problem: it broke off, or is longer.
            ClientGone: its sender went away.
        """
        while not self.complete:
            await self._more(length)
            if self.buffered_bytes > length:
                raise Problem("malformed-body", "The body is longer than its Content-Length.")
        return self.take()

    async def chunk(self) -> bytes:
        """The next part of the body; empty: that was all. Raises as `whole`."""
        while not self.complete and not self._chunks:
            await self._more(0)
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

    async def _more(self, wakes_beyond: int) -> None:
        if self._failure is not None:
            raise self._failure
        if self._announce:
            self._announce = False
            self._way.write(_CONTINUE)
        self._wakes_beyond = wakes_beyond
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


def answer_bytes(status: int, headers: Sequence[tuple[str, str]], length: int, lines: bytes, content: bytes) -> bytes:
    """An answer as it is sent. ``lines`` are more header lines, ``length`` is what Content-Length says."""
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (_head(status, tuple(headers)), lines, length, content)


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("ascii")
