from __future__ import annotations

import pytest

from benchmarks import nsq_frames as frames
from penstock.nsq.protocol.frames import response


def message(number: int, body: bytes) -> bytes:
    """A frame with a message, as a daemon sends it."""
    data = (2).to_bytes(4, "big") + bytes(8) + (1).to_bytes(2, "big") + b"%016x" % number + body
    return len(data).to_bytes(4, "big") + data


def test_commands_are_what_clients_of_nsq_send():
    assert frames.pub("t", b"abc") == b"PUB t\n\0\0\0\x03abc"
    assert frames.mpub("t", [b"a", b"bc"]) == b"MPUB t\n\0\0\0\x0f\0\0\0\x02\0\0\0\x01a\0\0\0\x02bc"
    assert frames.fins([b"0" * 16, b"1" * 16]) == b"FIN 0000000000000000\nFIN 1111111111111111\n"


def test_a_body_has_the_size_that_is_counted():
    assert len(frames.body(7)) == frames.BODY_BYTES


def test_an_answer_has_the_size_that_is_counted():
    assert len(response(b"OK")) == frames.OK_BYTES
    assert response(b"_heartbeat_") == frames.HEARTBEAT


def test_ids_are_found_in_whole_frames():
    arrived = b"".join(message(number, frames.body(number)) for number in range(3))
    assert frames.ids(memoryview(arrived)) == [b"%016x" % number for number in range(3)]
    assert len(arrived) == 3 * frames.MESSAGE_BYTES


def test_something_else_among_them_is_noticed():
    other = message(1, b"y" * (frames.BODY_BYTES - 1)) + b"\0"
    with pytest.raises(ValueError, match="other than a message"):
        frames.ids(memoryview(other))
