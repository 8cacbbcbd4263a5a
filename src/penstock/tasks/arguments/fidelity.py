"""Whether an argument arrives as what it is.

Two steps can change a caller's value: first it is fitted to its parameter's type, then it is encoded and later decoded.
`lost` finds what the first step left out, `changed` what the second step changed. Both answer with the reason and the
place in the value, or None when nothing was.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from penstock.model.wording import with_article
from penstock.tasks.arguments.subclasses import alike, class_name, contents

_LEAVES: Final = frozenset({str, int, float, bool, bytes, type(None)})
_SEQUENCES: Final = (list, tuple)
_COMPARED: Final = frozenset({dt.datetime, dt.date, dt.timedelta, decimal.Decimal, uuid.UUID})
"""Classes of which two equal values are the same in every respect."""
_FIELDLESS: Final[Callable[[Any], Any]] = tuple


def lost(given: Any, fitted: Any, place: str = "") -> str | None:
    """What of ``given`` is not in ``fitted``, which was made of it: keys that the type does not have."""
    if given is fitted or type(given) in _LEAVES:
        return None
    if isinstance(given, Mapping):
        names = fitted if isinstance(fitted, dict) else fields_of(fitted)
        if names is None or hasattr(type(fitted), "model_validate") or _is_tagged(fitted):
            return None
        for key, item in given.items():
            if key not in names:
                # Keys may have become something else, an enum's members say; then as many are there.
                if isinstance(fitted, dict) and len(fitted) == len(given):
                    continue
                return f"its type has no key {key!r}{_at(place)}"
            found = lost(item, names[key], f"{place}[{key!r}]")
            if found is not None:
                return found
    elif isinstance(given, _SEQUENCES) and isinstance(fitted, _SEQUENCES):
        for index, (item, other) in enumerate(zip(given, fitted, strict=False)):
            found = lost(item, other, f"{place}[{index}]")
            if found is not None:
                return found
    return None


def unchanged(sent: Any, arrived: Any) -> bool:
    """Whether a value surely arrives as it is, told cheaply. False: `changed` is to look."""
    kind: Any = type(sent)
    if kind in _LEAVES:
        return type(arrived) in _LEAVES and bool(sent == arrived)
    if kind is not type(arrived):
        return False
    if kind in _COMPARED:
        return bool(sent == arrived)
    if kind is dict:
        return (
            len(sent) == len(arrived)
            and _LEAVES.issuperset(map(type, sent))
            and all(key in arrived and unchanged(item, arrived[key]) for key, item in sent.items())
        )
    values_of = _FIELDLESS if kind is list or kind is tuple else _values_of(kind)  # type: ignore[arg-type]  # a class
    if values_of is None:
        return False
    try:
        values, others = values_of(sent), values_of(arrived)
    except AttributeError:  # a field was never set
        return False
    if len(values) != len(others):
        return False
    for item, other in zip(values, others, strict=True):
        if type(item) in _LEAVES:
            if type(other) not in _LEAVES or item != other:
                return False
        elif not unchanged(item, other):
            return False
    return True


@lru_cache(maxsize=256)
def _values_of(kind: Any) -> Callable[[Any], Any] | None:
    """The function that gives an instance's field values, for instances of ``kind``. None: it has no such fields."""
    if issubclass(kind, msgspec.Struct):
        return astuple
    if not dataclasses.is_dataclass(kind):
        return None
    names = [field.name for field in dataclasses.fields(kind)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])


@lru_cache(maxsize=256)
def _names_of(kind: Any) -> list[str] | None:
    """The fields of a dataclass that is no container and no struct; None: it is another class."""
    if issubclass(kind, (msgspec.Struct, dict, list, tuple, set, frozenset)) or not dataclasses.is_dataclass(kind):
        return None
    return [field.name for field in dataclasses.fields(kind)]


def changed(sent: Any, arrived: Any, place: str = "") -> str | None:
    """What of a value that was sent has arrived as something else."""
    kind = type(sent)
    if sent is arrived or (kind in _LEAVES and alike(sent, arrived)):
        return None
    if isinstance(sent, (dt.datetime, dt.time)):
        return None if _is_same_time(sent, arrived) else _said(sent, arrived, place)
    if isinstance(sent, dict) and isinstance(arrived, dict):
        return _changed_dict(sent, arrived, place)
    fields = fields_of(sent)
    if fields is not None:
        if kind is not type(arrived):
            return _said(sent, arrived, place)
        return _changed_fields(fields, fields_of(arrived) or {}, place)
    if isinstance(sent, _SEQUENCES) and isinstance(arrived, _SEQUENCES):
        if isinstance(sent, tuple) != isinstance(arrived, tuple) or len(sent) != len(arrived):
            return _said(sent, arrived, place)
        for index, (item, other) in enumerate(zip(sent, arrived, strict=True)):
            found = changed(item, other, f"{place}[{index}]")
            if found is not None:
                return found
        return None
    return None if alike(sent, arrived) else _said(sent, arrived, place)


def complete(value: Any) -> None:
    """Set the fields that were left out, in the dataclass instances of a decoded value, to their defaults. msgspec does
    not set them, so that only the class attribute answers: ``vars()`` lacks them, and msgspec does not encode them."""
    rest = [value]
    while rest:
        part = rest.pop()
        kind: Any = type(part)
        if kind in _LEAVES:
            continue
        names = _names_of(kind)
        if names is not None and hasattr(part, "__dict__"):
            own = vars(part)
            for name in names:
                if name not in own:
                    own[name] = getattr(part, name, None)
            rest.extend([item for item in own.values() if type(item) not in _LEAVES])
            continue
        rest.extend(contents(part))
        if kind is not dict and kind is not list and not isinstance(part, tuple):
            rest.extend((fields_of(part) or {}).values())


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of an instance of a class that has some; None: it is of another kind."""
    if isinstance(value, type):
        return None
    if isinstance(value, msgspec.Struct):
        return dict(zip(value.__struct_encode_fields__, msgspec.structs.astuple(value), strict=True))
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        named: dict[str, Any] = value._asdict()
        return named
    if hasattr(type(value), "model_validate"):
        return {**vars(value), **(getattr(value, "__pydantic_extra__", None) or {})}
    return None


def _is_tagged(value: Any) -> bool:
    return isinstance(value, msgspec.Struct) and type(value).__struct_config__.tag is not None


def _changed_dict(sent: dict[Any, Any], arrived: dict[Any, Any], place: str) -> str | None:
    if len(sent) != len(arrived):
        return _said(sent, arrived, place)
    for key, item in sent.items():
        if key not in arrived:
            return f"a key that is {with_article(class_name(type(key)))} would arrive as something else{_at(place)}"
        found = changed(item, arrived[key], f"{place}[{key!r}]")
        if found is not None:
            return found
    return None


def _changed_fields(sent: dict[str, Any], arrived: dict[str, Any], place: str) -> str | None:
    for name, item in sent.items():
        found = changed(item, arrived.get(name), f"{place}.{name}")
        if found is not None:
            return found
    return None


def _is_same_time(sent: Any, arrived: Any) -> bool:
    """One moment, or one time of day at one offset. Times between zones that repeat an hour never compare as equal."""
    kind: Any = dt.datetime if isinstance(sent, dt.datetime) else dt.time
    if not isinstance(arrived, kind):
        return False
    if (sent.tzinfo is None) != (arrived.tzinfo is None):
        return False
    if isinstance(sent, dt.datetime) and sent.tzinfo is not None:
        try:
            return bool(sent.astimezone(dt.UTC) == arrived.astimezone(dt.UTC))
        except OverflowError:
            return bool(sent == arrived)
    return bool(sent == arrived) and bool(sent.utcoffset() == arrived.utcoffset())


def _said(sent: Any, arrived: Any, place: str) -> str:
    before, after = class_name(type(sent)), class_name(type(arrived))
    what = f"would arrive as {with_article(after)}" if before != after else "would not arrive as it is"
    return f"{with_article(before)} {what}{_at(place)}"


def _at(place: str) -> str:
    return f" - at `${place}`" if place else ""
