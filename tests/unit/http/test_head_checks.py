"""What of HTTP/1.1 the parser lets pass and the server does not; and what clients may well say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from penstock.http.head_checks import check_head, decoded, is_host, split_target
from penstock.http.problems import HttpProblem
from tests.unit.http.test_connection import GET, POST, Peer, play, turns


def sent(data: bytes, *cuts: int) -> Peer:
    """A client that has sent this, cut where it is said."""

    async def story() -> Peer:
        peer = Peer()
        for begin, end in pairwise([0, *cuts, len(data)]):
            await peer.send(data[begin:end])
        return peer

    found: Peer = play(story)
    return found


def refusal(data: bytes, *cuts: int) -> tuple[int, str]:
    """The one answer to this, which ends the connection."""
    peer = sent(data, *cuts)
    ((status, headers, body),) = peer.answers()
    assert headers[b"connection"] == b"close", body
    assert not peer.served
    assert peer.transport.ended == "closed"
    return status, peer.refused[0]


HOST = b"host: here\r\n"
MALFORMED = (400, "malformed-request")


class TestRequestLine:
    @pytest.mark.parametrize(
        "line",
        [
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET   /   HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET /\tHTTP/1.1",
            b"GET /",
            b"GET",
            b"GET HTTP/1.1",
            b"get / HTTP/1.1",
            b"Get / HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1.10",
            b"GET / HTTP/01.1",
            b"GET / HTTP/1.1x",
            b"GET / HTTP 1.1",
            b"GET / RTSP/1.0",
            b"SOURCE / ICE/1.0",
            b"GET * HTTP/1.1",
            b"GET here HTTP/1.1",
            b"GET /a#b HTTP/1.1",
            b"GET /a?b#c HTTP/1.1",
            b"GET /%zz HTTP/1.1",
            b"GET /%4 HTTP/1.1",
            b"GET /% HTTP/1.1",
            b"GET /%ff HTTP/1.1",
            b"GET /\xc3\xa9 HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET ftp://here/ HTTP/1.1",
            b"GET http:///x HTTP/1.1",
            b"GET http://me@here/ HTTP/1.1",
            b"GET http://a,b/ HTTP/1.1",
            b"\nGET / HTTP/1.1",
            b"\rGET / HTTP/1.1",
            b"\r\n\nGET / HTTP/1.1",
            b"GET / HTTP/1.1\n" + HOST[:-2],
            b"GET / HTTP/1.1\r" + HOST[:-2],
        ],
    )
    def test_another_form_is_refused(self, line: bytes) -> None:
        assert refusal(line + b"\r\n" + HOST + b"\r\n") == MALFORMED

    @pytest.mark.parametrize("version", [b"0.9", b"2.0"])
    def test_another_version_is_refused(self, version: bytes) -> None:
        assert refusal(b"GET / HTTP/" + version + b"\r\n" + HOST + b"\r\n") == (505, "version-not-supported")

    def test_wherever_it_is_cut(self) -> None:
        lenient = b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"
        for cut in range(1, len(lenient)):
            assert refusal(lenient, cut) == MALFORMED

    @pytest.mark.parametrize("first", [GET, POST])
    def test_behind_another_request(self, first: bytes) -> None:
        for cut in ((), (len(first),), (len(first) + 3,), (3, len(first) + 6)):
            peer = sent(first + b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", *cut)
            assert len(peer.served) == 1
            assert peer.transport.ended == "closed"

    def test_a_body_that_ends_with_half_of_a_line_is_not_one(self) -> None:
        body = POST[:-1] + b"\r"
        assert sent(body + GET, len(body)).bodies() == [b"POST /two a=b hell\r", b"GET /one  "]

    def test_blank_lines_before_it_are_passed_over(self) -> None:
        for cuts in ((), (1,), (2,), (3,), (5,)):
            assert sent(b"\r\n\r\n" + GET, *cuts).bodies() == [b"GET /one  "]

    def test_blank_lines_are_passed_over_in_one_step(self) -> None:
        blank = b"\r\n" * 20_000
        assert sent(blank + GET).bodies() == [b"GET /one  "]

    def test_a_head_that_comes_a_byte_at_a_time_is_the_same(self) -> None:
        data = b"\r\n" + POST + GET
        assert sent(data, *range(1, len(data))).bodies() == [b"POST /two a=b hello", b"GET /one  "]


class TestHeaders:
    @pytest.mark.parametrize(
        "lines",
        [
            b"",
            b"x: y\r\n",
            b"host: a\r\nhost: a\r\n",
            b"host: a\r\nHost: b\r\n",
            b"host: a, b\r\n",
            b"host: a b\r\n",
            b"host: a:b\r\n",
            b"host: a:+80\r\n",
            b"host: a:123456\r\n",
            b"host: a/b\r\n",
            b"host: u@a\r\n",
            b"host: http://a\r\n",
            b"host: [::1\r\n",
            b"host: \xd9\xa1\r\n",
            b"host : a\r\n",
            b"host\t: a\r\n",
            b" host: a\r\n",
            HOST + b"x: a\r\n b\r\n",
            HOST + b"x: a\r\n\tb\r\n",
            HOST + b"x:\r\n b\r\n",
            HOST + b"x: a\nb: c\r\n",
            HOST + b"x: a\rb: c\r\n",
            HOST + b"x: a\r\r\n",
            HOST + b"x: \x00\r\n",
            HOST + b"x: \x01\r\n",
            HOST + b"x: \x0b\r\n",
            HOST + b"x: \x1b[2J\r\n",
            HOST + b"x: \x7f\r\n",
            HOST + b": a\r\n",
            HOST + b"x\r\n",
            HOST + b"x y: a\r\n",
            HOST + b"x(: a\r\n",
            HOST + "é: a\r\n".encode(),
        ],
    )
    def test_what_is_not_a_header_is_refused(self, lines: bytes) -> None:
        assert refusal(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == MALFORMED

    @pytest.mark.parametrize(
        "length",
        ["+5", "-5", "0x5", "5_0", "٥", "５", "5.0", "5e0", "5,5", "5, 5", "5 5", "5;", '"5"', "", "five", "9" * 30],
    )
    def test_a_length_is_ascii_digits(self, length: str) -> None:
        head = b"POST / HTTP/1.1\r\n" + HOST + b"content-length: " + length.encode() + b"\r\n\r\nhello"
        assert refusal(head) == MALFORMED

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (b"transfer-encoding: gzip, chunked\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: identity, chunked\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: ,chunked\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: gzip\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: identity\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: xchunked\r\n", (501, "coding-not-supported")),
            (b"transfer-encoding: chunked, chunked\r\n", MALFORMED),
            (b"transfer-encoding: chunked, gzip\r\n", MALFORMED),
            (b"transfer-encoding: \r\n", MALFORMED),
            (b"transfer-encoding: chunked\r\ncontent-length: 5\r\n", MALFORMED),
            (b"content-length: 5\r\ntransfer-encoding: chunked\r\n", MALFORMED),
            (b"content-length: 5\r\ncontent-length: 5\r\n", MALFORMED),
            (b"expect: 200-ok\r\n", (417, "expectation-failed")),
            (b"expect: 100-continue, 200-ok\r\n", (417, "expectation-failed")),
        ],
    )
    def test_what_the_body_is_must_be_plain(self, lines: bytes, expected: tuple[int, str]) -> None:
        assert refusal(b"POST / HTTP/1.1\r\n" + HOST + lines + b"\r\n0\r\n\r\n") == expected

    def test_what_older_clients_may_say(self) -> None:
        assert sent(b"GET / HTTP/1.0\r\n\r\n").bodies() == [b"GET /  "]
        head = b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        assert refusal(head) == MALFORMED

    @pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED "])
    def test_a_coding_is_named_without_regard_to_case(self, coding: bytes) -> None:
        head = b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: " + coding + b"\r\n\r\n"
        assert sent(head + b"2\r\nab\r\n0\r\n\r\n").bodies() == [b"POST /  ab"]

    @pytest.mark.parametrize("size", [b"0x1", b"+1", b"-1", b" 1", b"1 ", b"1_0", b"\xd9\xa1", b"", b"1" * 20])
    def test_the_size_of_a_chunk_is_hexadecimal_digits(self, size: bytes) -> None:
        async def story() -> Any:
            async def handler(exchange: Any) -> None:
                try:
                    await exchange.chunk()
                except HttpProblem as problem:
                    exchange.answer(*problem.answer())

            peer = Peer(handler)
            head = b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
            await peer.send(head + size + b"\r\na\r\n0\r\n\r\n")
            await turns()
            return [status for status, _, _ in peer.answers()]

        assert play(story) == [400]

    @pytest.mark.parametrize("host", ["a", "a:1", "a.b-c_d:7367", "127.0.0.1", "[::1]:80", "", "a:", "h%20"])
    def test_hosts(self, host: str) -> None:
        assert is_host(host)
        check_head("1.1", {"host": host})


class TestTargets:
    @pytest.mark.parametrize(
        ("method", "target", "found", "host"),
        [
            ("GET", b"/a%20b?c=%20", ("/a b", "c=%20"), "here"),
            ("GET", b"http://gate:7367/v1/jobs?x=1", ("/v1/jobs", "x=1"), "gate:7367"),
            ("GET", b"HTTP://gate", ("/", ""), "gate"),
            ("GET", b"https://gate?x", ("/", "x"), "gate"),
            ("OPTIONS", b"*", ("*", ""), "here"),
            ("CONNECT", b"there:80", ("there:80", ""), "here"),
        ],
    )
    def test_what_it_names(self, method: str, target: bytes, found: tuple[str, str], host: str) -> None:
        headers = {"host": "here"}
        assert split_target(method, target, headers) == found
        assert headers["host"] == host

    @pytest.mark.parametrize("text", ["%", "%a", "%zz", "%+1", "%%20", "%u0041", "%ff", "%c3", "%ed%a0%80", "%٤١"])
    def test_what_cannot_be_decoded(self, text: str) -> None:
        with pytest.raises(HttpProblem) as caught:
            decoded(text)
        assert caught.value.code == "malformed-request"
