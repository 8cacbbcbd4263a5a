"""Which calls are the same. When a job has an idempotency key, its call is compared with that of the earlier job.

A job is stored with its arguments as they were given: by name or by position, dicts in their own order. For the
comparison a call is brought into a canonical form: whatever has a name is given by name, in the order of the names;
sets and dicts are sorted; each value has its annotated type. The form is made only for a job with a key, and always
from the body, so that a job from Python and one from HTTP are compared alike. Only its checksum and length leave this
module.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final
from zlib import crc32

import msgspec

from penstock.tasks.arguments.subclasses import to_wire
from penstock.tasks.arguments.values import encode

_encode_sorted: Final = msgspec.msgpack.Encoder(enc_hook=to_wire, order="sorted").encode
_LEAVES: Final = frozenset({str, float, bool, type(None), bytes})


def call_identity(places: list[str | None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, int]:
    """Checksum and length of the canonical form of a call.

    Args:
        places: for each parameter that may be given by position, in order, the name it may be given by; None: it has
            none. Those without a name come first.
        args: decoded, by position.
        kwargs: decoded, by name.

    Raises:
        ValueError, TypeError, OverflowError, RecursionError: a value cannot be encoded.
    """
    unnamed = places.count(None)
    names = [name for name in places if name is not None]
    by_name = dict(zip(names, args[unnamed:], strict=False))
    by_name.update(kwargs)
    call = ((*args[:unnamed], *args[unnamed + len(names) :]), by_name)
    try:
        form = _form(call)
    except TypeError:
        # Keys that are not text, sets of several types: msgspec does not put them in order.
        form = _in_order(call)
    return crc32(form), len(form)


def spelled_out(value: Any) -> Any:
    """A decoded value as plain data, in which instances have all their fields, those with defaults too. When that is
    decoded again, every field has its annotated type. A default need not have it: ``amount: float = 0``."""
    fields = _fields(value)
    if fields is not None:
        if isinstance(value, msgspec.Struct) and type(value).__struct_config__.array_like:
            # The tag, which is first there, was put last.
            tag = [] if type(value).__struct_config__.tag is None else [type(value).__struct_config__.tag]
            return tag + [spelled_out(item) for item in msgspec.structs.astuple(value)]
        value = fields
    if isinstance(value, dict):
        return {key: spelled_out(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [spelled_out(item) for item in value]
    return value


def _form(call: Any) -> bytes:
    try:
        return _encode_sorted(call)
    except OverflowError:  # integers over 64 bits
        return msgspec.json.encode(call, enc_hook=to_wire, order="sorted")


def _in_order(value: Any) -> bytes:
    """A value as bytes that are the same for equal values, whatever their order."""
    kind = type(value)
    if kind in _LEAVES:
        return encode(value)
    if kind is int:
        return b"%d" % value
    if isinstance(value, dict):
        pairs = sorted(_in_order(key) + b":" + _in_order(item) for key, item in value.items())
        return b"{" + b",".join(pairs) + b"}"
    if isinstance(value, (set, frozenset)):
        return b"<" + b",".join(sorted(map(_in_order, value))) + b">"
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join(map(_in_order, value)) + b"]"
    fields = _fields(value)
    if fields is not None:
        return _in_order(fields)
    return encode(value)


def _fields(value: Any) -> dict[str, Any] | None:
    """What an object with fields holds, by their names on the wire; None: it is another kind of value."""
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        config = kind.__struct_config__
        fields = dict(zip(kind.__struct_encode_fields__, msgspec.structs.astuple(value), strict=True))
        return fields if config.tag is None else {**fields, config.tag_field or "type": config.tag}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(kind, "model_validate"):
        dumped: dict[str, Any] = to_wire(value)
        return dumped
    return None
