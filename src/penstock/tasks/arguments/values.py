"""Single values on the wire: which types can be sent, and how types that msgspec does not know become ones it knows.

A type can be sent when msgspec knows it (builtins, datetime, Decimal, UUID, Enum, dataclasses, NamedTuple, TypedDict,
structs, containers and unions of these), or when it is a `pathlib` path, a subclass of str, int, float or bytes, or a
pydantic model (known by its methods, so that pydantic is never imported).
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import types
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Struct, inspect

from penstock.tasks.arguments.results import Results
from penstock.tasks.arguments.subclasses import REMADE, class_name, to_wire
from penstock.tasks.arguments.untyped_values import unmarked

_NATIVE: Final = (
    bytes,
    bytearray,
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    uuid.UUID,
)
"""Types of which a call must give instances. msgspec would also accept the text form of one."""
_SUBCLASSED: Final[tuple[Any, ...]] = (str, int, float, bytes)
_COMMON: Final = (Any, str, int, float, bool)
_FAULTS_MAX: Final = 3
_FAULT_CHARS_MAX: Final = 200
_SHALLOW: Final = frozenset({Any, object, str, int, float, bool, type(None), *_NATIVE} - {bytearray})


class Traits(Struct, frozen=True):
    """What a codec must know of a type.

    Attributes:
        shallow: whether a value fits is settled by its class alone.
        inexact: only decoding what was encoded tells whether a value arrives as it is.
        records: it has types with named fields, of which a dict may have more.
        typed_dicts: some of these are dicts themselves.
        dataclasses: some of these are dataclasses.
        has_times: it has times of day, with or without a zone.
        instances: it has classes of which an instance is taken as it is, so that what is in it is still to be checked.
        foreign: classes in it that cannot be sent.
    """

    shallow: bool
    instances: bool
    foreign: tuple[str, ...]
    inexact: bool = False
    records: bool = False
    typed_dicts: bool = False
    dataclasses: bool = False
    has_times: bool = False


MSGPACK: Final = ord("m")
JSON: Final = ord("j")
UNSENDABLE: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""What encoding a value that cannot be sent raises; the hook's own and Unicode errors are among them."""


def traits(kind: Any) -> Traits:
    """Look into a type.

    Raises:
        TypeError: msgspec cannot decode it; the message says why.
    """
    if kind in _COMMON:
        return Traits(shallow=True, instances=False, foreign=())
    decoder(MSGPACK, kind)
    found = _parts(inspect.type_info(kind))
    shallow = _is_shallow(kind)
    instances = any(isinstance(part, _INSTANCES) for part in found)
    return Traits(
        shallow=shallow,
        instances=instances,
        inexact=(instances and not shallow) or any(_is_inexact(part) for part in found),
        records=any(isinstance(part, _RECORDS) for part in found),
        has_times=any(isinstance(part, inspect.TimeType) for part in found),
        typed_dicts=any(isinstance(part, inspect.TypedDictType) for part in found),
        dataclasses=any(isinstance(part, inspect.DataclassType) for part in found),
        foreign=tuple(
            part.cls.__name__ for part in found if isinstance(part, inspect.CustomType) and not _travels(part.cls)
        ),
    )


_RECORDS: Final = (inspect.TypedDictType, inspect.DataclassType, inspect.StructType)
_INSTANCES: Final = (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType, inspect.CustomType)


def from_wire(kind: type, value: Any) -> Any:
    """For msgspec's decoder: make an instance of a class that msgspec does not know of a decoded value."""
    if kind is Results or get_origin(kind) is Results:
        return _results(kind, value)
    if kind is object or isinstance(value, kind):
        return value
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if hasattr(kind, "model_validate"):
        return _validated(kind, value)
    for base in _SUBCLASSED:
        if issubclass(kind, base) and type(value) is base:
            return kind(value)
    for base, make in REMADE.items():
        if issubclass(kind, base):
            return make(kind, msgspec.convert(value, base))
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _results(kind: Any, value: Any) -> Results[Any]:
    if not isinstance(value, Results):
        raise TypeError(f"Expected `Results`, got `{class_name(type(value))}`")
    [items] = get_args(kind) or [Any]
    return value if items is Any else value.decoded_by(result_reader(items))


def result_reader(kind: Any) -> Callable[[bytes], Any]:
    """What decodes stored results, format byte first, to a type."""
    readers: dict[int, Callable[[Any], Any]] = {}

    def read(data: bytes) -> Any:
        if data[0] not in readers:
            readers[data[0]] = decoder(data[0], kind).decode
        return readers[data[0]](memoryview(data)[1:])

    return read


def fitted(value: Any, kind: Any) -> Any:
    """A caller's value as what will be sent for a parameter of type ``kind``.

    Raises:
        msgspec.ValidationError: it does not fit; text is not taken for a date, a path and the like.
    """
    return msgspec.convert(value, kind, builtin_types=_NATIVE, dec_hook=_from_caller)


def _from_caller(kind: type, value: Any) -> Any:
    if kind is Results or get_origin(kind) is Results:
        return _results(kind, value)
    if isinstance(value, kind):
        return value
    if hasattr(kind, "model_validate") and isinstance(value, dict):
        return from_wire(kind, value)
    raise TypeError(f"Expected `{class_name(kind)}`, got `{class_name(type(value))}`")


def _validated(kind: Any, value: Any) -> Any:
    """``value`` as a pydantic model.

    Raises:
        ValueError: it is none. What pydantic says itself holds the values, which may be secret, and is many lines long.
    """
    try:
        return kind.model_validate(value)
    except ValueError as error:
        faults = getattr(error, "errors", None)
        if faults is None:
            raise
        found = faults(include_url=False, include_context=False, include_input=False)
    told = [_fault(fault["loc"], fault["msg"]) for fault in found[:_FAULTS_MAX]]
    if len(found) > _FAULTS_MAX:
        told.append(f"and {len(found) - _FAULTS_MAX} more")
    raise ValueError("; ".join(told))


def _fault(place: tuple[int | str, ...], what: str) -> str:
    """What is wrong, after the field: ``items[0].name: Input should be a valid string``."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
    # Names and words may be the sender's, and msgspec's own place is found by its backticks.
    said = " ".join((f"{path}: {what}" if path else what).replace("`", "'").split())
    return said if len(said) <= _FAULT_CHARS_MAX else f"{said[:_FAULT_CHARS_MAX]}…"


def _travels(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    return (
        kind is object
        or issubclass(kind, (PurePath, Results, *_SUBCLASSED, *REMADE))
        or hasattr(kind, "model_validate")
    )


def _is_inexact(part: Any) -> bool:
    """Whether two values of this class may differ although their classes and texts do not: a time may have a zone whose
    offset depends on the date, and a `PurePath` may be one of another system."""
    return isinstance(part, inspect.TimeType) or (isinstance(part, inspect.CustomType) and part.cls is PurePath)


def _is_shallow(kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return all(_is_shallow(part) for part in get_args(kind))
    try:
        return kind in _SHALLOW or _is_class(kind, enum.Enum) or _is_class(kind, PurePath)
    except TypeError:  # an annotation need not be hashable
        return False


def _is_class(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _parts(root: inspect.Type) -> list[Any]:
    """All types within a type, itself included; a type may hold itself."""
    seen: dict[int, Any] = {}
    rest: list[Any] = [root]
    while rest:
        part = rest.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, (tuple, list)):
            rest.extend(part)
        elif isinstance(part, (inspect.Type, inspect.Field)):
            rest.extend(getattr(part, name) for name in part.__struct_fields__ if name not in ("default", "cls"))
    return list(seen.values())


_DECODERS: Final[dict[int, Any]] = {
    MSGPACK: partial(msgspec.msgpack.Decoder, ext_hook=unmarked),
    JSON: msgspec.json.Decoder,
}
encode: Final = msgspec.msgpack.Encoder(enc_hook=to_wire).encode
"""A value as msgpack. Raises one of `UNSENDABLE`."""


def decoder(form: int, kind: Any) -> Any:
    """A decoder of msgspec's for one format and type.

    Raises:
        msgspec.DecodeError: there is no such format.
    """
    maker = _DECODERS.get(form)
    if maker is None:
        raise msgspec.DecodeError(f"{form:#04x} is not a format")
    return maker(kind, dec_hook=from_wire)
