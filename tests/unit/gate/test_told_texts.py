"""Jobs that come over HTTP tell of their arguments what those from Python tell, with the application and without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from penstock import Concurrency, Fair, Penstock, Rate
from penstock.model import limits
from penstock.model.flow import QueueRecord, RateRule, TaskFlow
from penstock.model.job import Filter, TaskRecord


@dataclass
class Order:
    customer: str
    number: int = 0


def make_app() -> Penstock:
    app = Penstock("nowhere")

    @app.task(name="shop.charge", limits=[Concurrency(2, per="tenant"), Rate(5, per="order.customer")])
    def charge(order: Order, tenant: str = "acme", note: Any = None) -> None: ...

    @app.task(name="shop.ask", limits=[Rate(5, per="header:user")], fair=Fair("level"))
    def ask(what: str, *, level: int = 1) -> None: ...

    @app.task(name="shop.pay", limits=[Concurrency(1, per="card")], sensitive=["card"])
    def pay(amount: int, card: str = "none") -> None: ...

    @app.task(name="shop.plain")
    def plain(what: str) -> None: ...

    @app.task(name="shop.find", limits=[Rate(5, per="order.customer")], searchable=["order.number", "order.customer"])
    def find(order: Order) -> None: ...

    return app


@pytest.fixture(params=[True, False], ids=["application", "record"])
def told(request, make_door):
    """Sends one job, and answers what was told of it."""
    app = make_app()
    door = make_door(app=app, with_app=request.param)
    door.memory.register_tasks([task.record() for task in app.tasks.values()])

    def send(**job: Any) -> Any:
        answer = door.post(job)
        assert answer.status == 202, answer.body
        [group] = door.store.enqueued[-1]
        return group.jobs[0].values

    send.door = door
    return send


def digest(text: str) -> str:
    return "sha256:" + sha256(text.encode()).hexdigest()


def test_arguments_by_position_and_by_name_and_left_out(told):
    order = {"customer": "jo", "number": 3}
    expected = {"tenant": "beta", "order.customer": "jo"}
    assert told(task="shop.charge", args=[order, "beta"]) == expected
    assert told(task="shop.charge", kwargs={"tenant": "beta", "order": order}) == expected
    assert told(task="shop.charge", args=[order]) == expected | {"tenant": "acme"}
    large = {"task": "shop.charge", "kwargs": {"order": order, "tenant": "beta", "note": "x" * 100_000}}
    assert told(**large) == expected


def test_headers(told):
    assert told(task="shop.ask", args=["why"], headers={"user": "jo"}) == {"header:user": "jo", "level": "1"}
    assert told(task="shop.ask", args=["why"], kwargs={"level": 3}) == {"level": "3"}


def test_what_is_sensitive(told):
    assert told(task="shop.pay", args=[1, "4111"]) == {"card": digest("4111")}
    assert told(task="shop.pay", kwargs={"amount": 1}) == {"card": digest("none")}


def test_what_jobs_are_found_by(told):
    assert told(task="shop.find", args=[{"customer": "jo", "number": 7}]) == {"order.customer": "jo"}
    entry = told.door.store.enqueued[-1][0].jobs[0]
    assert entry.searchable == {"order.customer": "jo", "order.number": "7"}
    found = Filter(arguments={"order.number": "7"})
    assert [view.id for view in told.door.memory.query(found).jobs] == [entry.id]


def test_of_jobs_that_need_none_nothing_is_told(told):
    assert told(task="shop.plain", args=["a"]) is None


@pytest.mark.parametrize("with_app", [True, False])
def test_a_queue_of_the_application_counts_by_names_of_its_own(make_door, with_app):
    app = make_app()
    app.queue("narrow", limits=[Concurrency(2, per="what")])
    door = make_door(app=app, with_app=with_app)
    door.memory.register_tasks([task.record() for task in app.tasks.values()], list(app.queues.values()))
    for task in ("shop.plain", "shop.pay"):
        call = {"args": ["a"]} if task == "shop.plain" else {"args": [1, "4111"]}
        assert door.post({"task": task, "queue": "narrow", **call}).status == 202
        assert door.post({"task": task, **call}).status == 202
    told = [group.jobs[0].values for groups in door.store.enqueued for group in groups]
    assert told == [{"what": "a"}, None, {"card": digest("4111")}, {"card": digest("4111")}]


def test_a_gate_without_the_application_follows_what_workers_record(make_door, monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr("penstock.gate.task_catalog.monotonic", lambda: now[0])
    door = make_door(app=make_app(), with_app=False)

    def told() -> Any:
        assert door.post({"task": "a.b", "args": ["x"], "kwargs": {}, "headers": {"user": "jo"}}).status == 202
        return door.store.enqueued[-1][0].jobs[0].values

    def declare(*rules: Any, **queues: Any) -> None:
        records = [QueueRecord(name, rules) for name, rules in queues.items()]
        door.memory.register_tasks([TaskRecord("a.b", flow=TaskFlow(limits=rules)), TaskRecord("a.c")], records)
        now[0] += limits.GATE_CATALOG_S + 0.1

    declare()
    assert told() is None
    declare(RateRule(1, per="header:user"))
    assert told() == {"header:user": "jo"}
    declare(default=(RateRule(1, per="header:user"),))
    assert told() == {"header:user": "jo"}
    asked = door.store.asked_for_tasks
    assert told() == {"header:user": "jo"}
    assert door.store.asked_for_tasks == asked
    declare(default=())
    assert told() is None


def test_a_batch_tells_of_each(make_door):
    door = make_door(app=make_app())
    jobs = [{"task": "shop.ask", "args": ["why"], "kwargs": {"level": level}} for level in (1, 2, 3)]
    assert door.post(jobs).json["accepted"] == 3
    [groups] = door.store.enqueued
    assert [entry.values for group in groups for entry in group.jobs] == [{"level": str(n)} for n in (1, 2, 3)]


def test_arguments_that_would_take_long_to_make_are_refused(make_door):
    door = make_door(app=make_app())
    note = [[]] * (limits.JOB_COMPARED_PARTS_MAX + 1)
    text = json.dumps({"task": "shop.charge", "kwargs": {"order": {"customer": "jo"}, "note": note}}).encode()
    assert door.post(text).problem == (413, "body-too-large", "kwargs")


def test_nothing_of_a_sensitive_value_is_in_a_problem(make_door):
    answer = make_door(app=make_app()).post({"task": "shop.pay", "kwargs": {"amount": 1, "card": ["4111"]}})
    assert answer.problem == (422, "invalid-arguments", "kwargs.card")
    assert b"4111" not in answer.body
