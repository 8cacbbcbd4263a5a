"""A request that is none, or whose answer cannot be sent, is its client's error alone: its group is done once."""

import msgspec
import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.ids import new_id
from penstock.model.job import LeaseRequest, Outcomes, Succeeded
from penstock.store.wire import protocol
from penstock.store.wire.calls import CALLS
from penstock.store.wire.owner.client_connection import Request
from penstock.store.wire.owner.greeting import read_hello

TEXT = msgspec.msgpack.encode("some text!")
BAD = {
    "bad UTF-8": lambda good: good.replace(b"default", b"defa\xfflt"),
    "a lone surrogate": lambda good: good.replace(b"default", b"def\xed\xa0\x80t"),
    "cut short": lambda good: good[: len(good) // 2],
    "nothing": lambda good: b"",
    "another type": lambda good: TEXT,
    "nested deep": lambda good: b"\x91" * 100_000,
    "a length that is not there": lambda good: b"\xdd\xff\xff\xff\xff",
    "more than one": lambda good: good + good,
}


def kind_of(frame):
    ((kind, _, _),) = protocol.FrameReader().feed(bytes(frame))
    return kind


def raw(pending, connection, call, payload):
    pending.numbers += 1
    number = pending.numbers if call.recorded else protocol.UNRECORDED + pending.numbers
    connection.put(Request(connection, call, number, payload))
    pending.turns.add(connection)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["enqueue", "lease", "query", "register_tasks", "settle", "move"])
def test_a_request_that_cannot_be_read_is_refused_and_its_group_goes_on(pending, groups, caplog, name, kind):
    good = {
        "enqueue": protocol.ENQUEUE.shape(groups(1)),
        "lease": protocol.LEASE.shape(LeaseRequest(bytes(16), 1, ["default"])),
        "query": CALLS["query"].shape(protocol.m.Filter(queue="default")),
        "register_tasks": CALLS["register_tasks"].shape([protocol.m.TaskRecord("app.work")]),
        "settle": protocol.SETTLE.shape(
            Outcomes(bytes(16), snoozed=[protocol.m.Snoozed(1, 1.0)], children=[(1, groups(1))])
        ),
        "move": CALLS["move"].shape([new_id()], "default"),
    }[name]
    call = CALLS[name]
    bad = BAD[kind](protocol.encode(good))
    assert bad != protocol.encode(good)
    first, culprit, last = pending.client(), pending.client(), pending.client()
    pending.ask(first, protocol.ENQUEUE, groups(2))
    raw(pending, culprit, call, bad)
    pending.ask(last, protocol.ENQUEUE, groups(3))
    told = dict(pending.groups.run(pending.turns))
    assert [kind_of(told[client]) for client in (first, culprit, last)] == [
        protocol.ANSWER,
        protocol.FAILURE,
        protocol.ANSWER,
    ]
    assert isinstance(protocol.error_of(told[culprit][protocol.HEADER_BYTES :]), InvalidOption)
    assert pending.groups.counters.retried_groups == 0
    assert pending.engine.stats().queues["default"].accepted_total == 2
    assert not caplog.records


@pytest.mark.parametrize("payload", [TEXT, b"\x94\x01\xc4\x00\xa2\xff\xfe\x01", b"", b"\x91" * 100_000])
def test_a_hello_that_cannot_be_read_is_malformed(payload):
    with pytest.raises(protocol.MalformedFrame):
        read_hello(payload)


@pytest.fixture
def large(pending, groups):
    """Jobs whose results do not fit one answer together."""
    jobs = [job for group in groups(*range(14)) for job in group.jobs]
    pending.engine.enqueue(groups(0)[:0] + [protocol.m.JobGroup("task", jobs)])
    batch = pending.engine.lease(LeaseRequest(bytes(16), 100))
    result = b"m" + bytes(limits.RESULT_BYTES_MAX - 1)
    fences = range(batch.first_fence, batch.first_fence + 14)
    pending.engine.settle(Outcomes(bytes(16), succeeded=[Succeeded(fence, 1.0, 2.0, result) for fence in fences]))
    return [job.id for job in jobs]


def test_an_answer_too_large_to_be_sent_is_one_clients_error(pending, large, groups):
    greedy, other = pending.client(), pending.client()
    pending.ask(greedy, CALLS["get"], large, True)
    pending.ask(other, protocol.ENQUEUE, groups(1))
    pending.ask(greedy, protocol.WAIT, large, 0.0, True)
    frames = []
    while pending.turns:
        frames += pending.groups.run(pending.turns)
    assert sorted(kind_of(frame) for _, frame in frames) == [protocol.ANSWER, protocol.FAILURE, protocol.FAILURE]
    told = [frame for connection, frame in frames if connection is greedy]
    assert all(isinstance(protocol.error_of(frame[protocol.HEADER_BYTES :]), BodyTooLarge) for frame in told)
    assert pending.groups.counters.retried_groups == 0
    pending.ask(greedy, CALLS["get"], large[:3], True)
    ((_, frame),) = pending.groups.run(pending.turns)
    assert len(CALLS["get"].answer(frame[protocol.HEADER_BYTES :])) == 3


def test_a_parked_wait_whose_answer_is_too_large_ends_and_holds_up_nobody(pending, large, groups):
    greedy, worker = pending.client(), pending.client()
    (group,) = groups(99)
    pending.engine.enqueue([group])
    batch = pending.engine.lease(LeaseRequest(bytes(16), 1))
    pending.ask(greedy, protocol.WAIT, [*large, group.jobs[0].id], 30.0, False)
    assert pending.groups.run(pending.turns) == []
    (parked,) = pending.groups.parking._waits[group.jobs[0].id]
    parked.query = replace(parked.query, result=True)
    pending.ask(
        worker,
        protocol.SETTLE,
        Outcomes(bytes(16), succeeded=[Succeeded(batch.first_fence, 1.0, 2.0)]),
    )
    told = dict(pending.groups.run(pending.turns))
    assert kind_of(told[worker]) == protocol.ANSWER
    assert isinstance(protocol.error_of(told[greedy][protocol.HEADER_BYTES :]), BodyTooLarge)
    assert pending.groups.counters.retried_groups == 0
    assert pending.groups.parking.waits == 0


def test_an_answer_that_fits_no_frame_is_one_clients_error(pending, groups, monkeypatch):
    jobs = groups(*range(50))
    pending.engine.enqueue(jobs)
    monkeypatch.setattr(limits, "FRAME_BYTES_MAX", 1_000)
    greedy, other = pending.client(), pending.client()
    pending.ask(greedy, CALLS["get"], [job.id for job in jobs[0].jobs])
    pending.ask(other, CALLS["stats"])
    told = dict(pending.groups.run(pending.turns))
    assert isinstance(protocol.error_of(told[greedy][protocol.HEADER_BYTES :]), BodyTooLarge)
    assert kind_of(told[other]) == protocol.ANSWER
    assert pending.groups.counters.retried_groups == 0
