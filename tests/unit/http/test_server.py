"""The server over real sockets: how many connections there are, and how they end."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from penstock.http.exchange import HttpExchange
from penstock.http.listening import bind
from penstock.http.messages import Answer, ClientGone
from penstock.http.problems import HttpProblem
from penstock.http.server import HttpServer
from penstock.model import limits

REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
PATIENCE_S = 20.0
CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Of localhost, signed by itself, with its key; for tests alone."""


class Application:
    """Answers as soon as it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.count = 0
        self.begun = asyncio.Event()

    async def serve(self, exchange: HttpExchange) -> None:
        self.count += 1
        self.begun.set()
        await self.may_answer.wait()
        with suppress(ClientGone):
            exchange.answer(200, (), b"yes")

    def refuse(self, problem: HttpProblem) -> Answer:
        return problem.answer()


Story = Callable[[Application, HttpServer, int, asyncio.Event, "asyncio.Task[bool]"], Awaitable[None]]


def play(
    story: Story,
    *,
    connections_max: int = 10,
    grace_s: float = PATIENCE_S,
    listening: Any = None,
    tls: ssl.SSLContext | None = None,
) -> bool:
    """Run a server with the story; whether all requests ended in time."""

    async def run() -> bool:
        application, stop = Application(), asyncio.Event()
        sock = listening or bind("127.0.0.1", 0)
        server = HttpServer(application, sock, grace_s, connections_max, tls=tls)
        running = asyncio.ensure_future(server.run(stop))
        await asyncio.sleep(0)
        try:
            port = 0 if sock.family == socket.AF_UNIX else sock.getsockname()[1]
            await story(application, server, port, stop, running)
            stop.set()
            return await running
        finally:
            for writer in writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
            writers.clear()

    return asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


writers: list[asyncio.StreamWriter] = []


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client, who leaves with the story."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writers.append(writer)
    return reader, writer


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with a request."""
    reader, writer = await connect(port)
    writer.write(REQUEST)
    return reader, writer


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"yes")


def test_connections_over_the_limit_wait_until_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # No sweep comes: it is the end of another that lets one in.
    monkeypatch.setattr(limits, "HTTP_SWEEP_S", 10 * PATIENCE_S)

    async def story(application: Application, *given: Any) -> None:
        _, port, *_ = given
        first, second, third = [await ask(port) for _ in range(3)]
        for reader, _ in (first, second):
            assert b"200 OK" in await answer_of(reader)
        assert application.count == 2
        first[1].close()
        assert b"200 OK" in await answer_of(third[0])

    assert play(story, connections_max=2)


def test_requests_end_within_their_grace() -> None:
    async def story(application: Application, *given: Any) -> None:
        _, port, stop, running = given
        application.may_answer.clear()
        reader, _ = await ask(port)
        idle, _ = await connect(port)
        await application.begun.wait()
        stop.set()
        assert await idle.read() == b""
        assert not running.done()
        with pytest.raises(ConnectionRefusedError):
            await ask(port)
        application.may_answer.set()
        assert b"connection: close" in await answer_of(reader)

    assert play(story)


def test_what_takes_longer_is_cut_off() -> None:
    async def story(application: Application, *given: Any) -> None:
        _, port, stop, running = given
        application.may_answer.clear()
        reader, _ = await ask(port)
        await application.begun.wait()
        stop.set()
        assert await running is False
        with suppress(ConnectionResetError):
            assert await reader.read() == b""

    assert not play(story, grace_s=0.01)


def test_without_descriptors_it_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_SWEEP_S", 0.01)

    class Scarce(socket.socket):
        """Fails once."""

        failed = False

        def accept(self) -> tuple[socket.socket, Any]:
            if not self.failed:
                self.failed = True
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def story(_: Application, *given: Any) -> None:
        _server, port, *_rest = given
        reader, _ = await ask(port)
        assert b"200 OK" in await answer_of(reader)

    with bind("127.0.0.1", 0) as bound:
        scarce = Scarce(bound.family, bound.type, bound.proto, fileno=bound.detach())
    assert play(story, listening=scarce)
    assert scarce.failed


def test_a_connection_that_is_gone_before_it_is_there_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_SWEEP_S", 10 * PATIENCE_S)
    connect_accepted = asyncio.BaseEventLoop.connect_accepted_socket
    failed: list[socket.socket] = []

    async def connect(loop: Any, protocol_factory: Any, sock: socket.socket, **_: Any) -> Any:
        if not failed:
            failed.append(sock)
            raise ConnectionResetError
        return await connect_accepted(loop, protocol_factory, sock)

    monkeypatch.setattr(asyncio.BaseEventLoop, "connect_accepted_socket", connect)

    async def story(_: Application, *given: Any) -> None:
        _server, port, *_rest = given
        first, second = await ask(port), await ask(port)
        with suppress(ConnectionResetError):
            assert await first[0].read() == b""
        assert b"200 OK" in await answer_of(second[0])

    assert play(story, connections_max=1)
    assert failed[0].fileno() == -1


def test_who_is_silent_gives_way_where_others_wait_to_be_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_SWEEP_S", 0.01)
    monkeypatch.setattr(limits, "HTTP_GIVE_WAY_S", 0.0)

    async def story(application: Application, *given: Any) -> None:
        _, port, *_ = given
        application.may_answer.clear()
        busy = await ask(port)
        await application.begun.wait()
        silent = await connect(port)
        silent[1].write(REQUEST[:5])
        third = await ask(port)
        with suppress(ConnectionResetError):
            assert await silent[0].read() == b""
        application.may_answer.set()
        for reader, _ in (busy, third):
            assert b"200 OK" in await answer_of(reader)

    assert play(story, connections_max=2)


def test_who_is_silent_may_stay_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_SWEEP_S", 0.01)
    monkeypatch.setattr(limits, "HTTP_GIVE_WAY_S", 0.0)

    async def story(application: Application, *given: Any) -> None:
        server, port, *_ = given
        silent = await connect(port)
        for _ in range(5):
            reader, writer = await ask(port)
            assert b"200 OK" in await answer_of(reader)
            writer.close()
            while len(server._connections) > 1:  # its place is free once the server has seen that it left
                await asyncio.sleep(0)
        silent[1].write(REQUEST)
        assert b"200 OK" in await answer_of(silent[0])

    assert play(story, connections_max=2)


def test_one_machine_has_half_of_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.http.server.client_of", lambda address: "192.0.2.1")

    async def story(_: Application, *given: Any) -> None:
        _server, port, *_rest = given
        first, second = await ask(port), await ask(port)
        for reader, _ in (first, second):
            assert b"200 OK" in await answer_of(reader)
        third = await ask(port)
        with suppress(ConnectionResetError):
            assert await third[0].read() == b""
        first[1].close()
        await first[1].wait_closed()
        again = b""
        while b"200 OK" not in again:
            reader, writer = await ask(port)
            with suppress(ConnectionResetError, asyncio.IncompleteReadError):
                again = await answer_of(reader)
            writer.close()

    assert play(story, connections_max=4)


def test_what_keeps_it_from_letting_anybody_in_is_told_once_and_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "HTTP_SWEEP_S", 0.01)

    class Scarce(socket.socket):
        """Fails until it may not."""

        tries = 0
        fails = True
        enough = asyncio.Event()

        def accept(self) -> tuple[socket.socket, Any]:
            if self.fails:
                type(self).tries += 1
                if self.tries >= 5:
                    self.enough.set()
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def story(_: Application, *given: Any) -> None:
        server, port, *_rest = given
        assert server.trouble() is None
        reader, _ = await ask(port)
        await Scarce.enough.wait()
        assert "Too many open files" in server.trouble()
        assert caplog.text.count("Too many open files") == 1
        Scarce.fails = False
        assert b"200 OK" in await answer_of(reader)
        assert server.trouble() is None

    with bind("127.0.0.1", 0) as bound:
        scarce = Scarce(bound.family, bound.type, bound.proto, fileno=bound.detach())
    assert play(story, listening=scarce)


def test_a_server_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "server.socket"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    listening.setblocking(False)

    async def story(*_: Any) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writers.append(writer)
        writer.write(REQUEST)
        assert b"200 OK" in await answer_of(reader)

    assert play(story, listening=listening)


class TestEncrypted:
    """Over TLS."""

    @pytest.fixture
    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        return context

    def test_requests_are_answered(self, tls: ssl.SSLContext) -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))

        async def story(*given: Any) -> None:
            port = given[2]
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
            writers.append(writer)
            for _ in range(2):
                writer.write(REQUEST)
                assert b"200 OK" in await answer_of(reader)

        assert play(story, tls=tls)

    def test_who_does_not_speak_it_is_let_go_and_others_go_on(
        self, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))

        async def story(application: Application, *given: Any) -> None:
            port = given[1]
            reader, _ = await ask(port)
            with suppress(ConnectionResetError):
                await reader.read()
            assert application.count == 0
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
            writers.append(writer)
            writer.write(REQUEST)
            assert b"200 OK" in await answer_of(reader)

        assert play(story, tls=tls, connections_max=1)
        assert "Traceback" not in caplog.text

    def test_who_says_that_he_sends_no_more_is_done_with(
        self, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))

        async def story(application: Application, *given: Any) -> None:
            application.may_answer.clear()
            reader, writer = await asyncio.open_connection("localhost", given[1], ssl=trusting)
            writers.append(writer)
            writer.write(REQUEST)
            await application.begun.wait()
            writer.close()
            await reader.read()
            application.may_answer.set()

        assert play(story, tls=tls)
        assert caplog.text == ""
