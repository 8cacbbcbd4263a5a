"""One HTTP request on its connection, and the way to answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Protocol

from penstock.http.messages import Answer, ClientGone, Headers
from penstock.http.problems import HttpProblem
from penstock.model import limits

CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ExchangeConnection(Protocol):
    """The connection, as far as an exchange needs it: `penstock.http.connection.HttpConnection`.

    Attributes:
        client: whose it is, as `penstock.http.client_shares.client_of` tells.
    """

    client: str | None

    def write(self, data: bytes) -> None:
        """Send. Raises ClientGone where nobody is there any more."""
        ...

    def is_last(self) -> bool:
        """Whether no request follows the one that is being answered."""
        ...

    def date(self) -> bytes:
        """The ``date`` header line."""
        ...

    def let_flow(self) -> None:
        """Some of a body was taken: read on, if there is room."""
        ...

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when the client has taken what was written, except for a little, or is gone. None: it has already."""
        ...

    def unsent_bytes(self) -> int:
        """How much of what was written the client has not taken."""
        ...

    def abort(self) -> None:
        """End the connection now."""
        ...


class HttpExchange:
    """One request, from its whole head to its answer. Its connection feeds the body, the application takes it.

    Attributes:
        method: in capitals.
        path: decoded, without the query.
        query_string: not decoded.
        headers: names in lower case; the values of one that was repeated are joined by commas.
        complete: the body has arrived to its end, or there is none.
        answered: the answer has been sent.
        last: the answer said that the connection ends after it.
        buffered_bytes: of the body: arrived and not taken yet.
        task: the task that answers.
        client: whose request it is, as `penstock.http.client_shares.client_of` tells.
    """

    __slots__ = (
        "_chunks",
        "_connection",
        "_continue_due",
        "_failure",
        "_keep_alive",
        "_leaving",
        "_waiter",
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

    def __init__(
        self, connection: ExchangeConnection, method: str, path: str, query_string: str, headers: Headers
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.complete = False
        self.answered = False
        self.last = False
        self.buffered_bytes = 0
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self.client = connection.client
        self._chunks: list[bytes] = []
        self._failure: Exception | None = None
        """Why the rest of the body will not come."""
        self._waiter: asyncio.Future[None] | None = None
        """Of whoever waits for more of the body."""
        self._leaving: asyncio.Future[None] | bool = False
        """Whether the client sends no more, or the future of whoever wants to know."""
        self._continue_due = "expect" in headers
        """The client waits to be told that its body is wanted."""
        self._keep_alive = "connection" in headers and "keep-alive" in headers["connection"].lower()

    # --- the body, from the connection --------------------------------------------------------------------------------
    def feed(self, chunk: bytes) -> None:
        """A part of the body has arrived."""
        self._continue_due = False
        self._chunks.append(chunk)
        self.buffered_bytes += len(chunk)
        self._wake()

    def end(self) -> None:
        """The body has arrived to its end."""
        self.complete = True
        self._wake()

    def arrived(self, body: bytes) -> None:
        """The whole body has arrived at once, before the application was told of the request."""
        self._chunks.append(body)
        self.buffered_bytes = len(body)
        self.complete = True

    def fail(self, failure: Exception) -> None:
        """The body has broken off: ``failure`` is raised for whoever reads on."""
        self._failure = failure
        self._wake()

    def leave(self) -> None:
        """The client sends no more."""
        if isinstance(self._leaving, asyncio.Future) and not self._leaving.done():
            self._leaving.set_result(None)
        self._leaving = True

    def wants_more(self) -> bool:
        """Whether the connection should go on reading this body."""
        return self._waiter is not None or self.buffered_bytes < limits.HTTP_READ_BYTES

    # --- the body, for the application ------------------------------------------------------------------------------
    async def chunk(self) -> bytes:
        """The next part of the body; empty: that was all.

        Raises:
            HttpProblem: the body broke off.
            ClientGone: its sender went away.
        """
        while not self.complete and not self._chunks:
            await self._more()
        chunk = self.take()
        self._connection.let_flow()
        return chunk

    def take(self) -> bytes:
        """What has arrived of the body and has not been taken."""
        chunks, self._chunks = self._chunks, []
        self.buffered_bytes = 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def leaving(self) -> asyncio.Future[None]:
        """Done when the client sends no more: it has left, or has sent all that it will. Asked for once."""
        future = asyncio.get_running_loop().create_future()
        if self._leaving is True:
            future.set_result(None)
        else:
            self._leaving = future
        return future

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._continue_due:
            self._continue_due = False
            self._connection.write(_CONTINUE)
        self._waiter = asyncio.get_running_loop().create_future()
        self._connection.let_flow()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the answer ---------------------------------------------------------------------------------------------------
    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Send the answer, once.

        Raises:
            ClientGone: nobody is there any more.
        """
        self.last = not self.complete or self._connection.is_last()
        if self._continue_due:
            # The client waits to be asked for the body, and now never is.
            self._continue_due = False
            self.fail(ClientGone())
        connection = CLOSE if self.last else _KEEP_ALIVE if self._keep_alive else b""
        content = b"" if self.method == "HEAD" else body
        self._connection.write(answer_bytes(status, headers, len(body), self._connection.date() + connection, content))
        self.answered = True

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when the client has taken the answer, except for a little, or is gone. None: it has already."""
        return self._connection.delivered()

    def unsent_bytes(self) -> int:
        """How much of the answer the client has not taken."""
        return self._connection.unsent_bytes()

    def give_up(self) -> None:
        """End the connection: the client does not take the answer."""
        self._connection.abort()


class Application(Protocol):
    """Answers requests. `penstock.gate.app.Gate` is one."""

    async def serve(self, exchange: HttpExchange) -> None:
        """Answer one request."""
        ...

    def refuse(self, problem: HttpProblem) -> Answer:
        """The answer to bytes that are no request."""
        ...


def answer_bytes(status: int, headers: Sequence[tuple[str, str]], length: int, lines: bytes, content: bytes) -> bytes:
    """An answer as it is sent; ``length`` is what Content-Length says, ``lines`` are more header lines."""
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (_head(status, tuple(headers)), lines, length, content)


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("ascii")
