"""What would be lost or changed on the way is found, with its place."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from penstock.tasks.arrival import changed, lost

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
    ("given", "fitted", "said"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "no key 'b'"),
        ([{"a": {"b": 1}}], [{"a": {}}], r"no key 'b' - at `\$\[0\]\['a'\]`"),
        ({"x": 1, "y": 2}, Point(1), "no key 'y'"),
    ],
)
def test_what_a_type_left_out_is_found(given, fitted, said):
    assert msgspec.json.encode(lost(given, fitted)).decode()
    with pytest.raises(AssertionError, match=said):
        assert lost(given, fitted) is None, lost(given, fitted)


@pytest.mark.parametrize(
    ("given", "fitted"),
    [
        ({"a": 1}, {"a": 1}),
        ({"x": 1}, Point(1)),
        ({"type": "Tagged", "a": 1}, Tagged(1)),
        ((1, 2), {1, 2}),
        ({"1": 2}, {1: 2}),
        ("x", "x"),
    ],
)
def test_what_is_all_there_is_fine(given, fitted):
    assert lost(given, fitted) is None


@pytest.mark.parametrize(
    ("sent", "arrived", "said"),
    [
        (dt.time(1, tzinfo=PARIS), dt.time(1), "a datetime.time would not arrive as it is"),
        ({"k": [(1,)]}, {"k": [[1]]}, "a tuple would arrive as a list - at `$['k'][0]`"),
        (Point(Point(1)), Point({"x": 1}), "Point would arrive as a dict - at `$.x`"),
        (Point3(1), Point(1), "Point3 would arrive as a"),
        ({1: 2}, {"1": 2}, "a key that is a int would arrive as something else"),
        ({1: 2}, {}, "a dict would not arrive as it is"),
        ([1], [1, 2], "a list would not arrive as it is"),
        (1, 2, "a int would not arrive as it is"),
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
