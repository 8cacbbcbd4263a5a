"""Every type of the promise travels, made here (msgpack) and made by a client of the gate (JSON)."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, NewType, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model.errors import InvalidArguments
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.values import to_wire

UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Point:
    x: int
    label: str = ""


@dataclass
class Line:
    points: list[Point]
    colour: Colour = Colour.RED
    at: dt.datetime | None = None
    parent: Line | None = None
    paths: dict[str, Path] = field(default_factory=dict)


class Pair(NamedTuple):
    a: int
    b: str


class Row(TypedDict):
    name: str
    count: int


class Struct(msgspec.Struct):
    a: int
    b: list[Decimal] = []


integers = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(timezones=st.just(dt.UTC))
paths = st.text("abc./", min_size=1).map(Path)
points = st.builds(Point, integers, st.text())
lines = st.builds(
    Line,
    st.lists(points, max_size=3),
    st.sampled_from(Colour),
    st.none() | moments,
    st.none() | st.builds(Line, st.just([])),
    st.dictionaries(st.text(max_size=3), paths, max_size=2),
)
plain = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "str": (str, st.text()),
    "int": (int, integers),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False)),
    "bool": (bool, st.booleans()),
    "bytes": (bytes, st.binary()),
    "None": (None, st.none()),
    "datetime": (dt.datetime, moments),
    "naive datetime": (dt.datetime, st.datetimes()),
    "date": (dt.date, st.dates()),
    "time": (dt.time, st.times()),
    "timedelta": (dt.timedelta, st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999))),
    "Decimal": (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    "UUID": (uuid.UUID, st.uuids()),
    "Path": (Path, paths),
    "Enum": (Colour, st.sampled_from(Colour)),
    "IntEnum": (Level, st.sampled_from(Level)),
    "Literal": (Literal["a", "b"], st.sampled_from(["a", "b"])),
    "NewType": (UserId, integers),
    "dataclass": (Line, lines),
    "NamedTuple": (Pair, st.builds(Pair, integers, st.text())),
    "TypedDict": (Row, st.fixed_dictionaries({"name": st.text(), "count": integers})),
    "Struct": (Struct, st.builds(Struct, integers, st.lists(st.decimals(allow_nan=False, allow_infinity=False)))),
    "Optional": (Point | None, st.none() | points),
    "Union": (int | str | list[int], integers | st.text() | st.lists(integers)),
    "list": (list[dt.date], st.lists(st.dates())),
    "dict": (dict[str, list[Point]], st.dictionaries(st.text(), st.lists(points, max_size=2), max_size=3)),
    "dict by int": (dict[int, str], st.dictionaries(integers, st.text())),
    "dict by UUID": (dict[uuid.UUID, int], st.dictionaries(st.uuids(), integers)),
    "set": (set[str], st.sets(st.text())),
    "frozenset": (frozenset[int], st.frozensets(integers)),
    "tuple": (tuple[int, str], st.tuples(integers, st.text())),
    "tuple of any length": (tuple[Path, ...], st.lists(paths).map(tuple)),
    "Any": (Any, plain),
}
"""The type, and values of it. Decimals are compared by value: 1.0 and 1.00 differ in text only."""


def _codec(kind):
    def function(value, *, by_name=None):
        raise AssertionError

    function.__annotations__ = {"value": kind, "by_name": kind}
    return Codec("shop.function", function)


CODECS = {name: _codec(kind) for name, (kind, _) in TYPES.items()}


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=40)
@given(data=st.data())
def test_a_value_travels_as_msgpack(name, data):
    codec, value = CODECS[name], data.draw(TYPES[name][1])
    args, kwargs = codec.decode(codec.encode((value,), {"by_name": value}))
    assert (args, kwargs) == ((value,), {"by_name": value})
    assert type(args[0]) is type(value)


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=40)
@given(data=st.data())
def test_a_value_travels_as_json(name, data):
    codec, value = CODECS[name], data.draw(TYPES[name][1])
    text = msgspec.json.encode(value, enc_hook=to_wire)
    args, kwargs = codec.decode(codec.check_json(b"[" + text + b"]", b'{"by_name":' + text + b"}"))
    assert (args, kwargs) == ((value,), {"by_name": value})
    assert type(args[0]) is type(value)


def test_an_aware_moment_arrives_as_the_same_moment_in_utc():
    codec = _codec(dt.datetime)
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    [(arrived,), _] = codec.decode(codec.encode((moment,), {}))
    assert arrived == moment
    assert arrived.utcoffset() == dt.timedelta(0)


@given(value=plain)
def test_no_value_of_a_wrong_type_is_sent_that_would_not_arrive(value):
    for codec in CODECS.values():
        try:
            body = codec.encode((value,), {})
        except InvalidArguments:
            continue
        codec.decode(body)


def test_a_pydantic_model_travels():
    pydantic = pytest.importorskip("pydantic", reason="pydantic is optional")

    class Item(pydantic.BaseModel):
        name: str
        price: Decimal = pydantic.Field(alias="Price")
        made: dt.datetime
        path: Path
        tags: set[str] = set()

    class Order(pydantic.BaseModel):
        items: list[Item]
        note: str | None = None

    order = Order(items=[Item(name="a", Price="1.50", made="2026-01-01T00:00:00Z", path="a/b", tags={"x"})])
    codec = _codec(Order)
    assert codec.decode(codec.encode((order,), {})) == ((order,), {})
    from_json = codec.check_json(b"[" + order.model_dump_json(by_alias=True).encode() + b"]", None)
    assert codec.decode(from_json) == ((order,), {})
    for wrong in [{"items": [{"name": 1}]}, 3, "x", [order]]:
        with pytest.raises(InvalidArguments) as caught:
            codec.encode((wrong,), {})
        assert caught.value.field == "value"
    nested = _codec(list[Order])
    assert nested.decode(nested.encode(([order],), {})) == (([order],), {})


@pytest.fixture
def order():
    """A codec for a pydantic model, and for a list of it."""
    pydantic = pytest.importorskip("pydantic", reason="pydantic is optional")

    class Line(pydantic.BaseModel):
        name: str
        price: Decimal

    class Order(pydantic.BaseModel, extra="forbid"):
        lines: list[Line]
        password: str = pydantic.Field(default="long enough", min_length=8)

    return _codec(Order), _codec(list[Order])


def test_a_model_that_is_not_valid_is_told_by_field_in_a_line(order):
    one, many = order
    wrong = {"lines": [{"name": "a", "price": 1}, {"name": 1, "price": "x"}]}
    faults = "lines[1].name: Input should be a valid string; lines[1].price: Input should be a valid decimal"
    text = msgspec.json.encode(wrong)
    for refuse, where in [
        (lambda: one.encode((wrong,), {}), ""),
        (lambda: one.check_json(b"[" + text + b"]", None), ""),
        (lambda: one.check_json(None, b'{"value":' + text + b"}"), ""),
        (lambda: many.check_json(b"[[" + text + b"]]", None), " - at `$[0]`"),
    ]:
        with pytest.raises(InvalidArguments) as caught:
            refuse()
        assert caught.value.message == f"shop.function: argument 'value': {faults}{where}"
        assert caught.value.field == "value"


def test_of_many_faults_in_a_model_few_are_told_and_no_value(order):
    wrong = {"lines": [{"name": 1, "price": "secret"}] * 50, "password": "secret", "`$[1]` " + "x" * 9000: 1}
    with pytest.raises(InvalidArguments) as caught:
        order[0].check_json(b"[" + msgspec.json.encode(wrong) + b"]", None)
    message = caught.value.message
    assert "secret" not in message
    assert "http" not in message
    assert "and 99 more" in message
    assert "\n" not in message
    with pytest.raises(InvalidArguments) as caught:
        order[0].check_json(b"[" + msgspec.json.encode({"lines": [], "- at `$[1]`" + "x" * 9000: 1}) + b"]", None)
    assert caught.value.field == "value"
    assert len(caught.value.message) < 400
