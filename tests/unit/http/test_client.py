"""Asking another server: what it answers, and all the ways in which it does not."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from penstock.http.client import Fetched, FetchFailed, fetch

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Of localhost, signed by itself, with its key; for tests alone."""


def asked(
    answer: bytes,
    path: str = "/channels?topic=a",
    *,
    closes: bool = True,
    request_s: float = 20.0,
    method: str = "GET",
    body: bytes = b"",
) -> tuple[bytes, Fetched | str]:
    """What a server that answers so was sent, and what came of it."""

    async def run() -> tuple[bytes, Fetched | str]:
        heard: list[bytes] = []
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(body)))
            writer.write(answer)
            if not closes:
                await done.wait()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            found: Fetched | str = await fetch(
                f"http://127.0.0.1:{port}{path}",
                method=method,
                body=body,
                connect_s=20.0,
                request_s=request_s,
                body_bytes_max=1_000,
            )
        except FetchFailed as failure:
            found = str(failure)
        finally:
            done.set()
            server.close()
        return b"".join(heard), found

    return asyncio.run(run())


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nbody",
        b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    ],
)
def test_an_answer_whose_end_is_told_is_whole_whether_or_not_the_server_leaves(answer: bytes, closes: bool) -> None:
    heard, found = asked(answer, closes=closes)
    assert found == Fetched(404, b"body")
    assert heard.startswith(b"GET /channels?topic=a HTTP/1.1\r\nhost: 127.0.0.1:")


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert asked(b"HTTP/1.0 200 OK\r\n\r\nbody")[1] == Fetched(200, b"body")


def test_a_body_is_sent_with_its_length() -> None:
    heard, found = asked(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", method="POST", body=b"said")
    assert found == Fetched(200, b"")
    assert b"\r\ncontent-length: 4\r\n" in heard
    assert heard.endswith(b"\r\n\r\nsaid")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbody", "the answer broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what was answered is no HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2_000, "the answer is too large"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, "the answer is too large"),
    ],
)
def test_what_is_no_answer_is_told(answer: bytes, why: str) -> None:
    assert asked(answer)[1] == why


def test_a_server_that_says_nothing_is_left() -> None:
    _, found = asked(b"", closes=False, request_s=0.01)
    assert isinstance(found, str)
    assert "in time" in found


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http:///x", "http://[::1", "http://x/a b", "http://x:99999/", "http://x/\r\nhost: y"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed):
        asyncio.run(fetch(url, connect_s=1.0, request_s=1.0, body_bytes_max=1))


@pytest.mark.parametrize("url", ["ftp://x/auth?secret=abc", "http://[::1?secret=abc", "http:///auth?secret=abc"])
def test_no_error_tells_what_was_asked(url: str) -> None:
    with pytest.raises(FetchFailed) as raised:
        asyncio.run(fetch(url, connect_s=1.0, request_s=1.0, body_bytes_max=1))
    assert "abc" not in str(raised.value)


def test_a_port_where_nobody_listens_is_told() -> None:
    with pytest.raises(FetchFailed, match=r"127.0.0.1:1\b"):
        asyncio.run(fetch("http://127.0.0.1:1/", connect_s=20.0, request_s=20.0, body_bytes_max=1))


def test_an_encrypted_answer_is_read_of_a_server_that_is_trusted_alone() -> None:
    async def run() -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(CERTIFICATE)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=own)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with server:
            found = await fetch(url, tls=trusting, connect_s=20.0, request_s=20.0, body_bytes_max=9)
            assert found == Fetched(200, b"ok")
            with pytest.raises(FetchFailed):
                await fetch(url, connect_s=20.0, request_s=20.0, body_bytes_max=9)

    asyncio.run(run())
