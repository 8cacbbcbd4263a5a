"""What a body of many messages holds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    assert lines_of(b"", 5) == lines_of(b"\n\n", 5) == []
    assert lines_of(b"a\n\nb\r\n12345", 5) == [b"a", b"b\r", b"12345"]
    with pytest.raises(ApiError, match="MSG_TOO_BIG"):
        lines_of(b"a\n123456\n", 5)
