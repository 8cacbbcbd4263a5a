"""Lists and dicts that may hold anything are sent as they are when all in them is JSON's."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.tasks.arguments.call_layouts import open_ones
from penstock.tasks.arguments.call_plan import CallPlan
from penstock.tasks.arguments.parameters import read_parameters


def call(anything, table: dict, by_text: dict[str, Any] | None, items: list | None, numbers: list[int], n: int): ...


PARAMETERS = read_parameters("shop.call", call)


def _open(name: str, value: Any) -> Any:
    return open_ones([(0, PARAMETERS.keyword[name])], [value])


@pytest.mark.parametrize(
    ("name", "value"), [("anything", {}), ("anything", []), ("table", {}), ("items", []), ("by_text", {})]
)
def test_what_may_hold_anything_is_open(name, value):
    found = _open(name, value)
    assert [place for place, _ in found] == [0]
    assert found[0][1] == (frozenset({str}) if name == "by_text" else None)


@pytest.mark.parametrize(
    ("name", "value"), [("anything", ()), ("table", []), ("items", None), ("numbers", []), ("items", {})]
)
def test_all_else_is_not(name, value):
    assert _open(name, value) is None


def test_a_layout_is_open_when_nothing_else_is_to_be_done():
    plan = CallPlan("shop.call", PARAMETERS)
    plan.checked(({}, {}, None, []), {"n": 1, "numbers": [1]}, "shape")
    assert not plan.layouts["shape"].open, "the numbers are still to be looked at"


def test_it_tells_which_calls_are_sent_as_they_are():
    plan = CallPlan("shop.some", read_parameters("shop.some", some))
    plan.checked(({}, []), {"by_text": {}}, "shape")
    layout = plan.layouts["shape"]
    assert layout.open
    assert layout.sends_as_it_is(({"a": [1]}, ["x"]), {"by_text": {"a": None}})
    assert not layout.sends_as_it_is(({"a": (1,)}, ["x"]), {"by_text": {"a": None}})
    assert not layout.sends_as_it_is(({}, [{1, 2}]), {"by_text": {}})
    assert not layout.sends_as_it_is(({}, []), {"by_text": {1: None}})
    assert layout.sends_as_it_is(({1: None}, []), {"by_text": {}})


def some(anything, items: list, *, by_text: dict[str, Any]): ...
