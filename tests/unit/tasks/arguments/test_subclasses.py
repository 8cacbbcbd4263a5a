"""Subclasses of Python's own classes become these, where that changes nothing."""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal

import pytest

from penstock.tasks.arguments.subclasses import alike, as_base, class_name, members, rebased, to_wire


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Liar(int):
    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


class Colour(enum.Enum):
    RED = 1


class Size(enum.IntEnum):
    SMALL = 1


Old = namedtuple("Old", "a")  # noqa: PYI024 - the older way


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Word("x"), str),
        (Size.SMALL, int),
        (defaultdict(list, a=[1]), dict),
        (OrderedDict(a=1), dict),
        (Counter("aab"), dict),
        (memoryview(b"ab"), bytes),
        (type("Moment", (dt.datetime,), {})(2026, 1, 2, fold=1, tzinfo=dt.UTC), dt.datetime),
        (type("Amount", (Decimal,), {})("NaN"), Decimal),
    ],
)
def test_a_subclass_becomes_its_base(value, kind):
    plain = as_base(value)
    assert type(plain) is kind
    assert alike(plain, value)


@pytest.mark.parametrize("value", [Old(1), Colour.RED, Liar(3), True, None, 3, "x", [1], dt.time(1), object()])
def test_anything_else_stays(value):
    assert as_base(value) is value


def test_what_is_in_containers_is_looked_at():
    assert rebased({Colour.RED: [Size.SMALL, (Word("x"),)]}) == {1: [1, ("x",)]}
    assert members({Colour.RED: [Colour.RED, Size.SMALL]}) == {Colour.RED: 2}


def test_not_a_number_is_alike():
    nan = float("nan")
    assert alike(nan, float("nan"))
    assert alike(Decimal("NaN"), Decimal("NaN"))
    assert not alike(nan, 1.0)


def test_what_cannot_be_sent_is_named():
    with pytest.raises(TypeError, match="an object cannot be sent"):
        to_wire(object())
    assert class_name(dt.time) == "datetime.time"
