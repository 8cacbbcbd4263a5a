"""Frames, byte by byte."""

from __future__ import annotations

from penstock.nsq.protocol import frames
from penstock.nsq.protocol.errors import ProtocolError


def test_an_answer():
    assert frames.OK == b"\0\0\0\x06\0\0\0\0OK"
    assert frames.HEARTBEAT == b"\0\0\0\x0f\0\0\0\0_heartbeat_"
    assert frames.CLOSE_WAIT == b"\0\0\0\x0e\0\0\0\0CLOSE_WAIT"


def test_an_error():
    assert frames.error_frame(ProtocolError("E_BAD_PROTOCOL", "")) == b"\0\0\0\x12\0\0\0\x01E_BAD_PROTOCOL"


def test_a_message():
    frame = frames.message_frame(0x0102030405060708, 3, b"0123456789abcdef", b"body")
    assert frame == b"\0\0\0\x22\0\0\0\x02\x01\x02\x03\x04\x05\x06\x07\x08\0\x030123456789abcdefbody"
    assert len(frame) == frames.MESSAGE_FRAME_BYTES + len(b"body")


def test_the_largest_number_of_attempts_fits():
    assert frames.message_frame(0, frames.ATTEMPTS_MAX, b"0123456789abcdef", b"")[16:18] == b"\xff\xff"


def test_many_messages_are_their_frames_one_after_the_other():
    messages = [(number, 1, b"%016x" % number, b"x" * number) for number in range(5)]
    assert frames.message_frames(messages) == b"".join(frames.message_frame(*message) for message in messages)
    assert frames.message_frames([]) == b""
