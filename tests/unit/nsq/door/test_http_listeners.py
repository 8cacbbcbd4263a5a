"""Where the API is reached, over real sockets: HTTP, HTTPS and a path, with and without a token."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.model.errors import AddressUnavailable, InvalidOption
from penstock.nsq.door.http_listeners import HttpListeners
from penstock.nsq.options import DoorOptions
from tests.unit.http.test_server import CERTIFICATE, PATIENCE_S
from tests.unit.nsq.door.http_door import FakeDoor

TOKEN = "correct-horse-battery"
ANY = DoorOptions(http_address="127.0.0.1:0", https_address="127.0.0.1:0", broadcast_address="broker")


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def play(listeners: HttpListeners, story: Callable[[], Awaitable[None]]) -> bool:
    """Serve while the story lasts; whether all requests ended in time."""

    async def run() -> bool:
        door, stop = FakeDoor(), asyncio.Event()
        serving = asyncio.ensure_future(
            listeners.serve(door.store, door, tcp_port=lambda: 4150, stop=stop, grace_s=PATIENCE_S)
        )
        try:
            await story()
        finally:
            stop.set()
        return await serving

    with listeners:
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
    listeners = HttpListeners(ANY, tls)

    async def story() -> None:
        assert (await get("/ping", listeners.http_port)).endswith(b"\r\n\r\nOK")
        assert (await get("/ping", listeners.https_port, tls=True)).endswith(b"\r\n\r\nOK")
        info = await get("/info", listeners.http_port)
        assert f'"http_port":{listeners.http_port},"tcp_port":4150'.encode() in info

    assert play(listeners, story)


def test_without_a_certificate_there_is_no_https() -> None:
    with HttpListeners(ANY, None) as listeners:
        assert listeners.https is None
        assert listeners.https_port == -1
        assert listeners.http_port > 0


def test_where_tls_is_required_http_says_where_to_go(tls: ssl.SSLContext) -> None:
    listeners = HttpListeners(replace(ANY, tls_required="true"), tls)

    async def story() -> None:
        answer = await get("/ping", listeners.http_port)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.endswith(b'{"message":"TLS_REQUIRED","https_port":%d}' % listeners.https_port)
        assert (await get("/ping", listeners.https_port, tls=True)).endswith(b"OK")

    assert play(listeners, story)


def test_or_of_tcp_alone(tls: ssl.SSLContext) -> None:
    listeners = HttpListeners(replace(ANY, tls_required="tcp-https"), tls)

    async def story() -> None:
        assert (await get("/ping", listeners.http_port)).endswith(b"OK")

    assert play(listeners, story)


def test_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "http.socket"
    listeners = HttpListeners(replace(ANY, http_address=str(path)), None)

    async def story() -> None:
        assert b'"http_port":-1' in await get("/info", at=path)

    assert play(listeners, story)


def test_nowhere() -> None:
    listeners = HttpListeners(replace(ANY, http_address=""), None)

    async def story() -> None:
        assert (listeners.http, listeners.http_port) == (None, -1)

    assert play(listeners, story)


def test_a_token_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    listeners = HttpListeners(replace(ANY, http_token_file=str(path)), None)

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
    with pytest.raises(InvalidOption) as caught:
        HttpListeners(replace(ANY, http_token_file=str(path)), None)
    assert caught.value.field == "http_token_file"


def test_a_port_that_is_taken_is_told_at_once(tls: ssl.SSLContext) -> None:
    with HttpListeners(ANY, None) as listeners:
        taken = f"127.0.0.1:{listeners.http_port}"
        with pytest.raises(AddressUnavailable):
            HttpListeners(replace(ANY, http_address=taken), None)
        with pytest.raises(AddressUnavailable):
            HttpListeners(replace(ANY, https_address=taken), tls)


class TestAnnouncing:
    OPEN = "whoever reaches this machine may use the API"

    def lines(self, options: DoorOptions, tls: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture) -> list[str]:
        caplog.set_level(logging.INFO, "penstock.nsqd")
        with HttpListeners(options, tls) as listeners:
            listeners.announce()
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
