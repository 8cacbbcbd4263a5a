"""Numbers that are none, or beyond all bounds, from one client touch nobody else."""

import asyncio
import math
import threading

import msgspec
import pytest

from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import Extension, LeaseRequest, Outcomes, Retried, Snoozed, Succeeded, TaskRecord
from penstock.model.job import JobError as Error
from penstock.store.wire import protocol
from penstock.store.wire.calls import CALLS
from penstock.store.wire.client.async_client import AsyncClient
from penstock.store.wire.client.blocking import Client

HOLDER = b"h" * 16
NO_NUMBERS = [math.nan, math.inf, -math.inf, 1e300, -1e300]


def asked(number):
    """Every request that carries a time or a duration, with this one in it."""
    error = Error("E", "e")
    yield protocol.WAIT, protocol.WAIT.shape([new_id()], number)
    yield protocol.LEASE, protocol.LEASE.shape(LeaseRequest(HOLDER, 1), number)
    yield protocol.LEASE, protocol.LEASE.shape(LeaseRequest(HOLDER, 1, None, number))
    yield protocol.EXTEND, protocol.EXTEND.shape(Extension(HOLDER, [1], number))
    yield protocol.EXTEND, protocol.EXTEND.shape(Extension(HOLDER, [1], 30.0, [(1, number)]))
    yield protocol.SETTLE, protocol.SETTLE.shape(Outcomes(HOLDER, retried=[Retried(1, number, error)]))
    yield protocol.SETTLE, protocol.SETTLE.shape(Outcomes(HOLDER, snoozed=[Snoozed(1, number)]))
    yield protocol.SETTLE, protocol.SETTLE.shape(Outcomes(HOLDER, succeeded=[Succeeded(1, number, 1.0)]))
    yield protocol.SETTLE, protocol.SETTLE.shape(Outcomes(HOLDER, succeeded=[Succeeded(1, 1.0, 1.0, None, number)]))
    yield CALLS["register_tasks"], CALLS["register_tasks"].shape([TaskRecord("task", keep_record_s=number)])
    yield CALLS["register_tasks"], CALLS["register_tasks"].shape([TaskRecord("task", expires_s=number)])
    yield CALLS["edit"], CALLS["edit"].shape([new_id()], None, number)


@pytest.mark.parametrize("number", [*NO_NUMBERS, "soon", [], {}], ids=str)
def test_what_is_no_time_is_refused_whatever_asks_for_it(served, groups, number):
    client = Client(served.dial)
    for call, request in asked(number):
        with pytest.raises(InvalidOption):
            client.ask(call, request)
    for option in ("delay_s", "run_at", "expires_s"):
        with pytest.raises(InvalidOption):
            client.enqueue([msgspec.structs.replace(groups(1)[0], **{option: number})])
    assert client.owner_statistics().retried_groups == 0
    assert client.enqueue(groups(1)).accepted == 1
    client.close()


@pytest.mark.parametrize("number", [1 << 63, (1 << 64) - 1, math.nan, "one"], ids=str)
def test_what_no_row_can_hold_is_refused_and_undoes_nobodys_work(served, groups, number):
    client = Client(served.dial)
    requests = [
        (protocol.SETTLE, protocol.SETTLE.shape(Outcomes(HOLDER, forgotten=[number]))),
        (protocol.SETTLE, protocol.SETTLE.shape(Outcomes(HOLDER, released=[number]))),
        (protocol.EXTEND, protocol.EXTEND.shape(Extension(HOLDER, [number]))),
        (protocol.RECONCILE, protocol.RECONCILE.shape(HOLDER, [number])),
        (protocol.LEASE, protocol.LEASE.shape(LeaseRequest(HOLDER, number))),
        (CALLS["query"], CALLS["query"].shape(protocol.m.Filter(), number)),
        (CALLS["query"], CALLS["query"].shape(protocol.m.Filter(), None, number)),
        (CALLS["edit"], CALLS["edit"].shape([new_id()], number)),
        (protocol.ENQUEUE, protocol.ENQUEUE.shape([msgspec.structs.replace(groups(1)[0], priority=number)])),
    ]
    for call, request in requests:
        with pytest.raises(InvalidOption):
            client.ask(call, request)
    assert client.owner_statistics().retried_groups == 0
    client.close()


@pytest.mark.parametrize("number", NO_NUMBERS, ids=str)
def test_one_clients_wait_without_a_time_does_not_touch_anothers(served, groups, number):
    patient, odd = Client(served.dial), Client(served.dial)
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(patient.lease(LeaseRequest(HOLDER, 1), 0.2)))
    for call, request in [
        (protocol.WAIT, protocol.WAIT.shape([new_id()], number)),
        (protocol.LEASE, protocol.LEASE.shape(LeaseRequest(b"o" * 16, 1), number)),
    ]:
        with pytest.raises(InvalidOption):
            odd.ask(call, request)
    waiting.start()
    waiting.join()
    assert [batch.jobs for batch in ended] == [[]]
    patient.close()
    odd.close()


def nobody(deadline):
    raise StoreUnavailable("nobody is there")


def test_a_client_waits_for_no_time_that_is_none():
    client = Client(nobody)
    with pytest.raises(InvalidOption):
        client.wait([new_id()], math.nan)
    with pytest.raises(InvalidOption):
        client.lease(LeaseRequest(HOLDER, 1), math.nan)

    async def on_a_loop():
        other = AsyncClient(nobody)
        with pytest.raises(InvalidOption):
            await other.wait([new_id()], math.nan)
        with pytest.raises(InvalidOption):
            await other.lease(LeaseRequest(HOLDER, 1), math.nan)
        await other.close()

    asyncio.run(on_a_loop())


def test_forever_is_a_wait_like_others(served, groups):
    client = Client(served.dial)
    jobs = groups(1)
    client.enqueue(jobs)
    client.cancel([jobs[0].jobs[0].id])
    [view] = client.wait([jobs[0].jobs[0].id], math.inf)
    assert view.state.value == "cancelled"
    client.close()


HELLO = protocol.encode([(protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), b"i" * 16, "role", 1])


@pytest.mark.parametrize(
    "payload",
    [
        HELLO.replace(b"role", b"\xff\xfe\xfd\xfc"),
        protocol.encode([(protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), b"i" * 16, "role", (1 << 64) - 1]),
        protocol.encode([(1, 1 << 63), b"i" * 16, "role", 1]),
        protocol.encode([(protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), b"i" * 16, "role", math.nan]),
        b"\xc1",
        b"",
    ],
    ids=["text", "number", "version", "nan", "byte", "nothing"],
)
def test_a_hello_that_cannot_be_read_ends_its_own_connection_only(served, groups, payload):
    friend = Client(served.dial)
    friend.capabilities()
    stranger = served.dial()
    stranger.sendall(protocol.frame(protocol.HELLO, 0, payload))
    [(kind, _, told)] = protocol.FrameReader().feed(stranger.recv(65_536))
    assert kind == protocol.CLOSING
    assert protocol.error_of(told).message
    assert friend.enqueue(groups(1)).accepted == 1
    friend.close()
    stranger.close()


def test_a_fault_in_greeting_one_client_does_not_end_the_owner(served, groups, monkeypatch):
    friend = Client(served.dial)
    friend.capabilities()
    monkeypatch.setattr(served.engine, "answers_of", lambda *_: 1 / 0)
    stranger = served.dial()
    stranger.sendall(protocol.frame(protocol.HELLO, 0, HELLO))
    assert b"ZeroDivisionError" in stranger.recv(65_536)
    assert friend.enqueue(groups(1)).accepted == 1
    friend.close()
    stranger.close()
