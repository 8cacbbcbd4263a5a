"""A body read in one pass holds what the slower way finds in it; what does not fit is left to the slower way."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from penstock.model.errors import InvalidArguments
from penstock.tasks.arguments.bodies_by_name import ByName
from penstock.tasks.arguments.call_plan import CallPlan
from penstock.tasks.arguments.parameters import Parameters, read_parameters


def transfer(source: str, target: str, amount: float = 1.0, *, at: dt.datetime | None = None): ...


def optional(a: int = 1, b: Any = None): ...


def many(a: int, *more: int, **named: float): ...


def unnamed(a: int, /, b: int): ...


def dunder(__a: int, b: int): ...  # noqa: PYI063 - a name is what is tested


def _packed(args: list[Any], kwargs: dict[str, Any]) -> bytes:
    return b"m" + msgspec.msgpack.encode((args, kwargs))


def _text(args: list[Any], kwargs: dict[str, Any]) -> bytes:
    return b"j" + msgspec.json.encode((args, kwargs))


def _parameters(function: Any) -> Parameters:
    return read_parameters("shop.task", function)


def _read(function: Any, body: bytes) -> Any:
    return ByName(_parameters(function))[body[:3] if body[:1] == b"m" else body[:4]](body)


def _slowly(function: Any, body: bytes) -> Any:
    plan = CallPlan("shop.task", _parameters(function))
    plan._named._readable = False
    return plan.decode(body)


FIT = [
    (transfer, [], {"target": "b", "source": "a"}),
    (transfer, [], {"source": "a", "target": "b", "amount": 3, "at": "2026-01-02T03:04:05Z"}),
    (transfer, ["a"], {"target": "b"}),
    (transfer, ["a", "b"], {"at": None}),
    (optional, [], {"b": {"x": [1, {}]}}),
    (optional, [5], {"b": None}),
    (unnamed, [1], {"b": 2}),
]


@pytest.mark.parametrize("write", [_packed, _text])
@pytest.mark.parametrize(("function", "args", "kwargs"), FIT)
def test_the_two_ways_find_the_same(function, args, kwargs, write):
    body = write(args, kwargs)
    found = _read(function, body)
    assert CallPlan("shop.task", _parameters(function)).decode(body) == _slowly(function, body)
    if write is _packed or not args:
        assert found == _slowly(function, body)
        assert set(found[1]) == set(kwargs)


@pytest.mark.parametrize("write", [_packed, _text])
@pytest.mark.parametrize(
    ("function", "args", "kwargs", "field"),
    [
        (transfer, [], {"source": "a"}, "target"),
        (transfer, [], {"source": "a", "target": 5}, "target"),
        (transfer, [], {"source": "a", "target": "b", "more": 1}, "more"),
        (transfer, ["a"], {"source": "a", "target": "b"}, "source"),
        (transfer, ["a", "b", 1.0, None], {"at": None}, "args"),
        (transfer, [5], {"target": "b"}, "source"),
        (unnamed, [], {"a": 1, "b": 2}, "a"),
        (unnamed, [], {"b": 2}, "a"),
    ],
)
def test_what_does_not_fit_is_left_to_the_slower_way_which_names_it(function, args, kwargs, field, write):
    body = write(args, kwargs)
    assert _read(function, body) is None
    with pytest.raises(InvalidArguments) as told:
        CallPlan("shop.task", _parameters(function)).decode(body)
    assert told.value.field == field


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [(many, [1], {"z": 1.0}), (many, [1, 2], {"b": 1.0}), (dunder, [], {"__a": 1, "b": 2})],
)
def test_names_that_are_not_known_beforehand_are_left_to_the_slower_way(function, args, kwargs):
    body = _packed(args, kwargs)
    assert _read(function, body) is None
    assert CallPlan("shop.task", _parameters(function)).decode(body) == (tuple(args), kwargs)


def test_large_bodies_are_read_too():
    for write in (_packed, _text):
        body = write([], {"b": "x" * 10_000})
        assert _read(optional, body) == ((), {"b": "x" * 10_000})


@pytest.mark.parametrize(
    "body", [b"", b"m", b"m\x92", b"m\x92\x90", b"j", b"j[[]", b"j[[],", b"x\x92\x90\x81", b"m\x92\x9f\x81"]
)
def test_a_damaged_body_is_left_to_the_slower_way(body):
    assert _read(transfer, body) is None
    with pytest.raises(InvalidArguments):
        CallPlan("shop.task", _parameters(transfer)).decode(body)


def test_beginnings_that_mean_nothing_are_not_remembered():
    readers = ByName(_parameters(transfer))
    for number in range(256):
        assert readers[bytes((109, number, 0x91))] is not None
        assert readers[b"m\x92" + bytes((number,))] is not None
        assert readers[b"j[[" + bytes((number,))] is not None
    assert len(readers) <= 5
