"""Asks a server by HTTP, once: what the door wants to know of others is little and seldom."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools

from penstock.model import limits

_READ_BYTES: Final = 64 * 1024


class HttpFailed(Exception):
    """There is no answer with status 200."""


async def http_get(url: str, *, connect_timeout_s: float, timeout_s: float, context: ssl.SSLContext) -> bytes:
    """The body of the answer to a GET.

    Args:
        url: of http or https, with its query.
        connect_timeout_s: how long connecting may take.
        timeout_s: how long all of it may take.
        context: of TLS.

    Raises:
        HttpFailed: nobody is there, or the answer is late, has another status, or is larger than
            `limits.NSQ_HTTP_ANSWER_BYTES_MAX`.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise HttpFailed(str(error)) from None
    if parts.scheme not in ("http", "https") or not host:
        raise HttpFailed(f"{parts.scheme}://{parts.netloc} is no URL of http or https")
    tls = context if parts.scheme == "https" else None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"GET {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: penstock\r\n"
        "Accept: application/vnd.nsq; version=1.0\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(timeout_s):
            async with asyncio.timeout(connect_timeout_s):
                reader, writer = await asyncio.open_connection(host, port or (443 if tls else 80), ssl=tls)
            try:
                writer.write(head.encode("latin-1", "replace"))
                return await _answer(reader)
            finally:
                writer.close()
    except TimeoutError:
        raise HttpFailed("no answer in time") from None
    except (OSError, UnicodeError) as error:
        raise HttpFailed(getattr(error, "strerror", None) or str(error)) from None


async def _answer(reader: asyncio.StreamReader) -> bytes:
    collected = _Collected()
    arrived_bytes = 0
    parser = httptools.HttpResponseParser(collected)
    try:
        while not collected.is_complete:
            data = await reader.read(_READ_BYTES)
            if not data:
                break
            parser.feed_data(data)
            arrived_bytes += len(data)
            if arrived_bytes > limits.NSQ_HTTP_ANSWER_BYTES_MAX:
                raise HttpFailed(f"the answer has more than {limits.NSQ_HTTP_ANSWER_BYTES_MAX} bytes")
        status = parser.get_status_code()
    except httptools.HttpParserError as error:
        raise HttpFailed(f"what it answers is no HTTP: {error}") from None
    body = b"".join(collected.parts)
    if not collected.is_complete and not collected.ends_with_connection:
        raise HttpFailed("the answer is cut off")
    if status != 200:
        raise HttpFailed(f"got response {status} {body[:200]!r}")
    return body


class _Collected:
    """What the parser tells of an answer."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.is_complete = False
        self.ends_with_connection = False
        self._has_length = False

    def on_header(self, name: bytes, _value: bytes) -> None:
        """A header."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        """A body without a length ends with the connection."""
        self.ends_with_connection = not self._has_length

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self.parts.append(body)

    def on_message_complete(self) -> None:
        """All is there."""
        self.is_complete = True
