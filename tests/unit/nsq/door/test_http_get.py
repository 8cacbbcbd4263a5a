"""A GET, against servers that answer in every way."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from penstock.model import limits
from penstock.nsq.door.http_get import HttpFailed, http_get
from penstock.nsq.door.tls_contexts import client_context, server_context
from penstock.nsq.options import DoorOptions
from tests.unit.nsq.protocol.wired import CERTIFICATES

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PLAIN = client_context(DoorOptions())


def answering(*parts: bytes) -> tuple[Handler, list[bytes]]:
    """A server that answers so, in these parts, and what it was asked."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handle, asked


def get(
    handle: Handler, target: str = "/", *, scheme: str = "http", served: ssl.SSLContext | None = None,
    context: ssl.SSLContext = PLAIN, timeout_s: float = 30.0,
) -> bytes:  # fmt: skip
    ended: list[asyncio.Event] = []

    async def to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            ended[-1].set()

    async def story() -> bytes:
        server = await asyncio.start_server(to_the_end, "127.0.0.1", 0, ssl=served)
        try:
            port = server.sockets[0].getsockname()[1]
            url = f"{scheme}://127.0.0.1:{port}{target}"
            return await http_get(url, connect_timeout_s=30.0, timeout_s=timeout_s, context=context)
        finally:
            server.close()
            for one in ended:
                await one.wait()

    return asyncio.run(story())


def test_a_body_with_its_length():
    handle, asked = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"bo", b"dy")
    assert get(handle, "/auth?secret=a%26b") == b"body"
    assert asked[0].startswith(b"GET /auth?secret=a%26b HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_body_in_chunks():
    handle, _ = answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nbo\r\n", b"2\r\ndy\r\n0\r\n\r\n"
    )
    assert get(handle) == b"body"


def test_a_body_that_ends_with_the_connection():
    handle, _ = answering(b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nbo", b"dy")
    assert get(handle) == b"body"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nwhy", "got response 500 b'why'"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "got response 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", "cut off"),
        (b"HTTP/1.1 200 OK\r\n", "."),
        (b"", "."),
        (b"no such thing\r\n\r\n", "no HTTP"),
    ],
)
def test_what_is_no_answer(answer, why):
    handle, _ = answering(answer)
    with pytest.raises(HttpFailed, match=why):
        get(handle)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_does_not_end(head):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        with suppress(OSError):
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()

    with pytest.raises(HttpFailed):
        get(handle)
    assert limits.NSQ_HTTP_ANSWER_BYTES_MAX < 64 * 1024 * 1024


def test_a_server_that_does_not_answer():
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(HttpFailed, match="in time"):
        get(handle, timeout_s=0.05)


@pytest.mark.parametrize("url", ["ftp://a/", "http:///x", "http://a:b/", "x"])
def test_what_is_no_url(url):
    with pytest.raises(HttpFailed):
        asyncio.run(http_get(url, connect_timeout_s=1.0, timeout_s=1.0, context=PLAIN))


def test_nobody_is_there():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        with pytest.raises(HttpFailed):
            asyncio.run(http_get(url, connect_timeout_s=30.0, timeout_s=30.0, context=PLAIN))


def test_by_https_the_server_is_verified():
    options = DoorOptions(
        tls_cert=str(CERTIFICATES / "server.pem"),
        tls_key=str(CERTIFICATES / "server_key.pem"),
        tls_root_ca_file=str(CERTIFICATES / "authority.pem"),
    )
    handle, _ = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
    assert get(handle, scheme="https", served=server_context(options), context=client_context(options)) == b"body"
    with pytest.raises(HttpFailed, match="certificate"):
        get(handle, scheme="https", served=server_context(options))
