"""Which values can be given where others are wanted."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from penstock import Results
from penstock.tasks.arguments.values import decoder, encode
from penstock.tasks.canvas.value_types import contradicts, is_anything, is_results, item_type, takes_none


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Sku(str):
    __slots__ = ()


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Named:
    x: int
    name: str


class Order(msgspec.Struct):
    x: int
    y: int


class Row(msgspec.Struct, array_like=True):
    x: int


class Options(TypedDict):
    x: int


class Model(BaseModel):
    x: int


FITTING = [
    (int, int, 1),
    (int, float, 1),
    (int, int | None, 1),
    (None, int | None, None),
    (int | None, int, 1),
    (str, Path, "a/b"),
    (Path, str, Path("a")),
    (Sku, str, Sku("a")),
    (str, Sku, "a"),
    (dt.date, str, dt.date(2026, 1, 2)),
    (str, dt.date, "2026-01-02"),
    (Decimal, str, Decimal("1.5")),
    (int, Decimal, 3),
    (uuid.UUID, str, uuid.UUID(int=3)),
    (Colour, str, Colour.RED),
    (str, Colour, "red"),
    (Size, int, Size.SMALL),
    (Literal["a"], str, "a"),
    (list[int], tuple[int, ...], [1]),
    (list[int], list[float], [1]),
    (list[int | None], list[int], [1]),
    (list, list[int], [1]),
    (set[int], Sequence[int], {1}),
    (tuple[int, int], list[int], (1, 2)),
    (Point, Order, Point(1, 2)),
    (Point, dict[str, int], Point(1, 2)),
    (Point, Options, Point(1)),
    (dict[str, int], Point, {"x": 1}),
    (Row, list[int], Row(1)),
    (Model, Any, None),
    (Any, int, 1),
    (object, int, 1),
    (dict[str, Any], dict[str, int], {"x": 1}),
]
CONTRADICTING = [
    (int, str),
    (str, int),
    (float, int),
    (bool, int),
    (int, bool),
    (None, int),
    (None, list[int]),
    (int, None),
    (str, bytes),
    (bytes, str),
    (str, list[str]),
    (list[str], str),
    (list[str], dict[str, str]),
    (list[int], list[str]),
    (list[list[int]], list[list[str]]),
    (dict[str, int], dict[str, str]),
    (dict[int, str], dict[str, str]),
    (tuple[int, str], list[int]),
    (list[int], tuple[int, str]),
    (tuple[int, int], tuple[int, int, int]),
    (int | str, list[int] | None),
    (list[int], list[str | None]),
    (Point, Named),
    (Point, int),
    (Row, Point),
    (Colour, int),
    (Size, str),
    (Literal[1], str),
    (Sku, int),
    (dt.datetime, bool),
]


@pytest.mark.parametrize(("given", "wanted", "value"), FITTING)
def test_what_may_fit_passes(given, wanted, value):
    assert not contradicts(given, wanted)
    if wanted not in (Any, None) and value is not None:
        # It is so: such a value is decoded to the wanted type.
        decoder(ord("m"), wanted).decode(encode(value))


@pytest.mark.parametrize(("given", "wanted"), CONTRADICTING)
def test_a_clear_contradiction_is_one(given, wanted):
    assert contradicts(given, wanted)


@pytest.mark.parametrize("kind", [int, str, list[int], Point, Order, Options, Colour, dt.date, int | None, Row])
def test_every_type_fits_itself_and_anything(kind):
    assert not contradicts(kind, kind)
    assert not contradicts(kind, Any)
    assert not contradicts(Any, kind)
    assert not contradicts(kind, kind | None)
    assert not contradicts(list[kind], list[kind])


def test_types_that_cannot_be_read_pass():
    class Odd:
        pass

    assert not contradicts(Odd, int)
    assert not contradicts(int, Odd)
    assert not contradicts("nowhere", int)


def test_a_type_that_holds_itself():
    class Node(msgspec.Struct):
        children: list[Node] = []

    Node.__annotations__["children"] = list[Any]
    assert not contradicts(Node, Node)


def test_what_takes_results():
    assert [is_results(kind) for kind in (Results, Results[str], Results[str] | None, list[str], Any)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [item_type(kind) for kind in (Results[str], list[int], list[int] | None, Results, list, str, Any)] == [
        str,
        int,
        int,
        Any,
        Any,
        Any,
        Any,
    ]


def test_what_takes_anything_and_none():
    assert [is_anything(kind) for kind in (Any, object, int, list)] == [True, True, False, False]
    assert [takes_none(kind) for kind in (Any, None, int | None, int)] == [True, True, True, False]
