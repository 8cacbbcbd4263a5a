"""Bodies with arguments by name, read in one pass.

Such a body begins with the number of its positional arguments. For each number there is one decoder, which accepts
the parameters that may then be given by name, and nothing else. A body that it does not accept is decoded by
`penstock.tasks.arguments.call_plan`, which is slower and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import asdict, astuple

from penstock.tasks.arguments.parameters import Parameters
from penstock.tasks.arguments.values import JSON, MSGPACK, decoder

_MISSING: Final = object()
_ARRAY: Final = b"m\x92"
_ONLY_NAMES: Final = b"m\x92\x90"
_ARRAY_MAX: Final = 15
"""Longer arrays do not have their length in their first byte."""
_NONE_BY_POSITION: Final = b"j[[]"
_VIEW_BYTES: Final = 4096
"""From this size on a view of a body is cheaper than a copy."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Read = Callable[[bytes], Arguments | None]


class ByName(dict[bytes, Read]):
    """Readers of the bodies of one signature, by the first three bytes of the body, or four where it is JSON.

    A reader answers None for a body that `CallPlan.decode` must read.
    """

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._parameters = parameters
        self._readable = _can_be_read(parameters)

    def __missing__(self, start: bytes) -> Read:
        read = _reader(self._parameters, start) if self._readable else None
        # Beginnings that mean nothing are not remembered: they come from outside, and there is no end of them.
        if read is None:
            return _slower
        self[start] = read
        return read


def _can_be_read(parameters: Parameters) -> bool:
    """Whether all names of arguments are known beforehand, and can be names of a struct's fields."""
    if parameters.extra_positional is not None or parameters.extra_keyword is not None:
        return False
    return not any(name.startswith("__") for name in parameters.keyword)


def _reader(parameters: Parameters, start: bytes) -> Read | None:
    count = 0
    if start[:2] == _ARRAY and len(start) == len(_ONLY_NAMES):
        count = start[2] - _ONLY_NAMES[2]
        if not 0 <= count <= min(_ARRAY_MAX, len(parameters.positional)):
            return None
    elif start != _NONE_BY_POSITION:
        return None
    by_position = [(f"p{n}", parameter.type) for n, parameter in enumerate(parameters.positional[:count])]
    before = {parameter.name for parameter in parameters.positional[:count]}
    rest = [parameter for name, parameter in parameters.keyword.items() if name not in before]
    required = [(parameter.name, parameter.type) for parameter in rest if parameter.required]
    optional = [(parameter.name, parameter.type, _MISSING) for parameter in rest if not parameter.required]
    if any(p.required and p.name not in parameters.keyword for p in parameters.positional[count:]):
        return None
    names: Any = msgspec.defstruct("Names", [*required, *optional], forbid_unknown_fields=True, gc=False)
    left_out = tuple(name for name, _, _ in optional)
    if start == _ONLY_NAMES:
        return _reader_of_names(decoder(MSGPACK, names).decode, left_out)
    args: Any = msgspec.defstruct("Arguments", by_position, array_like=True, forbid_unknown_fields=True, gc=False)
    form = JSON if start == _NONE_BY_POSITION else MSGPACK
    return _reader_of_both(decoder(form, tuple[args, names]).decode, left_out)


def _reader_of_names(decode: Callable[[Any], Any], left_out: tuple[str, ...]) -> Read:
    def read(body: bytes) -> Arguments | None:
        try:
            named = decode(body[3:] if len(body) < _VIEW_BYTES else memoryview(body)[3:])
        except Exception:  # noqa: BLE001 - users' classes run in here; `CallPlan.decode` meets it again and says so
            return None
        kwargs = asdict(named)
        for name in left_out:
            if kwargs[name] is _MISSING:
                del kwargs[name]
        return (), kwargs

    return read


def _reader_of_both(decode: Callable[[Any], Any], left_out: tuple[str, ...]) -> Read:
    def read(body: bytes) -> Arguments | None:
        try:
            call, named = decode(body[1:] if len(body) < _VIEW_BYTES else memoryview(body)[1:])
        except Exception:  # noqa: BLE001 - as above
            return None
        kwargs = asdict(named)
        for name in left_out:
            if kwargs[name] is _MISSING:
                del kwargs[name]
        return astuple(call), kwargs

    return read


def _slower(_body: bytes) -> None:
    """Nothing is read here."""
