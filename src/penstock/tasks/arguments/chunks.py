"""Bodies and results of jobs that make several calls, one after the other (`penstock.model.job.JobExtra.each`).

Such a body is ``[[args, …], {}]``: of each call its positional arguments. The result is the list of what the calls
returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from penstock.model import limits
from penstock.model.errors import InvalidArguments, ResultTooLarge
from penstock.tasks.arguments.call_plan import Arguments

_BODY: Final = b"m\x92"
_NO_NAMES: Final = b"\x80"
_read: Final = msgspec.msgpack.Decoder(tuple[list[Raw], dict[str, Raw]]).decode


def chunk_body(bodies: Iterable[bytes]) -> bytes:
    """One body of those of several calls, none of which has an argument by name."""
    parts = [body[len(_BODY) : -len(_NO_NAMES)] for body in bodies]
    return b"".join((_BODY, _array_header(len(parts)), *parts, _NO_NAMES))


def chunk_decoder(decode: Callable[[bytes], Arguments]) -> Callable[[bytes], Arguments]:
    """What reads such a body as one argument: the list of the arguments of each call, which ``decode`` reads."""

    def read(body: bytes) -> Arguments:
        if body[:1] != _BODY[:1]:
            raise InvalidArguments("A chunk of calls is msgpack, and this body is not.", field="args")
        try:
            parts, _ = _read(memoryview(body)[1:])
        except msgspec.MsgspecError as error:
            raise InvalidArguments(f"A chunk of calls cannot be read: {error}", field="args") from error
        return ([decode(b"".join((_BODY, part, _NO_NAMES))) for part in parts],), {}

    return read


def chunk_result_encoder(task: str, encode_result: Callable[[Any], bytes]) -> Callable[[list[Any]], bytes]:
    """What makes one result of those of several calls, each of which ``encode_result`` makes."""

    def encode(values: list[Any]) -> bytes:
        data = b"".join((_BODY[:1], _array_header(len(values)), *(encode_result(value)[1:] for value in values)))
        if len(data) > limits.RESULT_BYTES_MAX:
            raise ResultTooLarge(
                f"{task}: the results of a chunk have {len(data)} bytes; the limit (RESULT_BYTES_MAX) is"
                f" {limits.RESULT_BYTES_MAX}: make smaller chunks."
            )
        return data

    return encode


def _array_header(count: int) -> bytes:
    """What a msgpack array of so many items begins with."""
    if count < 1 << 4:
        return bytes([0x90 | count])
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")
