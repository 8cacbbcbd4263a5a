"""Jobs come with the texts that the limits and the fairness of their task and their queue count by, and only those."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from penstock import Concurrency, Context, Fair, InvalidOption, Penstock, Rate
from penstock.model.job import Filter
from penstock.testing.running import run_ready

ORDER = UUID("0190b6a0-0000-7000-8000-000000000001")


@dataclass
class Order:
    customer: str
    id: UUID = ORDER


@pytest.fixture
def sent(store, monkeypatch):
    """Queue and values of each job that has reached the store."""
    seen: list[tuple[str, Any]] = []
    enqueue = store.enqueue

    def watched(groups, **options):
        seen.extend((group.queue, entry.values) for group in groups for entry in group.jobs)
        return enqueue(groups, **options)

    monkeypatch.setattr(store, "enqueue", watched)
    return seen


def through_every_door(app: Penstock, task: Any, *args: Any, **kwargs: Any) -> None:
    """Enqueue a call in each way that a producer has."""
    task.enqueue(*args, **kwargs)
    asyncio.run(task.enqueue_async(*args, **kwargs))
    app.enqueue_many([task.s(*args, **kwargs), task.s(*args, **kwargs)])
    asyncio.run(app.enqueue_many_async([task.s(*args, **kwargs)]))


def test_jobs_that_need_none_come_with_none(app, sent):
    app.queue("images", limits=[Concurrency(3), Rate(5)])

    @app.task(queue="images", limits=[Concurrency(1)])
    def thumbnail(path: str) -> None: ...

    through_every_door(app, thumbnail, "cat.png")
    thumbnail.options(queue="other", headers={"user": "me"}).enqueue("cat.png")
    assert [values for _, values in sent] == [None] * 6
    assert thumbnail.is_plain


def test_limits_and_fairness_of_the_task_are_told_through_every_door(app, sent):
    @app.task(limits=[Concurrency(2, per="tenant"), Rate(5, per="order.customer")], fair=Fair("tenant"))
    def charge(order: Order, tenant: str = "acme") -> None: ...

    through_every_door(app, charge, Order("jo"))
    through_every_door(app, charge, order=Order("jo"), tenant="acme")
    assert sent == [("default", {"tenant": "acme", "order.customer": "jo"})] * 10


def test_headers_are_told_where_there_are_some(app, sent):
    @app.task(limits=[Rate(5, per_s=60, per="header:user")])
    def ask(what: str) -> None: ...

    through_every_door(app, ask, "why")
    with_headers = ask.options(headers={"user": "jo", "other": "x"})
    through_every_door(app, ask, "why")
    with_headers.enqueue("why")
    asyncio.run(with_headers.enqueue_async("why"))
    app.enqueue_many([ask.s("why"), with_headers.s("why")])
    assert [values for _, values in sent] == [None] * 10 + [{"header:user": "jo"}] * 2 + [None, {"header:user": "jo"}]


def test_the_queue_counts_by_names_of_its_own(app, sent):
    @app.task(queue="mail", limits=[Concurrency(1, per="to")])
    def send(to: str, tenant: str = "acme") -> None: ...

    @app.task
    def clean(what: str) -> None: ...

    send.enqueue("a")
    app.queue("mail", limits=[Concurrency(2, per="tenant"), Rate(9)])
    app.queue("plain", limits=[Rate(9)])
    through_every_door(app, send, "a")
    send.options(queue="plain").enqueue("a")
    send.options(queue="other").enqueue("a")
    clean.enqueue("x")
    clean.options(queue="mail").enqueue("x")  # it has no tenant, so the limit does not hold for it
    assert sent == [
        ("mail", {"to": "a"}),
        *[("mail", {"to": "a", "tenant": "acme"})] * 5,
        ("plain", {"to": "a"}),
        ("other", {"to": "a"}),
        ("default", None),
        ("mail", None),
    ]


def test_a_task_without_limits_tells_what_its_queue_counts_by(app, sent):
    @app.task(queue="mail")
    def send(to: str) -> None: ...

    assert send.is_plain
    app.queue("mail", limits=[Concurrency(2, per="to")])
    assert not send.is_plain

    @app.task(queue="mail")
    def send_again(to: str) -> None: ...

    for task in (send, send_again):
        through_every_door(app, task, "jo")
    assert sent == [("mail", {"to": "jo"})] * 10


def test_jobs_are_found_by_what_their_task_declares(app, store):
    @app.task(searchable=["order.customer", "number", "header:user"], limits=[Rate(9, per="number")])
    def ship(order: Order, number: int = 1) -> None: ...

    @app.task(queue="mail", searchable=["to"])
    def send(to: str) -> None: ...

    store.register_tasks([ship.record(), send.record()])
    app.queue("mail", limits=[Concurrency(2, per="tenant")])  # no task of it has a tenant
    through_every_door(app, ship, Order("jo"), 7)
    through_every_door(app, ship, Order("jo"))
    job = ship.options(headers={"user": "me"}).enqueue(Order("al"))
    send.enqueue("jo")

    def found(**arguments: str) -> int:
        return len(store.query(Filter(arguments=arguments)).jobs)

    assert found(**{"order.customer": "jo"}) == 10
    assert found(**{"order.customer": "jo", "number": "7"}) == 5
    assert found(number="1") == 6
    assert found(to="jo") == 1
    [view] = store.query(Filter(arguments={"header:user": "me"})).jobs
    assert view.id == job._id


def test_children_come_with_theirs(app, sent, store, clock):
    @app.task(limits=[Concurrency(2, per="tenant")])
    def child(tenant: str) -> None: ...

    @app.task
    def parent(ctx: Context) -> None:
        ctx.enqueue(child.s("acme"))
        ctx.enqueue(child.options(queue="other").s("beta"))

    seen = []
    settle = store.settle
    store.settle = lambda outcomes: seen.extend(outcomes.children) or settle(outcomes)
    parent.enqueue()
    assert run_ready(app, store, clock) == 1
    [(_, groups)] = seen
    assert [(group.queue, [entry.values for entry in group.jobs]) for group in groups] == [
        ("default", [{"tenant": "acme"}]),
        ("other", [{"tenant": "beta"}]),
    ]


@pytest.mark.parametrize(
    "value, text",
    [
        ("acme", "acme"),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        (ORDER, str(ORDER)),
        (dt.date(2026, 1, 31), "2026-01-31"),
        ("a" * 257, "sha256:" + sha256(b"a" * 257).hexdigest()),
        ("a\0b", "sha256:" + sha256(b"a\0b").hexdigest()),
    ],
)
def test_any_value_has_a_text(app, sent, value, text):
    @app.task(limits=[Concurrency(2, per="key")])
    def work(key: Any) -> None: ...

    work.enqueue(value)
    assert sent == [("default", {"key": text})]


def test_of_what_is_sensitive_a_digest_is_told(app, sent):
    @app.task(limits=[Concurrency(1, per="card"), Rate(9, per="header:card")], sensitive=["card"])
    def charge(order: int, card: str = "none") -> None: ...

    through_every_door(app, charge, 1, "4111")
    charge.options(headers={"card": "x"}).enqueue(1, card="4111")
    charge.enqueue(1)
    digest = "sha256:" + sha256(b"4111").hexdigest()
    none = "sha256:" + sha256(b"none").hexdigest()
    assert [values for _, values in sent] == [
        *[{"card": digest}] * 5,
        {"card": digest, "header:card": "x"},
        {"card": none},
    ]
    assert charge.record().flow.parameters == (("order", None), ("card", none))


def test_an_annotation_that_is_never_resolved_is_told_when_a_job_is_sent(app):
    app.queue("mail", limits=[Concurrency(2, per="to")])

    @app.task(queue="mail")
    def send(to: Never) -> None: ...  # noqa: F821 - that is the case

    with pytest.raises(InvalidOption, match="cannot be resolved"):
        send.enqueue("a")
