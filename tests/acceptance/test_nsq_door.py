"""The door as a process: beside other consumers of the store, at a path, and told to stop."""

from __future__ import annotations

import signal
import socket
from contextlib import closing
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
