"""Which types travel, and what a codec wants to know of each."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from penstock.tasks.arguments import values


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int


@dataclass
class Node:
    value: int
    next: Node | None = None


class Pair(NamedTuple):
    a: int
    b: str


class Name(str):
    __slots__ = ()


class Model:
    """Looks like a pydantic model."""

    def __init__(self, x):
        self.x = x

    @classmethod
    def model_validate(cls, data):
        if not isinstance(data, dict) or not isinstance(data.get("x"), int):
            raise ValueError("x is not a whole number")
        return cls(data["x"])

    def model_dump(self, *, by_alias, round_trip):
        return {"x": self.x}


@pytest.mark.parametrize(
    "kind", [Any, object, int, str, bytes, Path, Colour, Decimal, uuid.UUID, dt.datetime, int | None, Path | None]
)
def test_the_class_of_a_value_settles_whether_it_fits_a_shallow_type(kind):
    assert values.traits(kind).shallow


@pytest.mark.parametrize("kind", [list[int], dict[str, int], Point, Node, Pair, Model, Point | None, set[int]])
def test_a_value_of_a_deep_type_is_looked_into(kind):
    assert not values.traits(kind).shallow


@pytest.mark.parametrize(
    "kind, expected", [(Point, True), (list[Node], True), (Model | None, True), (list[int], False)]
)
def test_classes_whose_instances_are_taken_as_they_are_are_known(kind, expected):
    assert values.traits(kind).instances is expected


@pytest.mark.parametrize("kind", [range, list[complex], dict[str, type(pytest)]])
def test_what_cannot_travel_is_named(kind):
    assert values.traits(kind).foreign


def test_what_msgspec_cannot_tell_apart_is_refused():
    with pytest.raises(TypeError):
        values.traits(str | dt.datetime)


@pytest.mark.parametrize(
    "kind, value",
    [
        (dt.datetime, "2026-01-01T00:00:00Z"),
        (bytes, "aGVsbG8="),
        (uuid.UUID, "01920000-0000-7000-8000-000000000000"),
        (Decimal, "1.5"),
        (Decimal, 1),
        (Path, "a"),
        (int, True),
        (int, "1"),
        (int, 1.0),
        (str, b"a"),
        (str, Path("a")),
        (dt.date, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (Model, 3),
    ],
)
def test_a_caller_gives_the_type_itself_and_not_its_text(kind, value):
    with pytest.raises(msgspec.ValidationError):
        values.fitted(value, kind)


@pytest.mark.parametrize(
    "kind, value", [(float, 1), (Path, Path("a")), (Model, {"x": 1}), (Point, {"x": 1}), (Model, Model(1))]
)
def test_a_caller_may_give_what_converts_without_loss(kind, value):
    values.fitted(value, kind)


def test_subclasses_of_builtins_travel_as_their_base():
    assert values.encode(Name("a")) == values.encode("a")
    assert type(values.decoder(values.MSGPACK, Name).decode(values.encode("a"))) is Name


def test_a_model_travels_by_its_own_methods():
    data = values.encode([Model(3)])
    [model] = values.decoder(values.MSGPACK, list[Model]).decode(data)
    assert isinstance(model, Model)
    assert model.x == 3


def test_a_model_may_refuse():
    with pytest.raises(msgspec.ValidationError, match="x is not a whole number"):
        values.decoder(values.JSON, Model).decode(b'{"x": "3"}')


def test_an_unknown_format_is_refused():
    with pytest.raises(msgspec.DecodeError):
        values.decoder(ord("x"), int)
