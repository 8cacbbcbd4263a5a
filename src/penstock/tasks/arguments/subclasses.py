"""Instances of subclasses of builtin and standard classes (such as ``class Sku(str)``), and how values of classes that
msgspec does not know become values of classes that it knows."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from penstock.model.wording import with_article
from penstock.tasks.arguments.results import Results

_NUMBERS: Final = (float, decimal.Decimal)
REMADE: Final[dict[Any, Callable[[Any, Any], Any]]] = {
    dt.datetime: lambda kind, v: kind(
        v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, tzinfo=v.tzinfo, fold=v.fold
    ),
    dt.date: lambda kind, v: kind(v.year, v.month, v.day),
    dt.time: lambda kind, v: kind(v.hour, v.minute, v.second, v.microsecond, tzinfo=v.tzinfo, fold=v.fold),
    dt.timedelta: lambda kind, v: kind(days=v.days, seconds=v.seconds, microseconds=v.microseconds),
    decimal.Decimal: lambda kind, v: kind(decimal.Decimal.__str__(v)),
    uuid.UUID: lambda kind, v: kind(int=v.int),
}
"""Classes of which subclasses may stand in a signature, and how such a class is made of a value of another. A datetime
is also a date: the narrower comes first."""

_PLAINED: Final[dict[Any, Callable[[Any], Any]]] = {
    str: str.__str__,
    int: int.__index__,
    float: float.__float__,
    bytes: lambda value: b"".join((value,)),
    **{base: partial(make, base) for base, make in REMADE.items()},
    memoryview: bytes,
    bytearray: bytearray,
    dict: dict,
    list: list,
    set: set,
    frozenset: frozenset,
    tuple: tuple,
}


def as_base(value: Any) -> Any:
    """An instance of a subclass of a builtin or standard class as an instance of that class, provided the two are
    equal. Anything else as it is."""
    kind = type(value)
    if kind in _PLAINED and kind is not memoryview:
        return value
    if kind is bool:
        return value
    for base, make in _PLAINED.items():
        if isinstance(value, base) and not hasattr(value, "_fields"):
            plain = make(value)
            return plain if alike(plain, value) else value
    return value


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, or both NaN of the same kind."""
    try:
        if one == other:
            return True
        return isinstance(one, _NUMBERS) and isinstance(other, _NUMBERS) and str(one) == str(other)
    except Exception:  # noqa: BLE001 - a user's class compares itself
        return False


def rebased(value: Any) -> Any:
    """`as_base` of a value and of all that is in its containers; enum members as their values."""
    kind = type(value)
    if kind is dict:
        return {rebased(key): rebased(item) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind([rebased(item) for item in value])
    if _is_member(value):
        return value.value
    return as_base(value)


def members(value: Any) -> Counter[Any]:
    """The enum members in a value and in its containers, each with how often it is there."""
    found: Counter[Any] = Counter()
    rest = [value]
    while rest:
        part = rest.pop()
        rest.extend(contents(part))
        if _is_member(part):
            found[part] += 1
    return found


def contents(value: Any) -> Collection[Any]:
    """What is in a container, a dict's keys too; of any other value nothing."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, (list, tuple, set, frozenset)) else ()


def _is_member(value: Any) -> bool:
    """Whether it is a member of an enum that is not equal to its value."""
    return isinstance(value, enum.Enum) and not isinstance(value, (int, str)) and type(value.value) in (int, str)


def to_wire(value: Any) -> Any:
    """For msgspec's encoder: a value of a class it does not know as one of a class that it knows."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Results):
        return value.reference()
    dump = getattr(value, "model_dump", None)
    if dump is not None and hasattr(type(value), "model_validate"):
        return dump(by_alias=True, round_trip=True)
    plain = as_base(value)
    if plain is value:
        raise TypeError(f"{with_article(type(value).__name__)} cannot be sent")
    return plain


def class_name(kind: type) -> str:
    """How a message names a class: two of one name are told apart by their modules. Of a module that is private to a
    package (Python 3.13 has its paths in ``pathlib._local``) only the package is named."""
    module = kind.__module__.partition("._")[0]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
