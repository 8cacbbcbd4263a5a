"""One HTTP/1.1 connection: bytes in, exchanges one after the other, answers out.

The parser (llhttp) is strict; what it refuses, or what is larger than the limits, ends the connection. A connection has
one deadline at a time, which the server looks at once a second: for the head of a request and the time before it, and
for an answer that is not taken. The body of a request and what is done with it are the gate's to watch.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from time import monotonic
from typing import Protocol, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from penstock.gate.head_cache import HEAD_END, KNOWN_HEAD_BYTES_MAX, KnownHeads
from penstock.gate.head_checks import check_head, header_name, is_small, split_target
from penstock.gate.http_exchange import CLOSE, Application, Exchange, answer_bytes
from penstock.gate.problems import Problem
from penstock.gate.request_line import FirstLine, may_be_blank
from penstock.gate.requests import ClientGone
from penstock.model import limits

logger = logging.getLogger("penstock.gate")


class Server(Protocol):
    """What the connections of a server share.

    Attributes:
        application: what answers.
        date: the header line that says when it is.
        stopping: connections end with the answers that are due.
        inbox: where bytes are read to; what is in it is used up before it is read to again.
        now: by the monotonic clock, at the last sweep.
        heads: which were sent before.
    """

    application: Application
    date: bytes
    stopping: bool
    inbox: memoryview
    now: float
    heads: KnownHeads

    def forget(self, connection: Connection) -> None:
        """It is over."""
        ...


class Connection(asyncio.BufferedProtocol):
    """A client. See the module; methods whose names begin with ``on_`` are the parser's to call."""

    def __init__(self, server: Server, client: str | None = None) -> None:
        self.client = client
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_count = 0
        self._first_line = FirstLine()
        self._arriving: Exchange | None = None
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._overhead_bytes = 0
        self._deadline = monotonic() + limits.GATE_HEAD_READ_S
        self._deflected = False
        self._ends = False
        self._held = False
        self._clogged = False
        self._delivered: asyncio.Future[None] | None = None
        self._heard_at = self._deadline - limits.GATE_HEAD_READ_S

    # --- bytes --------------------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        # The transports of uvloop are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(limits.GATE_ANSWER_KEPT_BYTES)
        if self._server.stopping:
            self._transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to read to."""
        return self._server.inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        server = self._server
        data = server.inbox[:nbytes]
        self._heard_at = server.now
        # Of a head, or of a blank line before one, a part may have arrived; a body that still arrives is the current's.
        within = self._first_line.cut or self._current
        if within or self._ends or self._clogged:
            self._receive(data)
            return
        # The parser is where it was at first: what the bytes mean does not depend on any before them.
        # Where a head does not end in what was read, no known one is found.
        head = data[:KNOWN_HEAD_BYTES_MAX].tobytes()
        head = head[: head.find(HEAD_END) + len(HEAD_END)]
        length = nbytes - len(head)
        known = server.heads.get(head)
        if known is not None and known.length == length:
            exchange = Exchange(self, known.method, known.path, known.query_string, known.headers)
            exchange.arrived(data[len(head) :].tobytes())
            self._start(exchange)
            return
        self._receive(data)
        if self._current is not None:
            server.heads.learn(head, length, self._current)

    def _receive(self, data: memoryview) -> None:
        begins = self._current is None and not self._overhead_bytes
        while data and not (self._ends and self._arriving is None):
            data = self._parse(data)
        if begins and self._overhead_bytes and self._current is None:
            self._deadline = monotonic() + limits.GATE_HEAD_READ_S
        arriving = self._arriving
        if not self._held and (self._waiting or (arriving is not None and not arriving.wants_more())):
            self._hold()

    def _parse(self, data: memoryview) -> memoryview:
        """Answers what is left to be parsed: something only where a request asked for another protocol, in vain."""
        assert self._parser is not None
        self._overhead_bytes += len(data)
        line = self._first_line
        line.read(data, behind=self._arriving is not None)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._parser = HttpRequestParser(self)
            rest = data[upgrade.args[0] :]
            return memoryview(self._framing() + rest) if self._deflected else rest
        except HttpParserCallbackError as error:
            logger.exception("A request could not be read.", exc_info=error.__context__ or error)
            self.abort()
        except HttpParserError as error:
            self._malformed(str(error))
        if self._overhead_bytes > limits.GATE_HEAD_BYTES_MAX:
            self._too_large()
        elif self._arriving is None and (line.begun or may_be_blank(data)):
            line.used_up()
        return data[:0]

    def _framing(self) -> bytes:
        """Where a request asks for another protocol, the parser takes its body for that. It is one of this protocol, as
        from a Java client, which asks every server for HTTP/2: it is parsed behind a head that asks for nothing."""
        assert self._arriving is not None
        headers = self._arriving.headers
        name = "transfer-encoding" if "transfer-encoding" in headers else "content-length"
        return f"POST / HTTP/1.1\r\n{name}: {headers[name]}\r\n\r\n".encode("latin-1")

    def eof_received(self) -> bool:
        """The client sends no more; it may still want its answers."""
        if self._arriving is not None:
            self._break_off("The body broke off.")
        self._ends = True
        self._tell_leaving()
        return self._current is not None or bool(self._waiting)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Nobody is there any more. A request that is being answered goes on: its job is wanted."""
        self._transport = None
        self._parser = None
        self._tell_delivered()
        self._tell_leaving()
        if self._arriving is not None:
            self._arriving.fail(ClientGone())
            self._arriving = None
        self._waiting.clear()
        self._server.forget(self)

    def _tell_leaving(self) -> None:
        # While others wait behind it nothing is read, and so the end is not seen.
        if self._current is not None:
            self._current.leave()

    # --- the parser's -------------------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """A head, as yet of nothing."""
        self._first_line.begun = True

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a line after the last chunk, which is nobody's business."""
        if self._arriving is not None or self._ends:
            return
        self._header_count += 1
        if self._header_count > limits.GATE_HEADERS_MAX:
            return
        key, text = header_name(name), value.decode("latin-1").strip(" \t")
        headers = self._headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """A request begins."""
        assert self._parser is not None
        self._first_line.begun = False
        # Of what was counted, some may be of the body.
        surely_small = self._overhead_bytes <= limits.GATE_HEAD_BYTES_MAX
        self._overhead_bytes = 0
        if self._deflected:
            self._deflected, self._target = False, b""
            return
        target, headers, count = self._target, self._headers, self._header_count
        self._target, self._headers, self._header_count = b"", {}, 0
        if self._ends:
            return
        if count > limits.GATE_HEADERS_MAX or not (surely_small or is_small(target, headers)):
            self._too_large()
            return
        if len(self._waiting) >= limits.GATE_PIPELINED_MAX:
            self._ends = True
            return
        verb = self._parser.get_method()
        method = verb.decode()
        try:
            check_head(self._first_line.version(verb, target, self._parser), headers)
            path, query_string = split_target(method, target, headers)
        except Problem as problem:
            self._refuse(problem)
            return
        exchange = self._arriving = Exchange(self, method, path, query_string, headers)
        if not self._parser.should_keep_alive() or method == "CONNECT":
            self._ends = True
        if "upgrade" in headers and self._parser.should_upgrade():
            self._deflected = "content-length" in headers or "transfer-encoding" in headers
        if self._current is None and not self._waiting and not self._clogged:
            self._start(exchange)
        else:
            self._waiting.append(exchange)

    def on_body(self, chunk: bytes) -> None:
        """A part of its body."""
        self._overhead_bytes = 0
        if self._arriving is not None:
            self._arriving.feed(chunk)

    def on_message_complete(self) -> None:
        """It is whole."""
        self._overhead_bytes = 0
        if self._deflected:
            return
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            arriving.end()

    # --- exchanges ----------------------------------------------------------------------------------------------------
    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        self._deadline = math.inf
        exchange.task = self._loop.create_task(self._serve(exchange))

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._server.application.serve(exchange)
        finally:
            self._served(exchange)

    def _served(self, exchange: Exchange) -> None:
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
        """The next request, once the client has taken the last answer."""
        self._deadline = monotonic() + (limits.GATE_SEND_S if self._clogged else limits.GATE_HEAD_READ_S)
        if self._waiting and not self._clogged:
            self._start(self._waiting.popleft())
        self.let_flow()

    # --- for the exchange ---------------------------------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        """Send. Raises ClientGone."""
        if self._transport is None or self._transport.is_closing():
            raise ClientGone
        self._transport.write(data)

    def is_last(self) -> bool:
        """Whether no request follows the one that is being answered."""
        return self._server.stopping or (self._ends and not self._waiting)

    def date(self) -> bytes:
        """The header line that says when it is."""
        return self._server.date

    def let_flow(self) -> None:
        """Read on, if there is room."""
        if self._held and not self._waiting and (self._arriving is None or self._arriving.wants_more()):
            self._held = False
            if self._transport is not None:
                self._transport.resume_reading()

    def _hold(self) -> None:
        self._held = True
        if self._transport is not None:
            self._transport.pause_reading()

    # --- answers that are not taken -----------------------------------------------------------------------------------
    def pause_writing(self) -> None:
        """The client is slow to take its answer."""
        self._clogged = True

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when it has taken what was written, but for a little, or is gone; None: it has."""
        if self._clogged and self._transport is not None:
            self._delivered = self._loop.create_future()
        return self._delivered

    def _tell_delivered(self) -> None:
        delivered, self._delivered = self._delivered, None
        if delivered is not None and not delivered.done():
            delivered.set_result(None)

    def unsent_bytes(self) -> int:
        """How much it has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """It has taken it."""
        self._clogged = False
        self._tell_delivered()
        if self._current is None and self._transport is not None and not self._transport.is_closing():
            self._proceed()

    def silent_since(self) -> float:
        """When it last sent something, if it is its turn to; infinity, if it is ours."""
        answering = self._current is not None and self._arriving is None
        return math.inf if answering or self._waiting else self._heard_at

    # --- the end ------------------------------------------------------------------------------------------------------
    def sweep(self, now: float) -> None:
        """End it where its time is up; ``now`` is by the monotonic clock."""
        if self._deadline < now:
            self.abort()

    def stop(self) -> None:
        """End with the answer that is due, at once where none is."""
        if self._current is None:
            self._end()

    def _end(self) -> None:
        """When the answer has been taken. What was sent ahead is not done: the client was told that it would not be."""
        self._ends = True
        self._deadline = monotonic() + limits.GATE_SEND_S
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End now."""
        self._ends = True
        if self._transport is not None:
            self._transport.abort()

    def _too_large(self) -> None:
        if self._arriving is not None:
            self._break_off("Its lines are too long.")
        else:
            size = f"{limits.GATE_HEAD_BYTES_MAX} bytes and {limits.GATE_HEADERS_MAX} headers"
            self._refuse(Problem("head-too-large", f"The head of a request may have {size}."))

    def _malformed(self, why: str) -> None:
        if self._arriving is not None:
            self._break_off(f"{why}.")
        else:
            self._refuse(Problem("malformed-request", f"{why}."))

    def _break_off(self, why: str) -> None:
        """There is no more of the body that has begun to arrive."""
        assert self._arriving is not None
        self._ends = True
        self._arriving.fail(Problem("malformed-body", why))
        self._arriving = None

    def _refuse(self, problem: Problem) -> None:
        """There is no request to be answered; after one that is being answered, the connection just ends."""
        if self._ends:
            return
        self._ends = True
        if self._current is None and not self._waiting and self._transport is not None:
            status, headers, body = self._server.application.refuse(problem)
            self._transport.write(answer_bytes(status, headers, len(body), self._server.date + CLOSE, body))
            self._end()
