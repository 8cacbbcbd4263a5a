"""From the bytes of one connection to its requests: what the parser finds, within the limits of a head.

The parser (llhttp) is strict. What it refuses, or what is larger than the limits, ends the reading. The reader tells
its connection of each head as soon as the head is whole; the body goes to the exchange that the connection made for it.
"""

from __future__ import annotations

import logging
from typing import Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from penstock.http.exchange import HttpExchange
from penstock.http.head_checks import check_head, header_name, is_small, split_target
from penstock.http.problems import HttpProblem
from penstock.http.request_line import FirstLine, may_be_blank
from penstock.model import limits

logger = logging.getLogger("penstock.http")


class RequestTaker(Protocol):
    """The connection, as far as its reader needs it."""

    def has_room(self) -> bool:
        """Whether one more request may wait for its turn."""
        ...

    def begin(self, method: str, path: str, query_string: str, headers: dict[str, str]) -> HttpExchange:
        """A head is whole. Answers the exchange that takes the body."""
        ...

    def refuse(self, problem: HttpProblem) -> None:
        """What arrived is no request, and nothing after it is read."""
        ...

    def abort(self) -> None:
        """End the connection now: the reader itself failed."""
        ...


class RequestReader:
    """Reads the requests of one connection. Methods whose names begin with ``on_`` are the parser's to call.

    Args:
        taker: is told of each request.

    Attributes:
        arriving: the request whose body has not arrived to its end. None: what comes next is a head.
        ended: no further request is read. The body of ``arriving`` still is.
        head_bytes: given to the parser since a head or a part of a body was whole: of a head, of the lines between
            chunks, or of blank lines before a head.
    """

    __slots__ = (
        "_first_line",
        "_framing",
        "_header_count",
        "_headers",
        "_parser",
        "_taker",
        "_target",
        "arriving",
        "ended",
        "head_bytes",
    )

    def __init__(self, taker: RequestTaker) -> None:
        self.arriving: HttpExchange | None = None
        self.ended = False
        self.head_bytes = 0
        self._taker = taker
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._first_line = FirstLine()
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_count = 0
        self._framing = b""

    # --- for the connection -------------------------------------------------------------------------------------------
    def is_between_requests(self) -> bool:
        """Whether the next byte would be the first of a head, as far as the reader has been given all bytes."""
        return not (self._first_line.cut or self.ended or self.arriving)

    def read(self, data: memoryview) -> None:
        """These bytes have arrived."""
        while data and not (self.ended and self.arriving is None):
            data = self._parse(data)

    def at_end(self) -> None:
        """The client sends no more. A body that has begun broke off."""
        if self.arriving is not None:
            self._break_off("The body broke off.")
        self.ended = True

    def close(self, failure: Exception) -> None:
        """The connection is gone: whoever waits for the body is told ``failure``."""
        self._parser = None
        if self.arriving is not None:
            self.arriving.fail(failure)
            self.arriving = None

    # --- parsing ------------------------------------------------------------------------------------------------------
    def _parse(self, data: memoryview) -> memoryview:
        """Answers what is left to be parsed: something only behind a request that asked for another protocol."""
        assert self._parser is not None
        self.head_bytes += len(data)
        line = self._first_line
        line.read(data, behind=self.arriving is not None)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._go_on_in_http()
            return data[upgrade.args[0] :]
        except HttpParserCallbackError as error:
            logger.exception("A request could not be read.", exc_info=error.__context__ or error)
            self._taker.abort()
        except HttpParserError as error:
            self._malformed(str(error))
        if self.head_bytes > limits.HTTP_HEAD_BYTES_MAX:
            self._too_large()
        elif self.arriving is None and (line.begun or may_be_blank(data)):
            line.used_up()
        return data[:0]

    def _go_on_in_http(self) -> None:
        """Replace the parser, which has stopped at a request that asks for another protocol.

        HTTP/1.1 is all that is spoken here, so the request is answered as if it had not asked: Java's client asks every
        server for HTTP/2. The stopped parser has taken its body for bytes of the other protocol. The new one is given a
        head that only says how long the body is, so that it reads the body next.
        """
        self._parser = HttpRequestParser(self)
        if self._framing:
            framing, self._framing = self._framing, b""
            self._parser.feed_data(framing)

    # --- the parser's -------------------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """A head begins."""
        self._first_line.begun = True

    def on_url(self, part: bytes) -> None:
        """A part of the target has arrived."""
        if self.arriving is None:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has arrived; or, behind the last chunk of a body, a line which is ignored."""
        if self.arriving is not None or self.ended:
            return
        self._header_count += 1
        if self._header_count > limits.HTTP_HEADERS_MAX:
            return
        key, text = header_name(name), value.decode("latin-1").strip(" \t")
        headers = self._headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """A head is whole."""
        assert self._parser is not None
        self._first_line.begun = False
        # Part of a body may be among the bytes that were counted, so a head that seems large is measured.
        surely_small = self.head_bytes <= limits.HTTP_HEAD_BYTES_MAX
        self.head_bytes = 0
        if self.arriving is not None:
            # It is the head of `_go_on_in_http`.
            return
        target, headers, count = self._target, self._headers, self._header_count
        self._target, self._headers, self._header_count = b"", {}, 0
        if self.ended:
            return
        if count > limits.HTTP_HEADERS_MAX or not (surely_small or is_small(target, headers)):
            self._too_large()
            return
        if not self._taker.has_room():
            self.ended = True
            return
        parser = self._parser
        verb = parser.get_method()
        method = verb.decode()
        try:
            check_head(self._first_line.version(verb, target, parser), headers)
            path, query_string = split_target(method, target, headers)
        except HttpProblem as problem:
            self._refuse(problem)
            return
        if not parser.should_keep_alive() or method == "CONNECT":
            self.ended = True
        if "upgrade" in headers and parser.should_upgrade():
            self._framing = _framing(headers)
        self.arriving = self._taker.begin(method, path, query_string, headers)

    def on_body(self, chunk: bytes) -> None:
        """A part of the body has arrived."""
        self.head_bytes = 0
        if self.arriving is not None:
            self.arriving.feed(chunk)

    def on_message_complete(self) -> None:
        """The request is whole; or, where `_go_on_in_http` follows, only its head is."""
        self.head_bytes = 0
        if self._framing:
            return
        arriving, self.arriving = self.arriving, None
        if arriving is not None:
            arriving.end()

    # --- what cannot be read ------------------------------------------------------------------------------------------
    def _too_large(self) -> None:
        if self.arriving is not None:
            self._break_off("Its lines are too long.")
        else:
            size = f"{limits.HTTP_HEAD_BYTES_MAX} bytes and {limits.HTTP_HEADERS_MAX} headers"
            self._refuse(HttpProblem("head-too-large", f"The head of a request may have {size}."))

    def _malformed(self, why: str) -> None:
        if self.arriving is not None:
            self._break_off(f"{why}.")
        else:
            self._refuse(HttpProblem("malformed-request", f"{why}."))

    def _break_off(self, why: str) -> None:
        """The rest of the body that has begun to arrive will not be read."""
        assert self.arriving is not None
        self.ended = True
        self.arriving.fail(HttpProblem("malformed-body", why))
        self.arriving = None

    def _refuse(self, problem: HttpProblem) -> None:
        if not self.ended:
            self.ended = True
            self._taker.refuse(problem)


def _framing(headers: dict[str, str]) -> bytes:
    """A head that says of its body what ``headers`` say; empty: there is no body."""
    for name in ("transfer-encoding", "content-length"):
        if name in headers:
            return f"POST / HTTP/1.1\r\n{name}: {headers[name]}\r\n\r\n".encode("latin-1")
    return b""
