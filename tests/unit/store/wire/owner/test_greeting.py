"""Which clients an owner understands, and how much of a hello it listens to."""

import pytest

from penstock.model import limits
from penstock.model.errors import Conflict
from penstock.store.wire import protocol
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.owner import greeting
from penstock.store.wire.owner.greeting import agreed_version, read_hello


def hello(versions=(3, 3), client=b"c" * 16, auth=None):
    return protocol.encode(protocol.Hello(versions, client, "role", 1, auth))


@pytest.mark.parametrize(
    ("spoken", "agreed"),
    [((4, 6), 6), ((1, 4), 4), ((1, 5), 5), ((5, 9), 6), ((6, 9), 6), ((1, 99), 6)],
)
def test_both_speak_the_newest_version_that_both_know(monkeypatch, spoken, agreed):
    monkeypatch.setattr(greeting.protocol, "WIRE_VERSION_MIN", 4)
    monkeypatch.setattr(greeting.protocol, "WIRE_VERSION", 6)
    assert agreed_version(spoken, 7) == agreed


@pytest.mark.parametrize("spoken", [(1, 3), (3, 3), (7, 7), (7, 9), (6, 5), (9, 1), (-1, -1)])
def test_without_a_version_that_both_know_the_client_is_told_what_is_spoken(monkeypatch, spoken):
    monkeypatch.setattr(greeting.protocol, "WIRE_VERSION_MIN", 4)
    monkeypatch.setattr(greeting.protocol, "WIRE_VERSION", 6)
    with pytest.raises(Conflict, match="versions 4 to 6 of the wire"):
        agreed_version(spoken, 7)


def test_a_hello_may_carry_what_proves_who_the_client_is():
    assert read_hello(hello(auth=b"token")).auth == b"token"
    assert read_hello(hello()).auth is None


@pytest.mark.parametrize("client", [b"", b"c" * 15, b"c" * 17])
def test_an_identity_of_another_length_is_malformed(client):
    with pytest.raises(protocol.MalformedFrame, match="16 bytes"):
        read_hello(hello(client=client))


def test_the_largest_hello_is_read_and_a_larger_one_is_malformed():
    most = limits.HELLO_BYTES_MAX - len(hello(auth=bytes(1_000))) + 1_000
    assert len(hello(auth=bytes(most))) == limits.HELLO_BYTES_MAX
    assert read_hello(hello(auth=bytes(most))).auth == bytes(most)
    with pytest.raises(protocol.MalformedFrame, match="at most"):
        read_hello(hello(auth=bytes(most + 1)))


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
