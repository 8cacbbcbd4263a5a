"""One HTTP connection, byte by byte: requests however they are cut, what is refused, who waits for whom."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.connection import HttpConnection
from penstock.http.exchange import HttpExchange
from penstock.http.head_cache import KnownHeads
from penstock.http.messages import Answer, ClientGone
from penstock.http.problems import HttpProblem
from penstock.model import limits

OK = (("content-type", "text/plain"),)
GET = b"GET /one HTTP/1.1\r\nhost: here\r\n\r\n"
POST = b"POST /two?a=b HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /three HTTP/1.1\r\nhost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nlate: yes\r\n\r\n"
)

H2C = POST.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n")


class Transport:
    """Takes what is written; says what it was asked to do."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.ended = ""
        self.high: int | None = None
        self.unsent = 0

    def get_extra_info(self, name: str) -> None:
        """It is not encrypted."""

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"


async def body_of(exchange: HttpExchange) -> bytes:
    """All of it."""
    parts = []
    while chunk := await exchange.chunk():
        parts.append(chunk)
    return b"".join(parts)


async def echo(exchange: HttpExchange) -> None:
    """Answers with what was asked."""
    body = await body_of(exchange)
    exchange.answer(200, OK, f"{exchange.method} {exchange.path} {exchange.query_string} ".encode() + body)


def echo_after(event: asyncio.Event) -> Callable[[HttpExchange], Awaitable[None]]:
    """`echo`, but not before."""

    async def handler(exchange: HttpExchange) -> None:
        await event.wait()
        await echo(exchange)

    return handler


class Peer:
    """A connection, the server it thinks it has, and a client's end of it."""

    def __init__(
        self, handler: Callable[[HttpExchange], Awaitable[None]] = echo, heads: KnownHeads | None = None
    ) -> None:
        self.application = self
        self.date = b"date: now\r\n"
        self.stopping = False
        self.now = monotonic()
        self.inbox = memoryview(bytearray(limits.HTTP_READ_BYTES))
        self.heads = heads or KnownHeads()
        self.idle_s = limits.HTTP_HEAD_READ_S
        self.handler = handler
        self.served: list[HttpExchange] = []
        self.refused: list[str] = []
        self.forgotten = 0
        self.transport = Transport()
        self.connection = HttpConnection(self)
        self.connection.connection_made(self.transport)

    async def serve(self, exchange: HttpExchange) -> None:
        self.served.append(exchange)
        await self.handler(exchange)

    def refuse(self, problem: HttpProblem) -> Answer:
        self.refused.append(problem.code)
        return problem.answer()

    def forget(self, connection: HttpConnection) -> None:
        assert connection is self.connection
        self.forgotten += 1

    async def send(self, data: bytes) -> None:
        """Bytes from the client, in reads as large as they may be; then everybody has a turn."""
        size = len(self.inbox)
        for at in range(0, len(data), size):
            part = data[at : at + size]
            self.connection.get_buffer(-1)[: len(part)] = part
            self.connection.buffer_updated(len(part))
        await turns()

    def answers(self) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """What has come back: status, headers, body."""
        found, rest = [], self.transport.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            length = int(headers.get(b"content-length", b"0"))
            found.append((int(first.split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return found

    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.answers()]


async def turns() -> None:
    """Until nobody has anything to do any more."""
    for _ in range(200):
        await asyncio.sleep(0)


def play(story: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(story(), 20))


class TestRequests:
    @given(st.sets(st.integers(1, len(GET + POST + H2C + CHUNKED + GET) + 1), max_size=12))
    def test_however_they_are_cut_the_answers_are_the_same(self, cuts: set[int]) -> None:
        async def story() -> list[bytes]:
            peer, data = Peer(), GET + POST + H2C + CHUNKED + b"\r\n" + GET
            places = [0, *sorted(cuts), len(data)]
            for begin, end in pairwise(places):
                await peer.send(data[begin:end])
            assert not peer.transport.ended
            assert peer.transport.reading
            return peer.bodies()

        assert play(story) == [
            b"GET /one  ",
            b"POST /two a=b hello",
            b"POST /two a=b hello",
            b"POST /three  abcde",
            b"GET /one  ",
        ]

    def test_an_answer_has_what_http_asks_for(self) -> None:
        async def story() -> Any:
            peer = Peer()
            await peer.send(GET)
            return peer.transport.written

        assert play(story) == (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: now\r\ncontent-length: 10\r\n\r\nGET /one  "
        )

    def test_head_has_the_length_and_no_body(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(b"HEAD / HTTP/1.1\r\nhost: here\r\n\r\n")
            assert peer.transport.written.endswith(b"content-length: 8\r\n\r\n")

        play(story)

    def test_headers_are_found_in_lower_case_and_repeated_ones_joined(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(b"GET / HTTP/1.1\r\nhost: here\r\nX-A: 1 \r\nx-b:\r\nX-a: \xe9\r\n\r\n")
            assert peer.served[0].headers == {"host": "here", "x-a": "1, é", "x-b": ""}

        play(story)

    def test_lines_after_the_last_chunk_are_no_headers(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(CHUNKED.replace(b"late: yes", b"authorization: me") + GET)
            assert [exchange.headers for exchange in peer.served] == [
                {"host": "here", "transfer-encoding": "chunked"},
                {"host": "here"},
            ]

        play(story)


class TestOneAfterTheOther:
    def test_the_next_is_begun_when_the_last_is_answered(self) -> None:
        async def story() -> None:
            gate = asyncio.Event()
            peer = Peer(echo_after(gate))
            await peer.send(POST + GET)
            assert len(peer.served) == 1
            assert not peer.transport.reading
            gate.set()
            await turns()
            assert peer.bodies() == [b"POST /two a=b hello", b"GET /one  "]
            assert peer.transport.reading

        play(story)

    def test_only_so_many_wait(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(GET * 500)
            answers = peer.answers()
            assert len(answers) == 1 + limits.HTTP_PIPELINED_MAX
            assert [b"connection" in headers for _, headers, _ in answers] == [False] * limits.HTTP_PIPELINED_MAX + [
                True
            ]
            assert peer.transport.ended == "closed"

        play(story)

    @pytest.mark.parametrize(
        ("lines", "connection", "ended"),
        [
            (b"HTTP/1.1\r\nhost: here\r\nconnection: close", b"close", "closed"),
            (b"HTTP/1.0", b"close", "closed"),
            (b"HTTP/1.0\r\nconnection: Keep-Alive", b"keep-alive", ""),
            (b"HTTP/1.1\r\nhost: here", None, ""),
        ],
    )
    def test_who_ends_the_connection(self, lines: bytes, connection: bytes | None, ended: str) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(b"GET / " + lines + b"\r\n\r\n")
            ((_, headers, _),) = peer.answers()
            assert headers.get(b"connection") == connection
            assert peer.transport.ended == ended

        play(story)

    def test_after_the_last_request_nothing_is_read(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n" + GET + b"\x00\xff")
            assert len(peer.answers()) == 1
            assert not peer.refused

        play(story)

    def test_another_protocol_is_asked_for_in_vain(self) -> None:
        async def story() -> None:
            peer = Peer()
            upgrade = b"upgrade: h2c\r\nconnection: Upgrade, HTTP2-Settings\r\n"
            for request in (GET, POST, CHUNKED):
                head, _, body = request.partition(b"\r\n\r\n")
                await peer.send((head + b"\r\n" + upgrade + b"\r\n" + body) * 3)
            await peer.send(GET.replace(b"\r\n\r\n", b"\r\nupgrade: here\r\n\r\n"))
            expected = [b"GET /one  ", b"POST /two a=b hello", b"POST /three  abcde"]
            assert peer.bodies() == [body for body in expected for _ in range(3)] + [b"GET /one  "]
            assert not peer.transport.ended

        play(story)

    def test_a_tunnel_is_asked_for_in_vain(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(b"CONNECT there:80 HTTP/1.1\r\nhost: here\r\ncontent-length: 33\r\n\r\n" + GET)
            assert len(peer.served) == 1
            assert peer.transport.ended == "closed"

        play(story)


class TestBodies:
    def test_who_wants_to_be_told_to_go_on_is_told_when_the_body_is_wanted(self) -> None:
        async def story() -> None:
            wanted = asyncio.Event()
            peer = Peer(echo_after(wanted))
            head, _, body = POST.partition(b"\r\n\r\n")
            await peer.send(head + b"\r\nexpect: 100-continue\r\n\r\n")
            assert peer.transport.written == b""
            wanted.set()
            await turns()
            assert peer.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
            await peer.send(body)
            assert [status for status, _, _ in peer.answers()] == [100, 200]

        play(story)

    def test_who_is_refused_is_not_told_to_go_on(self) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                exchange.answer(404, OK, b"no")
                with pytest.raises(ClientGone):
                    await exchange.chunk()

            peer = Peer(handler)
            await peer.send(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
            assert [status for status, _, _ in peer.answers()] == [404]
            assert peer.transport.ended == "closed"

        play(story)

    def test_it_stays_with_the_client_until_it_is_taken(self) -> None:
        size = 10 * limits.HTTP_READ_BYTES

        async def story() -> None:
            wanted, taken = asyncio.Event(), []

            async def handler(exchange: HttpExchange) -> None:
                await wanted.wait()
                while chunk := await exchange.chunk():
                    taken.append(chunk)
                exchange.answer(200, OK, b"")

            peer = Peer(handler)
            await peer.send(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n" % size)
            sent = 0
            while peer.transport.reading:
                await peer.send(b"x" * 10_000)
                sent += 10_000
            assert sent <= limits.HTTP_READ_BYTES + 10_000
            wanted.set()
            await turns()
            assert peer.transport.reading
            await peer.send(b"x" * (size - sent))
            assert sum(map(len, taken)) == size
            assert len(peer.answers()) == 1

        play(story)

    def test_what_is_wanted_whole_is_read_on_for(self) -> None:
        async def story() -> None:
            peer = Peer()
            size = 4 * limits.HTTP_READ_BYTES
            await peer.send(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n" % size)
            for _ in range(8):
                assert peer.transport.reading
                await peer.send(b"x" * (size // 8))
            assert len(peer.bodies()[0]) == size + len("POST /  ")

        play(story)

    @pytest.mark.parametrize("broken", ["end", "chunk size", "lines"])
    def test_one_that_breaks_off_is_told_from_one_that_ends(self, broken: str) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                with pytest.raises(HttpProblem) as caught:
                    await body_of(exchange)
                exchange.answer(*caught.value.answer())

            peer = Peer(handler)
            await peer.send(b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            if broken == "end":
                assert peer.connection.eof_received()
            elif broken == "chunk size":
                await peer.send(b"zz\r\n")
            else:
                await peer.send(b"0\r\nlong: " + b"x" * limits.HTTP_HEAD_BYTES_MAX + b"x" * 9)
            await turns()
            ((status, headers, body),) = peer.answers()
            assert status == 400
            assert b"malformed-body" in body
            assert headers[b"connection"] == b"close"
            assert peer.transport.ended == "closed"

        play(story)

    def test_a_client_that_goes_away_is_told_of(self) -> None:
        async def story() -> None:
            told: list[str] = []

            async def handler(exchange: HttpExchange) -> None:
                with pytest.raises(ClientGone):
                    await body_of(exchange)
                told.append("reading")
                with pytest.raises(ClientGone):
                    exchange.answer(200, OK, b"")
                told.append("answering")

            peer = Peer(handler)
            await peer.send(POST[:-2])
            peer.connection.connection_lost(None)
            await turns()
            assert told == ["reading", "answering"]
            assert peer.forgotten == 1

        play(story)

    def test_one_that_was_not_read_ends_the_connection(self) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                exchange.answer(413, OK, b"no")

            peer = Peer(handler)
            await peer.send(POST[:-2])
            ((status, headers, _),) = peer.answers()
            assert (status, headers[b"connection"]) == (413, b"close")
            assert peer.transport.ended == "closed"

        play(story)

    def test_one_that_was_read_after_the_answer_said_so_ends_it_too(self) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                exchange.answer(413, OK, b"no")
                while await exchange.chunk():
                    pass

            peer = Peer(handler)
            await peer.send(POST[:-2])
            assert not peer.transport.ended
            await peer.send(POST[-2:] + GET)
            assert len(peer.answers()) == 1
            assert peer.transport.ended == "closed"

        play(story)

    def test_a_client_that_sends_no_more_has_its_answer(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(POST[:-1])
            peer.connection.get_buffer(-1)[:1] = b"o"
            peer.connection.buffer_updated(1)
            assert peer.connection.eof_received()
            await turns()
            assert peer.bodies() == [b"POST /two a=b hello"]
            assert peer.transport.ended == "closed"
            assert not Peer().connection.eof_received()

        play(story)


class TestLeaving:
    @pytest.mark.parametrize("way", ["sends no more", "is gone"])
    @pytest.mark.parametrize("asked", ["before", "after"])
    def test_who_is_waited_with_learns_that_the_client_leaves(self, way: str, asked: str) -> None:
        async def story() -> list[bool]:
            seen: list[bool] = []
            go_on = asyncio.Event()

            async def handler(exchange: HttpExchange) -> None:
                if asked == "after":
                    await go_on.wait()
                leaving = exchange.leaving()
                seen.append(leaving.done())
                await leaving
                seen.append(leaving.done())

            peer = Peer(handler)
            await peer.send(GET)
            if way == "sends no more":
                assert peer.connection.eof_received()
            else:
                peer.connection.connection_lost(None)
            go_on.set()
            await turns()
            return seen

        assert play(story) == [asked == "after", True]

    def test_one_that_nobody_waits_for_may_be_cancelled(self) -> None:
        async def story() -> list[bytes]:
            go_on = asyncio.Event()

            async def handler(exchange: HttpExchange) -> None:
                exchange.leaving().cancel()
                await go_on.wait()
                await echo(exchange)

            peer = Peer(handler)
            await peer.send(GET)
            peer.connection.eof_received()
            go_on.set()
            await turns()
            return peer.bodies()

        assert play(story) == [b"GET /one  "]


class TestRefused:
    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"FROB / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost here\r\n\r\n",
            b"GET / HTTP/1.1\nx: y\n\n",
            b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        ],
    )
    def test_what_is_no_request(self, data: bytes) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(data)
            ((status, headers, body),) = peer.answers()
            assert (status, headers[b"connection"]) == (400, b"close")
            assert headers[b"content-type"] == b"application/problem+json"
            assert peer.refused == ["malformed-request"], body
            assert not peer.served
            assert peer.transport.ended == "closed"
            await peer.send(GET)
            assert not peer.served

        play(story)

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /" + b"x" * 2 * limits.HTTP_HEAD_BYTES_MAX,
            b"GET / HTTP/1.1\r\nx: " + b"y" * 2 * limits.HTTP_HEAD_BYTES_MAX,
            b"GET / HTTP/1.1\r\nx: " + b"y" * limits.HTTP_HEAD_BYTES_MAX + b"\r\n\r\n",
            b"\r\n" * limits.HTTP_HEAD_BYTES_MAX,
            b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (limits.HTTP_HEADERS_MAX + 1) + b"\r\n",
        ],
    )
    def test_a_head_that_is_too_large(self, head: bytes) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(head)
            assert [status for status, _, _ in peer.answers()] == [431]
            assert peer.refused == ["head-too-large"]
            assert peer.transport.ended == "closed"

        play(story)

    def test_a_head_and_a_body_that_are_large_together_are_not_too_large(self) -> None:
        async def story() -> None:
            peer = Peer()
            size = limits.HTTP_HEAD_BYTES_MAX
            head = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\nx: %b\r\n\r\n" % (size, b"y" * (size - 100))
            await peer.send(head + b"z" * size)
            assert [status for status, _, _ in peer.answers()] == [200]

        play(story)

    def test_what_follows_a_request_does_not_take_its_answer(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(POST + b"\x00\x00")
            assert peer.bodies() == [b"POST /two a=b hello"]
            assert peer.transport.ended == "closed"

        play(story)

    def test_an_answer_that_cannot_be_sent_is_none(self) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                with pytest.raises(UnicodeEncodeError):
                    exchange.answer(200, (("x", "é"),), b"")

            peer = Peer(handler)
            await peer.send(GET + GET)
            assert len(peer.served) == 1
            assert peer.transport.ended == "aborted"

        play(story)

    def test_a_handler_that_fails_ends_the_connection(self) -> None:
        async def story() -> None:
            async def handler(_: HttpExchange) -> None:
                raise asyncio.CancelledError

            peer = Peer(handler)
            await peer.send(GET)
            assert peer.transport.ended == "aborted"
            assert not peer.answers()

        play(story)


class TestTime:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What the monotonic clock says."""
        now = [1_000.0]
        monkeypatch.setattr("penstock.http.connection.monotonic", lambda: now[0])
        return now

    def test_between_requests_it_may_be_idle_for_as_long_as_its_server_says(self, clock: list[float]) -> None:
        async def story() -> None:
            peer = Peer()
            peer.idle_s = 4 * limits.HTTP_HEAD_READ_S
            await peer.send(GET)
            peer.connection.sweep(clock[0] + peer.idle_s - 1)
            assert not peer.transport.ended
            await peer.send(GET[:7])
            peer.connection.sweep(clock[0] + limits.HTTP_HEAD_READ_S + 1)
            assert peer.transport.ended == "aborted", "a head has its own time"

        play(story)

    def test_a_head_that_does_not_come(self, clock: list[float]) -> None:
        async def story() -> None:
            peer = Peer()
            clock[0] += limits.HTTP_HEAD_READ_S - 1
            await peer.send(GET[:7])
            begun = clock[0]
            for _ in range(3):
                clock[0] += limits.HTTP_HEAD_READ_S / 4
                await peer.send(b"x")
            peer.connection.sweep(begun + limits.HTTP_HEAD_READ_S - 1)
            assert not peer.transport.ended
            peer.connection.sweep(begun + limits.HTTP_HEAD_READ_S + 1)
            assert peer.transport.ended == "aborted"

        play(story)

    def test_a_request_that_is_being_answered_is_not_the_connections_to_end(self) -> None:
        async def story() -> None:
            gate = asyncio.Event()
            peer = Peer(echo_after(gate))
            await peer.send(GET)
            peer.connection.sweep(math.inf)
            assert not peer.transport.ended
            gate.set()
            await turns()
            peer.connection.sweep(monotonic() + limits.HTTP_HEAD_READ_S + 1)
            assert peer.transport.ended == "aborted"

        play(story)

    @pytest.mark.parametrize("last", [GET, GET.replace(b"host: here", b"host: here\r\nconnection: close")])
    def test_the_next_request_waits_until_the_answer_was_taken(self, last: bytes) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                await echo(exchange)
                peer.connection.pause_writing()

            peer = Peer(handler)
            await peer.send(GET + GET + last)
            for count in (1, 2, 3):
                assert len(peer.answers()) == count
                assert peer.transport.reading == (count == 3)
                peer.connection.resume_writing()
                await turns()
            assert peer.transport.ended == ("" if last == GET else "closed")

        play(story)

    def test_an_answer_that_is_not_taken(self, clock: list[float]) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                peer.connection.pause_writing()
                await echo(exchange)

            peer = Peer(handler)
            await peer.send(GET)
            peer.connection.sweep(clock[0] + limits.HTTP_SEND_S - 1)
            assert not peer.transport.ended
            peer.connection.sweep(clock[0] + limits.HTTP_SEND_S + 1)
            assert peer.transport.ended == "aborted"

        play(story)

    def test_who_sends_no_more_and_is_slow_to_take_an_answer_has_all_of_them(self) -> None:
        async def story() -> None:
            peer = Peer()
            peer.connection.pause_writing()
            await peer.send(GET + GET)
            assert peer.connection.eof_received()
            peer.connection.resume_writing()
            await turns()
            assert len(peer.answers()) == 2
            assert peer.transport.ended == "closed"

        play(story)

    def test_a_connection_that_ends_is_given_time_to_take_its_answer(self) -> None:
        async def story() -> None:
            peer = Peer()
            await peer.send(b"GET / HTTP/1.0\r\n\r\n")
            assert peer.transport.ended == "closed"
            peer.connection.sweep(monotonic() + limits.HTTP_SEND_S + 1)
            assert peer.transport.ended == "aborted"

        play(story)


class TestStopping:
    def test_an_idle_one_ends_at_once_and_a_busy_one_with_its_answer(self) -> None:
        async def story() -> None:
            gate = asyncio.Event()
            idle, busy = Peer(), Peer(echo_after(gate))
            await busy.send(GET + GET)
            for peer in (idle, busy):
                peer.stopping = True
                peer.connection.stop()
            assert (idle.transport.ended, busy.transport.ended) == ("closed", "")
            gate.set()
            await turns()
            ((_, headers, _),) = busy.answers()
            assert headers[b"connection"] == b"close"
            assert busy.transport.ended == "closed"

        play(story)

    def test_one_that_comes_too_late_ends_at_once(self) -> None:
        async def story() -> None:
            peer = Peer()
            peer.stopping = True
            connection = HttpConnection(peer)
            connection.connection_made(peer.transport)
            assert peer.transport.ended == "closed"

        play(story)


class TestAnswersThatAreNotTaken:
    def test_little_is_kept_for_who_does_not_take_it(self) -> None:
        async def story() -> None:
            assert Peer().transport.high == limits.HTTP_ANSWER_KEPT_BYTES

        play(story)

    @pytest.mark.parametrize("end", ["taken", "gone", "given up"])
    def test_the_next_request_is_not_begun_while_one_is_delivered(self, end: str) -> None:
        async def story() -> None:
            async def handler(exchange: HttpExchange) -> None:
                assert exchange.delivered() is None
                peer.connection.pause_writing()
                exchange.answer(200, OK, b"x" * 100)
                peer.transport.unsent = 70
                delivered = exchange.delivered()
                assert delivered is not None
                assert exchange.unsent_bytes() == 70
                await delivered

            peer = Peer(handler)
            await peer.send(GET + GET)
            assert len(peer.served) == 1
            if end == "taken":
                peer.connection.resume_writing()
            elif end == "gone":
                peer.connection.connection_lost(None)
            else:
                peer.served[0].give_up()
                assert peer.transport.ended == "aborted"
                peer.connection.connection_lost(None)
            await turns()
            assert len(peer.served) == (2 if end == "taken" else 1)
            if end == "taken":
                peer.connection.resume_writing()

        play(story)

    def test_whose_turn_it_is(self) -> None:
        async def story() -> None:
            go_on = asyncio.Event()
            peer = Peer(echo_after(go_on))
            since = peer.connection.silent_since()
            assert since <= peer.now + 1
            peer.now += 100
            await peer.send(GET[:9])
            assert peer.connection.silent_since() == peer.now
            await peer.send(GET[9:])
            assert peer.connection.silent_since() == math.inf
            go_on.set()
            await turns()
            assert peer.connection.silent_since() == peer.now
            peer.now += 100
            await peer.send(POST[:-2])
            assert peer.connection.silent_since() == peer.now

        play(story)
