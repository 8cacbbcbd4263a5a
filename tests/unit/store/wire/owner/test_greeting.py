"""Which clients an owner understands, and how much of a hello it listens to."""

import pytest

from penstock.model import limits
from penstock.model.errors import Conflict
from penstock.store.wire import protocol
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


def test_who_speaks_another_version_is_told_both_sides_versions(monkeypatch):
    monkeypatch.setattr(protocol, "WIRE_VERSION", 5)
    monkeypatch.setattr(protocol, "WIRE_VERSION_MIN", 4)
    for versions, told in (((6, 6), "version 6"), ((6, 8), "versions 6 to 8"), ((1, 3), "versions 1 to 3")):
        with pytest.raises(Conflict) as refused:
            agreed_version(versions, 12)
        assert refused.value.message == (
            f"The store's owner (process 12) speaks versions 4 to 5 of the wire, this client {told}; "
            "restart what still runs the other version of Penstock."
        )


def test_a_hello_that_cannot_be_read_is_told_why():
    with pytest.raises(protocol.MalformedFrame, match=r"^A hello that cannot be read: .+"):
        read_hello(b"\xc1")
