"""A head that was sent before makes no difference to a client but time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.head_cache import KnownHeads
from penstock.http.request_reader import RequestReader
from penstock.model import limits
from tests.unit.http.test_connection import CHUNKED, GET, H2C, POST, Peer, echo_after, play, turns

KEPT = [
    GET,
    POST,
    POST.replace(b"hello", b"there"),
    POST.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n"),
    b"GET /%41?b=%20 HTTP/1.1\r\nhost: here\r\nx-empty:\r\n\r\n",
    b"POST /empty HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n",
    b"POST /lines HTTP/1.1\r\nhost: here\r\ncontent-length: 8\r\n\r\n\r\n\r\n\r\n\r\n",
]
PARSED = [
    CHUNKED,
    H2C,
    b"\r\n" + GET,
    GET + b"\r\n",
    GET + b"\r",
    POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
    POST.replace(b"Length: 5", b"Length: 05"),
    b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"GET http://there/ HTTP/1.1\r\nhost: here\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: here\r\nx: \xe9\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: here\r\n\r\n",
]
WRONG = [
    GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    GET.replace(b" HTTP", b"  HTTP"),
    GET.replace(b"host: here\r\n", b""),
    POST.replace(b"Length: 5", b"Length: 4"),
    POST.replace(b"Length: 5", b"Length: 6"),
    POST.replace(b"Length: 5", b"Length: 5\r\nContent-Length: 5"),
    POST.replace(b"Length: 5", b"Length: 5\r\nTransfer-Encoding: chunked"),
    b"GET / HTTP/1.1\nhost: here\n\n",
    GET[:-2],
    GET[:-4] + b"\r\nx: ",
    GET[:-4],
    b"hello",
    b"\r\n\r\n",
]


def seen(reads: Sequence[bytes], heads: KnownHeads) -> tuple[Any, ...]:
    """All that a client and the application notice of these reads."""

    async def story() -> tuple[Any, ...]:
        peer = Peer(heads=heads)
        for data in reads:
            if not peer.transport.ended:
                await peer.send(data)
        asked = [(one.method, one.path, one.query_string, dict(one.headers), one.complete) for one in peer.served]
        return peer.transport.written, asked, peer.refused, peer.transport.ended, peer.transport.reading

    found: tuple[Any, ...] = play(story)
    return found


def taught(*requests: bytes) -> KnownHeads:
    """Knows the heads of these, those that it keeps."""
    heads = KnownHeads()
    for request in requests:
        seen([request], heads)
        seen([request], heads)
    return heads


@cache
def well_taught() -> KnownHeads:
    """Knows all of them."""
    return taught(*KEPT, *PARSED, *WRONG)


def parsed(data: bytes, heads: KnownHeads, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the parser sees a request that is sent alone."""
    fed = []
    read = RequestReader.read

    def look(self: RequestReader, part: memoryview) -> None:
        fed.append(part)
        read(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(RequestReader, "read", look)
        seen([data], heads)
    return bool(fed)


@pytest.mark.parametrize("request_", KEPT)
def test_the_third_time_a_head_is_not_parsed(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = KnownHeads()
    assert [parsed(request_, heads, monkeypatch) for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("request_", [*PARSED, *WRONG])
def test_all_but_plain_heads_are_parsed_each_time(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = KnownHeads()
    assert all(parsed(request_, heads, monkeypatch) for _ in range(4))


@pytest.mark.parametrize("second", [*KEPT, *PARSED, *WRONG])
@pytest.mark.parametrize("first", KEPT)
def test_nothing_before_or_behind_it_is_taken_for_something_else(first: bytes, second: bytes) -> None:
    for reads in (
        [first, second],
        [second, first],
        [first + second],
        [second + first],
        [first[:-1], first[-1:]],
        [first + second, first],
        [first + b"\r", second, b"\n" + second],
    ):
        assert seen(reads, well_taught()) == seen(reads, KnownHeads(0)), reads


@given(st.data())
def test_whatever_is_sent_however_it_is_cut_is_answered_as_if_nothing_were_known(data: st.DataObject) -> None:
    text = b"".join(data.draw(st.lists(st.sampled_from([*KEPT, *PARSED, *WRONG]), min_size=1, max_size=6)))
    borders = [at for at in range(1, len(text)) if text.startswith((b"GET", b"POST", b"\r\n\r\n"), at)]
    cuts = data.draw(st.sets(st.sampled_from(borders) | st.integers(1, len(text))) if borders else st.just(set()))
    ends = sorted({*cuts, len(text)})
    reads = [text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    assert seen(reads, well_taught()) == seen(reads, KnownHeads(0))


def test_a_head_is_known_whatever_body_follows_it_and_the_body_is_its_own() -> None:
    heads = taught(POST)
    written = seen([POST.replace(b"hello", b"other")], heads)[0]
    assert written.endswith(b"POST /two a=b other")


@pytest.mark.parametrize("body", [b"hell", b"hello!", b"", b"hello" + POST])
def test_a_known_head_with_less_or_more_than_its_body_is_parsed(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsed(POST.replace(b"hello", b"") + body, taught(POST), monkeypatch)


def test_a_head_that_has_not_ended_is_not_the_one_that_had(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = taught(GET)
    assert not parsed(GET, heads, monkeypatch)
    assert parsed(GET[:-4], heads, monkeypatch)
    assert seen([GET[:-4]], heads)[1] == []


def test_with_too_many_heads_all_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = KnownHeads(2)
    for _ in range(2):
        seen([GET], heads)
    assert not parsed(GET, heads, monkeypatch)
    for other in (b"/1", b"/2"):
        seen([GET.replace(b"/one", other)], heads)
    assert parsed(GET, heads, monkeypatch)


@pytest.mark.parametrize("more", [0, 1])
def test_a_head_that_is_too_large_is_not_kept(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    room = limits.HTTP_KNOWN_HEAD_BYTES_MAX - len(GET)
    request = GET.replace(b"/one", b"/one" + b"a" * (room + more))
    assert parsed(request, taught(request), monkeypatch) == bool(more)


@pytest.mark.parametrize("more", [0, 1])
def test_a_request_that_is_not_in_one_read_is_parsed(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = limits.HTTP_READ_BYTES - len(POST) - 4 + len(b"hello") + more
    request = POST.replace(b"Length: 5", b"Length: %d" % size).replace(b"hello", b"x" * size)
    assert parsed(request, taught(request), monkeypatch) == bool(more)


def test_a_known_head_waits_for_the_request_before_it() -> None:
    heads = taught(GET, POST)

    async def story() -> None:
        first_may_end = asyncio.Event()
        peer = Peer(echo_after(first_may_end), heads)
        await peer.send(GET)
        await peer.send(POST)
        assert [exchange.path for exchange in peer.served] == ["/one"]
        first_may_end.set()
        await turns()
        assert [body for _, _, body in peer.answers()] == [b"GET /one  ", b"POST /two a=b hello"]

    play(story)


def test_a_known_head_waits_until_the_last_answer_was_taken() -> None:
    heads = taught(GET)

    async def story() -> None:
        peer = Peer(heads=heads)
        await peer.send(GET)
        peer.connection.pause_writing()
        await peer.send(GET)
        assert len(peer.served) == 1
        peer.connection.resume_writing()
        await turns()
        assert len(peer.served) == 2

    play(story)


def test_a_known_head_after_the_last_request_of_a_connection_is_not_answered() -> None:
    heads = taught(GET)

    async def story() -> None:
        peer = Peer(heads=heads)
        await peer.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await peer.send(GET)
        assert len(peer.served) == len(peer.answers()) == 1

    play(story)


def test_it_is_the_clients_turn_again_after_a_known_head() -> None:
    """Time runs, and what follows is read, as after any other request."""

    heads = taught(GET)

    async def story() -> None:
        peer = Peer(heads=heads)
        await peer.send(GET)
        assert [status for status, _, _ in peer.answers()] == [200]
        assert peer.connection.silent_since() == peer.now
        peer.connection.sweep(peer.now + limits.HTTP_HEAD_READ_S - 1)
        assert not peer.transport.ended
        peer.connection.sweep(peer.now + limits.HTTP_HEAD_READ_S + limits.GATE_STORE_S)
        assert peer.transport.ended == "aborted"

    play(story)
