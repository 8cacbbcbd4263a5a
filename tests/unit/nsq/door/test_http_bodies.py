"""What a body of many messages holds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.door import http_bodies
from penstock.nsq.door.http_bodies import lines_of, messages_of
from penstock.nsq.http_routes import ApiError


def packed(messages: list[bytes]) -> bytes:
    return b"".join(part.to_bytes(4, "big") if isinstance(part, int) else part for part in parts(messages))


def parts(messages: list[bytes]) -> list[bytes | int]:
    found: list[bytes | int] = [len(messages)]
    for message in messages:
        found += [len(message), message]
    return found


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20), st.binary(max_size=5))
def test_what_was_packed_is_found(messages: list[bytes], rest: bytes) -> None:
    assert messages_of(packed(messages) + rest, 20, 1_000) == messages


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.data())
def test_what_is_cut_anywhere_is_refused(messages: list[bytes], data: st.DataObject) -> None:
    whole = packed(messages)
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ApiError) as caught:
        messages_of(whole[:at], 20, 1_000)
    assert (caught.value.status, caught.value.message) == (413, "BAD_BODY" if at < 4 else "BAD_MESSAGE")


@given(st.binary(max_size=100))
def test_any_bytes_are_messages_or_refused(body: bytes) -> None:
    with suppress(ApiError):
        assert body.startswith(packed(messages_of(body, 20, 100)))


@pytest.mark.parametrize("count", [0, -1, 200, 2**31 - 1])
def test_a_number_of_messages_that_cannot_be(count: int) -> None:
    with pytest.raises(ApiError, match="BAD_BODY"):
        messages_of(count.to_bytes(4, "big", signed=True) + b"\0\0\0\1x", 20, 1_000)


@pytest.mark.parametrize("size", [0, -1, 21])
def test_a_message_that_may_not_be(size: int) -> None:
    with pytest.raises(ApiError, match="BAD_MESSAGE"):
        messages_of(b"\0\0\0\1" + size.to_bytes(4, "big", signed=True) + b"x" * 30, 20, 1_000)


def test_lines() -> None:
    assert list(lines_of(b"", 5, 9)) == list(lines_of(b"\n\n", 5, 9)) == []
    assert list(lines_of(b"a\n\nb\r\n12345", 5, 9)) == [[b"a", b"b\r", b"12345"]]
    assert list(lines_of(b"a\nb\nc\nd\ne", 5, 2)) == [[b"a", b"b"], [b"c", b"d"], [b"e"]]


@pytest.mark.parametrize("body", [b"123456", b"a\n123456\n", b"123456\na"])
def test_a_line_that_is_too_long_is_refused_before_any_is_told(body: bytes) -> None:
    with pytest.raises(ApiError, match="MSG_TOO_BIG"):
        lines_of(body, 5, 9)


@given(st.binary(max_size=300), st.integers(1, 5), st.integers(1, 7))
def test_lines_are_those_of_the_body_wherever_it_is_cut(body: bytes, count_max: int, part_bytes: int) -> None:
    body = body.replace(b"\x00", b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_bodies, "_PART_BYTES", part_bytes)
        found = list(lines_of(body, 1_000, count_max))
    assert [line for some in found for line in some] == [line for line in body.split(b"\n") if line]
    assert all(len(some) == count_max for some in found[:-1])
    assert all(0 < len(some) <= count_max for some in found)
