"""How many queues the clients of other machines may make."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.gate.problems import Problem
from penstock.gate.queue_shares import QueueShares
from penstock.model import limits
from penstock.testing.conformance.kit import put

ONE, OTHER, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four queues may be made, two of them by one client."""
    monkeypatch.setattr(limits, "GATE_QUEUES_MAX", 4)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the tests move."""
    time = [100.0]
    monkeypatch.setattr("penstock.gate.queue_shares.monotonic", lambda: time[0])
    return time


def admit(shares: QueueShares, client: str, *queues: str) -> None:
    asyncio.run(shares.admit(client, queues))


def refused(shares: QueueShares, client: str, *queues: str) -> bool:
    problem = None
    try:
        admit(shares, client, *queues)
    except Problem as raised:
        problem = raised
    return problem is not None and (problem.code, problem.field) == ("invalid-option", "queue")


def test_a_client_makes_its_share_and_others_theirs(door: Any, now: list[float]) -> None:
    shares = QueueShares(door.store)
    admit(shares, ONE, "a")
    admit(shares, ONE, "b", "a")
    assert refused(shares, ONE, "c")
    admit(shares, OTHER, "c", "d")
    admit(shares, ONE, "a", "b", "c", "d")
    assert refused(shares, THIRD, "e"), "the gate has its own bound"


def test_queues_that_are_there_count_for_nobody(door: Any, now: list[float]) -> None:
    for name in "abcdef":
        put(door.memory, queue=name)
    door.store.queues_a_slice = 2
    shares = QueueShares(door.store)
    assert not shares.knows("a")
    admit(shares, ONE, *"abcdef")
    assert shares.knows("a")
    admit(shares, ONE, "new", "newer")
    assert refused(shares, ONE, "newest")


def test_too_many_at_once_are_refused_whole(door: Any, now: list[float]) -> None:
    shares = QueueShares(door.store)
    assert refused(shares, ONE, "a", "b", "c")
    admit(shares, ONE, "a", "b")


def test_queues_that_are_gone_or_were_never_made_count_no_more(door: Any, now: list[float]) -> None:
    shares = QueueShares(door.store)
    admit(shares, ONE, "a", "b")
    put(door.memory, queue="a")
    assert refused(shares, ONE, "c"), "what is on its way counts"
    now[0] += 2.0
    admit(shares, ONE, "c")
    put(door.memory, queue="c")
    now[0] += 2.0
    assert refused(shares, ONE, "d")


def test_the_queues_are_read_again_now_and_then(door: Any, now: list[float]) -> None:
    shares = QueueShares(door.store)
    admit(shares, ONE, "a", "b")
    put(door.memory, queue="made-elsewhere")
    put(door.memory, queue="a")
    put(door.memory, queue="b")
    now[0] += limits.GATE_QUEUES_READ_S + 1
    admit(shares, ONE, "made-elsewhere")
    assert refused(shares, ONE, "c")


def test_several_gates_share_the_bound(door: Any, now: list[float]) -> None:
    shares = QueueShares(door.store, gates=2)
    admit(shares, ONE, "a")
    assert refused(shares, ONE, "b")


def test_the_door_refuses_what_is_too_much_for_a_client(door: Any, make_exchange: Any) -> None:
    def post(client: str | None, *queues: str) -> int:
        text = b"[" + b",".join(b'{"task":"any.call","queue":"%s"}' % queue.encode() for queue in queues) + b"]"
        if len(queues) == 1:
            text = text[1:-1]
        exchange = make_exchange([text])
        exchange.client = client
        headers = {"content-type": "application/json", "content-length": str(len(text))}
        answer = asyncio.run(door.send("POST", "/v1/jobs", exchange, headers))
        return int(answer.status)

    assert post(ONE, "a") == 202
    assert post(ONE, "a", "b", "c") == 422
    assert post(ONE, "b", "a") == 202
    assert post(ONE, "c") == 422
    assert post(OTHER, "c") == 202
    assert post(None, "d", "e", "f", "g") == 202, "on this machine nobody is told from anybody"
    assert sorted(door.memory.stats().queues) == list("abcdefg")


def test_queues_of_schedules_are_counted_like_those_of_jobs(door: Any, make_exchange: Any) -> None:
    """A schedule makes its queue when it fires: whoever puts it names it."""

    def put(client: str | None, name: str, queue: str) -> int:
        text = b'{"task":"any.call","cron":"0 3 * * *","queue":"%s"}' % queue.encode()
        exchange = make_exchange([text])
        exchange.client = client
        headers = {"content-type": "application/json", "content-length": str(len(text))}
        answer = asyncio.run(door.send("PUT", f"/v1/schedules/{name}", exchange, headers))
        return int(answer.status)

    assert [put(ONE, name, name) for name in ("a", "b", "c")] == [200, 200, 422]
    assert put(ONE, "c", "a") == 200
    assert put(OTHER, "d", "d") == 200
    assert put(None, "e", "e") == 200
    assert sorted(view.schedule.name for view in door.memory.schedules().schedules) == ["a", "b", "c", "d", "e"]
