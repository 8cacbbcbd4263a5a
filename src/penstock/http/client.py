"""Asks another server something over HTTP: one request, one bounded answer, in time. Redirects are not followed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from httptools import HttpParserError, HttpResponseParser

from penstock.model import limits

__all__ = ["FetchFailed", "Fetched", "fetch"]

_PORTS: Final = {"http": 80, "https": 443}
_SHOWN_CHARS: Final = 200
_TARGET_SAFE: Final = frozenset(map(chr, range(0x21, 0x7F)))


class FetchFailed(Exception):
    """There is no answer; says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer.

    Attributes:
        status: its code.
        body: all of it.
    """

    status: int
    body: bytes


async def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
    connect_s: float,
    request_s: float,
    body_bytes_max: int,
) -> Fetched:
    """The answer to a request.

    Args:
        url: ``http://`` or ``https://``; its path and query encoded as they are sent.
        method: in capitals.
        headers: besides those that every request has.
        body: of the request.
        tls: how ``https`` is spoken; None: as the system's authorities say.
        connect_s: how long connecting may take.
        request_s: how long all of it may take.
        body_bytes_max: a longer answer is none.

    Raises:
        FetchFailed: there is no such server, or no answer of it in time, or it is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise FetchFailed(f"{_without_query(url)!r} is no address of HTTP") from None
    request = _request(parts, method, headers or {}, body)
    try:
        async with asyncio.timeout(request_s):
            reader, writer = await _connect(parts, tls, connect_s)
            try:
                writer.write(request)
                return await _read(reader, method, body_bytes_max)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise FetchFailed(f"no answer of {parts.netloc} in time") from None
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"{parts.netloc}: {getattr(error, 'strerror', None) or error}") from None


def _without_query(url: str) -> str:
    """A url as it may be told: its query may have secrets."""
    return url.partition("?")[0][:_SHOWN_CHARS]


def _request(parts: SplitResult, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in _PORTS or not parts.hostname or not _TARGET_SAFE.issuperset(target):
        raise FetchFailed(f"{_without_query(parts.geturl())!r} is no address of HTTP")
    sent = {"host": parts.netloc.rpartition("@")[2], "connection": "close", **headers}
    if body or method not in ("GET", "HEAD"):
        sent["content-length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


async def _connect(
    parts: SplitResult, tls: ssl.SSLContext | None, connect_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    is_encrypted = parts.scheme == "https"
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise FetchFailed(f"{parts.netloc} has no port that there is") from None
    async with asyncio.timeout(connect_s):
        return await asyncio.open_connection(
            parts.hostname, port, ssl=(tls or ssl.create_default_context()) if is_encrypted else None
        )


class _Response:
    """What the parser has found. Methods whose names begin with ``on_`` are the parser's to call."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.has_head = False
        self.is_whole = False
        self.ends_with_connection = True

    def on_header(self, name: bytes, _value: bytes) -> None:
        """A line of the head."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self.ends_with_connection = False

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """The body is whole."""
        self.is_whole = True


async def _read(reader: asyncio.StreamReader, method: str, body_bytes_max: int) -> Fetched:
    response = _Response()
    parser = HttpResponseParser(response)
    head_bytes = 0
    while not response.is_whole:
        data = await reader.read(limits.HTTP_READ_BYTES)
        if not data:
            if not (response.has_head and response.ends_with_connection):
                raise FetchFailed("the answer broke off")
            break
        head_bytes += 0 if response.has_head else len(data)
        try:
            parser.feed_data(data)
        except HttpParserError:
            raise FetchFailed("what was answered is no HTTP") from None
        if response.has_head and method == "HEAD":
            break
        if len(response.body) > body_bytes_max or head_bytes > limits.HTTP_HEAD_BYTES_MAX + limits.HTTP_READ_BYTES:
            raise FetchFailed("the answer is too large")
    return Fetched(parser.get_status_code(), bytes(response.body))
