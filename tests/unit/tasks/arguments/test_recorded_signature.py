"""What a record of a task tells of its signature."""

from __future__ import annotations

import datetime as dt
import decimal
import inspect
import pathlib
import uuid
from typing import Any, Optional

import pytest

from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.recorded_signature import RecordedSignature, known_type


@pytest.mark.parametrize(
    "kind",
    [
        int,
        float | None,
        Optional[float],  # noqa: UP045 - the older way of writing
        list[float],
        dict[str, list[float | None]],
        dict[str, Any],
        tuple[int, float],
        tuple[float, ...],
        dt.datetime,
        list[dt.date],
        decimal.Decimal,
        uuid.UUID,
        pathlib.Path,
    ],
)
def test_types_of_pythons_own_are_recognised(kind):
    assert known_type(inspect.formatannotation(kind)) == kind


@pytest.mark.parametrize(
    "label", ["shop.Order", "__import__('os')", "int(3)", "list[shop.Order]x", "", "a b", "3", "list[" * 400, "'int'"]
)
def test_any_other_text_is_anything(label):
    assert known_type(label) is Any


def test_a_class_that_is_not_here_is_anything_where_it_stands():
    assert known_type("list[shop.Order]") == list[Any]
    assert known_type("shop.Page[int]") is Any


def price(a: int, /, x: float, *rest: Any, y: float = 0, **named: Any) -> None: ...


def test_it_tells_the_same_as_the_signature():
    codec = Codec("t.price", price)
    recorded = RecordedSignature("t.price", codec.schema())
    for body in (b'j[[1,3],{"y":2}]', b'j[[1],{"y":2.0,"x":3}]', codec.encode((1, 3), {"y": 2})):
        assert recorded.identity(body) == codec.identity(b'j[[1,3.0],{"y":2.0}]')
    assert recorded.identity(b'j[[1,3,4],{"z":{"b":1,"a":2}}]') == codec.identity(b'j[[1,3,4],{"z":{"a":2,"b":1}}]')


def test_a_call_that_does_not_fit_the_record_is_compared_as_it_comes():
    recorded = RecordedSignature("t.price", Codec("t.price", price).schema())
    assert recorded.identity(b'j[["x"],{}]') == recorded.identity(b'j[[ "x" ],{}]')
