"""The HTTP API of a daemon as an application: finds the route, checks who asks, reads the body, answers, logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Final
from urllib.parse import quote

from penstock.http.client_shares import Shares
from penstock.http.exchange import HttpExchange
from penstock.http.messages import Answer, ClientGone
from penstock.http.problems import HttpProblem
from penstock.model import limits
from penstock.model.errors import ChannelNotFound, InvalidOption, PenstockError, TopicNotFound
from penstock.nsq.http_access import HttpAccess
from penstock.nsq.http_routes import ApiError, Elsewhere, Query, Routes
from penstock.process.loop_faults import place_of
from penstock.process.repeated_faults import Faults

__all__ = ["Handler", "HttpApplication", "Request", "Route"]

_SHOWN: Final = "/:@!$&'()*+,;=~-._"


class Request:
    """A request, as its route gets it.

    Attributes:
        method: in capitals.
        path: decoded.
        subject: what stands in the place of ``:name`` in the route's path, else empty.
        client: whose it is, as `penstock.http.client_shares.client_of` tells.
    """

    __slots__ = ("_exchange", "_query", "_taken_bytes", "bodies", "client", "method", "path", "subject")

    def __init__(self, exchange: HttpExchange, subject: str, bodies: Shares) -> None:
        self.method = exchange.method
        self.path = exchange.path
        self.subject = subject
        self.client = exchange.client
        self.bodies = bodies
        self._exchange = exchange
        self._query: Query | None = None
        self._taken_bytes = 0

    def query(self) -> Query:
        """Its parameters.

        Raises:
            ApiError: 400 ``INVALID_REQUEST``.
        """
        if self._query is None:
            self._query = Query(self._exchange.query_string)
        return self._query

    def announced_bytes(self) -> int:
        """How long its body is by its Content-Length; 0: it does not say, or has none."""
        text = self._exchange.headers.get("content-length", "")
        return int(text.lstrip("0")[:20] or "0") if text.isascii() and text.isdigit() else 0

    async def body(self, bytes_max: int, too_big: ApiError) -> bytes:
        """Its body.

        Raises:
            ApiError: ``too_big``; or 503 ``OVERLOADED``: there is no room for it beside those of others.
            HttpProblem: it breaks off.
            ClientGone: so does its client.
        """
        if self.announced_bytes() > bytes_max:
            raise too_big
        chunks: list[bytes] = []
        size_bytes = 0
        while chunk := await self._exchange.chunk():
            size_bytes += len(chunk)
            if size_bytes > bytes_max:
                raise too_big
            if not self.bodies.take(self.client, len(chunk)):
                raise ApiError(503, "OVERLOADED")
            self._taken_bytes += len(chunk)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def done(self) -> None:
        """Its body is needed no more."""
        if self._taken_bytes:
            self.bodies.give_back(self.client, self._taken_bytes)
            self._taken_bytes = 0


Handler = Callable[[Request], Awaitable[Answer]]


class Route:
    """What answers a path.

    Attributes:
        handler: answers.
        is_open: anybody may ask, without a token.
        is_debugging: it looks into the process: see `HttpAccess.check_debugging`.
        is_logged: each request is.
        is_plain: errors are texts, not JSON.
    """

    __slots__ = ("handler", "is_debugging", "is_logged", "is_open", "is_plain")

    def __init__(
        self,
        handler: Handler,
        *,
        is_open: bool = False,
        is_debugging: bool = False,
        is_logged: bool = True,
        is_plain: bool = False,
    ) -> None:
        self.handler = handler
        self.is_open = is_open
        self.is_debugging = is_debugging
        self.is_logged = is_logged
        self.is_plain = is_plain


class HttpApplication:
    """Answers HTTP requests; one event loop's.

    Args:
        routes: of the API.
        access: who may ask.
        logger: of the daemon.
        refusal: every request is refused with this answer, as where TLS is required. None: none is.
    """

    def __init__(
        self, routes: Routes[Route], access: HttpAccess, logger: logging.Logger, *, refusal: Answer | None = None
    ) -> None:
        self._routes = routes
        self._access = access
        self._logger = logger
        self._refusal = refusal
        self._bodies = Shares(limits.NSQ_HTTP_BODIES_BYTES_MAX)
        self._answers = Shares(limits.NSQ_HTTP_ANSWERS_BYTES_MAX)
        self._faults = Faults(logger)

    async def serve(self, exchange: HttpExchange) -> None:
        """Answer one request."""
        started = monotonic()
        route, answer = None, self._refusal
        if answer is None:
            route, answer = await self._answer(exchange)
        if route is None or route.is_logged:
            self._log(exchange, answer[0], monotonic() - started)
        with suppress(ClientGone):
            if len(answer[2]) > limits.HTTP_ANSWER_KEPT_BYTES:
                await self._send(exchange, answer)
            else:
                exchange.answer(*answer)
            if not exchange.complete:
                await self._drain(exchange)

    def refuse(self, problem: HttpProblem) -> Answer:
        """The answer to bytes that are no request."""
        return _told(problem).answer()

    async def _answer(self, exchange: HttpExchange) -> tuple[Route | None, Answer]:
        try:
            route, subject = self._routes.find(exchange.method, exchange.path, exchange.query_string)
        except (ApiError, Elsewhere) as error:
            try:
                self._access.check(exchange.headers)
            except ApiError as refusal:
                return None, refusal.answer()
            return None, error.answer() if isinstance(error, ApiError) else error.answer
        request = Request(exchange, subject, self._bodies)
        try:
            if not route.is_open:
                self._access.check(exchange.headers)
            if route.is_debugging:
                self._access.check_debugging(exchange.client)
            async with asyncio.timeout(limits.NSQ_HTTP_REQUEST_S):
                return route, await route.handler(request)
        except ApiError as error:
            return route, error.text_answer() if route.is_plain else error.answer()
        except Exception as error:  # noqa: BLE001 - the client hears of it, and so does the log
            return route, self._failure(error).answer()
        finally:
            request.done()

    def _failure(self, error: Exception) -> ApiError:
        """What a request is answered that an error ended."""
        if isinstance(error, ChannelNotFound):
            return ApiError(404, "CHANNEL_NOT_FOUND")
        if isinstance(error, TopicNotFound):
            return ApiError(404, "TOPIC_NOT_FOUND")
        if isinstance(error, HttpProblem):
            return _told(error)
        if isinstance(error, ClientGone):
            return ApiError(500, "INTERNAL_ERROR")
        if isinstance(error, TimeoutError):
            return ApiError(503, "TIMEOUT")
        if isinstance(error, InvalidOption):
            return ApiError(400, _word_of(error), detail=error.message)
        now = monotonic()
        is_ours = not isinstance(error, PenstockError)
        self._faults.note(f"A request, in {place_of(error)},", error, now, traceback=is_ours)
        self._faults.tell(now)
        if isinstance(error, PenstockError):
            return ApiError(503, _word_of(error), detail=error.message)
        return ApiError(500, "INTERNAL_ERROR")

    def _log(self, exchange: HttpExchange, status: int, elapsed_s: float) -> None:
        path = quote(exchange.path, safe=_SHOWN, errors="replace")
        target = f"{path}?{exchange.query_string}" if exchange.query_string else path
        client = exchange.client or "local"
        self._logger.info("%d %s %s (%s) %.3fms", status, exchange.method, target, client, 1_000 * elapsed_s)

    async def _send(self, exchange: HttpExchange, answer: Answer) -> None:
        """Send a large answer, which counts until its client has taken it."""
        size_bytes = len(answer[2])
        if not self._answers.take(exchange.client, size_bytes, alone=not self._answers.taken):
            exchange.answer(*ApiError(503, "OVERLOADED").answer())
            return
        try:
            exchange.answer(*answer)
            delivered = exchange.delivered()
            if delivered is not None:
                async with asyncio.timeout(limits.HTTP_SEND_S):
                    await delivered
        except TimeoutError:
            exchange.give_up()
        finally:
            self._answers.give_back(exchange.client, size_bytes)

    async def _drain(self, exchange: HttpExchange) -> None:
        """Throw away what is left of a body that was refused, so that its sender reads the answer."""
        drained = 0
        with suppress(HttpProblem, TimeoutError):
            async with asyncio.timeout(limits.NSQ_HTTP_REQUEST_S):
                while (chunk := await exchange.chunk()) and drained <= limits.NSQ_HTTP_DRAIN_BYTES_MAX:
                    drained += len(chunk)


def _word_of(error: PenstockError) -> str:
    """An error's code, written as NSQ writes its own."""
    return error.code.upper().replace("-", "_")


def _told(problem: HttpProblem) -> ApiError:
    """A problem of HTTP itself, in the form of NSQ's errors."""
    return ApiError(problem.status, problem.code.upper().replace("-", "_"), problem.headers)
