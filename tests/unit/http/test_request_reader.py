"""What a reader tells its connection of the bytes it is given. How requests may be cut is in test_http_connection."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.http.messages import ClientGone
from penstock.http.problems import HttpProblem
from penstock.http.request_reader import RequestReader
from penstock.model import limits
from tests.unit.http.test_connection import CHUNKED, GET, H2C, POST


class Body:
    """Takes the place of an exchange: what is fed to it."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.fed = b""
        self.ends = 0
        self.failure: Exception | None = None

    def feed(self, chunk: bytes) -> None:
        self.fed += chunk

    def end(self) -> None:
        self.ends += 1

    def fail(self, failure: Exception) -> None:
        self.failure = failure


class Taker:
    """A connection that keeps what it is told."""

    def __init__(self, room: int = 99) -> None:
        self.room = room
        self.begun: list[tuple[str, str, str]] = []
        self.bodies: list[Body] = []
        self.refused: list[str] = []
        self.aborted = False
        self.reader: Any = RequestReader(self)

    def has_room(self) -> bool:
        return len(self.begun) < self.room

    def begin(self, method: str, path: str, query_string: str, headers: dict[str, str]) -> Any:
        self.begun.append((method, path, query_string))
        self.bodies.append(Body(headers))
        return self.bodies[-1]

    def refuse(self, problem: HttpProblem) -> None:
        self.refused.append(problem.code)

    def abort(self) -> None:
        self.aborted = True

    def read(self, *parts: bytes) -> RequestReader:
        for part in parts:
            self.reader.read(memoryview(part))
        reader: RequestReader = self.reader
        return reader


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, H2C])
def test_between_two_requests_nothing_is_open(request_: bytes) -> None:
    for cut in range(1, len(request_)):
        taker = Taker()
        assert taker.reader.is_between_requests()
        assert not taker.read(request_[:cut]).is_between_requests()
        assert taker.read(request_[cut:]).is_between_requests()
        assert [body.ends for body in taker.bodies] == [1]


def test_the_head_is_told_before_the_body_has_arrived() -> None:
    taker = Taker()
    reader = taker.read(POST[:-3])
    assert taker.begun == [("POST", "/two", "a=b")]
    assert (taker.bodies[0].fed, taker.bodies[0].ends) == (b"he", 0)
    assert reader.arriving is taker.bodies[0]


def test_a_body_behind_a_request_for_another_protocol_is_fed_as_it_was_sent() -> None:
    taker = Taker()
    taker.read(H2C + H2C)
    assert [body.fed for body in taker.bodies] == [b"hello", b"hello"]
    assert "upgrade" in taker.bodies[0].headers
    assert taker.begun == [("POST", "/two", "a=b")] * 2


def test_where_no_more_may_wait_nothing_more_is_read() -> None:
    taker = Taker(room=1)
    reader = taker.read(GET + GET + GET)
    assert len(taker.begun) == 1
    assert (reader.ended, taker.refused) == (True, [])


def test_what_is_no_request_is_refused_once_and_ends_the_reading() -> None:
    taker = Taker()
    reader = taker.read(b"hello\r\n\r\n", b"hello\r\n\r\n", GET)
    assert taker.refused == ["malformed-request"]
    assert (reader.ended, taker.begun, reader.is_between_requests()) == (True, [], False)


def test_a_body_that_cannot_be_read_on_is_broken_off() -> None:
    head = CHUNKED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for wrong in (b"nonsense\r\n", b"3;" + b"x" * (limits.HTTP_HEAD_BYTES_MAX + 9)):
        taker = Taker()
        reader = taker.read(head, wrong)
        assert isinstance(taker.bodies[0].failure, HttpProblem)
        assert (reader.ended, reader.arriving, taker.refused) == (True, None, [])


def test_the_end_of_what_is_sent_breaks_a_body_off_and_nothing_else() -> None:
    taker = Taker()
    taker.read(POST[:-1])
    taker.reader.at_end()
    assert isinstance(taker.bodies[0].failure, HttpProblem)
    taker = Taker()
    taker.read(POST)
    taker.reader.at_end()
    assert (taker.bodies[0].failure, taker.reader.ended) == (None, True)


def test_whoever_waits_for_a_body_hears_that_the_client_is_gone() -> None:
    taker = Taker()
    taker.read(POST[:-1])
    taker.reader.close(ClientGone())
    assert isinstance(taker.bodies[0].failure, ClientGone)
    assert taker.reader.arriving is None


def test_an_error_of_our_own_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    taker = Taker()

    def begin(*_: Any) -> Any:
        raise RuntimeError("ours")

    taker.begin = begin
    taker.read(GET)
    assert taker.aborted
    assert "could not be read" in caplog.text
