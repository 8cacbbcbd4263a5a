"""The codec of a task that has sensitive parameters: no error that it raises has anything of their values.

What is wrong with a value is mostly told by msgspec, by pydantic or by a class of the user's, and these may quote the
value. Of a sensitive parameter only its name and type are told. The exception that says more is not chained either, for
whoever logs an exception logs what it is chained to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from msgspec import Raw

from penstock.model.errors import InvalidArguments
from penstock.tasks.arguments.call_plan import Arguments, CallPlan
from penstock.tasks.arguments.codec import Codec, GivenArguments
from penstock.tasks.arguments.parameters import Parameters
from penstock.tasks.arguments.values import UNSENDABLE, encode

_NOT_SHOWN: Final = "It is sensitive, so nothing of its value is shown"


class QuietCodec(Codec):
    """A `Codec` whose errors say nothing of the values of some parameters."""

    def __init__(self, task: str, function: Callable[..., Any], sensitive: Sequence[str]) -> None:
        """As `Codec`. ``sensitive``: the names of those parameters."""
        self.sensitive = frozenset(sensitive)
        super().__init__(task, function)

    def plan_of(self, parameters: Parameters) -> CallPlan:
        """As `Codec.plan_of`."""
        return _QuietPlan(self._task, parameters, self.sensitive)

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """As `Codec.encode`."""
        with _unchained():
            return super().encode(args, kwargs)

    def encode_all(self, calls: Iterable[GivenArguments], bodies: list[bytes]) -> None:
        """As `Codec.encode_all`."""
        with _unchained():
            super().encode_all(calls, bodies)

    def check_json(self, args: bytes | Raw | None, kwargs: bytes | Raw | None) -> bytes:
        """As `Codec.check_json`."""
        with _unchained():
            return super().check_json(args, kwargs)

    def identity(self, body: bytes) -> tuple[int, int]:
        """As `Codec.identity`."""
        with _unchained():
            return super().identity(body)

    def decode(self, body: bytes) -> Arguments:
        """As `Codec.decode`."""
        with _unchained():
            return super().decode(body)

    def arguments_decoder(self) -> Callable[[bytes], Arguments]:
        """As `Codec.arguments_decoder`."""
        super().arguments_decoder()
        return self.decode


class _QuietPlan(CallPlan):
    """A plan whose errors say nothing of the values of some parameters."""

    def __init__(self, task: str, parameters: Parameters, sensitive: frozenset[str]) -> None:
        self._sensitive = sensitive
        self._names = {parameter.name for parameter in parameters.all()}
        super().__init__(task, parameters)

    def _unfit(self, name: str, why: str) -> InvalidArguments:
        return self._quiet(name) if name in self._sensitive else super()._unfit(name, why)

    def _check_sendable(self, name: str, value: Any) -> None:
        if name not in self._sensitive:
            super()._check_sendable(name, value)
            return
        try:
            encode(value)
        except UNSENDABLE:
            raise self._quiet(name) from None

    def _blame_undecodable(self, error: Exception) -> NoReturn:
        try:
            super()._blame_undecodable(error)
        except InvalidArguments as told:
            if told.field in self._sensitive:
                raise self._quiet(str(told.field)) from None
            if told.field in self._names:
                raise
            # It is not known which argument is to blame, so it may be a sensitive one.
            raise InvalidArguments(
                f"{self._task}: its arguments cannot be read, or do not fit. Some are sensitive, so no more is shown.",
                field=told.field,
            ) from None

    def _quiet(self, name: str) -> InvalidArguments:
        found = self.parameters.keyword.get(name)
        label = f" `{found.label}`" if found is not None else ""
        return InvalidArguments(
            f"{self._task}: argument {name!r} does not fit its type{label}, or cannot be sent. {_NOT_SHOWN}.",
            field=name,
        )


@contextmanager
def _unchained() -> Iterator[None]:
    try:
        yield
    except InvalidArguments as error:
        raise error from None
