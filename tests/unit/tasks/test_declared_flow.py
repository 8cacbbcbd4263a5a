"""What a task declares of the flow of its jobs fits its parameters, or is refused when it is decorated."""

from __future__ import annotations

import pytest

from penstock import Concurrency, Context, Fair, InvalidOption, Rate
from penstock.model.flow import ConcurrencyRule, FairRule


def charge(order_id: int, tenant: str, card: str = "") -> None: ...


async def ship(ctx: Context, order: dict[str, str], /, *, carrier: str = "post") -> None: ...


def unresolved(ctx: Context, when: Later) -> None: ...  # noqa: F821 - never defined


def anything(**fields: str) -> None: ...


def test_a_task_without_any_of_it_records_nothing_of_it(app):
    task = app.task(charge)
    assert (task.flow, task.record().flow) == (None, None)
    assert (task.limits, task.fair, task.searchable, task.sensitive) == ((), None, (), ())


def test_what_a_task_declares_is_recorded(app):
    limits = [Concurrency(100), Concurrency(2, per="tenant"), Rate(5, per_s=60, per="header:user")]
    task = app.task(limits=limits, fair=Fair("tenant"), searchable=["order_id", "order_id"], sensitive=("card",))(
        charge
    )
    assert task.limits == tuple(limits)
    flow = task.record().flow
    assert flow is not None
    assert flow.limits[:2] == (ConcurrencyRule(100), ConcurrencyRule(2, "tenant"))
    assert (flow.fair, flow.searchable, flow.sensitive) == (FairRule("tenant"), ("order_id",), ("card",))


@pytest.mark.parametrize(
    "options",
    [
        {"limits": [Concurrency(1, per="order.customer")]},
        {"limits": [Concurrency(1, per="carrier")]},
        {"fair": Fair("header:tenant")},
        {"searchable": ["order", "carrier"]},
        {"sensitive": ["order"]},
    ],
)
def test_names_may_lead_into_any_parameter_or_mean_a_header(app, options):
    app.task(**options)(ship)


@pytest.mark.parametrize(
    "options, field, says",
    [
        ({"limits": [Concurrency(2, per="tenat")]}, "limits", ["takes no argument 'tenat'", "order_id, tenant, card"]),
        ({"limits": [Rate(2, per="user")]}, "limits", ["takes no argument 'user'", "header:NAME"]),
        ({"limits": [Rate(2, per="user.name")]}, "limits", ["takes no argument 'user'"]),
        ({"limits": [Rate(2, per="tenant.name")]}, "limits", ["has no fields", "'tenant'"]),
        ({"fair": Fair("customer")}, "fair", ["takes no argument 'customer'"]),
        ({"fair": "tenant"}, "fair", ['Fair("tenant")']),
        ({"fair": Fair("a..b")}, "fair", ["a path into one"]),
        ({"limits": [Rate(2, per="order_id.1")]}, "limits", ["a path into one"]),
        ({"fair": Fair("card", weights={"a": 2}), "sensitive": ["card"]}, "fair", ["sensitive"]),
        ({"searchable": ["oder_id"]}, "searchable", ["takes no argument 'oder_id'"]),
        ({"searchable": "order_id"}, "searchable", ["give a list"]),
        ({"searchable": [1]}, "searchable", ["names of parameters"]),
        ({"searchable": ["card"], "sensitive": ["card"]}, "searchable", ["never searched"]),
        ({"searchable": ["card.number"], "sensitive": ["card"]}, "searchable", ["never searched"]),
        ({"searchable": [f"order_id.n{n}" for n in range(9)]}, "searchable", ["at most 8"]),
        ({"sensitive": ["cards"]}, "sensitive", ["no parameter of it", "order_id, tenant, card"]),
        ({"sensitive": ["card.number"]}, "sensitive", ["whole parameters"]),
        ({"sensitive": ["header:auth"]}, "sensitive", ["whole parameters"]),
        ({"sensitive": [["card"]]}, "sensitive", ["names of parameters"]),
        ({"limits": [Rate(1, per=f"card.n{n}") for n in range(8)], "fair": Fair("tenant")}, "limits", ["at most 8"]),
    ],
)
def test_misuse_names_the_task_and_what_it_has(app, options, field, says):
    with pytest.raises(InvalidOption) as caught:
        app.task(**options)(charge)
    assert caught.value.field == field
    assert all(text in caught.value.message for text in says), caught.value.message
    assert dict(app.tasks) == {}


def test_a_context_is_no_parameter(app):
    with pytest.raises(InvalidOption, match="it takes order, carrier"):
        app.task(limits=[Concurrency(2, per="ctx")])(ship)


def test_where_an_annotation_is_defined_further_down_names_are_checked_when_it_is_needed(app):
    task = app.task(limits=[Concurrency(2, per="when")])(unresolved)
    with pytest.raises(InvalidOption, match="cannot be resolved"):
        task.record()


def test_a_task_that_takes_any_name_may_be_limited_by_any(app):
    app.task(limits=[Concurrency(2, per="tenant")])(anything)
