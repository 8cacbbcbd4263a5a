"""The body of an MPUB in one piece, as HTTP has it. In parts: test_commands.py."""

from __future__ import annotations

import struct

import pytest

from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.many_messages import messages_of


def body(*messages: bytes, count: int | None = None) -> bytes:
    sized = b"".join(struct.pack(">i", len(message)) + message for message in messages)
    return struct.pack(">i", len(messages) if count is None else count) + sized


def refusal(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        messages_of(data, 10, 100)
    assert caught.value.verb == "MPUB"
    return caught.value.data.decode()


def test_messages():
    assert messages_of(body(b"a", b"bcd", b"x" * 10), 10, 100) == [b"a", b"bcd", b"x" * 10]


def test_what_is_behind_the_last_message_is_not_looked_at():
    assert messages_of(body(b"a") + b"rest", 10, 100) == [b"a"]


@pytest.mark.parametrize("count", [0, -1, 20, 2**31 - 1])
def test_a_count_that_cannot_be(count):
    assert refusal(body(b"a", count=count)) == f"E_BAD_BODY MPUB invalid message count {count}"


def test_the_largest_count_is_what_the_largest_body_can_hold():
    assert len(messages_of(body(*[b"a"] * 19), 10, 100)) == 19


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\0\0\0", "E_BAD_BODY MPUB failed to read message count"),
        (body(b"a", b""), "E_BAD_MESSAGE MPUB invalid message(1) body size 0"),
        (body(b"a") + b"\xff\xff\xff\xff", "E_BAD_MESSAGE"),
        (body(b"x" * 11), "E_BAD_MESSAGE MPUB message too big 11 > 10"),
        (body(b"a", count=2), "E_BAD_MESSAGE MPUB failed to read message(1) body size"),
        (body(b"a", count=2) + b"\0\0\0\x02b", "E_BAD_MESSAGE MPUB failed to read message body"),
        (body(*[b"x" * 10] * 8), "E_BAD_BODY MPUB body too big: its messages are more than its size"),
    ],
)
def test_bodies_that_are_refused(data, told):
    if told == "E_BAD_MESSAGE":
        data = struct.pack(">i", 2) + data[4:]
        told = "E_BAD_MESSAGE MPUB invalid message(1) body size -1"
    assert refusal(data) == told
