"""What is pushed to a statsd, and quantiles of latencies, beside what NSQ's own nsqd pushes."""

from __future__ import annotations

import json
import re
import socket
import struct

import pytest

BODY = b"7"


class Received:
    """A statsd that only listens."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(60)
        self.packets: list[bytes] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.sock.getsockname()[1]}"

    def until(self, line: str) -> dict[str, str]:
        """All figures so far, once there is one that ends so; each as it was told first."""
        while not any(line in packet.decode() for packet in self.packets):
            self.packets.append(self.sock.recv(65_536))
        return self.figures()

    def figures(self) -> dict[str, str]:
        lines = b"".join(self.packets).decode().splitlines()
        return {name: value for name, _, value in (one.partition(":") for one in reversed(lines))}


@pytest.fixture
def statsd():
    received = Received()
    yield received
    received.sock.close()


def worked(daemon):
    """One message is published, and finished by a client."""
    daemon.ask("/topic/create?topic=orders", b"")
    daemon.ask("/channel/create?topic=orders&channel=mail", b"")
    assert daemon.ask("/pub?topic=orders", BODY) == b"OK"
    with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), timeout=60) as sock, sock.makefile("rb") as said:
        sock.sendall(b"  V2SUB orders mail\nRDY 1\n")
        assert frame(said) == (0, b"OK")
        kind, data = frame(said)
        assert (kind, data[26:]) == (2, BODY)
        sock.sendall(b"FIN %s\nCLS\n" % data[10:26])
        assert frame(said) == (0, b"CLOSE_WAIT")


def frame(said):
    size, kind = struct.unpack(">ii", said.read(8))
    return kind, said.read(size - 4)


def pushed(daemon, statsd):
    worked(daemon)
    port = daemon.ports["HTTP"]
    figures = statsd.until("mem.gc_runs:")
    prefix = f"nsq.127_0_0_1_{port}."
    assert all(name.startswith(prefix) for name in figures)
    return {name.removeprefix(prefix): value for name, value in figures.items()}


OPTIONS = ("-statsd-interval=2s", "-e2e-processing-latency-percentile=1.0,0.99", "-statsd-udp-packet-size=300")


def test_what_is_pushed_is_named_as_nsqd_names_it(daemons, statsd):
    figures = pushed(daemons.nsqd(f"-statsd-address={statsd.address}", *OPTIONS), statsd)
    real = Received()
    try:
        theirs = pushed(daemons.real_nsqd(f"-statsd-address={real.address}", *OPTIONS), real)
        assert figures.keys() == theirs.keys()
        kinds = {name: value[-2:] for name, value in theirs.items()}
        assert {name: value[-2:] for name, value in figures.items()} == kinds
        assert all(len(packet) <= 300 for packet in statsd.packets)
        assert all(packet.endswith(b"\n") for packet in statsd.packets)
    finally:
        real.sock.close()


def test_counters_tell_what_was_done(daemons, statsd):
    figures = pushed(daemons.nsqd(f"-statsd-address={statsd.address}", *OPTIONS), statsd)
    assert figures["topic.orders.message_count"] == "1|c"
    assert figures["topic.orders.message_bytes"] == f"{len(BODY)}|c"
    assert figures["topic.orders.channel.mail.message_count"] == "1|c"
    assert re.fullmatch(r"[1-9]\d*\|g", figures["topic.orders.channel.mail.e2e_processing_latency_99"])


@pytest.mark.parametrize("flag, left_out", [("-statsd-mem-stats=false", "mem."), ("-statsd-exclude-ephemeral", "here")])
def test_what_is_not_wanted_is_not_pushed(daemons, statsd, flag, left_out):
    daemon = daemons.nsqd(f"-statsd-address={statsd.address}", "-statsd-interval=1s", flag)
    daemon.ask("/topic/create?topic=here%23ephemeral", b"")
    daemon.ask("/topic/create?topic=orders", b"")
    figures = statsd.until("topic.orders.backend_depth:")
    assert figures
    assert not any(left_out in name for name in figures)


def test_quantiles_are_shown_of_a_channel_and_of_its_topic(daemons):
    daemon = daemons.nsqd("-e2e-processing-latency-percentile=0.5,1.0")
    worked(daemon)
    [topic] = json.loads(daemon.ask("/stats?format=json"))["topics"]
    for told in (topic, topic["channels"][0]):
        latency = told["e2e_processing_latency"]
        assert latency["count"] == 1
        assert [one["quantile"] for one in latency["percentiles"]] == [1.0, 0.5]
        assert all(0 < one["value"] < 60e9 for one in latency["percentiles"])
    assert b"e2e%: " in daemon.ask("/stats")


def test_without_the_flag_nothing_is_measured(daemons):
    daemon = daemons.nsqd()
    worked(daemon)
    [topic] = json.loads(daemon.ask("/stats?format=json"))["topics"]
    assert topic["e2e_processing_latency"] == {"count": 0, "percentiles": None}
