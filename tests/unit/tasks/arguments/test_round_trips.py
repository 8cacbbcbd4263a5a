"""What is given arrives as it is, or equal to it as the annotation says, or is refused at the call."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from penstock.model.errors import InvalidArguments, InvalidOption, InvalidResult
from penstock.tasks.app import Penstock
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.fidelity import alike

PARIS = ZoneInfo("Europe/Paris")
INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))
NAIVE = dt.datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - the absence of a zone is what is tested
NUMBER = uuid.UUID("0190d5a0-0000-7000-8000-000000000000")


class Moment(dt.datetime):
    """As pendulum's or a frozen clock's."""


class Nanoseconds(dt.datetime):
    """Holds more than a datetime does, and says so when it is compared."""

    nanosecond = 5

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nanoseconds) and super().__eq__(other)

    __hash__ = dt.datetime.__hash__


class Day(dt.date): ...


class Clock(dt.time): ...


class Span(dt.timedelta): ...


class Amount(Decimal): ...


class Number(uuid.UUID): ...


class Text(str):
    __slots__ = ()


class Whole(int): ...


class Bag(dict): ...


class Row(list): ...


class Colour(enum.Enum):
    RED = 1


class Shade(enum.Enum):
    RED = 1


class Pair(enum.Enum):
    ONE = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1


class Word(enum.StrEnum):
    A = "a"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Address(TypedDict):
    street: str
    city: NotRequired[str]


class Loose(TypedDict, total=False):
    street: str


class Spot(NamedTuple):
    x: int
    y: str = "y"


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Point3(Point):
    z: int = 5


@dataclass(frozen=True, slots=True)
class Frozen:
    at: dt.datetime
    on: dt.time


@dataclass
class Holder:
    value: Any


@dataclass
class Factory:
    items: list[int] = field(default_factory=list)
    made: int = field(default=1, init=False)


class Item(msgspec.Struct):
    a: int
    b: Any = None


class Wider(Item):
    c: int = 1


class Model(pydantic.BaseModel):
    a: int
    at: dt.datetime | None = None
    words: set[str] = set()


class Larger(Model):
    z: int = 1


class Outer(pydantic.BaseModel):
    inner: Model


class Aliased(pydantic.BaseModel):
    a: int = pydantic.Field(alias="theA")


Count = NewType("Count", int)
T = TypeVar("T")

SAME = "the same"
EQUAL = "equal"
REFUSED = "refused"
CASES: list[tuple[Any, Any, str]] = [
    # where the signature says nothing
    *[
        (kind, value, SAME)
        for value in (
            NAIVE,
            NAIVE.replace(tzinfo=INDIA),
            NAIVE.replace(year=1),
            NAIVE.replace(year=9999, fold=0),
            dt.date(2026, 1, 2),
            dt.time(1, 2, 3, 4),
            dt.time(1, 2, tzinfo=INDIA),
            dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(seconds=30))),
            dt.timedelta(days=-1, seconds=3, microseconds=7),
            dt.timedelta.max,
            dt.timedelta.min,
            Decimal("1.50"),
            Decimal("NaN"),
            Decimal("-Infinity"),
            Decimal("1E+400"),
            NUMBER,
            Path("a/b"),
            PurePosixPath("/x"),
            PureWindowsPath("c:\\x"),
            b"\xff",
            bytearray(b"ab"),
            (1, "a", (2,)),
            {1, 2},
            frozenset({("a", 1)}),
            {"b": 1, "a": [(1,), {2}]},
            {None: 1, 1: 2, "1": 3, 1.5: 4, b"x": 5},
            {(1, 2): 1, NUMBER: 2, dt.date(2026, 1, 1): 3, frozenset({1}): 4},
            [{"at": NAIVE, "amounts": [Decimal(1)]}],
            math.nan,
            -math.inf,
            -0.0,
            2**64 - 1,
            -(2**63),
            "\0",
        )
        for kind in (None, Any, object, T)
    ],
    (None, NAIVE.replace(tzinfo=PARIS), EQUAL),
    (None, Moment(2026, 1, 2, tzinfo=dt.UTC), EQUAL),
    (None, Moment(2026, 1, 2), EQUAL),
    (None, Size.SMALL, EQUAL),
    (None, Word.A, EQUAL),
    (None, Bag(a=1), EQUAL),
    (None, collections.OrderedDict(b=1, a=2), EQUAL),
    (None, collections.defaultdict(list, a=[1]), EQUAL),
    (None, collections.Counter("aab"), EQUAL),
    (None, Row([1]), EQUAL),
    (None, Text("x"), EQUAL),
    (None, Whole(3), EQUAL),
    (None, memoryview(b"ab"), EQUAL),
    *[
        (kind, value, REFUSED)
        for value in (
            dt.time(1, tzinfo=PARIS),
            Nanoseconds(2026, 1, 2),
            Colour.RED,
            Pair.ONE,
            Access.READ,
            Spot(1),
            collections.namedtuple("Old", "a")(1),  # noqa: PYI024 - the older way
            Point(1),
            Item(1),
            Model(a=1),
            1j,
            2**64,
            -(2**63) - 1,
            "\ud800",
            range(3),
            collections.deque([1]),
            object(),
            len,
            int,
            (n for n in [1]),
        )
        for kind in (None, Any)
    ],
    *[
        (kind, [value], REFUSED)
        for value in (Colour.RED, Point(1), Spot(1), dt.time(1, tzinfo=PARIS))
        for kind in (None, list, list[Any], tuple[Any, ...], set[Any], Sequence[Any])
        if not (kind == set[Any] and isinstance(value, Point))
    ],
    *[
        (kind, {"k": value}, outcome)
        for value, outcome in [
            (NAIVE, SAME),
            ((1, (2,)), SAME),
            ({1, 2}, SAME),
            (Decimal("1.5"), SAME),
            (Colour.RED, REFUSED),
            (Point(1), REFUSED),
        ]
        for kind in (None, dict, dict[str, Any], Mapping[str, Any], dict[str, Any] | None, dict[Any, Any])
    ],
    (dict[str, list[Any]], {"k": [(1,), NAIVE]}, SAME),
    (list[dict[str, Any]], [{"k": (1,)}], SAME),
    (tuple[int, Any], (1, {2}), SAME),
    (list[Any] | dict[str, Any], {"k": {1}}, SAME),
    (dict, {(1, 2): 3}, SAME),
    (dict, {Colour.RED: 1}, REFUSED),
    (dict, {dt.date(2026, 1, 1): 1}, REFUSED),
    # times
    (dt.datetime, NAIVE, SAME),
    (dt.datetime, NAIVE.replace(tzinfo=PARIS), EQUAL),
    (dt.datetime, dt.datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1), EQUAL),
    (dt.datetime, Moment(2026, 1, 2, 3, tzinfo=INDIA), EQUAL),
    (dt.datetime | None, Moment(2026, 1, 2, 3), EQUAL),
    (list[dt.datetime], [Moment(2026, 1, 2, 3)], EQUAL),
    (dt.datetime, Nanoseconds(2026, 1, 2), REFUSED),
    (Moment, Moment(2026, 1, 2, 3, tzinfo=dt.UTC), SAME),
    (Moment, NAIVE, REFUSED),
    (Annotated[dt.datetime, msgspec.Meta(tz=True)], NAIVE, REFUSED),
    (dt.datetime, dt.date(2026, 1, 1), REFUSED),
    (dt.datetime, "2026-01-01T00:00:00Z", REFUSED),
    (dt.date, Day(2026, 1, 2), EQUAL),
    (Day, Day(2026, 1, 2), SAME),
    (dt.time, dt.time(1, 2, tzinfo=INDIA), SAME),
    (dt.time, dt.time(1, 2, tzinfo=dt.UTC), SAME),
    (dt.time, dt.time(1, 2, tzinfo=PARIS), REFUSED),
    (dt.time | None, dt.time(1, 2, tzinfo=PARIS), REFUSED),
    (dict[str, dt.time], {"k": dt.time(1, 2, tzinfo=PARIS)}, REFUSED),
    (dt.time, dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(seconds=30))), REFUSED),
    (dt.time, Clock(1, 2), EQUAL),
    (Clock, Clock(1, 2), SAME),
    (dt.timedelta, Span(3), EQUAL),
    (Span, Span(3), SAME),
    (Frozen, Frozen(NAIVE, dt.time(1)), SAME),
    (Frozen, Frozen(NAIVE, dt.time(1, tzinfo=PARIS)), REFUSED),
    (list[Frozen], [Frozen(Moment(2026, 1, 1), dt.time(1))], EQUAL),
    # numbers, text, bytes
    (Decimal, Amount("1.5"), EQUAL),
    (Amount, Amount("1.5"), SAME),
    (uuid.UUID, Number(int=3), EQUAL),
    (Number, Number(int=3), SAME),
    (float, 3, EQUAL),
    (float, True, REFUSED),
    (int, True, REFUSED),
    (int, 2**64, REFUSED),
    (int, Size.SMALL, EQUAL),
    (str, Word.A, EQUAL),
    (str, "\ud800", REFUSED),
    (bytes, bytearray(b"ab"), EQUAL),
    (bytes, memoryview(b"ab"), EQUAL),
    (Path, Path("a"), SAME),
    (PurePath, PurePosixPath("a"), SAME),
    (PurePath, PureWindowsPath("c:\\a"), REFUSED),
    # enums
    *[(type(member), member, SAME) for member in (Colour.RED, Size.SMALL, Word.A, Access.READ | Access.WRITE)],
    (dict[Word, int], {Word.A: 1}, SAME),
    (dict[Colour, list[Colour]], {Colour.RED: [Colour.RED]}, SAME),
    (list[Colour], (Colour.RED,), EQUAL),
    (set[Access], {Access.READ}, SAME),
    (Colour | None, Colour.RED, SAME),
    (Colour, Shade.RED, REFUSED),
    (list[Colour], [Colour.RED, Shade.RED], REFUSED),
    (Literal["a", 1], 1, SAME),
    (Count, 3, SAME),
    # classes with fields
    (Address, {"street": "s"}, SAME),
    (Address, {"street": "s", "zip": 1}, REFUSED),
    (list[Address], [{"street": "s", "zip": 1}], REFUSED),
    (dict[str, Address], {"k": {"street": "s", "zip": 1}}, REFUSED),
    (Address | None, {"street": "s", "zip": 1}, REFUSED),
    (Loose, {"zip": 1}, REFUSED),
    (Loose, {}, SAME),
    (Spot, Spot(1), SAME),
    (Point, Point(1, 2), EQUAL),
    (Point, Point3(1), REFUSED),
    (list[Point], [Point3(1)], REFUSED),
    (Point, {"x": 1, "w": 2}, REFUSED),
    (Factory, Factory([1]), SAME),
    (Holder, Holder([1, {"a": None}]), SAME),
    (Holder, Holder((1, 2)), REFUSED),
    (Holder, Holder(NAIVE), REFUSED),
    (Holder, Holder(Point(1)), REFUSED),
    (Item, Item(1, [2]), SAME),
    (Item, Item(1, (2,)), REFUSED),
    (Item, Wider(1), REFUSED),
    (Model, Model(a=1, at=NAIVE, words={"b", "a"}), SAME),
    (Model, Larger(a=1), REFUSED),
    (Outer, Outer(inner=Model(a=1)), SAME),
    (Outer, Outer(inner=Larger(a=1)), REFUSED),
    (Aliased, Aliased(theA=1), SAME),
    # one container for another, as the annotation says
    (list[int], (1, 2), EQUAL),
    (tuple[int, ...], [1, 2], EQUAL),
    (set[int], [1, 2], EQUAL),
    (dict[str, int], collections.Counter("aab"), EQUAL),
]


def _function(kind: Any) -> Any:
    def function(x, *rest, y=None, **named):
        raise AssertionError

    if kind is not None:
        function.__annotations__ = dict.fromkeys(("x", "rest", "y", "named"), kind)
        if kind is not Any and kind is not object and kind is not T:
            function.__annotations__["y"] = kind | None if isinstance(kind, type) else kind
    return function


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, float):
        return alike(one, other) and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, (dt.datetime, dt.time)) and one.tzinfo is not None:
        return one == other and (one.utcoffset() == other.utcoffset() or isinstance(one, dt.datetime))
    return alike(one, other)


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, (dt.datetime, dt.time)) and one.tzinfo is not None:
        return one.astimezone(dt.UTC) == other.astimezone(dt.UTC)
    if isinstance(one, (list, tuple, set)):
        return list(one) == list(other)
    return alike(one, other)


@pytest.mark.parametrize("way", ["position", "name", "extra", "extra name"])
@pytest.mark.parametrize(("kind", "value", "outcome"), CASES)
def test_an_argument_arrives_or_is_refused(kind, value, outcome, way):
    codec = Codec("t", _function(kind))
    filler = () if way in ("position", "name") else (_filler(value),)
    args = (value,) if way == "position" else (*filler, value) if way == "extra" else ()
    kwargs = {"x": value} if way == "name" else {}
    if way == "extra name":
        args, kwargs = filler, {"z": value}
    if outcome == REFUSED:
        for _ in range(2):
            with pytest.raises(InvalidArguments) as caught:
                codec.encode(args, kwargs)
        assert caught.value.message.startswith("t: ")
        assert caught.value.field in ({"x", "rest"} if way != "extra name" else {"x", "z"})
        return
    for _ in range(2):  # a shape that was seen before takes another way
        body = codec.encode(args, kwargs)
        found_args, found_kwargs = codec.decode(body)
        arrived = found_kwargs.get("z", found_kwargs.get("x")) if kwargs else found_args[-1]
        compare = _is_same if outcome == SAME else _is_equal
        assert compare(value, arrived), arrived
        assert codec.identity(body) == codec.identity(body)


def _filler(value: Any) -> Any:
    return value


def test_what_is_nested_too_deep_is_refused():
    codec = Codec("t", _function(Holder))
    deep: Any = 1
    for _ in range(400):
        deep = [{"k": deep}]
    with pytest.raises(InvalidArguments) as caught:
        codec.encode((Holder(deep),), {})
    assert caught.value.field == "x"


@pytest.mark.parametrize("many", [False, True])
def test_every_way_to_enqueue_checks(app, work, many):
    got: list[Any] = []

    @app.task(name="t")
    def take(x, y: dict[str, Any]) -> Any:
        got.append((x, y))
        return x, y

    good, bad = (NAIVE, {"k": (1, {2})}), (Colour.RED, {})
    if many:
        [job] = app.enqueue_many([take.s(*good)])
        with pytest.raises(InvalidArguments, match=r"t: argument 'x': a .*Colour") as caught:
            app.enqueue_many([take.s(*bad)])
    else:
        job = take.enqueue(*good)
        with pytest.raises(InvalidArguments, match=r"t: argument 'x': a .*Colour") as caught:
            take.enqueue(*bad)
    assert caught.value.field == "x"
    work()
    assert got == [good]
    assert job.result(0) == good


async def _twin(task: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"argument 'x'"):
        await task.enqueue_async(Colour.RED)
    await task.enqueue_async((1, 2))


def test_the_async_twin_checks_too(app, work):
    import asyncio

    got: list[Any] = []

    @app.task(name="t")
    def take(x) -> None:
        got.append(x)

    asyncio.run(_twin(take))
    work()
    assert got == [(1, 2)]


def test_json_may_not_have_keys_that_a_typed_dict_has_not():
    codec = Codec("t", _function(Address))
    for args, kwargs in ((b'[{"street":"s","zip":1}]', b"{}"), (b"[]", b'{"x":{"street":"s","zip":1}}')):
        with pytest.raises(InvalidArguments, match=r"'x': its type has no key 'zip'"):
            codec.check_json(args, kwargs)
    assert codec.decode(codec.check_json(b'[{"street":"s"}]', b"{}")) == (({"street": "s"},), {})


@pytest.mark.parametrize(
    "kind", [Iterable, collections.OrderedDict, collections.deque, dict[str, complex], range, collections.deque[int]]
)
def test_what_cannot_be_brought_back_is_refused_where_it_is_annotated(kind):
    with pytest.raises(InvalidOption, match="cannot be sent"):
        Codec("t", _function(kind))


@pytest.mark.parametrize(
    ("kind", "given", "instance"),
    [
        (Point, {"x": 1}, lambda value: value),
        (list[Point], [{"x": 1}], lambda value: value[0]),
        (dict[str, Point], {"k": {"x": 1}}, lambda value: value["k"]),
        (Point | None, {"x": 1}, lambda value: value),
        (tuple[int, Point], [1, {"x": 1}], lambda value: value[1]),
    ],
)
@pytest.mark.parametrize("door", ["python", "json"])
def test_a_field_that_is_left_out_is_there(kind, given, instance, door):
    codec = Codec("t", _function(kind))
    json = b"[" + msgspec.json.encode(given) + b"]"
    body = codec.check_json(json, None) if door == "json" else codec.encode((given,), {})
    (value,), _ = codec.decode(body)
    assert vars(instance(value)) == vars(Point(1))
    assert msgspec.msgpack.decode(_returning(None).encode_result(instance(value))[1:]) == {"x": 1, "y": 0.0}


# --- results ----------------------------------------------------------------------------------------------------


def _returning(kind: Any) -> Codec:
    def function():
        raise AssertionError

    if kind is not None:
        function.__annotations__ = {"return": kind}
    return Codec("t", function)


RESULTS = [
    case
    for case in CASES
    if case[2] == SAME
    or (case[2] == EQUAL and case[0] in (None, float, dt.datetime, dt.date, Decimal, uuid.UUID, int, str, bytes))
]


@pytest.mark.parametrize(("kind", "value", "outcome"), RESULTS)
def test_a_result_comes_back(kind, value, outcome):
    codec = _returning(kind)
    found = codec.decode_result(codec.encode_result(value))
    assert (_is_same if outcome == SAME else _is_equal)(value, found), found


@pytest.mark.parametrize(
    ("value", "plain"),
    [(Point(1), {"x": 1, "y": 0.0}), (Colour.RED, 1), (Item(1), {"a": 1, "b": None}), ((Point(1), {2}), None)],
)
def test_without_an_annotation_an_instance_comes_back_as_plain_data(value, plain):
    codec = _returning(None)
    found = codec.decode_result(codec.encode_result(value))
    assert found == (({"x": 1, "y": 0.0}, {2}) if plain is None else plain)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (dt.time, dt.time(1, tzinfo=PARIS)),
        (dict[str, dt.time], {"k": dt.time(1, tzinfo=PARIS)}),
        *[
            (kind, value)
            for kind in (None, Any, object)
            for value in (
                dt.time(1, tzinfo=PARIS),
                Clock(1, tzinfo=PARIS),
                [dt.time(1, tzinfo=PARIS)],
                {"k": (dt.time(1, tzinfo=PARIS),)},
                {1: dt.time(1, tzinfo=PARIS)},
            )
        ],
        (dict[str, Any], {"k": dt.time(1, tzinfo=PARIS)}),
        (list[Any], [dt.time(1, tzinfo=PARIS)]),
        (Address, {"street": "s", "zip": 1}),
        (list[Address], [{"street": "s", "zip": 1}]),
    ],
)
def test_a_result_that_would_come_back_as_another_is_refused(kind, value):
    with pytest.raises(InvalidResult, match="t: what it returned cannot be stored"):
        _returning(kind).encode_result(value)


@pytest.mark.parametrize("kind", [list[Any], dict[str, Any], tuple[int, Any], dict[Any, Any], set[Any]])
@pytest.mark.parametrize("value", [3, "x", Point(1), [1], {"a": 1}])
def test_a_result_that_does_not_fit_its_annotation_is_stored_all_the_same(kind, value):
    assert _returning(kind).encode_result(value)


def test_bodies_of_earlier_versions_still_decode(app):
    assert isinstance(app, Penstock)
    codec = Codec("t", _function(None))
    old = b"m" + msgspec.msgpack.encode((({"at": NAIVE, "set": [1, 2]},), {}))
    assert codec.decode(old) == (({"at": NAIVE.isoformat(), "set": [1, 2]},), {})
