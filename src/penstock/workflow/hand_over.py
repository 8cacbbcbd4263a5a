"""Handing values over as bytes: results become arguments by splicing msgpack, and nothing is decoded.

A body is the format byte ``m`` and ``[args, kwargs]``; a result is the format byte ``m`` and the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack, unpack_from
from typing import Final

import msgspec
from msgspec import Raw

from penstock.model.errors import InvalidOption
from penstock.model.job_error import JobError

FORMAT: Final = b"m"
"""The format byte of what can be handed over."""
NIL: Final = b"\xc0"
"""The value of a member that has failed, or of a block that names none."""
REFERENCE_CODE: Final = 80
"""The code of the extension type that a reference is."""
REFERENCE_BYTES: Final = 3 + 16 + 4

_halves = msgspec.msgpack.Decoder(tuple[Raw, Raw]).decode
_calls = msgspec.msgpack.Decoder(list[Raw]).decode
_encode = msgspec.msgpack.Encoder().encode


def value_of(result: bytes | None) -> bytes:
    """The msgpack of a stored result. None: there is none, which is the value None.

    Raises:
        InvalidOption: it has another format.
    """
    if result is None:
        return NIL
    if result[:1] != FORMAT:
        raise InvalidOption(f"A result with the format {result[:1]!r} cannot be handed over; it is to be msgpack.")
    return result[1:]


def as_result(value: bytes) -> bytes:
    """A value as a stored result."""
    return FORMAT + value


def reference(workflow: bytes, step: int) -> bytes:
    """A value that is read in pages: the results of this step."""
    return b"\xc7" + pack(">BB16sI", 20, REFERENCE_CODE, workflow, step)


def error_value(error: JobError) -> bytes:
    """An error as a value."""
    return _encode({"type": error.type, "message": error.message, "traceback": error.traceback})


def list_value(values: Sequence[bytes]) -> bytes:
    """Values as the value that is the list of them."""
    return _array_header(len(values)) + b"".join(values)


def map_value(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Values by name as the value that is the map of them."""
    members = [_encode(name) + value for name, value in parts]
    return _map_header(len(members)) + b"".join(members)


def spliced(
    body: bytes,
    *,
    before: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
    named: Sequence[tuple[str, bytes]] = (),
    each: bool = False,
) -> bytes:
    """A body with further arguments.

    Args:
        before: values that become the first positional arguments.
        after: values that become the last positional arguments.
        named: values that become arguments by name. The call must not have these names already.
        each: the positional arguments of the body are calls, each a list of its own: each gets the further ones.

    Raises:
        InvalidOption: the body is not what a body is.
    """
    if not (before or after or named):
        return body
    if body[:1] != FORMAT:
        raise InvalidOption("Values can only be handed over to a call whose arguments are msgpack.", field="body")
    try:
        args, kwargs = map(bytes, _halves(memoryview(body)[1:]))
        if before or after:
            args = _each_extended(args, before, after) if each else _extended(args, before, after)
    except (msgspec.DecodeError, msgspec.ValidationError, IndexError, KeyError) as error:
        raise InvalidOption(f"The arguments of a call are no [args, kwargs] ({error}).", field="body") from error
    if named:
        count, at = _map_count(kwargs)
        members = [_encode(name) + value for name, value in named]
        kwargs = _map_header(count + len(members)) + kwargs[at:] + b"".join(members)
    return b"m\x92" + args + kwargs


def _each_extended(calls: bytes, before: Sequence[bytes], after: Sequence[bytes]) -> bytes:
    each = [_extended(bytes(call), before, after) for call in _calls(calls)]
    return list_value(each)


def _extended(array: bytes, before: Sequence[bytes], after: Sequence[bytes]) -> bytes:
    count, at = _array_count(array)
    header = _array_header(count + len(before) + len(after))
    return header + b"".join(before) + array[at:] + b"".join(after)


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    return pack(">BH", 0xDC, count) if count < 1 << 16 else pack(">BI", 0xDD, count)


def _map_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x80 | count,))
    return pack(">BH", 0xDE, count) if count < 1 << 16 else pack(">BI", 0xDF, count)


def _array_count(data: bytes) -> tuple[int, int]:
    """How many elements an array has, and where the first begins."""
    return _count(data, 0x90, 0xDC, 0xDD)


def _map_count(data: bytes) -> tuple[int, int]:
    """How many members a map has, and where the first begins."""
    return _count(data, 0x80, 0xDE, 0xDF)


def _count(data: bytes, short: int, middle: int, long: int) -> tuple[int, int]:
    first = data[0]
    if first & 0xF0 == short:
        return first & 0x0F, 1
    if first == middle:
        return unpack_from(">H", data, 1)[0], 3
    if first == long:
        return unpack_from(">I", data, 1)[0], 5
    raise InvalidOption("The arguments of a call are no [args, kwargs].", field="body")
