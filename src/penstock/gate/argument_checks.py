"""How the arguments of a job that comes as JSON are checked: against the signature of its task, or for their shape
alone where the signature is not known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import msgspec

from penstock.gate.json_numbers import unfit_number
from penstock.model import limits
from penstock.model.errors import InvalidArguments
from penstock.tasks.arguments.parameters import Parameter, Parameters, read_parameters
from penstock.tasks.arguments.values import from_wire
from penstock.tasks.task import Task

_NO_ARGS: Final = b"[]"
_LOOSE: Final[dict[Any, bytes]] = {
    Any: b"",
    object: b"",
    dict: b"{",
    dict[str, Any]: b"{",
    list: b"[",
    list[Any]: b"[",
}
_BODY_BY_NAME: Final = b"j[[],"

Check = Callable[[bytes, bytes], bytes]
"""``(args, kwargs)``, each JSON text, to a job's body. Raises InvalidArguments or BodyTooLarge."""
CheckKwargs = Callable[[bytes | memoryview], bytes | None]
"""Arguments that are all given by name, as text that need not even be JSON, to a job's body. None: `Check` tells what
they are."""


def placing(task: Task[..., Any], check_kwargs: CheckKwargs | None) -> Check:
    """`Codec.check_json`, naming the place in the request instead of the parameter."""
    check_json = Skipping(task).check_json
    parameters = list(inspect.signature(task.function).parameters)[task.takes_context :]
    count = _counter(len(parameters))

    def check(args: bytes, kwargs: bytes) -> bytes:
        try:
            body = check_kwargs(kwargs) if check_kwargs is not None and args == _NO_ARGS else None
            return check_json(args, kwargs) if body is None else body
        except InvalidArguments as error:
            error.field = _place(error.field, args, kwargs, parameters, count)
            raise

    return check


class Skipping:
    """`Codec.check_json` without making the values that fit whatever they are.

    Four megabytes of JSON can be more than a million lists: where a parameter takes anything, or any object or array,
    its value is passed over, which takes a few milliseconds, instead of being made, which takes some hundred.
    """

    def __init__(self, task: Task[..., Any]) -> None:
        found = read_parameters(task.name, task.function)
        self._task = task
        self._types = {p.name: p.type for p in found.all() if _opening(p.type) is not None}
        self._positional = [parameter.name for parameter in found.positional]
        skipped = Parameters(
            tuple(map(_skipped, found.positional)),
            {name: _skipped(parameter) for name, parameter in found.keyword.items()},
            found.extra_positional and _skipped(found.extra_positional),
            found.extra_keyword and _skipped(found.extra_keyword),
            found.takes_context,
            found.returns,
            found.returns_label,
        )
        self._plan = task.codec.plan_of(skipped) if self._types else None

    def check_json(self, args: bytes, kwargs: bytes) -> bytes:
        """See `Codec.check_json`."""
        size_bytes = len(args) + len(kwargs)
        if self._plan is None or not limits.GATE_LOOP_BYTES_MAX < size_bytes < limits.JOB_BODY_BYTES_MAX:
            return self._task.codec.check_json(args, kwargs)
        body = b"".join((b"j[", args, b",", kwargs, b"]"))
        by_position, by_name = self._plan.decode(body)
        named = dict(zip(self._positional, by_position, strict=False)) | by_name
        for name, value in named.items():
            kind = self._types.get(name)
            opening = _opening(kind) if name in self._types else b""
            if opening and isinstance(value, msgspec.Raw) and bytes(memoryview(value)[:1]) != opening:
                self._refuse(name, kind, value)
        if unfit_number(body) is not None:
            # Unless its parameter takes numbers of any size.
            return self._task.codec.check_json(args, kwargs)
        return body

    def _refuse(self, name: str, kind: Any, value: msgspec.Raw) -> None:
        """It begins otherwise than its type does, so that the decoder stops at its first byte."""
        try:
            msgspec.json.decode(value, type=kind)
        except msgspec.DecodeError as error:
            raise InvalidArguments(f"{self._task.name}: argument {name!r}: {error}", field=name) from error


def _skipped(parameter: Parameter) -> Parameter:
    return parameter if _opening(parameter.type) is None else replace(parameter, type=msgspec.Raw)


def by_name(task: Task[..., Any]) -> CheckKwargs | None:
    """The body when all arguments, given by name, fit: in one step of the decoder, which the codec takes for each.

    It need not be sure when they do not: the codec then says why. None: such calls are not as simple as that.
    """
    found = read_parameters(task.name, task.function)
    if len(found.all()) != len(found.keyword) or any(p.traits.typed_dicts for p in found.keyword.values()):
        return None
    loose = {p.name: opening for p in found.keyword.values() if (opening := _opening(p.type)) is not None}
    try:
        make, skip = _decoder(found.keyword.values()), _decoder(map(_skipped, found.keyword.values()))
    except (TypeError, ValueError):
        return None
    openings = [(name, opening) for name, opening in loose.items() if opening]

    def check(kwargs: bytes | memoryview) -> bytes | None:
        # To make the values of a text that is not large takes less than to look for numbers in what is skipped.
        small = len(kwargs) <= limits.GATE_LOOP_BYTES_MAX
        try:
            values = make(kwargs) if small else skip(kwargs)
        except Exception:  # noqa: BLE001 - users' classes run in here, and may raise anything
            return None
        if small:
            return b"".join((_BODY_BY_NAME, kwargs, b"]"))
        for name, opening in openings:
            value = getattr(values, name)
            if value is not None and bytes(memoryview(value)[:1]) != opening:
                return None
        if loose and unfit_number(kwargs) is not None:
            return None
        return b"".join((_BODY_BY_NAME, kwargs, b"]"))

    return check


def _decoder(parameters: Iterable[Parameter]) -> Callable[[bytes | memoryview], Any]:
    """Reads an object of arguments by name."""
    fields = [(p.name, p.type) if p.required else (p.name, p.type, None) for p in parameters]
    kind = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(kind, dec_hook=from_wire).decode


def _opening(kind: Any) -> bytes | None:
    """How the JSON of a type begins whose values need not be made to know that they fit; empty: anyhow. None: another
    type. (What is skipped is still JSON; `unfit_number` finds what is not to be decoded in it.)"""
    try:
        return _LOOSE.get(kind)
    except TypeError:
        return None


def _place(field: str | None, args: bytes, kwargs: bytes, parameters: list[str], count: Callable[[bytes], int]) -> str:
    """Where in the request the parameter ``field`` stands, or should."""
    if not args.startswith(b"[") or (field == "args" and field not in parameters):
        return "args"
    if not kwargs.startswith(b"{") or (field == "kwargs" and field not in parameters):
        return "kwargs"
    positional = count(args)
    if field is None:
        return "args" if positional else "kwargs"
    if field in parameters and parameters.index(field) < positional and not _has_key(kwargs, field):
        return f"args[{parameters.index(field)}]"
    return f"kwargs.{field}"


def _counter(most: int) -> Callable[[bytes], int]:
    """Counts the items of a JSON array, no further than so many: the rest is passed over."""
    fields = [(f"item_{index}", msgspec.Raw, None) for index in range(max(1, most))]
    decode = msgspec.json.Decoder(msgspec.defstruct("Items", fields, array_like=True, gc=False)).decode

    def count(args: bytes) -> int:
        try:
            return sum(item is not None for item in msgspec.structs.astuple(decode(args)))
        except msgspec.DecodeError:
            return 0

    return count


@lru_cache(maxsize=1_024)
def _member(name: str) -> msgspec.json.Decoder[Any]:
    kind = msgspec.defstruct("Member", [("member", msgspec.Raw, None)], rename={"member": name}, gc=False)
    return msgspec.json.Decoder(kind)


def _has_key(kwargs: bytes, name: str) -> bool:
    """Whether a JSON object has a member of this name; the others are passed over."""
    try:
        return _member(name).decode(kwargs).member is not None
    except msgspec.DecodeError:
        return False


def check_shape(args: bytes, kwargs: bytes) -> bytes:
    """A job's body from arguments whose signature is not known here; the worker checks them.

    Raises:
        InvalidArguments: not an array, or not an object.
    """
    if not args.startswith(b"["):
        raise InvalidArguments("`args` is an array.", field="args")
    if not kwargs.startswith(b"{"):
        raise InvalidArguments("`kwargs` is an object.", field="kwargs")
    for field, text in (("args", args), ("kwargs", kwargs)):
        unfit = unfit_number(text)
        if unfit is not None:
            raise InvalidArguments(f"`{field}`: {unfit}.", field=field)
    return b"".join((b"j[", args, b",", kwargs, b"]"))
