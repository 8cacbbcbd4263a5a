"""What a durable step returns, as it is recorded: by the return annotation of its function, or untyped.

A later run gets what was recorded. So a value is recorded only if it comes back as it is; any other is refused.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final

from penstock.model import limits
from penstock.model.errors import InvalidResult, ResultTooLarge
from penstock.tasks.arguments.fidelity import changed, unchanged
from penstock.tasks.arguments.untyped_values import LEAVES, marker
from penstock.tasks.arguments.values import MSGPACK, decoder, encode

_NONE: Final = b"m\xc0"


class StepValues:
    """Encodes and decodes values of one type."""

    def __init__(self, kind: Any) -> None:
        """``kind``: the type; Any: it is not known."""
        try:
            self._decode = decoder(MSGPACK, kind).decode
            self._mark = marker(kind)
            self._kind = kind
        except Exception:  # noqa: BLE001 - msgspec refuses annotations in many ways; such a value is taken untyped
            self._decode = decoder(MSGPACK, Any).decode
            self._mark = marker(Any)
            self._kind = Any

    def recorded(self, value: Any, what: str) -> tuple[bytes, Any]:
        """What is recorded of a value, and the value as a later run will be given it, which is equal. ``what``: of what
        it is, for the text: ``step 'charge'``.

        Raises:
            InvalidResult: it would not come back as it is.
            ResultTooLarge: it is over the limit.
        """
        if value is None and self._kind is Any:
            return _NONE, None
        try:
            data = b"m" + encode(value if self._mark is None else self._mark(value))
            if type(value) not in LEAVES or self._kind is not Any:
                value = self._checked(value, data)
        except Exception as error:
            raise InvalidResult(
                f"The value of {what} cannot be recorded, so a later run could not be given it: {error}."
                f" {_STEP_ADVICE if what.startswith('step ') else 'Give plain data.'}"
            ) from error
        if len(data) > limits.RECORD_BYTES_MAX:
            raise ResultTooLarge(
                f"The value of {what} has {len(data)} bytes; the limit (RECORD_BYTES_MAX) is {limits.RECORD_BYTES_MAX}."
                " Return where the data is, not the data."
            )
        return data, value

    def _checked(self, value: Any, data: bytes) -> Any:
        """The value as it is read, which must be as it was."""
        back = self._decode(memoryview(data)[1:])
        if not unchanged(value, back) and (what := changed(value, back)) is not None:
            raise ValueError(what)
        return back

    def decode(self, data: bytes, what: str) -> Any:
        """A recorded value.

        Raises:
            InvalidResult: it does not fit the annotation any more, or is damaged.
        """
        try:
            return self._decode(memoryview(data)[1:])
        except Exception as error:
            raise InvalidResult(
                f"The recorded value of {what} does not fit what its function returns by now: {error}."
            ) from error


_STEP_ADVICE: Final = "Return plain data, or annotate what the function returns."
UNTYPED: Final = StepValues(Any)


def published_value(found: Mapping[str, tuple[bytes, float]], name: str) -> Any:
    """The value that was published under a name, of those that a store answers; None: there is none."""
    return UNTYPED.decode(found[name][0], f"the published value {name!r}") if name in found else None


@lru_cache(maxsize=1_024)
def _of_type(kind: Any) -> StepValues:
    return StepValues(kind)


def values_of(function: Callable[..., Any]) -> StepValues:
    """For what this function returns, or its coroutine."""
    kind = _returned_by(function)
    if kind is Any:
        return UNTYPED
    try:
        return _of_type(kind)
    except TypeError:  # an annotation need not be hashable
        return StepValues(kind)


def _returned_by(function: Any) -> Any:
    """The return annotation; Any: there is none, or it cannot be resolved."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return Any
    if not hasattr(function, "__annotations__") or not hasattr(function, "__code__"):
        # A task, or an instance whose class can be called.
        function = getattr(function, "__wrapped__", None) or type(function).__call__
    annotation = getattr(function, "__annotations__", {}).get("return", Any)
    if annotation is None:
        return type(None)
    if not isinstance(annotation, str):
        return annotation
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(SimpleNamespace(__annotations__={"return": annotation}), names)["return"]
    except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything
        return Any
