from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
import uvloop

from benchmarks import load
from benchmarks.load import Load
from benchmarks.processes import BenchmarkFailed
from benchmarks.workspace import Workspace

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
GARBLED = b"HTTP/1.1 202 Accepted\r\nContent-Length: many\r\n\r\n{}"
ANY_LOOP = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


class Server:
    """Answers every request alike, and keeps their bodies. A context manager: its URL."""

    def __init__(self, answer):
        self.bodies = []
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._handle, "127.0.0.1", 0))
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self):
        self._thread.start()
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/jobs"

    def __exit__(self, *exception):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _handle(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.bodies.append(await reader.readexactly(load._content_length(head)))
                if not self._answer:
                    break
                writer.write(self._answer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    async def _close(self):
        self._server.close()
        while handlers := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(handlers)  # they end when they read that their client is gone


class TestOurOwnGenerator:
    def posted(self, run, server, *bodies):
        with server as url:
            return run(load._post(url, bodies, 2, 0.5))

    @ANY_LOOP
    def test_posts_the_bodies_in_turn_and_counts_the_answers(self, run):
        server = Server(ACCEPTED)
        answered = self.posted(run, server, b"one", b"three")
        assert answered.count > 2
        assert answered.failed == 0
        assert answered.count <= len(server.bodies) <= answered.count + 2
        assert set(server.bodies) == {b"one", b"three"}

    @ANY_LOOP
    def test_counts_what_is_refused(self, run):
        answered = self.posted(run, Server(BROKEN), b"one")
        assert answered.failed == answered.count > 0

    @ANY_LOOP
    def test_counts_connections_that_are_closed(self, run):
        assert self.posted(run, Server(b""), b"one").failed == 2

    @ANY_LOOP
    def test_fails_when_a_callback_does(self, run):
        with pytest.raises(ValueError, match="many"):
            self.posted(run, Server(GARBLED), b"one")

    @ANY_LOOP
    def test_fails_when_it_cannot_even_send(self, run, monkeypatch):
        def refuse(_connection):
            raise RuntimeError("it does not send")

        monkeypatch.setattr(load._Connection, "_send", refuse)
        with pytest.raises(RuntimeError, match="it does not send"):
            self.posted(run, Server(ACCEPTED), b"one")


class TestLoadWithoutWrk:
    @pytest.fixture
    def put(self, tmp_path, monkeypatch):
        def put(answer):
            with Server(answer) as url, Workspace(tmp_path) as workspace:
                return Load([b"one", b"three"], 4, 0.3).put(workspace, url)

        monkeypatch.setattr(load.shutil, "which", lambda _: None)
        return put

    def test_is_put_by_a_process_that_says_what_was_answered(self, put):
        answered = put(ACCEPTED)
        assert answered.count > 4
        assert answered.rate > 0
        assert 0 < answered.p50_ms <= answered.p99_ms

    def test_fails_with_the_words_of_that_process(self, put):
        with pytest.raises(BenchmarkFailed, match=r"(?s)benchmarks\.load .* ended early \(1\): .*invalid literal"):
            put(GARBLED)

    def test_fails_when_requests_do(self, put):
        with pytest.raises(BenchmarkFailed, match=r"[1-9]\d* of [1-9]\d* requests failed"):
            put(BROKEN)
