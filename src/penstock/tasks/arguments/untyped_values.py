"""Values for which the signature gives no type: unannotated parameters, ``Any``, what is in a bare ``dict`` or
``list``.

JSON's types, bytes and aware datetimes are sent as they are (a datetime arrives as the same moment in UTC). Values of
other builtin and standard types, such as tuples, sets, dates and paths, are marked with their type, as msgpack
extensions, and arrive as that type. An instance of a subclass of one of these arrives as the class it is equal to. An
instance of any other class is refused: only an annotation could say what to make of it at the other end.

`marker` reads an annotation once, and returns the function that is applied to each value.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Final

import msgspec
from msgspec import inspect
from msgspec.msgpack import Ext

from penstock.model.wording import with_article
from penstock.tasks.arguments.results import REFERENCE, Results, referred
from penstock.tasks.arguments.subclasses import as_base, class_name, to_wire

LEAVES: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""Classes whose values are sent as they are anywhere."""
_PARTS_MAX: Final = 200_000
"""A value with more containers may hold itself. `is_plain` does not follow it any further."""
_FEW: Final = 12
"""Up to so many items of a dict are looked at one by one; of more, all classes are compared in one pass."""
_TUPLE, _SET, _FROZENSET, _PAIRS, _DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID, _PATH, _BYTEARRAY = range(1, 13)
_PATHS: Final = {"": Path, "posix": PurePosixPath, "windows": PureWindowsPath}
_encode: Final = msgspec.msgpack.Encoder(enc_hook=to_wire).encode

Mark = Callable[[Any], Any]


class OffsetUnknown(TypeError):
    """A time of day whose zone has an offset only on a date: it would arrive without one."""


def is_plain(value: Any) -> bool:
    """Whether a value holds only what JSON has, and bytes, so that there is nothing to mark. Most payloads do."""
    rest = [value]
    for part in rest:
        kind = type(part)
        if kind is dict:
            if len(part) <= _FEW:
                for key, item in part.items():
                    if type(key) not in LEAVES:
                        return False
                    if type(item) not in LEAVES:
                        rest.append(item)
            elif not LEAVES.issuperset(map(type, part)):
                return False
            elif not LEAVES.issuperset(map(type, part.values())):
                rest.extend([item for item in part.values() if type(item) not in LEAVES])
        elif kind is list:
            if not LEAVES.issuperset(map(type, part)):
                rest.extend([item for item in part if type(item) not in LEAVES])
        elif kind not in LEAVES:
            return False
        if len(rest) > _PARTS_MAX:
            return False
    return True


def marked(value: Any) -> Any:
    """A value in the form in which it is encoded where there is no type for it.

    Raises:
        TypeError: it is of a class that only an annotation could bring back, or would not be itself again.
    """
    kind = type(value)
    if kind in LEAVES:
        return value
    if kind is list:
        return value if LEAVES.issuperset(map(type, value)) else [marked(item) for item in value]
    if kind is dict:
        return _marked_dict(value)
    mark = _MARKS.get(kind)
    if mark is not None:
        return mark(value)
    plain = as_base(value)
    if plain is value:
        raise TypeError(
            f"{with_article(class_name(kind))} cannot be told from its plain form there: annotate it as one"
        )
    return marked(plain)


def lenient(value: Any) -> Any:
    """`marked` for results: instances of other classes are not refused, but become plain data.

    Raises:
        OffsetUnknown: a time in it would come back without its zone.
    """
    kind = type(value)
    if kind in LEAVES:
        return value
    if kind is list:
        return [lenient(item) for item in value]
    if kind is dict:
        return _marked_dict(value, lenient)
    if kind in (tuple, set, frozenset):
        return _sequence(_CODES[kind], map(lenient, value))
    try:
        return marked(value)
    except OffsetUnknown:
        raise
    except TypeError:
        return value


def _marked_dict(value: dict[Any, Any], mark: Mark = marked) -> Any:
    if not LEAVES.issuperset(map(type, value)):
        pairs = [(mark(key), mark(item)) for key, item in value.items()]
        return Ext(_PAIRS, _encode(pairs))
    if LEAVES.issuperset(map(type, value.values())):
        return value
    return {key: mark(item) for key, item in value.items()}


def _sequence(code: int, items: Iterable[Any]) -> Ext:
    return Ext(code, _encode(list(items)))


def _text(code: int, value: Any) -> Ext:
    return Ext(code, str(value).encode())


def _mark_datetime(value: dt.datetime) -> Any:
    return value if value.utcoffset() is not None else Ext(_DATETIME, value.isoformat().encode())


def _mark_time(value: dt.time) -> Ext:
    check_time(value)
    return Ext(_TIME, value.isoformat().encode())


def check_time(value: dt.time) -> None:
    """Pass when a time of day would arrive as it is.

    Raises:
        OffsetUnknown: it would not be.
    """
    if value.tzinfo is not None and value.utcoffset() is None:
        raise OffsetUnknown("a time whose zone has an offset only on a date cannot be sent: send a datetime")


def _mark_path(value: PurePath) -> Ext:
    kind = "" if isinstance(value, Path) else "windows" if isinstance(value, PureWindowsPath) else "posix"
    return Ext(_PATH, _encode((kind, str(value))))


_CODES: Final[dict[Any, int]] = {tuple: _TUPLE, set: _SET, frozenset: _FROZENSET}
_MARKS: Final[dict[Any, Mark]] = {
    tuple: lambda value: _sequence(_TUPLE, map(marked, value)),
    set: lambda value: _sequence(_SET, map(marked, value)),
    frozenset: lambda value: _sequence(_FROZENSET, map(marked, value)),
    dt.datetime: _mark_datetime,
    dt.date: lambda value: _text(_DATE, value),
    dt.time: _mark_time,
    dt.timedelta: lambda value: Ext(_TIMEDELTA, _encode((value.days, value.seconds, value.microseconds))),
    decimal.Decimal: lambda value: _text(_DECIMAL, value),
    uuid.UUID: lambda value: Ext(_UUID, value.bytes),
    bytearray: lambda value: Ext(_BYTEARRAY, bytes(value)),
    Results: lambda value: value.reference(),
    **dict.fromkeys((type(Path()), PurePosixPath, PureWindowsPath), _mark_path),
}


def unmarked(code: int, data: memoryview) -> Any:
    """For msgspec's decoder: the value that `marked` has put into an extension.

    Raises:
        ValueError: there is no such extension.
    """
    make = _MAKERS.get(code)
    if make is None:
        raise ValueError(f"extension {code} is not known to this version")
    return make(data)


decode: Final = msgspec.msgpack.Decoder(ext_hook=unmarked).decode


def _unmark_path(data: memoryview) -> PurePath:
    kind, text = decode(data)
    found: PurePath = _PATHS[kind](text)
    return found


_MAKERS: Final[dict[int, Callable[[memoryview], Any]]] = {
    _TUPLE: lambda data: tuple(decode(data)),
    _SET: lambda data: _hashable(data, set),
    _FROZENSET: lambda data: _hashable(data, frozenset),
    _PAIRS: lambda data: dict(_pairs(data)),
    _DATETIME: lambda data: dt.datetime.fromisoformat(str(data, "utf-8")),
    _DATE: lambda data: dt.date.fromisoformat(str(data, "utf-8")),
    _TIME: lambda data: dt.time.fromisoformat(str(data, "utf-8")),
    _TIMEDELTA: lambda data: dt.timedelta(*decode(data)),
    _DECIMAL: lambda data: decimal.Decimal(str(data, "utf-8")),
    _UUID: lambda data: uuid.UUID(bytes=bytes(data)),
    _PATH: _unmark_path,
    _BYTEARRAY: bytearray,
    REFERENCE: lambda data: referred(data, _result),
}


def _result(data: bytes) -> Any:
    """A stored result of which nothing is known."""
    return decode(memoryview(data)[1:])


def _hashable(data: memoryview, kind: Any) -> Any:
    return kind(decode(data))


def _pairs(data: memoryview) -> list[Any]:
    found: list[Any] = decode(data)
    return found


def marker(kind: Any, mark: Mark = marked) -> Mark | None:
    """The function that is applied to values of an annotated type before they are encoded. None: there is nothing to
    do.

    Args:
        kind: the annotation.
        mark: what is applied to the parts for which it gives no type.
    """
    found = _marker(inspect.type_info(kind), mark)
    if found is None:
        return None
    return lambda value: value if is_plain(value) else found(value)


def _marker(info: inspect.Type, marked: Mark) -> Mark | None:
    if isinstance(info, inspect.AnyType) or (isinstance(info, inspect.CustomType) and info.cls is object):
        return marked
    if isinstance(info, (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)):
        inner = _marker(info.item_type, marked)
        return None if inner is None else lambda value: [inner(item) for item in value]
    if isinstance(info, inspect.TupleType):
        each = [_marker(part, marked) or _same for part in info.item_types]
        if all(mark is _same for mark in each):
            return None
        return lambda value: [mark(item) for mark, item in zip(each, value, strict=True)]
    if isinstance(info, inspect.DictType):
        return _dict_marker(_marker(info.key_type, marked), _marker(info.value_type, marked))
    if isinstance(info, inspect.UnionType):
        return _union_marker(info, marked)
    return None


def _same(value: Any) -> Any:
    return value


def _dict_marker(on_key: Mark | None, on_value: Mark | None) -> Mark | None:
    if on_key is None and on_value is None:
        return None
    mark = on_value or _same
    if on_key is None:
        return lambda value: {key: mark(item) for key, item in value.items()}

    def apply(value: dict[Any, Any]) -> Any:
        for key in value:
            # A tuple of leaves is an array on the wire, and a key that is one is read as a tuple.
            if type(key) not in LEAVES and not (type(key) is tuple and LEAVES.issuperset(map(type, key))):
                raise TypeError(f"a dict's key there is {with_article(class_name(type(key)))}: annotate what keys are")
        return {key: mark(item) for key, item in value.items()}

    return apply


_CONTAINERS: Final[tuple[tuple[Any, Any], ...]] = (
    (inspect.ListType, list),
    (inspect.VarTupleType, tuple),
    (inspect.TupleType, tuple),
    (inspect.SetType, set),
    (inspect.FrozenSetType, frozenset),
    (inspect.DictType, dict),
)


def _union_marker(info: inspect.UnionType, marked: Mark) -> Mark | None:
    marks: dict[Any, Mark] = {}
    for part in info.types:
        mark = _marker(part, marked)
        if mark is marked:
            return marked
        for known, kind in _CONTAINERS:
            if mark is not None and isinstance(part, known):
                marks[kind] = mark
    if not marks:
        return None
    return lambda value: marks.get(type(value), _same)(value)
