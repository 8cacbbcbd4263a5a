"""Unique jobs as an application writes them: declared at the decorator, the same through every door."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from penstock import Conflict, Context, InvalidOption, Penstock, State, Unique
from penstock.model.flow import UniqueRule
from penstock.testing.running import run_ready

WAITS_AND_RUNS = UniqueRule().states


@dataclass
class Order:
    id: int
    customer: str = "ann"


def charge(order: Order, amount: int = 0, *, note: str | None = None) -> None: ...


# --- what is declared ------------------------------------------------------------------------------------------------
def test_it_is_recorded_with_the_names_and_defaults_of_the_parameters(app: Penstock) -> None:
    task = app.task(unique=Unique("order.id", "amount", period_s=60, on_conflict="replace"))(charge)
    assert task.unique == Unique("order.id", "amount", period_s=60, on_conflict="replace")
    flow = task.record().flow
    assert flow is not None
    assert flow.unique == UniqueRule(("order.id", "amount"), 60.0, "replace", (*WAITS_AND_RUNS, State.SUCCEEDED))
    assert flow.parameters == (("order", None), ("amount", "0"), ("note", "null"))


def test_states_by_default_and_as_given() -> None:
    assert Unique().rule() == UniqueRule()
    assert Unique("a", period_s=1).states == (*WAITS_AND_RUNS, State.SUCCEEDED)
    assert Unique(states=["dead", State.READY, "ready"]).states == (State.READY, State.DEAD)
    assert Unique("a", period_s=1, states=["ready"]).states == (State.READY,)


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        ((), {"period_s": 0}, "period_s is 0: it must be more than 0"),
        ((), {"period_s": -1.0}, "period_s is -1.0: it must be more than 0"),
        ((), {"period_s": "1 hour"}, "give seconds as a number"),
        ((), {"on_conflict": "ignore"}, "on_conflict is 'ignore': use existing, replace, keep_time, refuse"),
        ((), {"states": ["waiting"]}, "states has 'waiting': use scheduled, blocked, ready, running, succeeded, dead"),
        ((), {"states": "ready"}, "states is 'ready': give a list"),
        ((), {"states": []}, "states is empty"),
        ((3,), {}, "takes names of arguments as text"),
        (("a", "a"), {}, "names one argument twice"),
        (("a.",), {}, "names 'a.'"),
    ],
)
def test_what_cannot_be_declared_says_what_to_write(names: Any, options: Any, said: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Unique(*names, **options)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("order_id", "takes no argument 'order_id': it takes order, amount, note"),
        ("order.total", "has no field 'total': it has id, customer"),
        ("amount.cents", "which has no fields"),
    ],
)
def test_what_the_task_lacks_is_refused_at_the_decorator(app: Penstock, name: str, said: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        app.task(unique=Unique(name))(charge)
    assert said in caught.value.message
    assert caught.value.field == "unique"


def test_what_is_no_rule_is_refused(app: Penstock) -> None:
    with pytest.raises(InvalidOption, match="give Unique"):
        app.task(unique="order_id")  # type: ignore[call-overload]  # that is the mistake


# --- what happens ----------------------------------------------------------------------------------------------------
def through_every_door(app: Penstock, task: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """Enqueue a call in each way that a producer has."""
    return [
        task.enqueue(*args, **kwargs),
        asyncio.run(task.enqueue_async(*args, **kwargs)),
        *app.enqueue_many([task.s(*args, **kwargs), task.s(*args, **kwargs)]),
        *asyncio.run(app.enqueue_many_async([task.s(*args, **kwargs)])),
        task.options(priority=3).enqueue(*args, **kwargs),
        app.enqueue_many([task.options(delay_s=1.0).s(*args, **kwargs)])[0],
    ]


def test_equal_calls_are_one_job_through_every_door(app: Penstock) -> None:
    task = app.task(unique=Unique("order.id"))(charge)
    first = task.enqueue(Order(1))
    assert not first.duplicate
    jobs = through_every_door(app, task, Order(1, "bob"), 5) + through_every_door(app, task, order=Order(1))
    assert {job.id for job in jobs} == {first.id}
    assert all(job.duplicate and not job.replaced and job.state is State.READY for job in jobs)
    assert not task.enqueue(Order(2)).duplicate


def test_all_arguments_may_be_the_key(app: Penstock) -> None:
    task = app.task(unique=Unique())(charge)
    first = task.enqueue(Order(1))
    assert task.enqueue(order=Order(1), amount=0).id == first.id
    assert not task.enqueue(Order(1), 1).duplicate
    assert not task.enqueue(Order(1), note="x").duplicate


def test_a_header_may_be_the_key_and_who_sends_none_is_not_unique(app: Penstock) -> None:
    task = app.task(unique=Unique("header:user", "amount"))(charge)
    first = task.options(headers={"user": "ann"}).enqueue(Order(1))
    assert task.options(headers={"user": "ann"}).enqueue(Order(2)).id == first.id
    assert not task.options(headers={"user": "bob"}).enqueue(Order(2)).duplicate
    assert not task.enqueue(Order(1)).duplicate
    assert not task.enqueue(Order(1)).duplicate


def test_a_debounced_job_runs_with_the_last_arguments(app: Penstock, store: Any, clock: Any) -> None:
    ran: list[int] = []

    @app.task(unique=Unique("order_id", on_conflict="replace"))
    def index(order_id: int, version: int) -> None:
        ran.append(version)

    first = index.enqueue(1, 1)
    later = index.enqueue(1, 2)
    assert (later.id, later.duplicate, later.replaced) == (first.id, True, True)
    run_ready(app, store, clock)
    assert ran == [2]


def test_one_that_is_refused_is_a_conflict_that_names_the_job(app: Penstock) -> None:
    task = app.task(unique=Unique("order.id", on_conflict="refuse"))(charge)
    first = task.enqueue(Order(1))
    with pytest.raises(Conflict, match=first.id):
        task.enqueue(Order(1), 5)
    with pytest.raises(Conflict, match="unique key"):
        app.enqueue_many([task.s(Order(2)), task.s(Order(1))])
    assert not task.enqueue(Order(2)).duplicate, "all or none"


def test_the_idempotency_key_comes_first(app: Penstock) -> None:
    task = app.task(unique=Unique("order.id", on_conflict="refuse"))(charge)
    first = task.options(idempotency_key="k").enqueue(Order(1))
    again = task.options(idempotency_key="k").enqueue(Order(1))
    assert (again.id, again.duplicate) == (first.id, True)
    with pytest.raises(Conflict, match="idempotency key"):
        task.options(idempotency_key="k").enqueue(Order(2))


def test_children_are_unique_too(app: Penstock, store: Any, clock: Any) -> None:
    ran: list[int] = []

    @app.task(unique=Unique("order_id", on_conflict="replace"))
    def index(order_id: int, version: int) -> None:
        ran.append(version)

    @app.task
    def parent(ctx: Context) -> None:
        for version in range(3):
            ctx.enqueue(index.s(1, version))

    parent.enqueue()
    assert [run_ready(app, store, clock) for _ in range(2)] == [1, 1]
    assert ran == [2]


def test_a_task_that_asks_for_itself_again_is_let_in(app: Penstock, store: Any, clock: Any) -> None:
    ran: list[int] = []

    @app.task(unique=Unique("order_id"))
    def poll(ctx: Context, order_id: int, left: int) -> None:
        ran.append(left)
        if left:
            ctx.enqueue(poll.s(order_id, left - 1))

    poll.enqueue(1, 2)
    assert [run_ready(app, store, clock) for _ in range(4)] == [1, 1, 1, 0]
    assert ran == [2, 1, 0]


def test_what_is_sensitive_is_only_told_as_a_digest(app: Penstock, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    enqueue = store.enqueue
    monkeypatch.setattr(
        store, "enqueue", lambda groups, **options: (seen.extend(groups), enqueue(groups, **options))[1]
    )

    @app.task(unique=Unique("card"), sensitive=["card"])
    def pay(card: str) -> None: ...

    pay.enqueue("4000 1234")
    (entry,) = seen[0].jobs
    assert entry.unique_key is not None
    assert entry.unique_key.startswith("sha256:")
    assert pay.enqueue("4000 1234").duplicate
