"""What clients say to an owner first, and how the owner answers."""

from penstock.model import limits
from penstock.store.wire import protocol
from penstock.store.wire.client.blocking import Client


def hello(versions=(3, 3), auth=None):
    return protocol.encode(protocol.Hello(versions, b"c" * 16, "role", 1, auth))


def test_a_large_hello_is_refused_though_it_comes_whole(served):
    stranger = served.dial()
    stranger.sendall(protocol.frame(protocol.HELLO, 0, hello(auth=bytes(limits.HELLO_BYTES_MAX))))
    assert b"A hello has at most" in stranger.recv(4_096)
    stranger.close()


def test_the_owner_answers_with_the_version_that_both_will_speak(served):
    sock = served.dial()
    sock.sendall(protocol.frame(protocol.HELLO, 0, hello((1, 99))))
    [(kind, _, payload)] = protocol.FrameReader().feed(sock.recv(4_096))
    assert kind == protocol.ANSWER
    assert protocol.decode_welcome(payload).version == protocol.WIRE_VERSION
    sock.close()


def test_a_ping_is_answered_without_a_transaction(serve):
    client = Client(serve(chores=False).dial)
    client.ping()
    assert client.owner_statistics().commits == 0
    client.close()
