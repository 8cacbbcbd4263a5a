"""One HTTP/1.1 connection: bytes in, exchanges one after the other, answers out.

Reading is `penstock.http.request_reader`'s. The connection decides whose turn it is, holds the client back where more
has arrived than may be kept, and ends in time. It has one deadline at a time, which the server looks at once a second:
for the head of a request and the time before the head, and for an answer that the client does not take. How long a body
may take, and the making of its answer, is decided by who answers (the gate: in `penstock.gate.admission`).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from time import monotonic
from typing import Protocol, cast

from penstock.http.exchange import CLOSE, Application, HttpExchange, answer_bytes
from penstock.http.head_cache import HEAD_END, KNOWN_HEAD_BYTES_MAX, KnownHeads
from penstock.http.messages import ClientGone
from penstock.http.problems import HttpProblem
from penstock.http.request_reader import RequestReader
from penstock.model import limits


class Server(Protocol):
    """What the connections of a server share.

    Attributes:
        application: answers the requests.
        date: the ``date`` header line, as of the last sweep.
        stopping: a connection ends after the answer that is due.
        inbox: where bytes are read to. A connection has used up what is in it before the next one reads.
        now: by the monotonic clock, at the last sweep.
        heads: heads of requests that were sent before.
        idle_s: how long a connection may be idle between requests.
    """

    application: Application
    date: bytes
    stopping: bool
    inbox: memoryview
    now: float
    heads: KnownHeads
    idle_s: float

    def forget(self, connection: HttpConnection) -> None:
        """The connection is over."""
        ...


class HttpConnection(asyncio.BufferedProtocol):
    """One client's connection. The event loop calls it as a protocol, its exchanges as the way to their client.

    Args:
        server: what it shares with others.
        client: whose it is, as `penstock.http.client_shares.client_of` tells.
    """

    def __init__(self, server: Server, client: str | None = None) -> None:
        self.client = client
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = RequestReader(self)
        self._current: HttpExchange | None = None
        """The request that is being answered."""
        self._waiting: deque[HttpExchange] = deque()
        """Requests that were sent ahead, before that answer."""
        now = monotonic()
        self._heard_at = now
        self._deadline = now + limits.HTTP_HEAD_READ_S
        self._reading_paused = False
        self._writing_paused = False
        self._delivered: asyncio.Future[None] | None = None
        self._ends_at_once = False
        """It is over when the client has sent all that it will."""

    # --- bytes in -----------------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has the connection."""
        # The transports of uvloop are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(limits.HTTP_ANSWER_KEPT_BYTES)
        self._ends_at_once = self._transport.get_extra_info("ssl_object") is not None
        if self._server.stopping:
            self._transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the event loop reads to."""
        return self._server.inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived: parse them, unless they are a whole request whose head was sent before."""
        server = self._server
        data = server.inbox[:nbytes]
        self._heard_at = server.now
        if self._current is not None or self._writing_paused or not self._reader.is_between_requests():
            self._read(data)
            return
        # What the bytes mean depends on no others before them. Where the head does not end in what was read, ``head``
        # is empty or cut, and no known one.
        head = data[:KNOWN_HEAD_BYTES_MAX].tobytes()
        head = head[: head.find(HEAD_END) + len(HEAD_END)]
        length = nbytes - len(head)
        known = server.heads.get(head)
        if known is not None and known.length == length:
            exchange = HttpExchange(self, known.method, known.path, known.query_string, known.headers)
            exchange.arrived(data[len(head) :].tobytes())
            self._start(exchange)
            return
        self._read(data)
        if self._current is not None:
            server.heads.learn(head, length, self._current)

    def _read(self, data: memoryview) -> None:
        reader = self._reader
        may_begin = self._current is None and not reader.head_bytes
        reader.read(data)
        if may_begin and reader.head_bytes and self._current is None:
            # A head has begun: from now on it has so long.
            self._deadline = monotonic() + limits.HTTP_HEAD_READ_S
        if not self._reading_paused and not self._wants_more():
            self._reading_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _wants_more(self) -> bool:
        """Whether more bytes may be read: none wait for their turn, nor does much of a body."""
        arriving = self._reader.arriving
        return not self._waiting and (arriving is None or arriving.wants_more())

    def let_flow(self) -> None:
        """An exchange has taken some of its body: read on, if there is room."""
        if self._reading_paused and self._wants_more():
            self._reading_paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The client sends no more; it may still want its answers. Answers whether the connection stays open, which an
        encrypted one cannot."""
        self._reader.at_end()
        self._tell_leaving()
        return (self._current is not None or bool(self._waiting)) and not self._ends_at_once

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone. A request that is being answered goes on: its job is wanted."""
        self._transport = None
        self._tell_delivered()
        self._tell_leaving()
        self._reader.close(ClientGone())
        self._waiting.clear()
        self._server.forget(self)

    def _tell_leaving(self) -> None:
        # While requests wait their turn nothing is read, and so the end is not seen.
        if self._current is not None:
            self._current.leave()

    # --- requests, from the reader ------------------------------------------------------------------------------------
    def has_room(self) -> bool:
        """Whether one more request may wait for its turn."""
        return len(self._waiting) < limits.HTTP_PIPELINED_MAX

    def begin(self, method: str, path: str, query_string: str, headers: dict[str, str]) -> HttpExchange:
        """The head of a request has arrived: it is answered now, or when its turn comes."""
        exchange = HttpExchange(self, method, path, query_string, headers)
        if self._current is None and not self._waiting and not self._writing_paused:
            self._start(exchange)
        else:
            self._waiting.append(exchange)
        return exchange

    def refuse(self, problem: HttpProblem) -> None:
        """What arrived is no request. Behind a request that is being answered, the connection just ends."""
        if self._current is None and not self._waiting and self._transport is not None:
            status, headers, body = self._server.application.refuse(problem)
            self._transport.write(answer_bytes(status, headers, len(body), self._server.date + CLOSE, body))
            self._end()

    # --- one exchange after the other ---------------------------------------------------------------------------------
    def _start(self, exchange: HttpExchange) -> None:
        self._current = exchange
        self._deadline = math.inf
        exchange.task = self._loop.create_task(self._serve(exchange))

    async def _serve(self, exchange: HttpExchange) -> None:
        try:
            await self._server.application.serve(exchange)
        finally:
            self._served(exchange)

    def _served(self, exchange: HttpExchange) -> None:
        self._current = None
        if self._transport is None:
            return
        if not exchange.answered:
            self.abort()
        elif exchange.last or self.is_last():
            self._end()
        else:
            self._proceed()

    def _proceed(self) -> None:
        """Begin the next request, once the client has taken the last answer."""
        self._deadline = monotonic() + (limits.HTTP_SEND_S if self._writing_paused else self._server.idle_s)
        if self._waiting and not self._writing_paused:
            self._start(self._waiting.popleft())
        self.let_flow()

    # --- answers, from the exchange -----------------------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        """Send.

        Raises:
            ClientGone: nobody is there any more.
        """
        if self._transport is None or self._transport.is_closing():
            raise ClientGone
        self._transport.write(data)

    def is_last(self) -> bool:
        """Whether no request follows the one that is being answered."""
        return self._server.stopping or (self._reader.ended and not self._waiting)

    def date(self) -> bytes:
        """The ``date`` header line."""
        return self._server.date

    def unsent_bytes(self) -> int:
        """How much of what was written the client has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when the client has taken what was written, except for a little, or is gone. None: it has already."""
        if self._writing_paused and self._transport is not None:
            self._delivered = self._loop.create_future()
        return self._delivered

    def pause_writing(self) -> None:
        """The event loop keeps as much of an answer as it may: the client is slow to take it."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        self._writing_paused = False
        self._tell_delivered()
        if self._current is None and self._transport is not None and not self._transport.is_closing():
            self._proceed()

    def _tell_delivered(self) -> None:
        delivered, self._delivered = self._delivered, None
        if delivered is not None and not delivered.done():
            delivered.set_result(None)

    # --- the end ------------------------------------------------------------------------------------------------------
    def silent_since(self) -> float:
        """When the client last sent something, if it is its turn to send; infinity, if an answer is due."""
        answering = self._current is not None and self._reader.arriving is None
        return math.inf if answering or self._waiting else self._heard_at

    def sweep(self, now: float) -> None:
        """End the connection where its deadline is past; ``now`` is by the monotonic clock."""
        if self._deadline < now:
            self.abort()

    def stop(self) -> None:
        """End after the answer that is due, at once where none is."""
        if self._current is None:
            self._end()

    def _end(self) -> None:
        """End when the client has taken the answer. Requests that wait are not answered: the client was told so."""
        self._reader.ended = True
        self._deadline = monotonic() + limits.HTTP_SEND_S
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End now."""
        self._reader.ended = True
        if self._transport is not None:
            self._transport.abort()
