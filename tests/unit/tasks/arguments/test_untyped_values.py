"""Values of Python's own come back where the signature says nothing of them."""

from __future__ import annotations

import datetime as dt
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.tasks.arguments import untyped_values

KEYS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | st.dates() | st.uuids()
LEAVES = (
    KEYS
    | st.floats(allow_nan=False)
    | st.datetimes(timezones=st.sampled_from([None, dt.UTC]))
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.builds(PurePosixPath, st.text(st.characters(exclude_categories=["Cs"])))
    | st.binary().map(bytearray)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS | st.tuples(KEYS), inner)
        | st.sets(KEYS)
        | st.frozensets(st.tuples(KEYS, KEYS))
    ),
    max_leaves=15,
)


def _pack(value: Any) -> bytes:
    return msgspec.msgpack.encode(untyped_values.marked(value))


@given(VALUES)
def test_every_value_comes_back(value):
    found = untyped_values.decode(_pack(value))
    assert found == value
    assert type(found) is type(value)


def test_what_is_json_is_left_alone():
    value = {"a": [1, 2.5, "x", None, True], "b": {}}
    assert _pack(value) == msgspec.msgpack.encode(value)
    deep = [value]
    assert untyped_values.marked(value["a"]) is value["a"]
    assert untyped_values.marked(deep) == deep


@pytest.mark.parametrize(
    "kind", [int, list[int], dict[str, str], int | None, tuple[int, str], tuple[int, ...], set[str]]
)
def test_what_has_a_type_is_left_alone(kind):
    assert untyped_values.marker(kind) is None


@pytest.mark.parametrize("kind", [Any, object, dict, list, list[Any] | None, dict[str, list[Any]], tuple[int, Any]])
def test_what_has_none_is_marked(kind):
    assert untyped_values.marker(kind) is not None


def test_an_extension_of_a_later_version_is_refused():
    with pytest.raises(ValueError, match="99"):
        untyped_values.unmarked(99, memoryview(b""))


def _is_json(value: Any) -> bool:
    if type(value) is dict:
        return untyped_values.LEAVES.issuperset(map(type, value)) and all(map(_is_json, value.values()))
    return all(map(_is_json, value)) if type(value) is list else type(value) in untyped_values.LEAVES


@given(VALUES, st.booleans())
def test_what_is_plain_is_json_throughout(value, wide):
    if wide:
        value = [value] * 20
    assert untyped_values.is_plain(value) == _is_json(value)
    assert untyped_values.is_plain({str(n): value for n in range(20)}) == _is_json(value)


def test_of_what_is_large_everything_is_looked_at():
    for wrong in ((1,), {1}, {(1, 2): 3}, {"a": ()}, [[b"", bytearray()]]):
        for place in (0, 50, 99):
            value: list[Any] = [{"n": n} for n in range(100)]
            assert untyped_values.is_plain(value)
            value[place] = wrong
            assert not untyped_values.is_plain(value)
            assert not untyped_values.is_plain({str(n): item for n, item in enumerate(value)})
    assert not untyped_values.is_plain({**{str(n): n for n in range(100)}, (1,): 1})


def test_what_holds_itself_is_not_plain():
    small: list[Any] = []
    small.append(small)
    large: list[Any] = []
    large.extend([large] * 1_000)
    for value in (small, large, {"a": large}):
        assert not untyped_values.is_plain(value)
