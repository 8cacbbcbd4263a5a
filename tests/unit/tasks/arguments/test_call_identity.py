"""Equal calls have one identity; different ones do not."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.tasks.arguments.call_identity import call_identity


class Node(msgspec.Struct, tag="node"):
    table: dict[int, Any]


class Leaf(msgspec.Struct, tag="leaf"):
    table: dict[int, Any]


@dataclass
class Row:
    cells: dict[int, Any]


class Model:
    def __init__(self, table: dict[int, int]) -> None:
        self.table = table

    def model_dump(self, **_options: Any) -> dict[str, Any]:
        return {"table": self.table}

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        return cls(**value)


class Colour(enum.Enum):
    RED = 1


def identity(value: Any) -> tuple[int, int]:
    return call_identity(["value"], (value,), {})


def turned(value: Any) -> Any:
    """The same, with every dict and set filled from behind."""
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    if isinstance(value, (set, frozenset)):
        return type(value)(reversed(list(value)))
    if isinstance(value, list):
        return [turned(item) for item in value]
    return value


KEYS = st.text() | st.integers() | st.none() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.dictionaries(st.text(), inner) | st.sets(KEYS),
    max_leaves=12,
)


@given(VALUES)
def test_order_counts_for_nothing(value):
    assert identity(value) == identity(turned(value))


@pytest.mark.parametrize("make", [Node, Leaf, Row, Model, lambda table: [Colour.RED, table]])
def test_order_counts_for_nothing_inside_of_objects(make):
    assert identity(make({2: {"a", 1}, 1: 2**70})) == identity(make({1: 2**70, 2: {1, "a"}}))


@pytest.mark.parametrize(
    "one, other",
    [
        ([1, 2], [2, 1]),
        ({1: 2}, {2: 1}),
        ({1: "a"}, {1: "b"}),
        ({"a": 1}, {"a": 2}),
        (Node({1: 2}), Leaf({1: 2})),
        ({1: [1, 2]}, {1: [12]}),
        ({1: ["a", "b"]}, {1: ["ab"]}),
        ({1: 1}, {1: "1"}),
        ({1: 1}, {1: True}),
        ({1: None}, {1: False}),
        ({1: {1, 2}}, {1: [1, 2]}),
        (2**70, 2**70 + 1),
        ([2**70, {"a": 1}], [2**70, {"a": 2}]),
    ],
)
def test_different_values_differ(one, other):
    assert identity(one) != identity(other)


def test_order_counts_for_nothing_beside_large_numbers():
    assert identity([2**70, {"b": {2, 1}, "a": 1}]) == identity([2**70, {"a": 1, "b": {1, 2}}])


def test_by_name_and_by_position_are_one_call_where_there_is_a_name():
    places = [None, "b", "c"]
    calls = [((1, 2, 3), {}), ((1, 2), {"c": 3}), ((1,), {"c": 3, "b": 2})]
    assert len({call_identity(places, *call) for call in calls}) == 1
    assert call_identity(places, (1, 2, 3, 4), {}) != call_identity(places, (1, 2, 3), {})
    assert call_identity(places, (1,), {"b": 2}) != call_identity(places, (2,), {"b": 1})


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(TypeError):
        identity({1: object()})
