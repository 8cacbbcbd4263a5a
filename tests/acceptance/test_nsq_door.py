"""The door as a process: beside other consumers of the store, at a path, and told to stop."""

from __future__ import annotations

import selectors
import signal
import socket
import struct
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from penstock.model.job import LeaseRequest, Outcomes
from penstock.store.opening import open_store
from tests.acceptance.nsq_client import Connection
from tests.acceptance.nsq_peers import DEADLINE_S, OURS, Daemon, Daemons

WORKER = b"a worker's holder"[:16]


@pytest.fixture
def daemons(tmp_path):
    with Daemons(tmp_path) as started:
        yield started


@pytest.fixture
def directory(tmp_path) -> Path:
    """Of the store."""
    return tmp_path / "store"


def test_a_channel_is_worked_by_nsqs_clients_and_by_workers_at_the_same_time(daemons, directory):
    daemon = daemons.nsqd(data_path=directory)
    with Connection(daemon.ports["TCP"]) as client, closing(open_store(directory, start_owner=False)) as store:
        client.subscribe("orders", "work", 1)
        with Connection(daemon.ports["TCP"]) as producer:
            for body in (b"first", b"second"):
                producer.publish("orders", body)
        taken = client.message()
        batch = store.lease(LeaseRequest(WORKER, 5, tasks=[], channels=["orders:work"]), wait_s=DEADLINE_S)
        (job,) = batch.jobs
        assert {taken.body, job.body[1:]} == {b"first", b"second"}
        store.settle(Outcomes(WORKER, released=[batch.first_fence]))
        client.finish(taken)
        again = client.message()
        assert (again.body, again.attempts) == (job.body[1:], 1)
        client.finish(again)
        client.finish(again)
        assert client.error() == b"E_FIN_FAILED FIN %s failed ID not in flight" % again.id


def test_many_consumers_with_rdy_1_all_get_their_share_and_nothing_twice(daemons, directory):
    daemon = daemons.nsqd(data_path=directory)
    bodies = [b"%04d" % number for number in range(1_280)]
    seen: Counter[bytes] = Counter()
    had: Counter[int] = Counter()
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        clients = [stack.enter_context(Connection(daemon.ports["TCP"], heartbeat_interval=60_000)) for _ in range(64)]
        for number, client in enumerate(clients):
            client.subscribe("orders", "work", 1)
            ready.register(client.socket, selectors.EVENT_READ, number)
        producer = stack.enter_context(Connection(daemon.ports["TCP"]))
        size = struct.Struct(">I").pack
        producer.command("MPUB orders", size(len(bodies)) + b"".join(size(len(body)) + body for body in bodies))
        assert producer.response() == b"OK"
        while seen.total() < len(bodies):
            events = ready.select(DEADLINE_S)
            assert events, f"{seen.total()} messages came, and no more"
            for key, _ in events:
                message = clients[key.data].message()
                seen[message.body] += 1
                had[key.data] += 1
                clients[key.data].finish(message)
        # Refused in its turn: all that was finished before has been taken in.
        for client in clients:
            client.finish(message)
            assert client.error().startswith(b"E_FIN_FAILED ")
    assert seen == Counter(bodies)
    # Each would have had 20.
    assert (len(had), min(had.values()) >= 5) == (64, True)


def test_a_door_that_is_told_to_stop_ends_well_and_the_next_one_delivers_what_was_in_flight(daemons, directory):
    first = daemons.nsqd(data_path=directory)
    with Connection(first.ports["TCP"]) as client:
        client.subscribe("orders", "work", 2)
        with Connection(first.ports["TCP"]) as producer:
            for body in (b"first", b"second"):
                producer.publish("orders", body)
        taken = [client.message(), client.message()]
        client.finish(taken[0])
        client.finish(taken[0])
        client.error()
        assert first.end(signal.SIGTERM) == 0
        with pytest.raises(EOFError):
            client.frame()
    second = daemons.nsqd(data_path=directory)
    with Connection(second.ports["TCP"]) as client:
        client.subscribe("orders", "work", 2)
        again = client.message()
        assert (again.body, again.attempts, again.id) == (taken[1].body, 2, taken[1].id)


def test_clients_can_come_to_a_path(daemons, directory, tmp_path):
    path = tmp_path / "nsqd.sock"
    command = [*OURS["nsqd"], f"-tcp-address={path}", "-http-address=127.0.0.1:0", f"-data-path={directory}"]
    daemon = Daemon(command, tmp_path / "nsqd.log", protocols=("HTTP",))
    try:
        daemon.wait_listening()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(str(path))
            client.sendall(b"  V2SUB orders work\nPUB orders\n\0\0\0\x04bodyRDY 1\n")
            said = b""
            while b"body" not in said:
                said += client.recv(4096)
            assert said.count(b"OK") == 2
    finally:
        daemon.end()
