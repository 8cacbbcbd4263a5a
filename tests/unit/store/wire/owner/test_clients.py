"""What clients say to an owner first, and how the owner answers."""

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import Extension, LeaseRequest
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


@pytest.mark.parametrize("call", [protocol.LEASE, protocol.WAIT], ids=lambda call: call.name)
def test_who_goes_before_its_request_was_looked_at_leaves_nothing_waiting(served, groups, call):
    client = Client(served.dial)
    made = groups(1, queue="elsewhere")
    client.enqueue(made)
    asked = {
        protocol.LEASE: (LeaseRequest(b"h" * 16, 10, queues=["default"]), 30.0),
        protocol.WAIT: ([made[0].jobs[0].id], 30.0),
    }[call]
    number = protocol.UNRECORDED + 1
    sock = served.dial()
    frames = [
        protocol.frame(protocol.HELLO, 0, hello()),
        protocol.frame(call.kind, number, protocol.encode(call.shape(*asked))),
        protocol.frame(protocol.FORGET, number, b""),
        protocol.frame(protocol.PING.kind, number + 1, protocol.encode([])),
    ]
    sock.sendall(b"".join(frames))
    reader, answered = protocol.FrameReader(), []
    while len(answered) < 2:
        answered += [told[1] for told in reader.feed(sock.recv(4_096))]
    assert answered == [0, number + 1]
    statistics = client.owner_statistics()
    assert (statistics.parked_leases, statistics.parked_waits) == (0, 0)
    client.close()
    sock.close()


@pytest.mark.parametrize("lease_s", [3_600.1, -1.0])
def test_a_lease_that_is_too_long_is_refused_in_words(served, lease_s):
    client = Client(served.dial)
    for ask in (
        lambda: client.lease(LeaseRequest(b"h" * 16, 1, lease_s=lease_s)),
        lambda: client.extend(Extension(b"h" * 16, [], lease_s=lease_s)),
    ):
        with pytest.raises(InvalidOption, match="0 to 3600 seconds") as refused:
            ask()
        assert refused.value.field == "lease_s"
    client.close()
