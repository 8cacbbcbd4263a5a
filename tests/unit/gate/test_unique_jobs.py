"""Unique jobs over HTTP: the same key as from Python, with the application and without."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from penstock import Penstock, Unique
from penstock.model.ids import parse_id
from penstock.model.states import State


@dataclass
class Order:
    customer: str
    number: int = 0


def add_tasks(app: Penstock) -> None:
    @app.task(name="shop.charge", unique=Unique("order.customer", "tenant"))
    def charge(order: Order, tenant: str = "acme") -> None: ...

    @app.task(name="shop.index", unique=Unique("number", on_conflict="replace"))
    def index(number: int, version: float = 1) -> None: ...

    @app.task(name="shop.pay", unique=Unique("header:user", on_conflict="refuse"))
    def pay(amount: int) -> None: ...

    @app.task(name="shop.all", unique=Unique())
    def all_of_them(number: float, note: str | None = None, **more: int) -> None: ...


@pytest.fixture(params=[True, False], ids=["application", "record"])
def door_and_app(request, make_door):
    """A gate, and the application of a producer on the same store."""
    declared = Penstock("nowhere")
    add_tasks(declared)
    door = make_door(app=declared, with_app=request.param)
    app = Penstock(store=door.memory)
    add_tasks(app)
    door.memory.register_tasks([task.record() for task in app.tasks.values()])
    return door, app


def body(task: str, *args: Any, headers: dict[str, str] | None = None, **kwargs: Any) -> dict[str, Any]:
    return {"task": task, "args": args, "kwargs": kwargs, "headers": headers}


def test_a_job_that_is_there_is_the_answer(door_and_app):
    door, app = door_and_app
    first = app.get("shop.charge").enqueue(Order("jo"))
    answer = door.post(body("shop.charge", {"customer": "jo", "number": 3}, "acme"))
    assert answer.status == 202
    assert answer.json == {"id": first.id, "state": "ready", "duplicate": True, "durability": "disk"}
    assert not door.post(body("shop.charge", order={"customer": "jo"}, tenant="beta")).json["duplicate"]
    again = app.get("shop.charge").enqueue(order=Order("jo"), tenant="beta")
    assert again.duplicate


def test_arguments_are_replaced(door_and_app):
    door, app = door_and_app
    first = app.get("shop.index").enqueue(7)
    answer = door.post({**body("shop.index", 7, version=3), "delay_s": 60})
    assert (answer.json["id"], answer.json["state"], answer.json["duplicate"]) == (first.id, "scheduled", True)
    [view] = door.memory.get([parse_id(first.id)], body=True)
    assert (view.state, view.body) == (State.SCHEDULED, b'j[[7],{"version": 3}]')


def test_a_job_that_is_refused_is_a_conflict(door_and_app):
    door, _ = door_and_app
    first = door.post(body("shop.pay", 1, headers={"user": "jo"})).json["id"]
    refused = door.post(body("shop.pay", 2, headers={"user": "jo"}))
    assert refused.problem[:2] == (409, "conflict")
    assert first in refused.json["detail"]
    assert "unique key" in refused.json["detail"]
    assert not door.post(body("shop.pay", 1, headers={"user": "al"})).json["duplicate"]
    assert not door.post(body("shop.pay", 1)).json["duplicate"]
    assert not door.post(body("shop.pay", 1)).json["duplicate"], "who sends no header is not unique"


def test_many_in_one_request(door_and_app):
    door, _ = door_and_app
    jobs = [body("shop.pay", number, headers={"user": user}) for number, user in enumerate("aab")]
    answer = door.post(jobs, query="?atomic=true")
    assert answer.status == 422
    codes = [item["problem"]["code"] for item in answer.json["jobs"]]
    assert codes == ["batch-refused", "conflict", "batch-refused"]
    answer = door.post([*jobs, body("shop.index", 1), body("shop.index", 1, 2)])
    assert (answer.json["accepted"], answer.json["rejected"]) == (4, 1)
    assert [item.get("duplicate") for item in answer.json["jobs"]] == [False, None, False, False, True]


def test_all_arguments_are_compared_by_their_types_with_defaults_filled_in(door_and_app):
    door, app = door_and_app
    first = app.get("shop.all").enqueue(1)
    for call in (body("shop.all", 1), body("shop.all", number=1.0), body("shop.all", 1, None)):
        assert door.post(call).json["id"] == first.id
    for call in (body("shop.all", 2), body("shop.all", 1, "x"), body("shop.all", 1, other=3)):
        assert not door.post(call).json["duplicate"]
    assert app.get("shop.all").enqueue(1, other=3).duplicate


def test_the_idempotency_key_comes_first(door_and_app):
    door, _ = door_and_app
    call = {**body("shop.pay", 1, headers={"user": "jo"}), "idempotency_key": "k"}
    first = door.post(call).json["id"]
    assert door.post(call).json == {"id": first, "state": "ready", "duplicate": True, "durability": "disk"}
    assert door.post({**call, "args": [2]}).json["field"] == "idempotency_key"


def test_a_retry_whose_key_is_taken_is_a_conflict(door_and_app):
    door, app = door_and_app
    dead = app.get("shop.charge").enqueue(Order("jo"))
    dead.cancel()
    retry = f"/v1/jobs/{dead.id}/retry"
    app.get("shop.charge").enqueue(Order("jo"))
    refused = asyncio.run(door.ask("POST", retry))
    assert refused.problem[:2] == (409, "conflict")
    assert "another job has its unique key" in refused.json["detail"]
    other = b'{"args":[{"customer":"al"}]}'
    answer = asyncio.run(door.ask("POST", retry, other, **{"content-type": "application/json"}))
    assert (answer.status, answer.json["state"]) == (200, "ready"), answer.json
    assert app.get("shop.charge").enqueue(Order("al")).id == dead.id, "its key is that of its new arguments"
