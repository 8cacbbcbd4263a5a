"""Whether a value of one type can be given where another is wanted. Only clear contradictions count: whatever may fit
passes here, and is checked when the job runs. Pure.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Union, get_args, get_origin

from msgspec import inspect

from penstock.tasks.arguments.results import Results

ERROR_TYPE: Final = dict[str, str | None]
"""What is known of a failure where one is handed over: ``{"type", "message", "traceback"}``."""
_DEPTH_MAX: Final = 20
_TEXT: Final = frozenset({"str"})
_GIVEN: Final[dict[type, frozenset[str]]] = {
    inspect.NoneType: frozenset({"nil"}),
    inspect.BoolType: frozenset({"bool"}),
    inspect.IntType: frozenset({"int"}),
    inspect.FloatType: frozenset({"float"}),
    inspect.StrType: _TEXT,
    inspect.BytesType: frozenset({"bytes"}),
    inspect.ByteArrayType: frozenset({"bytes"}),
    inspect.MemoryViewType: frozenset({"bytes"}),
    inspect.DateTimeType: frozenset({"str", "time"}),
    inspect.DateType: _TEXT,
    inspect.TimeType: _TEXT,
    inspect.TimeDeltaType: _TEXT,
    inspect.UUIDType: _TEXT,
    inspect.DecimalType: _TEXT,
    inspect.ListType: frozenset({"array"}),
    inspect.SetType: frozenset({"array"}),
    inspect.FrozenSetType: frozenset({"array"}),
    inspect.VarTupleType: frozenset({"array"}),
    inspect.TupleType: frozenset({"array"}),
    inspect.NamedTupleType: frozenset({"array"}),
    inspect.DictType: frozenset({"map"}),
    inspect.TypedDictType: frozenset({"map"}),
    inspect.DataclassType: frozenset({"map"}),
}
"""How values of a type are told on the wire. What is missing here may be told in any way."""
_ALSO_TAKEN: Final[dict[type, frozenset[str]]] = {
    inspect.FloatType: frozenset({"int"}),
    inspect.DecimalType: frozenset({"int", "float"}),
    inspect.TimeDeltaType: frozenset({"int", "float"}),
    inspect.UUIDType: frozenset({"bytes"}),
    inspect.DateTimeType: frozenset({"int", "float"}),
}
"""What else a type is made of than of how its own values are told."""
_ITEMS: Final = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)
_RECORDS: Final = (inspect.TypedDictType, inspect.DataclassType, inspect.StructType)


def is_results(kind: Any) -> bool:
    """Whether a parameter of this type takes `penstock.Results`."""
    if get_origin(kind) in (Union, types.UnionType):
        return any(is_results(part) for part in get_args(kind))
    return kind is Results or get_origin(kind) is Results


def is_anything(kind: Any) -> bool:
    """Whether a parameter of this type takes whatever comes."""
    info = _info(kind)
    return info is None or _is_open(info)


def contradicts(given: Any, wanted: Any) -> bool:
    """Whether no value of the type ``given``, an annotation, can be taken for one of the type ``wanted``."""
    try:
        return _known(given, wanted)
    except TypeError:  # an annotation need not be hashable
        return _compared(given, wanted)


@lru_cache(maxsize=1_024)
def _known(given: Any, wanted: Any) -> bool:
    return _compared(given, wanted)


def _compared(given: Any, wanted: Any) -> bool:
    mine, theirs = _info(given), _info(wanted)
    return mine is not None and theirs is not None and _contradicts(mine, theirs, _DEPTH_MAX)


def takes_none(kind: Any) -> bool:
    """Whether None can be given where this type is wanted."""
    return not contradicts(None, kind)


def item_type(kind: Any) -> Any:
    """What a list that is given where this type is wanted has in it, as annotation; Any: it may be anything."""
    if get_origin(kind) in (Union, types.UnionType):
        return next((item for part in get_args(kind) if (item := item_type(part)) is not Any), Any)
    parts = get_args(kind)
    return parts[0] if parts and (is_results(kind) or isinstance(_info(kind), _ITEMS)) else Any


def _info(kind: Any) -> inspect.Type | None:
    """What msgspec knows of a type; None: it cannot read it."""
    try:
        return inspect.type_info(kind)
    except Exception:  # noqa: BLE001 - annotations may be anything, and need not be sendable where they are returned
        return None


def _is_open(info: inspect.Type) -> bool:
    if isinstance(info, inspect.AnyType | inspect.RawType | inspect.ExtType):
        return True
    return isinstance(info, inspect.CustomType) and not issubclass(info.cls, (str, int, float, bytes))


def _contradicts(given: inspect.Type, wanted: inspect.Type, depth: int) -> bool:
    if depth == 0 or _is_open(given) or _is_open(wanted):
        return False
    if isinstance(given, inspect.UnionType):
        return all(_contradicts(part, wanted, depth - 1) for part in given.types)
    if isinstance(wanted, inspect.UnionType):
        return all(_contradicts(given, part, depth - 1) for part in wanted.types)
    told = _told(given)
    if told.isdisjoint(_told(wanted) | _ALSO_TAKEN.get(type(wanted), frozenset())):
        return True
    if "array" in told:
        return _items_contradict(given, wanted, depth - 1)
    if isinstance(given, _RECORDS) and isinstance(wanted, _RECORDS):
        return _fields_contradict(given, wanted, depth - 1)
    if isinstance(given, inspect.DictType) and isinstance(wanted, inspect.DictType):
        keys = _contradicts(given.key_type, wanted.key_type, depth - 1)
        return keys or _contradicts(given.value_type, wanted.value_type, depth - 1)
    return False


def _told(info: inspect.Type) -> frozenset[str]:
    if isinstance(info, inspect.StructType):
        return frozenset({"array" if info.array_like else "map"})
    if isinstance(info, inspect.EnumType):
        return _of_values(member.value for member in info.cls)
    if isinstance(info, inspect.LiteralType):
        return _of_values(info.values)
    if isinstance(info, inspect.CustomType):
        return frozenset(kind.__name__ for kind in (str, int, float, bytes) if issubclass(info.cls, kind))
    return _GIVEN[type(info)]


def _of_values(values: Iterable[Any]) -> frozenset[str]:
    return frozenset("nil" if value is None else "int" if isinstance(value, int) else "str" for value in values)


def _items_contradict(given: inspect.Type, wanted: inspect.Type, depth: int) -> bool:
    mine, theirs = _places(given), _places(wanted)
    if mine is None or theirs is None:
        return False
    if isinstance(mine, tuple) and isinstance(theirs, tuple):
        return len(mine) != len(theirs) or any(
            _contradicts(one, other, depth) for one, other in zip(mine, theirs, strict=True)
        )
    if isinstance(mine, tuple):
        return any(_contradicts(one, theirs, depth) for one in mine)  # type: ignore[arg-type]  # theirs is one type here
    if isinstance(theirs, tuple):
        return any(_contradicts(mine, other, depth) for other in theirs)
    return _contradicts(mine, theirs, depth)


def _places(info: inspect.Type) -> inspect.Type | tuple[inspect.Type, ...] | None:
    """What is in an array: of each place a type, one for all places, or None: not known."""
    if isinstance(info, inspect.TupleType):
        return info.item_types
    return info.item_type if isinstance(info, _ITEMS) else None


def _fields_contradict(given: Any, wanted: Any, depth: int) -> bool:
    """A record cannot be taken for one that requires what it does not have, or has as another type."""
    mine = {field.encode_name: field.type for field in given.fields}
    for field in wanted.fields:
        if field.encode_name not in mine:
            if field.required:
                return True
        elif _contradicts(mine[field.encode_name], field.type, depth):
            return True
    return False
