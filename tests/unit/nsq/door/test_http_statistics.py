"""``/stats`` in both forms, and ``/ping``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.health import Fault, StoreHealth
from penstock.nsq.door.http_statistics import health_text
from tests.unit.nsq.door.fake_door import Connection, FakeDoor

FAULT = Fault("writing", "OSError: gone", 3, 9.0, 1.0)


@pytest.fixture
def door() -> FakeDoor:
    """With ``orders`` and its channel ``a``, and a client."""
    found = FakeDoor()
    found.memory.create_channel("orders", "a")
    found.connections.append(Connection())
    return found


def test_as_json(door: FakeDoor) -> None:
    said = door.call("GET", "/stats?format=json")
    assert said.headers["content-type"] == "application/json; charset=utf-8"
    assert list(said.json) == ["version", "health", "start_time", "topics", "memory", "producers"]
    assert (said.json["version"], said.json["health"], said.json["start_time"]) == ("1.3.0", "OK", 1_000)
    assert said.json["topics"][0]["channels"][0]["clients"][0]["client_id"] == "worker-1"
    assert said.json["memory"]["heap_objects"] > 0


@pytest.mark.parametrize("no", ["false", "0"])
def test_what_need_not_be_told(door: FakeDoor, no: str) -> None:
    found = door.call("GET", f"/stats?format=json&include_clients={no}&include_mem={no}").json
    assert "memory" not in found
    assert found["topics"][0]["channels"][0]["clients"] is None


@pytest.mark.parametrize("yes", ["true", "1", "what", ""])
def test_what_is_told_unless_it_is_said_otherwise(door: FakeDoor, yes: str) -> None:
    found = door.call("GET", f"/stats?format=json&include_clients={yes}&include_mem={yes}").json
    assert found["memory"]
    assert found["topics"][0]["channels"][0]["clients"]


@pytest.mark.parametrize("query", ["", "?format=text", "?format=JSON", "?topic=orders&channel=a"])
def test_as_text(door: FakeDoor, query: str) -> None:
    said = door.call("GET", f"/stats{query}")
    assert said.headers["content-type"] == "text/plain; charset=utf-8"
    assert said.headers["x-nsq-content-type"] == "nsq; version=1.0"
    shown = said.body.decode()
    assert shown.startswith("nsqd v1.3.0 (built w/")
    assert "\nHealth: OK\n" in shown
    assert "   [orders         ] depth: 0 " in shown


def test_only_what_is_named(door: FakeDoor) -> None:
    assert door.call("GET", "/stats?format=json&topic=no").json["topics"] is None
    assert door.call("GET", "/stats?format=json&channel=no").json["topics"] == []
    assert door.call("GET", "/stats?topic=%").error == (400, "INVALID_REQUEST")


def test_a_door_that_is_well_says_so(door: FakeDoor) -> None:
    said = door.call("GET", "/ping")
    assert (said.status, said.headers, said.body) == (200, {"content-type": "text/plain; charset=utf-8"}, b"OK")


@pytest.mark.parametrize(
    ("health", "told"),
    [
        (StoreHealth(), "OK"),
        (StoreHealth(jobs_set_aside=1, redo="failed"), "OK"),
        (StoreHealth(disk_full=True), "NOK - the disk is full"),
        (StoreHealth(faults=[FAULT]), "NOK - writing fails: OSError: gone"),
        (StoreHealth(faults=[Fault("writing", "OSError: gone", 1, 9.0, 1.0)]), "OK"),
    ],
)
def test_how_the_store_is(door: FakeDoor, health: StoreHealth, told: str) -> None:
    assert health_text(health) == told
    door.store.ill = health
    said = door.call("GET", "/ping")
    assert (said.status, said.body.decode()) == (200 if told == "OK" else 500, told)
    assert door.call("GET", "/stats?format=json").json["health"] == told


def test_a_store_that_cannot_be_reached(door: FakeDoor) -> None:
    door.store.trouble = StoreUnavailable("Nobody listens.")
    said = door.call("GET", "/ping")
    assert (said.status, said.body) == (500, b"NOK - Nobody listens.")


def test_a_store_that_does_not_answer(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def health() -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(limits, "NSQ_PING_S", 0.001)
    monkeypatch.setattr(door.store, "health", health)
    said = door.call("GET", "/ping")
    assert (said.status, said.body) == (500, b"NOK - the store has not answered for 0.001 s")
