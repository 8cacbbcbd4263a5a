"""``penstock up --nsq``: the door for NSQ's clients as a part of a node."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys

import pytest

from penstock.process import process_file
from tests.acceptance.conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nsqd.cfg"
    path.write_text('tcp_address = "127.0.0.1:0"\nhttp_address = "127.0.0.1:0"\n')
    return path


class Client:
    """Speaks to a door by hand: one connection, one frame at a time."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=60)
        self.sock.sendall(b"  V2")

    def ask(self, command):
        self.sock.sendall(command)
        return self.frame()

    def frame(self):
        """The next one that is no heartbeat: its type and its data."""
        while True:
            size, kind = struct.unpack(">ii", self._exactly(8))
            data = self._exactly(size - 4)
            if data != b"_heartbeat_":
                return kind, data
            self.sock.sendall(b"NOP\n")

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            assert piece, "the door has closed the connection"
            data += piece
        return data


@pytest.fixture
def connect():
    """Makes clients, which are closed after the test."""
    clients = []

    def connected(address):
        clients.append(Client(address))
        return clients[-1]

    yield connected
    for client in clients:
        client.sock.close()


def published(client, topic, body):
    return client.ask(b"PUB %s\n%s%s" % (topic, struct.pack(">i", len(body)), body))


def test_a_node_with_a_door_says_so_and_answers_nsqs_clients(node, place, file, connect):
    running = node("--executors", "1", "--nsq-config", str(file))
    line = running.process.stdout.readline()
    address = running.state().nsqd
    assert f"NSQ at {address}, " in line
    assert running.get("/v1/stats")[1]["processes"][-1]["role"] == "nsqd"
    assert place.json("stats")["processes"][-1] == {"role": "nsqd", "pid": running.pids("nsqd")[0]}
    client = connect(address)
    assert published(client, b"orders", b"7") == (0, b"OK")
    assert client.ask(b"SUB orders mail\n") == (0, b"OK")
    client.sock.sendall(b"RDY 1\n")
    kind, data = client.frame()
    assert (kind, data[26:]) == (2, b"7")
    client.sock.sendall(b"FIN %s\n" % data[10:26])
    until(lambda: (counts_of(place)["running"], counts_of(place)["ready"]) == (0, 0))
    assert counts_of(place)["accepted_total"] == 1


def counts_of(place):
    """Of the channel's queue."""
    return place.json("stats")["queues"]["orders:mail"]


def test_a_door_that_is_killed_comes_back_at_its_address_and_loses_nothing(node, place, file, connect):
    running = node("--executors", "1", "--nsq-config", str(file))
    running.wait_ready()
    address = running.state().nsqd
    client = connect(address)
    assert published(client, b"orders", b"7") == (0, b"OK")
    assert client.ask(b"SUB orders mail\n") == (0, b"OK")
    client.sock.sendall(b"RDY 1\n")
    assert client.frame()[0] == 2
    [before] = running.pids("nsqd")
    os.kill(before, signal.SIGKILL)
    again = connect(address)
    assert again.ask(b"SUB orders mail\n") == (0, b"OK")
    again.sock.sendall(b"RDY 1\n")
    kind, data = again.frame()
    assert (kind, data[8:10], data[26:]) == (2, b"\x00\x02", b"7")
    assert running.state().nsqd == address
    assert running.pids("nsqd") not in ([], [before])
    assert running.process.poll() is None


def test_a_stop_ends_the_door_before_the_owner_and_leaves_nothing_behind(node, place, file, connect):
    running = node("--executors", "1", "--nsq-config", str(file))
    running.wait_ready()
    client = connect(running.state().nsqd)
    assert published(client, b"orders", b"7") == (0, b"OK")
    below = running.below()
    assert running.stop()[0] == 0
    assert not any(process_file.alive(pid) for pid in below)


@pytest.mark.parametrize(
    "text, message",
    [('msg_timeout = "soon"', "msg_timeout is 'soon'"), ('data_path = "elsewhere"', "give one of them")],
)
def test_a_file_that_does_not_fit_is_wrong_usage(place, tmp_path, text, message):
    file = tmp_path / "bad.cfg"
    file.write_text(text)
    status, _, errors = place.run("up", "shop:app", "--gate", "127.0.0.1:0", "--nsq-config", str(file))
    assert status == 2
    assert message in errors


def test_an_address_that_is_taken_is_status_3_and_nothing_is_started(place, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "nsqd.cfg"
        file.write_text(f'tcp_address = "127.0.0.1:{taken.getsockname()[1]}"\n')
        status, _, errors = place.run("up", "shop:app", "--gate", "127.0.0.1:0", "--nsq-config", str(file))
    assert status == 3
    assert "Cannot listen on" in errors
    assert not place.store.exists()


def test_the_line_for_machines_has_the_address_too(node, file):
    running = node("--executors", "1", "--nsq-config", str(file), PENSTOCK_LOG_FORMAT="json")
    ready = until(lambda: next(lines_of(running), None))
    assert ready["nsqd"] == running.state().nsqd


def lines_of(running):
    """What it says when it is ready, among what it logs."""
    entry = json.loads(running.process.stderr.readline())
    if entry.get("action") == "ready" and "nsqd" in entry:
        yield entry
