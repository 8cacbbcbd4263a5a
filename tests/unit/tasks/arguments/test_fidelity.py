"""What would be lost or changed on the way is found, with its place."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.tasks.arguments.fidelity import changed, lost, unchanged

PARIS = ZoneInfo("Europe/Paris")


@dataclass
class Point:
    x: Any


@dataclass
class Point3(Point):
    z: int = 0


class Tagged(msgspec.Struct, tag=True):
    a: int


@pytest.mark.parametrize(
    ("before", "fitted", "said"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "no key 'b'"),
        ([{"a": {"b": 1}}], [{"a": {}}], r"no key 'b' - at `\$\[0\]\['a'\]`"),
        ({"x": 1, "y": 2}, Point(1), "no key 'y'"),
    ],
)
def test_what_a_type_left_out_is_found(before, fitted, said):
    assert msgspec.json.encode(lost(before, fitted)).decode()
    with pytest.raises(AssertionError, match=said):
        assert lost(before, fitted) is None, lost(before, fitted)


@pytest.mark.parametrize(
    ("before", "fitted"),
    [
        ({"a": 1}, {"a": 1}),
        ({"x": 1}, Point(1)),
        ({"type": "Tagged", "a": 1}, Tagged(1)),
        ((1, 2), {1, 2}),
        ({"1": 2}, {1: 2}),
        ("x", "x"),
    ],
)
def test_what_is_all_there_is_fine(before, fitted):
    assert lost(before, fitted) is None


@pytest.mark.parametrize(
    ("sent", "arrived", "said"),
    [
        (dt.time(1, tzinfo=PARIS), dt.time(1), "a datetime.time would not arrive as it is"),
        ({"k": [(1,)]}, {"k": [[1]]}, "a tuple would arrive as a list - at `$['k'][0]`"),
        (Point(Point(1)), Point({"x": 1}), "Point would arrive as a dict - at `$.x`"),
        (Point3(1), Point(1), "Point3 would arrive as a"),
        ({1: 2}, {"1": 2}, "a key that is an int would arrive as something else"),
        ({1: 2}, {}, "a dict would not arrive as it is"),
        ([1], [1, 2], "a list would not arrive as it is"),
        (1, 2, "an int would not arrive as it is"),
    ],
)
def test_what_would_change_is_found(sent, arrived, said):
    assert said in (changed(sent, arrived) or "")


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        (dt.datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1), dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC)),
        (dt.datetime.max.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)),
        (dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=1))),) * 2,
        (float("nan"), float("nan")),
        (Point(3), Point(3.0)),
        ({1, 2}, {2, 1}),
    ],
)
def test_what_is_the_same_is_fine(sent, arrived):
    assert changed(sent, arrived) is None


@dataclass(eq=False)
class Same:
    """Equal to everything."""

    x: Any

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


class Pair(msgspec.Struct):
    one: Any
    other: Any


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(0, 2)
    | st.sampled_from([0.0, 1.0, math.nan])
    | st.sampled_from(["", "a", b"", bytearray()])
    | st.sampled_from([dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)])  # noqa: DTZ001 - a value to send
    | st.sampled_from([dt.time(1), dt.time(1, tzinfo=dt.UTC), dt.date(2026, 1, 1), Decimal(1)])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.integers(0, 1) | st.just(Decimal(1)), inner, max_size=2)
        | st.builds(Point, inner)
        | st.builds(Same, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=3,
)


@given(_VALUES, _VALUES)
def test_what_is_told_cheaply_to_be_the_same_is(sent, arrived):
    if unchanged(sent, arrived):
        assert changed(sent, arrived) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(1),
        lambda: Point3([1, "a"], 2),
        lambda: Pair({"a": Point(None)}, (1, 2.5)),
        lambda: [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.date(2026, 1, 1), Decimal("1.5")],
    ],
)
def test_the_usual_value_is_told_cheaply(make):
    assert unchanged(make(), make())
