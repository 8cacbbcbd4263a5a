"""A connection of the client for threads: whole frames go out and come in, or the connection is ended."""

import socket
import threading
import time

import pytest

from penstock.store.wire import protocol
from penstock.store.wire.client.stream import Stream, open_stream

BLOCK_S = 0.01


def answer(number, payload=b"answer"):
    return protocol.frame(protocol.ANSWER, number, payload)


def received(stream):
    """The frames that come next."""
    while (frames := stream.receive()) == []:
        pass
    return frames


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    stream = Stream(near, BLOCK_S)
    yield stream, far
    stream.close()
    far.close()


def test_the_answer_that_is_received_next_is_told_by_its_payload_alone(pair):
    stream, far = pair
    for number in range(1, 30):
        far.sendall(answer(number, b"%d" % number))
        assert stream.receive_answer(number) == b"%d" % number


@pytest.mark.parametrize(
    "data",
    [answer(6), answer(6) + answer(7), answer(7) + answer(8), protocol.frame(protocol.FAILURE, 7, b"no")],
    ids=["another", "another before it", "another behind it", "a failure"],
)
def test_what_is_received_instead_of_the_answer_is_kept_for_all(pair, data):
    stream, far = pair
    far.sendall(data)
    assert stream.receive_answer(7) is None
    assert stream.receive() == protocol.FrameReader().feed(data)
    assert stream.is_between_frames


def test_a_part_of_a_frame_is_told_and_kept(pair):
    stream, far = pair
    far.sendall(answer(7)[:5])
    assert stream.receive_answer(7) is None
    assert stream.receive() == []
    assert not stream.is_between_frames
    far.sendall(answer(7)[5:])
    assert received(stream) == [(protocol.ANSWER, 7, b"answer")]
    assert stream.is_between_frames


def test_nothing_is_told_when_nothing_comes(pair):
    stream, _ = pair
    assert stream.receive_answer(1) is None
    assert stream.receive() == []


def test_the_end_is_told(pair):
    stream, far = pair
    far.close()
    assert stream.receive_answer(1) is None
    assert stream.receive() is None


@pytest.mark.parametrize("way", ["shut", "half a frame at once", "deadline", "interrupt"])
def test_a_connection_that_was_ended_takes_no_more_frames(pair, way, monkeypatch):
    stream, far = pair
    large = b"x" * 4_000_000
    if way == "shut":
        stream.shut()
    elif way == "half a frame at once":
        stream.send_at_once(large)
    elif way == "deadline":
        stream.send(large, time.monotonic())
    else:
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stream.send(large, 0.0)
        monkeypatch.setattr(time, "monotonic", real)
    stream.send(b"late", time.monotonic() + 10)
    stream.send_at_once(b"late")
    data = bytearray()
    while more := far.recv(1 << 20):
        data += more
    assert not data.strip(b"x")
    assert len(data) < len(large)
    assert stream.receive() is None


def test_a_thread_that_was_interrupted_between_two_steps_of_sending_leaves_a_mark(pair):
    stream, far = pair
    stream._is_sending = True
    stream.send(b"frame", time.monotonic() + 10)
    assert far.recv(100) == b""


def test_a_large_frame_is_sent_whole_while_the_other_end_reads_slowly(pair):
    stream, far = pair
    large = bytes(range(256)) * 16_000
    found = bytearray()

    def read():
        while len(found) < len(large):
            found.extend(far.recv(10_000))

    reader = threading.Thread(target=read)
    reader.start()
    stream.send(large, time.monotonic() + 30)
    reader.join()
    assert found == large


class TestOpening:
    def opened(self, reply):
        """Open a stream to an end that has said ``reply`` already and listens no more."""
        near, far = socket.socketpair()
        far.sendall(reply)
        far.shutdown(socket.SHUT_WR)
        try:
            return open_stream(lambda until: near, b"hello", BLOCK_S, time.monotonic() + 10), far.recv(100)
        finally:
            far.close()
            if not reply:
                assert near.fileno() == -1

    def test_says_hello_and_tells_the_welcome(self):
        welcome = protocol.Welcome(protocol.WIRE_VERSION, 7, 8)
        (stream, told), heard = self.opened(protocol.frame(protocol.ANSWER, 0, protocol.encode(welcome)))
        assert (told, heard) == (welcome, b"hello")
        stream.close()

    def test_raises_why_the_owner_refuses(self):
        error = protocol.errors.Conflict("another version")
        with pytest.raises(protocol.errors.Conflict, match="another version"):
            self.opened(protocol.frame(protocol.FAILURE, 0, protocol.failure(error)))

    def test_raises_when_the_owner_closes_and_gives_the_descriptor_back(self):
        with pytest.raises(ConnectionResetError):
            self.opened(b"")
