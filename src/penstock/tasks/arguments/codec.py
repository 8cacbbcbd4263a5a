"""Arguments and results on the wire, by a function's signature.

A body is one byte that names the format (``m`` msgpack, made here; ``j`` JSON, made by a client of the gate), then
``[args, kwargs]``. What was given by name is there by name, so that it arrives under that name at a version of the
function that has its parameters in another order; defaults are not stored. A result is the same byte, then the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final, Protocol, Self

import msgspec
from msgspec import Raw

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption, InvalidResult, ResultTooLarge
from penstock.model.flow_texts import covered
from penstock.tasks.arguments.call_identity import call_identity
from penstock.tasks.arguments.call_plan import EMPTY_BODY, Arguments, CallPlan
from penstock.tasks.arguments.fidelity import changed
from penstock.tasks.arguments.named_places import default_texts, defaults_of, own_names, places_of
from penstock.tasks.arguments.named_texts import NamedTexts, WholeText
from penstock.tasks.arguments.parameters import Parameter, Parameters, read_parameters, unresolved
from penstock.tasks.arguments.untyped_values import LEAVES, OffsetUnknown, is_plain
from penstock.tasks.arguments.values import UNSENDABLE, decoder, encode

EMPTY_RESULT: Final = b"m\xc0"
_NONE: Final[dict[str, Any]] = {}
_ANY_READERS: Final[dict[int, Any]] = {}
"""What decodes results of any type, by their format."""


class GivenArguments(Protocol):
    """Arguments as they were given."""

    @property
    def args(self) -> tuple[Any, ...]:
        """By position."""
        ...

    @property
    def kwargs(self) -> dict[str, Any]:
        """By name."""
        ...


class Codec:
    """Encodes calls of one function where they are made, decodes them where the function runs, and the same for what it
    returns. Every `Task` has one.

    Attributes:
        sensitive: parameters whose values are never shown; `penstock.tasks.arguments.sensitive.QuietCodec` has some.
    """

    sensitive: frozenset[str] = frozenset()

    def __init__(self, task: str, function: Callable[..., Any]) -> None:
        """Raises InvalidOption when a parameter cannot be sent.

        An annotation that names what is not defined yet is looked up again at the first use.
        """
        self._task = task
        self._function = function
        self._plan: CallPlan | None = None
        self._without: dict[frozenset[str], Self] = {}
        try:
            self._plan = self.plan_of(read_parameters(task, function))
        except NameError:
            pass

    def plan_of(self, parameters: Parameters) -> CallPlan:
        """A plan for calls of the task as if it had these parameters."""
        return CallPlan(self._task, parameters)

    @property
    def takes_context(self) -> bool:
        """Whether the function wants a `Context` first."""
        return (self._plan or self._resolve()).parameters.takes_context

    def positional_names(self) -> tuple[str, ...]:
        """The parameters that a value can be given for by position, in order.

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        return tuple(parameter.name for parameter in (self._plan or self._resolve()).parameters.positional)

    @property
    def parameters(self) -> Parameters:
        """What the function takes, and returns.

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        return (self._plan or self._resolve()).parameters

    def without(self, names: frozenset[str]) -> Self:
        """The codec for calls in which the arguments of these parameters are not given: they are added to the body
        later, by whoever has their values.

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        found = self._without.get(names)
        if found is None:
            found = copy(self)
            found._plan = self.plan_of(self.parameters.without(names))  # noqa: SLF001 - one of its own kind
            found._without = {}  # noqa: SLF001 - as above
            self._without[names] = found
        return found

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The body of a job that calls the function with these arguments.

        Raises:
            InvalidArguments: one is missing, unknown, given twice, of the wrong type or cannot be sent.
            BodyTooLarge: together they are over the limit.
        """
        plan = self._plan or self._resolve()
        if not args and not kwargs and not plan.needs:
            return EMPTY_BODY
        shape: Any = tuple(map(type, args))
        if kwargs:
            shape = (shape, tuple(kwargs), tuple(map(type, kwargs.values())))
        layout = plan.layouts.get(shape)
        if layout is not None and layout.open and layout.sends_as_it_is(args, kwargs):
            loose = False
        else:
            if layout is None:
                (args, kwargs), layout = plan.checked(args, kwargs, shape)
            elif layout.deep_args or layout.deep_kwargs:
                args, kwargs = plan.fitted(args, kwargs, layout)
            loose = bool(layout.loose_args or layout.loose_kwargs)
        try:
            body = b"m" + encode(plan.marked(args, kwargs, layout) if loose else (args, kwargs))
        except UNSENDABLE as error:
            plan.blame_unsendable(args, kwargs, error)
        if len(body) > limits.JOB_BODY_BYTES_MAX:
            raise self._too_large(len(body))
        if plan.verify and (layout.inexact_args or layout.inexact_kwargs):
            plan.check_arrival(body, args, kwargs, layout)
        return body

    def encode_all(self, calls: Iterable[GivenArguments], bodies: list[bytes]) -> None:
        """Append the body of each call. When one raises, as `encode` does, ``bodies`` has those before it."""
        plan = self._plan or self._resolve()
        plain = not plan.verify
        add, layouts, pack, size_bytes_max = bodies.append, plan.layouts, encode, limits.JOB_BODY_BYTES_MAX
        for call in calls:
            args = call.args
            if args and plain and not call.kwargs:
                # The usual case, spelled out: what is a function call here is one for every job.
                layout = layouts.get(tuple(map(type, args)))
                if layout is not None and (
                    layout.sends_as_it_is(args, _NONE) if layout.open else not (layout.deep_args or layout.loose_args)
                ):
                    try:
                        body = b"m" + pack((args, _NONE))
                    except UNSENDABLE as error:
                        plan.blame_unsendable(args, {}, error)
                    if len(body) <= size_bytes_max:
                        add(body)
                        continue
            add(self.encode(args, call.kwargs))

    def check_json(self, args: bytes | Raw | None, kwargs: bytes | Raw | None) -> bytes:
        """The body for arguments that came as JSON; they are checked, and kept as they came.

        Args:
            args: the text of a JSON array. None: ``[]``.
            kwargs: the text of a JSON object. None: ``{}``.

        Raises:
            InvalidArguments: they do not fit; ``field`` names the argument.
            BodyTooLarge: together they are over the limit.
        """
        body = b"".join((b"j[", b"[]" if args is None else args, b",", b"{}" if kwargs is None else kwargs, b"]"))
        if len(body) > limits.JOB_BODY_BYTES_MAX:
            raise self._too_large(len(body))
        (self._plan or self._resolve()).decode(body)
        return body

    def identity(self, body: bytes) -> tuple[int, int]:
        """What an idempotency key compares the call in ``body`` by: the same for equal calls, through whichever door
        they came, by name or by position.

        Raises:
            InvalidArguments: they do not fit the function.
        """
        plan = self._plan or self._resolve()
        args, kwargs = _compared(plan)(body)
        try:
            return call_identity(plan.places, args, kwargs)
        except UNSENDABLE as error:
            plan.blame_unsendable(args, kwargs, error)

    def decode(self, body: bytes) -> Arguments:
        """The arguments in a body, as their annotated types, without a context.

        Raises:
            InvalidArguments: they do not fit the function; ``field`` names the argument.
        """
        return (self._plan or self._resolve()).decode(body)

    def arguments_decoder(self) -> Callable[[bytes], Arguments]:
        """`decode` for a caller who decodes many bodies: it need not check each time that annotations are resolved.

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        return (self._plan or self._resolve()).decode

    def encode_result(self, value: Any) -> bytes:
        """What is stored for a returned value.

        Raises:
            InvalidResult: it is of a type that cannot be stored.
            ResultTooLarge: it is over the limit.
        """
        if value is None:
            return EMPTY_RESULT
        plan = self._plan or self._resolve()
        try:
            plain = plan.mark_result is None or type(value) in LEAVES or is_plain(value)
            data = b"m" + encode(value if plain else _marked(plan, value))
        except Exception as error:
            raise InvalidResult(f"{self._task}: what it returned cannot be stored: {error}") from error
        if plan.verify_result:
            self._check_result(value, data)
        if len(data) > limits.RESULT_BYTES_MAX:
            raise ResultTooLarge(
                f"{self._task}: its result has {len(data)} bytes; the limit (RESULT_BYTES_MAX) is"
                f" {limits.RESULT_BYTES_MAX}."
            )
        return data

    def decode_result(self, data: bytes) -> Any:
        """A stored result as the function's return annotation, or as plain data where that cannot be decoded to.

        Raises:
            InvalidResult: it does not fit the annotation.
        """
        plan = self._plan or self._resolve()
        return decode_result(data, self._task, plan.returns, plan.result_readers)

    def _check_result(self, value: Any, data: bytes) -> None:
        try:
            what = changed(value, self.decode_result(data))
        except Exception:  # noqa: BLE001 - it does not fit its annotation: who reads it will hear of it
            return
        if what is not None:
            label = self._plan.parameters.returns_label if self._plan else ""
            raise InvalidResult(f"{self._task}: what it returned cannot be stored as `{label}`: {what}")

    @property
    def is_resolved(self) -> bool:
        """Whether the function's annotations are known. Those that name what is not defined yet are not."""
        return self._plan is not None

    def texts(self, option: str, names: Iterable[str]) -> NamedTexts:
        """What computes the texts of these names in calls of the function. ``option``: what asks for them.

        Raises:
            InvalidOption: the function takes no such argument; ``field`` is the option. Or an annotation cannot be
                resolved.
        """
        plan = self._plan or self._resolve()
        defaults = defaults_of(self._function, plan.parameters)
        places = places_of(self._task, option, names, plan.parameters, defaults)
        return NamedTexts(places, _compared(plan), self.sensitive)

    def whole_text(self) -> WholeText:
        """What computes one text of all arguments of a call of the function.

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        plan = self._plan or self._resolve()
        found = plan.parameters
        places = places_of(self._task, "function", own_names(found), found, defaults_of(self._function, found))
        return WholeText(places, len(found.positional), _compared(plan), is_covered=bool(self.sensitive))

    def default_texts(self) -> tuple[tuple[str, str | None], ...]:
        """The names of the parameters, each with the text of its default: of a sensitive one its digest. None: it has
        none.

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        found = (self._plan or self._resolve()).parameters
        rows = default_texts(found, defaults_of(self._function, found))
        return tuple(
            (name, covered(text) if text is not None and name in self.sensitive else text) for name, text in rows
        )

    def schema(self) -> str:
        """The parameters and the return type, as JSON. Workers record it in the store, for people to read, and for
        gates that do not have the code (`RecordedSignature`).

        Raises:
            InvalidOption: an annotation cannot be resolved.
        """
        found = (self._plan or self._resolve()).parameters
        rows = [_schema_row(parameter, found) for parameter in found.all()]
        return msgspec.json.encode({"parameters": rows, "returns": found.returns_label}).decode()

    def _resolve(self) -> CallPlan:
        try:
            self._plan = self.plan_of(read_parameters(self._task, self._function))
        except NameError as error:
            name, which = unresolved(self._function)
            raise InvalidOption(
                f"{self._task}: {which} cannot be resolved ({error}): import at run time what it names, at the top of"
                " the module.",
                field=name,
            ) from error
        return self._plan

    def _too_large(self, size_bytes: int) -> BodyTooLarge:
        return BodyTooLarge(
            f"{self._task}: {size_bytes} bytes of arguments; the limit for one job (JOB_BODY_BYTES_MAX) is"
            f" {limits.JOB_BODY_BYTES_MAX}."
        )


def decode_result(data: bytes, task: str, returns: Any = Any, readers: dict[int, Any] = _ANY_READERS) -> Any:
    """A stored result as the type ``returns``.

    Args:
        data: format byte first.
        task: whose it is.
        returns: the type.
        readers: what decodes to that type, by the format; filled as needed.

    Raises:
        InvalidResult: it does not fit that type, or is damaged.
    """
    if data == EMPTY_RESULT:
        return None
    try:
        read = readers.get(data[0])
        if read is None:
            read = readers[data[0]] = decoder(data[0], returns).decode
        return read(memoryview(data)[1:])
    except Exception as error:
        raise InvalidResult(f"{task}: its result cannot be read as {returns}: {error}") from error


def _marked(plan: CallPlan, value: Any) -> Any:
    """A result as it is encoded; one that does not fit its annotation is encoded as it is."""
    try:
        return plan.mark_result(value) if plan.mark_result is not None else value
    except OffsetUnknown:
        raise
    except (TypeError, AttributeError, ValueError):
        return value


def _compared(plan: CallPlan) -> Callable[[bytes], Arguments]:
    """Reads a body so that equal calls are equal: every field of an instance is there, and of its annotated type."""
    if not plan.instances:
        return plan.decode
    return lambda body: plan.spelled_out(*plan.decode(body))


def _schema_row(parameter: Parameter, among: Parameters) -> dict[str, Any]:
    row = {"name": parameter.name, "type": parameter.label, "required": parameter.required}
    if parameter is among.extra_positional or parameter is among.extra_keyword:
        row["many"] = True
    elif parameter.name not in among.keyword:
        row["positional_only"] = True
    elif parameter not in among.positional:
        row["keyword_only"] = True
    return row
