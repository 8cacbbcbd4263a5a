"""A name that the calls of a task do not have is refused, with those that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from msgspec import Meta

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.named_places import check_names


class Address(TypedDict):
    city: str


@dataclass
class Order:
    customer: str
    address: Address | None = None
    any_data: Any = None


def buy(order: Annotated[Order, Meta(title="x")] | None, tenant: str) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("function", "name", "said"),
    [
        (buy, "tenat", "takes no argument 'tenat': it takes order, tenant. For a header write header:NAME"),
        (nothing, "tenant", "it takes none"),
        (buy, "order.custmer", "has no field 'custmer': it has customer, address, any_data"),
        (buy, "order.address.town", "has no field 'town': it has city"),
        (buy, "tenant.name", "'tenant' is a `str`, which has no fields: write 'tenant'"),
    ],
)
def test_what_the_task_lacks(function: Callable[..., Any], name: str, said: str) -> None:
    with pytest.raises(InvalidOption, match=said.replace(".", r"\.").replace("(", r"\(")) as caught:
        Codec("app.buy", function).texts("unique", [name])
    assert caught.value.field == "unique"
    assert caught.value.message.startswith("app.buy: unique names ")


@pytest.mark.parametrize("name", ["order", "order.customer", "order.address.city", "order.any_data.x.y", "header:x.y"])
def test_what_the_task_has(name: str) -> None:
    assert Codec("app.buy", buy).texts("unique", [name]).names == (name,)


@pytest.mark.parametrize("name", ["", ".x", "a.", "a..b", "a._b", "a.b c", "header:", 3, None])
def test_what_cannot_be_a_name(name: object) -> None:
    with pytest.raises(InvalidOption) as caught:
        check_names("limits", [name])
    assert caught.value.field == "limits"


def test_names_are_given_once_and_are_not_too_many() -> None:
    assert check_names("unique", ["a", "b.c", "header:d"]) == ("a", "b.c", "header:d")
    with pytest.raises(InvalidOption, match="twice"):
        check_names("unique", ["a", "b", "a"])
    with pytest.raises(InvalidOption, match="JOB_VALUES_MAX"):
        check_names("unique", [f"a{number}" for number in range(limits.JOB_VALUES_MAX + 1)])
