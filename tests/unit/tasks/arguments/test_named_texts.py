"""The texts of names are the same for equal calls, however they were made and through whichever door they came."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest

from penstock.model.errors import InvalidArguments
from penstock.model.flow import TaskFlow
from penstock.model.flow_texts import DIGEST
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.named_texts import text_of
from penstock.tasks.arguments.recorded_signature import RecordedSignature


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Customer:
    name: str
    level: float = 1


@dataclass
class Order:
    customer: Customer
    note: str | None = None


class Line(msgspec.Struct):
    sku: str
    count: int = 1


class Model(pydantic.BaseModel):
    tenant: str = "acme"


def buy(order: Order, tenant: str = "acme", *, width: float = 2, **more: Any) -> None: ...


def texts(function: Callable[..., Any], names: list[str], *args: Any, **kwargs: Any) -> list[str | None]:
    """The texts of a call, which must be the same by both ways."""
    codec = Codec("app.task", function)
    found = codec.texts("unique", names)
    body = codec.encode(args, kwargs)
    of_call = found.of_call(args, kwargs, {"user": "ann"}, body)
    assert of_call == found.of_body(body, {"user": "ann"})
    return of_call


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("acme", "acme"),
        ("", ""),
        ('a"b', 'a"b'),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Path("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        ({"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
        (1 << 70, str(1 << 70)),
    ],
)
def test_a_text_is_what_the_value_is_in_json(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_arguments_are_found_by_name_and_by_position_and_left_out() -> None:
    order = Order(Customer("bob"))
    expected = ["bob", "blue", "2.0"]
    names = ["order.customer.name", "tenant", "width"]
    assert texts(buy, names, order, "blue") == expected
    assert texts(buy, names, order=order, tenant="blue", width=2) == expected
    assert texts(buy, names, order) == ["bob", "acme", "2.0"]


def test_values_have_their_annotated_type() -> None:
    assert texts(buy, ["width", "order.customer.level"], Order(Customer("bob", 3)), width=4) == ["4.0", "3.0"]


def test_a_header_is_found_and_may_be_missing() -> None:
    assert texts(buy, ["header:user", "header:other"], Order(Customer("bob"))) == ["ann", None]
    assert Codec("app.task", buy).texts("unique", ["header:user"]).of_body(b"never read", None) == [None]


def test_a_path_that_leads_nowhere_has_no_text() -> None:
    def any_data(data: dict[str, Any], other: Any = None) -> None: ...

    names = ["data.customer.name", "other.customer", "data.upper"]
    assert texts(any_data, names, {"customer": {"name": "bob"}}, {"customer": 3}) == ["bob", "3", None]
    assert texts(any_data, names, {"customer": None}) == [None, None, None]
    # A method is no data.
    assert texts(any_data, ["other.upper"], {}, "text") == [None]


def test_a_name_may_be_one_of_any_keyword() -> None:
    assert texts(buy, ["campaign"], Order(Customer("bob")), campaign="x") == ["x"]
    assert texts(buy, ["campaign"], Order(Customer("bob"))) == [None]


def test_structs_and_models_have_paths_too() -> None:
    def sell(line: Line, model: Model = Model()) -> None: ...  # noqa: B008 - it is never changed

    assert texts(sell, ["line.sku", "line.count", "model.tenant"], Line("a")) == ["a", "1", "acme"]


def test_long_texts_are_bounded() -> None:
    [text] = texts(buy, ["tenant"], Order(Customer("bob")), "x" * 300)
    assert text is not None
    assert text.startswith(DIGEST)


def test_the_same_call_from_json_has_the_same_texts() -> None:
    codec = Codec("app.task", buy)
    names = ["order.customer.name", "order.customer.level", "order.note", "tenant", "width", "campaign"]
    found = codec.texts("unique", names)
    args, kwargs = (Order(Customer("bob")),), {"width": 3, "campaign": 7}
    body = codec.check_json(b'[{"customer":{"name":"bob"}}]', b'{"width": 3, "campaign": 7}')
    assert found.of_body(body, None) == found.of_call(args, kwargs, None, codec.encode(args, kwargs))
    with pytest.raises(InvalidArguments):
        found.of_body(b"j[[],{}]", None)


def test_a_door_without_the_code_finds_the_same_as_far_as_types_are_known() -> None:
    def send(user: uuid.UUID, when: dt.date, tenant: str = "acme", count: float = 2, order: Any = None) -> None: ...

    codec = Codec("app.task", send)
    flow = TaskFlow(parameters=codec.default_texts())
    signature = RecordedSignature("app.task", codec.schema())
    names = ["user", "when", "tenant", "count", "order.customer", "header:user"]
    body = codec.check_json(
        b'["00000000-0000-0000-0000-00000000000A","2026-01-31"]', b'{"count":3,"order":{"customer":"bob"}}'
    )
    found = signature.texts(flow, names).of_body(body, {"user": "ann"})
    assert found == codec.texts("unique", names).of_body(body, {"user": "ann"})
    assert found == ["00000000-0000-0000-0000-00000000000a", "2026-01-31", "acme", "3.0", "bob", "ann"]
    # What does not fit is still looked at: the worker says what is wrong with it.
    assert signature.texts(flow, ["tenant"]).of_body(b'j[[],{"tenant":5}]', None) == ["5"]


def test_a_default_is_looked_into_without_the_code() -> None:
    def send(order: Line = Line("a")) -> None: ...  # noqa: B008 - it is never changed

    codec = Codec("app.task", send)
    flow = TaskFlow(parameters=codec.default_texts())
    signature = RecordedSignature("app.task", codec.schema())
    assert signature.texts(flow, ["order.sku", "order.none"]).of_body(b"j[[],{}]", None) == ["a", None]


def test_all_arguments_have_one_text_that_is_the_same_for_equal_calls() -> None:
    codec = Codec("app.task", buy)
    whole = codec.whole_text()
    order = Order(Customer("bob"))
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((order,), {}),
        ((order, "acme"), {}),
        ((), {"width": 2, "order": order}),
    ]
    assert len({whole.of_body(codec.encode(*call)) for call in calls}) == 1
    others: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((order, "blue"), {}),
        ((order,), {"campaign": 1}),
        ((order,), {"campaign": 2}),
    ]
    assert len({whole.of_body(codec.encode(*call)) for call in [*calls, *others]}) == 4


def test_all_arguments_of_a_function_with_any_number() -> None:
    def add(first: int, *rest: int) -> None: ...

    codec = Codec("app.task", add)
    found = {codec.whole_text().of_body(codec.encode(args, {})) for args in [(1,), (1, 2), (1, 2, 3), (12,)]}
    assert len(found) == 4
    signature = RecordedSignature("app.task", codec.schema())
    flow = TaskFlow(parameters=codec.default_texts())
    body = codec.check_json(b"[1,2]", b"{}")
    assert signature.whole_text(flow).of_body(body) == codec.whole_text().of_body(body)
