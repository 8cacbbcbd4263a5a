"""Enqueues that are answered before there are rows: when the owner does so, and that it cannot be told."""

import os
import time

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import LeaseRequest
from penstock.model.states import State
from penstock.store.wire import protocol
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.owner import pace

LEASE = LeaseRequest(holder=b"h" * 16, limit=100)


@pytest.fixture
def client(served):
    made = Client(served.dial)
    yield made
    made.close()


@pytest.fixture
def never_idle(monkeypatch):
    """Rows are made when somebody looks, not when nothing happens."""
    monkeypatch.setattr(pace, "CATCH_UP_S", 3_600.0)


def ids_of(jobs):
    return [job.id for group in jobs for job in group.jobs]


def first(client, groups):
    """The queue and the task become known."""
    client.enqueue(groups(0))
    batch = client.lease(LEASE)
    fences = [batch.first_fence + place for place in range(len(batch.jobs))]
    client.settle(protocol.m.Outcomes(LEASE.holder, forgotten=fences))


@pytest.mark.usefixtures("never_idle")
def test_enqueues_of_known_tasks_need_no_transaction(serve, groups):
    # What comes with the chores is part of their transaction.
    client = Client(serve(chores=False).dial)
    first(client, groups)
    before = client.owner_statistics()
    jobs = [groups(number) for number in range(20)]
    for one in jobs:
        assert client.enqueue(one).accepted == 1
    after = client.owner_statistics()
    assert after.deferred - before.deferred == 20
    assert after.commits == before.commits
    assert [view.state for view in client.get([id_ for one in jobs for id_ in ids_of(one)])] == [State.READY] * 20
    client.close()


@pytest.mark.usefixtures("never_idle")
def test_a_lease_has_them_in_order(served, client, groups):
    first(client, groups)
    jobs = [groups(number, number + 100) for number in range(5)]
    for one in jobs:
        client.enqueue(one)
    assert [job.id for job in client.lease(LEASE).jobs] == [id_ for one in jobs for id_ in ids_of(one)]


def test_rows_are_made_when_nothing_comes(serve, groups):
    served = serve(chores=False)
    client = Client(served.dial)
    first(client, groups)
    client.enqueue(groups(1))
    deadline = time.monotonic() + 10.0
    while served.engine.deferred:
        assert time.monotonic() < deadline
        os.sched_yield()
    assert client.owner_statistics().deferred == 1
    client.close()


@pytest.mark.usefixtures("never_idle")
def test_the_answer_of_a_repeat_is_the_first_one_and_there_is_one_job(served, client, groups):
    first(client, groups)
    one = groups(1)
    client.enqueue(one)
    # As a client that lost its connection before the answer came.
    sock = served.dial()
    reader = protocol.FrameReader()
    hello = protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), client._session.identity, "again", 1)
    sock.sendall(protocol.frame(protocol.HELLO, 0, protocol.encode(hello)))
    number = client._session._next_recorded - 1
    sock.sendall(protocol.frame(protocol.ENQUEUE.kind, number, protocol.encode(protocol.ENQUEUE.shape(one))))
    frames = []
    while len(frames) < 2:
        frames += reader.feed(sock.recv(65536))
    sock.close()
    assert frames[1][:2] == (protocol.ANSWER, number)
    assert protocol.ENQUEUE.answer(frames[1][2]).accepted == 1
    assert client.owner_statistics().repeated == 1
    assert client.stats().queues["default"].ready == 1


@pytest.mark.usefixtures("never_idle")
def test_a_job_that_a_worker_waits_for_is_leased_at_once(served, client, groups):
    first(client, groups)
    before = client.owner_statistics().deferred
    sock = served.dial()
    hello = protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), new_id(), "worker", 1)
    lease = protocol.encode(protocol.LEASE.shape(LEASE, 30.0))
    sock.sendall(protocol.frame(protocol.HELLO, 0, protocol.encode(hello)))
    sock.sendall(protocol.frame(protocol.LEASE.kind, protocol.UNRECORDED, lease))
    deadline = time.monotonic() + 10.0
    while not client.owner_statistics().parked_leases:
        assert time.monotonic() < deadline
    one = groups(1)
    client.enqueue(one)
    reader, frames = protocol.FrameReader(), []
    while len(frames) < 2:
        frames += reader.feed(sock.recv(65536))
    sock.close()
    assert [job.id for job in protocol.LEASE.answer(frames[1][2]).jobs] == ids_of(one)
    assert client.owner_statistics().deferred == before


@pytest.mark.usefixtures("never_idle")
def test_what_needs_a_look_into_the_store_is_not_deferred(served, client, groups):
    first(client, groups)
    before = client.owner_statistics().deferred
    (keyed,) = groups(1)
    keyed.jobs[0] = protocol.m.JobEntry(new_id(), keyed.jobs[0].body, keyed.jobs[0].checksum, "key")
    client.enqueue([keyed])
    client.enqueue(groups(2, delay_s=60.0))
    client.enqueue(groups(3, queue="new"))
    assert client.owner_statistics().deferred == before
    client.enqueue(groups(4), atomic=True)
    assert client.owner_statistics().deferred == before + 1, "all or none is what it is anyway"


def test_a_stopped_owner_leaves_rows(served, client, groups, serve, tmp_path):
    first(client, groups)
    one = groups(1)
    client.enqueue(one)
    served.stop()
    (tmp_path / "owner.sock").unlink()
    (tmp_path / "penstock.db-redo").unlink()
    again = Client(serve().dial)
    try:
        assert [view.state for view in again.get(ids_of(one))] == [State.READY]
    finally:
        again.close()


def test_a_client_that_cannot_be_greeted_is_refused_and_the_owner_goes_on(served, client, groups, monkeypatch):
    def fail(*_):
        raise StoreUnavailable("the disk failed")

    first(client, groups)
    with monkeypatch.context() as broken:
        broken.setattr(served.engine, "answers_of", fail)
        sock = served.dial()
        hello = protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), new_id(), "late", 1)
        sock.sendall(protocol.frame(protocol.HELLO, 0, protocol.encode(hello)))
        sock.settimeout(10.0)
        (kind, _, payload), *_ = protocol.FrameReader().feed(sock.recv(65536))
        sock.close()
    assert kind == protocol.CLOSING
    assert isinstance(protocol.error_of(payload), StoreUnavailable)
    assert client.enqueue(groups(1)).accepted == 1


@pytest.mark.usefixtures("never_idle")
def test_the_transaction_that_a_look_needs_is_counted(serve, groups):
    client = Client(serve(chores=False).dial)
    first(client, groups)
    before = client.owner_statistics().commits
    client.enqueue(groups(1))
    assert client.owner_statistics().commits == before, "its statistics are no look into the store"
    client.totals()
    client.totals()
    assert client.owner_statistics().commits == before + 1
    client.close()
