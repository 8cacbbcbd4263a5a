"""Messages are delivered once more, by HTTP."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from penstock.model.job import Buried, JobError, LeaseRequest, Outcomes, Succeeded
from penstock.nsq.door.http_actions import moment_of
from tests.unit.nsq.door.fake_door import FakeDoor

HOLDER = b"h" * 16
NOW = 1_800_000_000.0


@pytest.fixture
def door() -> FakeDoor:
    """With the channel ``orders:a``."""
    found = FakeDoor()
    found.memory.create_channel("orders", "a")
    return found


def finished(door: FakeDoor, *bodies: bytes) -> None:
    """Messages that were consumed, of which records are kept."""
    asyncio.run(door.publish("orders", bodies))
    batch = door.memory.lease(LeaseRequest(HOLDER, 10, channels=["orders:a"], tasks=[]))
    now = door.clock.time()
    fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
    door.memory.settle(
        Outcomes(
            HOLDER, succeeded=[Succeeded(fence, now, now, keep_result_s=0.0, keep_record_s=900.0) for fence in fences]
        )
    )


def rest(door: FakeDoor) -> None:
    """Let the store go on with what it has begun."""
    while door.memory.tick().next_s == 0:
        pass


def test_what_was_finished_is_delivered_once_more(door: FakeDoor) -> None:
    finished(door, b"one", b"two")
    said = door.post("/channel/replay?topic=orders&channel=a&since=0", client="10.0.0.1").json
    assert (said["verb"], said["channel"], said["error"]) == ("replay", "orders:a", None)
    rest(door)
    done = door.call("GET", f"/action?id={said['id']}").json
    assert (done["state"], done["matched"], done["changed"]) == ("done", 2, 2)
    assert done["oldest_at"] == pytest.approx(door.clock.time(), abs=1)
    assert [entry.by for entry in door.memory.audit().entries] == ["nsqd@10.0.0.1"]
    assert len(door.memory.lease(LeaseRequest(HOLDER, 10, channels=["orders:a"], tasks=[])).jobs) == 2


def test_but_not_what_is_older(door: FakeDoor) -> None:
    finished(door, b"one")
    since = door.clock.time() + 1
    said = door.post(f"/channel/replay?topic=orders&channel=a&since={since}").json
    rest(door)
    assert door.call("GET", f"/action?id={said['id']}").json["changed"] == 0


def test_dead_messages_are_delivered_again(door: FakeDoor) -> None:
    asyncio.run(door.publish("orders", [b"one"]))
    batch = door.memory.lease(LeaseRequest(HOLDER, 1, channels=["orders:a"], tasks=[]))
    door.memory.settle(Outcomes(HOLDER, buried=[Buried(batch.first_fence, JobError("Refused", ""))]))
    assert door.post("/channel/retry_dead?topic=orders&channel=a").json["matched"] == 1
    rest(door)
    assert len(door.memory.lease(LeaseRequest(HOLDER, 1, channels=["orders:a"], tasks=[])).jobs) == 1


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/channel/replay?topic=orders&channel=a", (400, "MISSING_ARG_SINCE")),
        ("/channel/replay?topic=orders&channel=a&since=yesterday", (400, "INVALID_ARG_SINCE")),
        ("/channel/replay?topic=orders&channel=a&since=1h&until=", (400, "INVALID_ARG_UNTIL")),
        ("/channel/replay?topic=orders&channel=no&since=1h", (404, "CHANNEL_NOT_FOUND")),
        ("/channel/replay?topic=no&channel=a&since=1h", (404, "TOPIC_NOT_FOUND")),
        ("/channel/replay", (400, "MISSING_ARG_TOPIC")),
        ("/channel/retry_dead?topic=orders", (400, "MISSING_ARG_CHANNEL")),
    ],
)
def test_what_is_refused(door: FakeDoor, target: str, told: tuple[int, str]) -> None:
    assert door.post(target).error == told


def test_an_action_that_is_not_known(door: FakeDoor) -> None:
    assert door.call("GET", "/action").error == (400, "MISSING_ARG_ID")
    assert door.call("GET", "/action?id=7").error == (400, "INVALID_ARG_ID")
    assert door.call("GET", "/action?id=00000000-0000-7000-8000-000000000000").error == (404, "ACTION_NOT_FOUND")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1700000000", 1_700_000_000.0),
        ("1700000000.5", 1_700_000_000.5),
        ("2h30m", NOW - 9_000),
        ("250ms", NOW - 0.25),
        ("-1h", NOW - 3_600),
        ("2026-12-01T02:26:33Z", datetime(2026, 12, 1, 2, 26, 33, tzinfo=UTC).timestamp()),
        ("2026-12-01T02:26:33+02:00", datetime(2026, 12, 1, 0, 26, 33, tzinfo=UTC).timestamp()),
        ("2026-12-01", datetime(2026, 12, 1, tzinfo=UTC).timestamp()),
    ],
)
def test_a_moment(text: str, moment: float) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "1700000000s00", "9" * 20, "2026-13-01", "99999999h", "٧", "."])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment_of(text, time.time())
