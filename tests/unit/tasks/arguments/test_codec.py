"""Arguments are checked against the signature where they are given, and arrive as their annotated types."""

from __future__ import annotations

import enum
import inspect
import itertools
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import pydantic
import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidArguments, InvalidOption, InvalidResult, ResultTooLarge
from penstock.tasks.arguments.codec import Codec

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Inner:
    point: Point


class Outer(msgspec.Struct):
    point: Point


@dataclass
class Price:
    amount: float = 0


@dataclass(frozen=True)
class Held:
    amount: float = 0


class Sparse(msgspec.Struct, omit_defaults=True):
    a: float = 1
    b: int = 2


class Spot(NamedTuple):
    x: float
    y: float = 2


class Row(msgspec.Struct, array_like=True, tag="row"):
    a: float = 2


class Column(msgspec.Struct, array_like=True, tag="column"):
    a: float = 2


class Form(pydantic.BaseModel):
    amount: float = 0


@dataclass
class Particular:
    text: str

    def __post_init__(self):
        if self.text.startswith("made of "):
            raise ValueError(self.text)
        self.text = f"made of {self.text}"


class Size(enum.IntEnum):
    SMALL = 1


class Word(enum.StrEnum):
    A = "a"


class Plain(enum.Enum):
    A = "a"


def nothing():
    raise AssertionError


def thumbnail(path: str, *, width: int = 200):
    raise AssertionError


def ordered(a: int, b: int = 2, c: int = 3):
    raise AssertionError


def positional_only(a: int, b: int = 2, /, c: int = 3):
    raise AssertionError


def many(a: int, *more: str, flag: bool = False, **rest: float):
    raise AssertionError


def needs_a_name(a: int = 1, *, b: int):
    raise AssertionError


def anything(a, b: Any = None):
    raise AssertionError


def deep(points: list[Point], table: dict[str, list[int]] | None = None):
    raise AssertionError


def one_point(point: Point):
    raise AssertionError


def tagged(tags: set[str]):
    raise AssertionError


def bounded(count: Annotated[int, msgspec.Meta(ge=1, le=9)]):
    raise AssertionError


def at_path(path: Path):
    raise AssertionError


def later(a: DefinedBelow):
    raise AssertionError


def never(a: Fraction):
    raise AssertionError


@dataclass
class DefinedBelow:
    x: int


def returns_point() -> Point:
    raise AssertionError


def returns_set() -> set[int]:
    raise AssertionError


def returns_union() -> str | Path:
    raise AssertionError


def _codec(function):
    return Codec("shop." + function.__name__, function)


def _sent(function, *args, **kwargs):
    codec = _codec(function)
    first = codec.encode(args, dict(kwargs))
    again = codec.encode(args, dict(kwargs))
    assert first == again, "what is remembered of a call does not change it"
    return codec.decode(first)


def _refused(function, *args, **kwargs):
    codec = _codec(function)
    with pytest.raises(InvalidArguments) as caught:
        codec.encode(args, kwargs)
    assert codec._task in caught.value.message
    among_others, bodies = _codec(function), []
    with pytest.raises(InvalidArguments) as again:
        among_others.encode_all([SimpleNamespace(args=args, kwargs=kwargs)] * 2, bodies)
    assert (again.value.message, again.value.field) == (caught.value.message, caught.value.field)
    assert bodies == []
    return caught.value


CALLS = [
    (nothing, (), {}),
    (thumbnail, ("a",), {}),
    (thumbnail, ("a",), {"width": 3}),
    (thumbnail, (), {"width": 3, "path": "a"}),
    (ordered, (1,), {"c": 4}),
    (ordered, (1, 2, 3), {}),
    (ordered, (), {"c": 1, "b": 2, "a": 3}),
    (positional_only, (1,), {}),
    (positional_only, (1, 2), {"c": 5}),
    (many, (1,), {}),
    (many, (1, "a", "b"), {"flag": True, "x": 1.5, "a_b": 2.0}),
    (many, (), {"a": 1, "x": 1.5}),
    (many, (1, *map(str, range(40))), {}),
    (needs_a_name, (), {"b": 1}),
    (anything, ({"a": [1, None, True, 1.5, "x", b"y"]},), {}),
    (deep, ([Point(1), Point(2, 3)],), {"table": {"a": [1]}}),
    (at_path, (Path("a/b"),), {}),
    (bounded, (9,), {}),
    (later, (DefinedBelow(1),), {}),
]


@pytest.mark.parametrize("function, args, kwargs", CALLS)
def test_a_call_arrives_as_it_was_made(function, args, kwargs):
    got_args, got_kwargs = _sent(function, *args, **kwargs)
    expected = _bound(function, args, kwargs)
    assert _bound(function, got_args, got_kwargs) == expected


@pytest.mark.parametrize("function, args, kwargs", CALLS)
def test_calls_made_together_have_the_bodies_they_have_alone(function, args, kwargs):
    calls = [SimpleNamespace(args=args, kwargs=kwargs)] * 3
    bodies = []
    _codec(function).encode_all(calls, bodies)
    assert bodies == [_codec(function).encode(args, kwargs)] * 3


def test_of_calls_made_together_those_before_the_wrong_one_are_told():
    calls = [SimpleNamespace(args=given, kwargs={}) for given in [(1,), (2, 3), ("x",), (4,)]]
    codec, bodies = _codec(ordered), []
    with pytest.raises(InvalidArguments):
        codec.encode_all(calls, bodies)
    assert bodies == [codec.encode((1,), {}), codec.encode((2, 3), {})]


def test_a_call_over_the_limit_among_others_is_refused_by_the_limits_name():
    calls = [SimpleNamespace(args=given, kwargs={}) for given in [("x",), ("x" * limits.JOB_BODY_BYTES_MAX,)]]
    codec, bodies = _codec(thumbnail), []
    with pytest.raises(BodyTooLarge, match="JOB_BODY_BYTES_MAX"):
        codec.encode_all(calls, bodies)
    assert bodies == [codec.encode(("x",), {})]


def _bound(function, args, kwargs):
    return inspect.signature(function).bind(*args, **kwargs).arguments


def first_version(source: str, target: str, amount: int = 0):
    raise AssertionError


def second_version(target: str, source: str, amount: int = 0):
    raise AssertionError


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((), {"source": "alice", "target": "bob"}),
        ((), {"target": "bob", "source": "alice", "amount": 3}),
        (("alice",), {"target": "bob"}),
    ],
)
def test_what_was_given_by_name_arrives_by_name(args, kwargs):
    codec = _codec(first_version)
    for _ in range(2):  # a shape that was seen before takes another way
        body = codec.encode(args, kwargs)
        assert msgspec.msgpack.decode(body[1:]) == [list(args), kwargs]
        assert codec.decode(body) == (args, kwargs)
    bodies: list[bytes] = []
    codec.encode_all([SimpleNamespace(args=args, kwargs=kwargs)], bodies)
    assert codec.decode(bodies[0]) == (args, kwargs)
    if not args:
        assert _codec(second_version).decode(body) == ((), kwargs)


def test_what_arrives_as_json_by_name_stays_by_name():
    body = _codec(first_version).check_json(b"[]", b'{"target":"bob","source":"alice"}')
    assert _codec(second_version).decode(body) == ((), {"source": "alice", "target": "bob"})


def test_bodies_of_earlier_versions_can_be_read():
    """They had by position what was given by name."""
    assert _codec(first_version).decode(b"m" + msgspec.msgpack.encode((("a", "b"), {}))) == (("a", "b"), {})


def test_equal_calls_have_one_identity_however_they_are_written():
    codec = _codec(ordered)
    calls = [((1, 2, 3), {}), ((1, 2), {"c": 3}), ((1,), {"c": 3, "b": 2}), ((), {"b": 2, "a": 1, "c": 3})]
    assert len({codec.identity(codec.encode(args, kwargs)) for args, kwargs in calls}) == 1


@pytest.mark.parametrize(
    ("kind", "nest"),
    [
        (Point, lambda point: point),
        (list[Point], lambda point: [point]),
        (dict[str, tuple[Point, ...]], lambda point: {"k": (point,)}),
        (Inner, Inner),
        (Outer, Outer),
    ],
)
def test_a_field_that_is_left_out_is_its_default(kind, nest):
    whole = nest(Point(1, 0))

    def function(a): ...

    function.__annotations__ = {"a": kind}
    codec = _codec(function)
    left_out = msgspec.to_builtins(whole)
    text = msgspec.json.encode(left_out).replace(b',"y":0', b"")
    assert b"y" not in text
    bodies = [
        codec.encode((whole,), {}),
        codec.encode((), {"a": msgspec.json.decode(text)}),
        codec.check_json(b"[" + text + b"]", None),
    ]
    assert len({codec.identity(body) for body in bodies}) == 1
    assert codec.identity(codec.encode((nest(Point(1, 7)),), {})) != codec.identity(bodies[0])


@pytest.mark.parametrize(
    ("kind", "given", "texts"),
    [
        (Price, [Price(), Price(0), Price(0.0)], ["{}", '{"amount": 0}', '{"amount": 0.0}']),
        (list[Price], [[Price()], [Price(0.0)]], ["[{}]", '[{"amount": 0}]']),
        (Sparse, [Sparse(), Sparse(1.0, 2)], ["{}", '{"a": 1}', '{"b": 2}']),
        (Spot, [Spot(1), Spot(1.0, 2.0)], ["[1]", "[1.0, 2]"]),
        (Row, [Row(), Row(2.0)], ['["row"]', '["row", 2]', '["row", 2.0]']),
        (Row | Column, [Column(), Column(2.0)], ['["column"]', '["column", 2]']),
        (Form, [Form(), Form(amount=0)], ["{}", '{"amount": 0}', '{"amount": 0.0}']),
        (set[Held], [{Held(), Held(2)}, {Held(2.0), Held(0.0)}], ['[{}, {"amount": 2}]', '[{"amount": 2.0}, {}]']),
    ],
)
def test_a_default_is_of_its_fields_type(kind, given, texts):
    def function(a): ...

    function.__annotations__ = {"a": kind}
    codec = _codec(function)
    bodies = [codec.encode((value,), {}) for value in given]
    bodies += [codec.check_json(f"[{text}]".encode(), None) for text in texts]
    assert len({codec.identity(body) for body in bodies}) == 1


def test_instances_that_do_not_take_what_they_made_have_an_identity():
    def function(a: Particular): ...

    codec = _codec(function)
    one, other = (codec.identity(codec.check_json(b'[{"text": "%s"}]' % text, None)) for text in (b"a", b"b"))
    assert one != other


def test_the_order_of_names_is_kept_and_counts_for_nothing():
    codec = _codec(many)
    orders = list(itertools.permutations([("a", 1), ("flag", True), ("z", 1.0), ("b", 2.0)]))
    bodies = [codec.encode((), dict(items)) for items in orders]
    assert [list(codec.decode(body)[1]) for body in bodies] == [[name for name, _ in items] for items in orders]
    assert len({codec.identity(body) for body in bodies}) == 1


def test_a_dict_arrives_in_its_own_order():
    codec = _codec(anything)
    for table in ({"b": 1, "a": 2}, {"a": 2, "b": 1}):
        assert list(codec.decode(codec.encode((table,), {}))[0][0]) == list(table)


@pytest.mark.parametrize(("first", "later"), [(3.0, 3), (3, 3.0)])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_whole_number_is_the_same_float_whichever_came_first(first, later, by_name):
    codec = _codec(one_price)
    calls = [((), {"x": value}) if by_name else ((value,), {}) for value in (first, later, first)]
    assert len({codec.identity(codec.encode(*call)) for call in calls}) == 1


def one_price(x: float):
    raise AssertionError


def bare(payload: dict, items: list | None = None):
    raise AssertionError


def by_text(payload: dict[str, Any] | None = None, items: list[Any] | None = None):
    raise AssertionError


@pytest.mark.parametrize("function", [anything, bare, by_text])
@pytest.mark.parametrize("by_name", [True, False])
def test_after_a_call_that_was_sent_as_it_is_another_still_arrives_as_what_it_is(function, by_name):
    codec = _codec(function)
    for payload in ({"a": 1}, {"a": (1, 2)}, {"a": {"b": {3}}}, {"a": [{1: None}]}):
        for items in ([], [1, "x"], [(1,), bytearray(b"x")]):
            for _ in range(2):
                args = () if by_name else (payload, items)
                kwargs = (
                    dict(zip(inspect.signature(function).parameters, (payload, items), strict=True)) if by_name else {}
                )
                bodies: list[bytes] = []
                codec.encode_all([SimpleNamespace(args=args, kwargs=kwargs)], bodies)
                for body in (codec.encode(args, kwargs), *bodies):
                    found = codec.decode(body)
                    assert repr(found) == repr((args, kwargs))


def test_after_a_dict_by_text_one_by_numbers_is_refused():
    codec = _codec(by_text)
    codec.encode(({"a": 1},), {})
    with pytest.raises(InvalidArguments, match="payload"):
        codec.encode(({1: 1},), {})
    assert _codec(bare).decode(_codec(bare).encode(({1: 1},), {})) == (({1: 1},), {})


def test_after_nothing_a_value_is_still_compared_with_what_arrives():
    codec = _codec(deep_point)
    for _ in range(2):
        assert codec.decode(codec.encode((None,), {})) == ((None,), {})
        assert codec.decode(codec.encode((Holder(1),), {})) == ((Holder(1),), {})
        with pytest.raises(InvalidArguments, match=r"\.what"):
            codec.encode((Holder((1,)),), {})
        with pytest.raises(InvalidArguments, match=r"\.what"):
            codec.encode((), {"holder": Holder((1,))})


@dataclass
class Holder:
    what: Any


def deep_point(holder: Holder | None = None):
    raise AssertionError


def test_defaults_are_not_stored():
    assert _sent(thumbnail, "a") == (("a",), {})


def test_equal_sets_have_one_identity():
    codec = _codec(tagged)
    words = [f"word-{n}" for n in range(50)]
    backwards: set[str] = set()
    backwards.update(reversed(words))
    assert codec.identity(codec.encode((set(words),), {})) == codec.identity(codec.encode((backwards,), {}))


@pytest.mark.parametrize(
    "function, args, kwargs, field",
    [
        (thumbnail, (), {}, "path"),
        (thumbnail, (1,), {}, "path"),
        (thumbnail, ("a",), {"width": "3"}, "width"),
        (thumbnail, ("a",), {"width": True}, "width"),
        (thumbnail, ("a",), {"width": 1.0}, "width"),
        (thumbnail, ("a",), {"hight": 3}, "hight"),
        (thumbnail, ("a", 3), {}, "args"),
        (thumbnail, ("a",), {"path": "b"}, "path"),
        (thumbnail, (None,), {}, "path"),
        (nothing, (1,), {}, "args"),
        (nothing, (), {"a": 1}, "a"),
        (needs_a_name, (1,), {}, "b"),
        (positional_only, (), {"a": 1}, "a"),
        (ordered, (), {"b": 1}, "a"),
        (many, (1, 2), {}, "more"),
        (many, (1,), {"rest": "x"}, "rest"),
        (deep, ([Point(1), 3],), {}, "points"),
        (deep, ([],), {"table": {"a": ["1"]}}, "table"),
        (deep, ([Point("1")],), {}, "points"),
        (bounded, (10,), {}, "count"),
        (at_path, ("a/b",), {}, "path"),
        (anything, (object(),), {}, "a"),
        (anything, (1,), {"b": [2**64]}, "b"),
        (anything, (1, "\ud800"), {}, "b"),
        (anything, (range(3),), {}, "a"),
    ],
)
def test_a_wrong_argument_is_named(function, args, kwargs, field):
    assert _refused(function, *args, **kwargs).field == field


def test_a_call_that_was_right_does_not_let_a_wrong_one_of_the_same_shape_pass():
    codec = _codec(deep)
    codec.encode(([Point(1)],), {})
    with pytest.raises(InvalidArguments):
        codec.encode((["x"],), {})


@pytest.mark.parametrize(
    ("kind", "first", "later", "arrives"),
    [
        (Size, 1, 99, None),
        (Size | None, 1, 2**63, None),
        (Word, "a", "b", None),
        (Plain, "a", "b", None),
        (float, Decimal("1.5"), Decimal("2.5"), 2.5),
        (float | None, Decimal("1.5"), Decimal("-0"), 0.0),
    ],
)
@pytest.mark.parametrize("way", ["position", "name", "many"])
def test_a_value_that_became_another_says_nothing_of_the_next_of_its_class(kind, first, later, arrives, way):
    def function(a): ...

    function.__annotations__ = {"a": kind}
    codec = _codec(function)

    def encode(value: Any) -> bytes:
        if way == "many":
            bodies: list[bytes] = []
            codec.encode_all([SimpleNamespace(args=(value,), kwargs={})], bodies)
            return bodies[0]
        return codec.encode((), {"a": value}) if way == "name" else codec.encode((value,), {})

    encode(first)
    if arrives is None:
        with pytest.raises(InvalidArguments):
            encode(later)
    else:
        args, kwargs = codec.decode(encode(later))
        assert [*args, *kwargs.values()] == [arrives]


def test_a_value_that_holds_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    assert _refused(anything, loop).field == "a"


def test_the_message_names_task_argument_and_types():
    message = _refused(thumbnail, "a", width="3").message
    assert message == "shop.thumbnail: argument 'width': Expected `int`, got `str`"


def test_a_body_over_the_limit_is_refused_by_the_limits_name():
    with pytest.raises(BodyTooLarge, match="JOB_BODY_BYTES_MAX"):
        _codec(thumbnail).encode(("a" * limits.JOB_BODY_BYTES_MAX,), {})


def test_a_body_at_the_limit_passes():
    codec = _codec(thumbnail)
    text = "a" * (limits.JOB_BODY_BYTES_MAX - 9)
    body = codec.encode((text,), {})
    assert len(body) == limits.JOB_BODY_BYTES_MAX
    assert codec.decode(body) == ((text,), {})


def test_shapes_remembered_are_bounded():
    codec = _codec(many)
    for count in range(500):
        codec.encode((1,), {f"x{count}": 1.0})
        codec.encode((1, *["x"] * count), {})
    assert codec._plan is not None
    assert len(codec._plan.layouts) <= 64


def test_json_arguments_are_checked_and_kept_as_they_came():
    codec = _codec(deep)
    body = codec.check_json(b'[ [{"x":1}] ]', b'{"table": {"a":[1]}}')
    assert body == b'j[[ [{"x":1}] ],{"table": {"a":[1]}}]'
    assert codec.decode(body) == (([Point(1)],), {"table": {"a": [1]}})


def test_json_arguments_may_be_left_out():
    assert _codec(nothing).check_json(None, None) == b"j[[],{}]"


def test_json_text_becomes_paths():
    codec = _codec(at_path)
    assert codec.decode(codec.check_json(msgspec.Raw(b'["a/b"]'), None)) == ((Path("a/b"),), {})


@pytest.mark.parametrize(
    "function, args, kwargs, field",
    [
        (thumbnail, b"[]", b"{}", "path"),
        (thumbnail, b"[1]", b"{}", "path"),
        (thumbnail, b'["a"]', b'{"width":"3"}', "width"),
        (thumbnail, b'["a"]', b'{"hight":3}', "hight"),
        (thumbnail, b'["a"]', b'{"path":"b"}', "path"),
        (thumbnail, b'["a",3]', b"{}", "args"),
        (thumbnail, b"{}", b"{}", "args"),
        (thumbnail, b'["a"]', b"[]", "kwargs"),
        (deep, b'[[{"x":1},{"x":"1"}]]', b"{}", "points"),
        (many, b'[1,"a",2]', b"{}", "more"),
        (many, b"[1]", b'{"rest":"x"}', "rest"),
        (bounded, b"[0]", b"{}", "count"),
    ],
)
def test_a_wrong_json_argument_is_named(function, args, kwargs, field):
    with pytest.raises(InvalidArguments) as caught:
        _codec(function).check_json(args, kwargs)
    assert caught.value.field == field
    assert "shop." in caught.value.message


@pytest.mark.parametrize("args", [b"[NaN]", b'["\xff"]', b"[1", b"[" * 100_000, b""])
def test_json_that_is_not_json_is_refused(args):
    with pytest.raises(InvalidArguments):
        _codec(anything).check_json(args, None)


def test_large_json_is_refused_by_the_limits_name():
    with pytest.raises(BodyTooLarge, match="JOB_BODY_BYTES_MAX"):
        _codec(anything).check_json(b'["' + b"a" * limits.JOB_BODY_BYTES_MAX + b'"]', None)


@pytest.mark.parametrize("body", [b"", b"x", b"m", b"m\x92\x90", b"m\x93\x90\x80\x80", b"m\x90", b"j[[]]", b"m\xc1"])
def test_a_damaged_body_is_refused(body):
    with pytest.raises(InvalidArguments):
        _codec(anything).decode(body)


def test_an_empty_body_does_not_satisfy_a_function_that_needs_something():
    with pytest.raises(InvalidArguments) as caught:
        _codec(thumbnail).decode(_codec(nothing).encode((), {}))
    assert caught.value.field == "path"


def test_an_annotation_that_is_never_defined_is_reported_at_first_use():
    codec = _codec(never)
    with pytest.raises(InvalidOption, match=r"shop\.never: the annotation `Fraction` of parameter 'a'") as caught:
        codec.encode((1,), {})
    assert caught.value.field == "a"


@pytest.mark.parametrize("value", [None, 0, "a", [1, {"a": None}], b"x", 1.5, True])
def test_a_result_comes_back(value):
    codec = _codec(nothing)
    assert codec.decode_result(codec.encode_result(value)) == value


def test_a_result_comes_back_as_its_annotated_type():
    point, numbers = _codec(returns_point), _codec(returns_set)
    assert point.decode_result(point.encode_result(Point(1, 2))) == Point(1, 2)
    assert numbers.decode_result(numbers.encode_result({1, 2})) == {1, 2}


def test_a_result_whose_type_cannot_be_told_apart_says_itself_what_it_is():
    codec = _codec(returns_union)
    for value in (Path("a"), "a"):
        assert codec.decode_result(codec.encode_result(value)) == value


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", {1: object()}])
def test_a_result_that_cannot_be_stored_is_refused(value):
    with pytest.raises(InvalidResult, match=r"shop\.nothing"):
        _codec(nothing).encode_result(value)


def test_a_result_over_the_limit_is_refused_by_the_limits_name():
    with pytest.raises(ResultTooLarge, match="RESULT_BYTES_MAX"):
        _codec(nothing).encode_result("a" * limits.RESULT_BYTES_MAX)


def test_a_result_that_does_not_fit_its_annotation_is_told():
    codec = _codec(returns_point)
    with pytest.raises(InvalidResult, match=r"shop\.returns_point"):
        codec.decode_result(codec.encode_result("not a point"))


def test_the_schema_is_for_people():
    rows = msgspec.json.decode(_codec(many).schema())
    assert rows["parameters"] == [
        {"name": "a", "type": "int", "required": True},
        {"name": "flag", "type": "bool", "required": False, "keyword_only": True},
        {"name": "more", "type": "str", "required": False, "many": True},
        {"name": "rest", "type": "float", "required": False, "many": True},
    ]


class Other:
    """Not what any task takes."""

    Point = type("Point", (), {"__module__": "other", "__qualname__": "Point"})


@pytest.mark.parametrize(
    ("function", "value", "told"),
    [
        (one_point, object(), f"Expected `{__name__}.Point`, got `object`"),
        (one_point, Other.Point(), f"Expected `{__name__}.Point`, got `other.Point`"),
        (one_point, [1, 2], f"Expected `{__name__}.Point`, got `list`"),
        (deep, Point(1), f"Expected `list[{__name__}.Point]`, got `{__name__}.Point`"),
        (deep, [object()], f"Expected `object`, got `object` - at `$[0]` of `list[{__name__}.Point]`"),
        (at_path, "a/b", "Expected `pathlib.Path`, got `str`"),
    ],
)
def test_an_instance_of_a_wrong_class_is_told_with_both_classes(function, value, told):
    message = _refused(function, value).message
    assert message.partition("': ")[2] == told
