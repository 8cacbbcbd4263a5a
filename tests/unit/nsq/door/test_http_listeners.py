"""Where the API is reached, over real sockets: HTTP, HTTPS and a path, with and without a token."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.model.errors import InvalidOption
from penstock.nsq.door.http_listeners import HttpListeners
from penstock.nsq.door_sockets import DoorSockets, listen_all
from penstock.nsq.options import DoorOptions
from tests.unit.http.test_server import CERTIFICATE, PATIENCE_S
from tests.unit.nsq.door.fake_door import FakeDoor

TOKEN = "correct-horse-battery"
ANY = DoorOptions(
    tcp_address="127.0.0.1:0", http_address="127.0.0.1:0", https_address="127.0.0.1:0", broadcast_address="broker"
)


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class Served:
    """The API at the addresses of options, until it is left."""

    def __init__(self, options: DoorOptions, tls: ssl.SSLContext | None) -> None:
        self.sockets = listen_all(replace(options, tls_cert="" if tls is None else "a file"))
        self.listeners = HttpListeners(options, self.sockets, tls)
        self.http_port = self.listeners.http_port
        self.https_port = self.listeners.https_port


def play(listeners: Served, story: Callable[[], Awaitable[None]]) -> bool:
    """Serve while the story lasts; whether all requests ended in time."""

    async def run() -> bool:
        door, stop = FakeDoor(), asyncio.Event()
        serving = asyncio.ensure_future(listeners.listeners.serve(door.store, door, 4150, stop))
        try:
            await story()
        finally:
            stop.set()
        return await serving

    with closing(listeners.sockets):
        return asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


async def get(path: str, port: int = 0, *, at: Path | None = None, tls: bool = False, head: str = "") -> bytes:
    """Everything that is answered to a GET."""
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE)) if tls else None
    if at is not None:
        reader, writer = await asyncio.open_unix_connection(at)
    else:
        reader, writer = await asyncio.open_connection("localhost" if tls else "127.0.0.1", port, ssl=trusting)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{head}connection: close\r\n\r\n".encode())
    try:
        return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def test_http_and_https(tls: ssl.SSLContext) -> None:
    listeners = Served(ANY, tls)

    async def story() -> None:
        assert (await get("/ping", listeners.http_port)).endswith(b"\r\n\r\nOK")
        assert (await get("/ping", listeners.https_port, tls=True)).endswith(b"\r\n\r\nOK")
        info = await get("/info", listeners.http_port)
        assert f'"http_port":{listeners.http_port},"tcp_port":4150'.encode() in info

    assert play(listeners, story)


def test_without_a_certificate_there_is_no_https() -> None:
    served = Served(ANY, None)
    with closing(served.sockets):
        assert served.https_port == -1
        assert served.http_port > 0


def test_where_tls_is_required_http_says_where_to_go(tls: ssl.SSLContext) -> None:
    listeners = Served(replace(ANY, tls_required="true"), tls)

    async def story() -> None:
        answer = await get("/ping", listeners.http_port)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.endswith(b'{"message":"TLS_REQUIRED","https_port":%d}' % listeners.https_port)
        assert (await get("/ping", listeners.https_port, tls=True)).endswith(b"OK")

    assert play(listeners, story)


def test_or_of_tcp_alone(tls: ssl.SSLContext) -> None:
    listeners = Served(replace(ANY, tls_required="tcp-https"), tls)

    async def story() -> None:
        assert (await get("/ping", listeners.http_port)).endswith(b"OK")

    assert play(listeners, story)


def test_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "http.socket"
    listeners = Served(replace(ANY, http_address=str(path)), None)

    async def story() -> None:
        assert b'"http_port":-1' in await get("/info", at=path)

    assert play(listeners, story)


def test_nowhere() -> None:
    listeners = Served(replace(ANY, http_address=""), None)

    async def story() -> None:
        assert listeners.http_port == -1

    assert play(listeners, story)


def test_a_token_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    listeners = Served(replace(ANY, http_token_file=str(path)), None)

    async def story() -> None:
        port = listeners.http_port
        assert (await get("/ping", port)).endswith(b"OK")
        assert (await get("/info", port)).startswith(b"HTTP/1.1 401 ")
        assert (await get("/info", port, head=f"authorization: Bearer {TOKEN}\r\n")).startswith(b"HTTP/1.1 200 ")

    assert play(listeners, story)


@pytest.mark.parametrize("text", [None, "", "short", "länger-als-sechzehn"])
def test_a_file_without_a_token(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with closing(socket.socket()) as sock, pytest.raises(InvalidOption) as caught:
        HttpListeners(replace(ANY, http_token_file=str(path)), DoorSockets(sock), None)
    assert caught.value.field == "http_token_file"


class TestAnnouncing:
    OPEN = "whoever reaches this machine may use the API"

    def lines(self, options: DoorOptions, tls: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture) -> list[str]:
        caplog.set_level(logging.INFO, "penstock.nsqd")
        served = Served(options, tls)
        with closing(served.sockets):
            served.listeners.announce()
        return [record.getMessage() for record in caplog.records]

    def test_where_it_listens(self, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture) -> None:
        http, https = self.lines(ANY, tls, caplog)
        assert http.startswith("HTTP: listening on 127.0.0.1:")
        assert https.startswith("HTTPS: listening on 127.0.0.1:")

    def test_that_others_reach_it(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.OPEN in self.lines(replace(ANY, http_address="0.0.0.0:0"), None, caplog)[-1]

    def test_but_not_if_it_is_meant(self, caplog: pytest.LogCaptureFixture) -> None:
        assert len(self.lines(replace(ANY, http_address="0.0.0.0:0", http_open=True), None, caplog)) == 1

    def test_nor_with_a_token(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "token"
        path.write_text(TOKEN)
        options = replace(ANY, http_address="0.0.0.0:0", http_token_file=str(path))
        assert len(self.lines(options, None, caplog)) == 1
