"""What is computed once for a signature: how its calls are checked and decoded."""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from penstock.model.errors import InvalidArguments
from penstock.tasks.arguments.bodies_by_name import ByName
from penstock.tasks.arguments.call_identity import spelled_out
from penstock.tasks.arguments.call_layouts import Layout, open_ones
from penstock.tasks.arguments.fidelity import changed, complete, lost, unchanged
from penstock.tasks.arguments.parameters import Parameter, Parameters
from penstock.tasks.arguments.subclasses import class_name, members, rebased
from penstock.tasks.arguments.untyped_values import LEAVES, lenient, marker
from penstock.tasks.arguments.values import JSON, MSGPACK, UNSENDABLE, decoder, encode, fitted, traits

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

EMPTY_BODY: Final = b"m\x92\x90\x80"

_MISSING: Final = object()
_NOWHERE: Final = 1 << 62
"""The place of a parameter that has none among the positional ones."""
_NO_NAMES: Final = 0x80
_END: Final = ord("]")
_SHAPES_MAX: Final = 64
_VIEW_BYTES: Final = 4096
"""From this size on a view of a body is cheaper than a copy."""
_WIRE_WORDS = re.compile(r"Expected `(?:object|array)\b[^`]*`, got `[^`]*`")
_PLACE = re.compile(r" - at `.*\$\[([01])\](?:\[(\d+)\])?")


class CallPlan:
    """The plan of one signature. A `Codec` has one, and asks it for whatever depends on the signature.

    Attributes:
        parameters: the signature.
        layouts: what remains to be checked of calls, by the shapes of calls that were seen and fit.
        places: for each parameter by position, in order, the name it may be given by; None: it has none.
        needs: there are required parameters.
        instances: there are classes in it whose fields may have defaults.
        verify: of some calls, what was encoded must be decoded once, to know that it fits and arrives as it is.
        returns: the type that results are decoded to.
        result_readers: decoders of results, by the byte that names the format.
        mark_result: what is done to a result before it is encoded; None: nothing.
        verify_result: a result is decoded once when it is stored, to know that it will be read as it was.
    """

    def __init__(self, task: str, parameters: Parameters) -> None:
        every = parameters.all()
        self.parameters = parameters
        self.layouts: dict[Any, Layout] = {}
        self.needs = any(parameter.required for parameter in every)
        self.instances = any(parameter.traits.instances for parameter in every)
        self.verify = any(parameter.traits.inexact for parameter in every)
        self._dataclasses = any(parameter.traits.dataclasses for parameter in every)
        self._typed_dicts = any(parameter.traits.typed_dicts for parameter in every)
        if self._dataclasses or self._typed_dicts:
            self.decode = self._decode_whole  # type: ignore[method-assign]  # others do not pay for it
        self.returns = _decodable(parameters.returns)
        self.result_readers: dict[int, Any] = {}
        self.mark_result = marker(self.returns, lenient)
        found = traits(self.returns)
        self.verify_result = found.has_times or found.typed_dicts
        self._task = task
        self.places = [p.name if p.name in parameters.keyword else None for p in parameters.positional]
        self._place = {parameter.name: index for index, parameter in enumerate(parameters.positional)}
        self._required = [
            (parameter.name, self._place.get(parameter.name, _NOWHERE), parameter.name in parameters.keyword)
            for parameter in every
            if parameter.required
        ]
        self._enough = 1 + max((place for _, place, _ in self._required), default=-1)
        self._calls: dict[int, Any] = {}
        self._named = ByName(parameters)
        self._singles: dict[int, dict[str, Any]] = {MSGPACK: {}, JSON: {}}

    def checked(self, args: tuple[Any, ...], kwargs: dict[str, Any], shape: Any) -> tuple[Arguments, Layout]:
        """The arguments of a call of a shape not seen before, by name or by position as given, and its layout.

        Raises:
            InvalidArguments: they do not fit.
        """
        count = len(args)
        positional = self._by_position(count)
        named = {name: self._by_name(name, count) for name in kwargs}
        self._check_missing(count, kwargs)
        deep_args, deep_kwargs = list(enumerate(positional)), list(named.items())
        loose_args = [(n, p) for n, p in deep_args if p.mark and type(args[n]) not in LEAVES]
        loose_kwargs = [(name, p) for name, p in deep_kwargs if p.mark and type(kwargs[name]) not in LEAVES]
        inexact = (
            [(n, p) for n, p in deep_args if p.traits.inexact and args[n] is not None],
            [(name, p) for name, p in deep_kwargs if p.traits.inexact and kwargs[name] is not None],
        )
        everything = Layout(deep_args, deep_kwargs, loose_args, loose_kwargs, *inexact)
        found = self.fitted(args, kwargs, everything)
        if len(self.layouts) < _SHAPES_MAX and count <= len(self.parameters.positional):
            deep_args = [(n, p) for n, p in deep_args if not _is_settled(p, args[n], found[0][n])]
            deep_kwargs = [(name, p) for name, p in deep_kwargs if not _is_settled(p, kwargs[name], found[1][name])]
            open_args = open_ones([*deep_args, *loose_args], args)
            open_kwargs = open_ones([*deep_kwargs, *loose_kwargs], kwargs)
            self.layouts[shape] = Layout(
                deep_args,
                deep_kwargs,
                loose_args,
                loose_kwargs,
                *inexact,
                open_args=open_args or [],
                open_kwargs=open_kwargs or [],
                open=open_args is not None and open_kwargs is not None and bool(open_args or open_kwargs),
            )
        return found, everything

    def fitted(self, args: tuple[Any, ...], kwargs: dict[str, Any], layout: Layout) -> Arguments:
        """The arguments of a call as they will be sent, checked as far as its layout asks for.

        Raises:
            InvalidArguments: they do not fit.
        """
        if layout.deep_args:
            values = list(args)
            for place, parameter in layout.deep_args:
                values[place] = self._fit(parameter, parameter.name, values[place])
            args = tuple(values)
        if layout.deep_kwargs:
            kwargs = dict(kwargs)
            for name, parameter in layout.deep_kwargs:
                kwargs[name] = self._fit(parameter, name, kwargs[name])
        return args, kwargs

    def marked(self, args: tuple[Any, ...], kwargs: dict[str, Any], layout: Layout) -> Arguments:
        """Arguments as they are encoded: those of which the signature says nothing are marked with what they are.

        Raises:
            InvalidArguments: one is of a class that only an annotation could bring back.
        """
        if layout.loose_args:
            values = list(args)
            for place, parameter in layout.loose_args:
                values[place] = self._mark(parameter, parameter.name, values[place])
            args = tuple(values)
        if layout.loose_kwargs:
            kwargs = dict(kwargs)
            for name, parameter in layout.loose_kwargs:
                kwargs[name] = self._mark(parameter, name, kwargs[name])
        return args, kwargs

    def check_arrival(self, body: bytes, args: tuple[Any, ...], kwargs: dict[str, Any], layout: Layout) -> None:
        """Decode what was encoded, and compare: pass when the arguments arrive as they are.

        Raises:
            InvalidArguments: one does not, or does not fit.
        """
        found_args, found_kwargs = self.decode(body)
        for place, parameter in layout.inexact_args:
            self._check_same(parameter, parameter.name, args[place], found_args[place])
        for name, parameter in layout.inexact_kwargs:
            self._check_same(parameter, name, kwargs[name], found_kwargs.get(name))

    def decode(self, body: bytes) -> Arguments:
        """The arguments in a body.

        Raises:
            InvalidArguments: they do not fit, or the body is damaged.
        """
        if body == EMPTY_BODY and not self.needs:
            return (), {}
        form = body[0] if body else 0
        last = body[-1] if body else 0
        # What ends with an empty map has nothing by name.
        if last != _NO_NAMES and (last != _END or body[-3:] != b"{}]"):
            found = self._named[body[:3] if form == MSGPACK else body[:4]](body)
            if found is not None:
                return found
        try:
            read = self._calls.get(form) or self._call_decoder(form)
            call, kwargs = read(body[1:] if len(body) < _VIEW_BYTES else memoryview(body)[1:])
        except Exception as error:  # noqa: BLE001 - users' classes run in here, and may raise anything
            self._blame_undecodable(error)
        args = astuple(call) if self.parameters.extra_positional is None else self._decode_each(form, call)
        while args and args[-1] is _MISSING:
            args = args[:-1]
        if not kwargs and len(args) >= self._enough:
            return args, kwargs
        count = len(args)
        for name, raw in kwargs.items():
            kwargs[name] = self._decode_one(form, self._by_name(name, count), name, raw)
        self._check_missing(count, kwargs)
        return args, kwargs

    def spelled_out(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Decoded arguments in which every instance has all its fields, each of its annotated type. Where that cannot
        be done (a class may refuse what it has made itself), the arguments as they are."""
        try:
            return self.decode(b"m" + encode((spelled_out(args), spelled_out(kwargs))))
        except Exception:  # noqa: BLE001 - users' classes run in here, and may raise anything
            return args, kwargs

    def _decode_whole(self, body: bytes) -> Arguments:
        """`decode` for signatures with dataclasses or typed dicts. Fields that were left out get their defaults. Of
        JSON, keys that a typed dict does not have are refused."""
        args, kwargs = CallPlan.decode(self, body)
        if body[:1] != b"j":
            return args, kwargs
        if self._dataclasses:
            complete((args, kwargs))
        if not self._typed_dicts:
            return args, kwargs
        given_args, given_kwargs = decoder(JSON, tuple[tuple[Any, ...], dict[str, Any]]).decode(body[1:])
        count = len(args)
        pairs = [(p, p.name, *both) for p, *both in zip(self._by_position(count), given_args, args, strict=False)]
        pairs += [(self._by_name(name, count), name, given_kwargs[name], value) for name, value in kwargs.items()]
        for parameter, name, given, value in pairs:
            left_out = lost(given, value) if parameter.traits.typed_dicts else None
            if left_out is not None:
                raise self._unfit(name, left_out)
        return args, kwargs

    def blame_unsendable(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> NoReturn:
        """Raise InvalidArguments for the argument that does not encode."""
        for parameter, value in zip(self._by_position(len(args)), args, strict=True):
            self._check_sendable(parameter.name, value)
        for name, value in kwargs.items():
            self._check_sendable(name, value)
        raise InvalidArguments(f"{self._task}: its arguments cannot be sent: {error}") from error

    def _by_position(self, count: int) -> list[Parameter]:
        """The parameters of so many positional arguments.

        Raises:
            InvalidArguments: the function does not take as many.
        """
        found = list(self.parameters.positional[:count])
        more = count - len(found)
        extra = self.parameters.extra_positional
        if not more:
            return found
        if extra is None:
            most = len(found)
            raise InvalidArguments(
                f"{self._task}: takes {most} positional argument{'' if most == 1 else 's'}, not {count}.", field="args"
            )
        return found + [extra] * more

    def _by_name(self, name: str, positional_count: int) -> Parameter:
        """The parameter of an argument given by name, in a call with so many positional arguments.

        Raises:
            InvalidArguments: there is no such parameter, or its argument was given by position too.
        """
        parameter = self.parameters.keyword.get(name)
        if parameter is None:
            parameter = self.parameters.extra_keyword
            if parameter is None:
                raise InvalidArguments(f"{self._task}: takes no argument {name!r}.", field=name)
        elif self._place.get(name, positional_count) < positional_count:
            raise InvalidArguments(f"{self._task}: argument {name!r} is given twice.", field=name)
        return parameter

    def _check_missing(self, positional_count: int, kwargs: dict[str, Any]) -> None:
        for name, place, by_name in self._required:
            if place >= positional_count and not (by_name and name in kwargs):
                raise InvalidArguments(f"{self._task}: argument {name!r} is missing.", field=name)

    def _fit(self, parameter: Parameter, name: str, value: Any) -> Any:
        """A caller's value as it will be sent for this parameter; InvalidArguments when it does not fit."""
        keys = parameter.open.get(type(value))
        if keys is not None and (type(value) is list or keys.issuperset(map(type, value))):
            return value
        try:
            found = _fitted(value, parameter.type)
            left_out = lost(value, found) if parameter.traits.records else None
            if parameter.traits.dataclasses and found is not value:
                complete(found)
        except Exception as error:
            raise self._unfit(name, _in_classes(str(error), parameter.label, value)) from error
        if left_out is not None:
            raise self._unfit(name, left_out)
        return found

    def _mark(self, parameter: Parameter, name: str, value: Any) -> Any:
        """A value marked with what it is, where the type does not say; InvalidArguments when that cannot be said."""
        assert parameter.mark is not None, "it stands in a layout as one that has a mark"
        try:
            return parameter.mark(value)
        except RecursionError as error:
            raise self._unfit(name, "cannot be sent: it is nested too deep, or holds itself") from error
        except Exception as error:
            raise self._unfit(name, str(error)) from error

    def _check_same(self, parameter: Parameter, name: str, sent: Any, found: Any) -> None:
        try:
            what = None if unchanged(sent, found) else changed(sent, found)
        except Exception as error:
            raise self._unfit(name, f"cannot be compared with what would arrive: {error}") from error
        if what is not None:
            raise self._unfit(name, f"{what}: it cannot be sent as `{parameter.label}`")

    def _check_sendable(self, name: str, value: Any) -> None:
        try:
            encode(value)
        except UNSENDABLE as error:
            raise InvalidArguments(f"{self._task}: argument {name!r} cannot be sent: {error}", field=name) from error

    def _call_decoder(self, form: int) -> Any:
        """A decoder of ``[args, kwargs]``. The values in ``kwargs`` are left for `_decode_one`, and those in ``args``
        too where the function has an ``*args``: their types depend on the names, and on how many there are."""
        args: Any = list[Raw]
        if self.parameters.extra_positional is None:
            fields = [(f"p{n}", parameter.type, _MISSING) for n, parameter in enumerate(self.parameters.positional)]
            args = msgspec.defstruct("Arguments", fields, array_like=True, forbid_unknown_fields=True, gc=False)
        read = decoder(form, tuple[args, dict[str, Raw]]).decode
        self._calls[form] = read
        return read

    def _decode_each(self, form: int, raws: list[Raw]) -> tuple[Any, ...]:
        parameters = self._by_position(len(raws))
        return tuple([self._decode_one(form, p, p.name, raw) for p, raw in zip(parameters, raws, strict=True)])

    def _decode_one(self, form: int, parameter: Parameter, name: str, raw: Raw) -> Any:
        singles = self._singles[form]
        read = singles.get(parameter.name)
        if read is None:
            read = singles[parameter.name] = decoder(form, parameter.type).decode
        try:
            return read(raw)
        except Exception as error:
            raise self._unfit(name, str(error)) from error

    def _unfit(self, name: str, why: str) -> InvalidArguments:
        return InvalidArguments(f"{self._task}: argument {name!r}: {why}", field=name)

    def _blame_undecodable(self, error: Exception) -> NoReturn:
        """Raise InvalidArguments for a body that the decoder refused, naming the argument where there is one."""
        text = str(error)
        found = _PLACE.search(text)
        field = None
        if found and found[2] is not None and int(found[2]) < len(self.parameters.positional):
            field = self.parameters.positional[int(found[2])].name
            text = f"argument {field!r}: {_PLACE.sub(' - at `$', text)}".replace(" - at `$`", "")
        elif not found and "at most length" in text:
            field, text = "args", f"args: {text}"  # the JSON decoder does not say where
        elif found:
            field = ("args", "kwargs")[int(found[1])]
            text = f"{field}: {text[: found.start()]}"
        raise InvalidArguments(f"{self._task}: {text}", field=field) from error


def _is_settled(parameter: Parameter, value: Any, fitted_to: Any) -> bool:
    """Whether further values of the same class need no check. So it is when the parameter's type is shallow: they fit
    as this one does, and are encoded like what was made of this one. It is not so where fitting made something else of
    the value: only some numbers are members of an enum, and a Decimal that became a float is not the text it would be.
    """
    kind, found = type(value), type(fitted_to)
    return parameter.traits.shallow and (found in kind.__mro__ or (kind is int and found is float))


def _fitted(value: Any, kind: Any) -> Any:
    """`fitted`, and where that refuses: the same for the value with Python's own classes in place of their subclasses,
    and with the values of enum members in place of the members. msgspec's ``convert`` does not take those itself."""
    try:
        return fitted(value, kind)
    except msgspec.ValidationError:
        plain = rebased(value)
        if plain is value:
            raise
        try:
            found = fitted(plain, kind)
        except msgspec.ValidationError:
            found = None
        if found is None or members(found) != members(value):
            raise
        return found


def _in_classes(text: str, label: str, value: Any) -> str:
    """What msgspec says about a caller's value, with the names of Python's classes. msgspec itself calls every class
    ``object`` or ``array``, which is what it is on the wire."""
    found = _WIRE_WORDS.match(text)
    if found is None:
        return text
    if found.end() < len(text):
        return f"{text} of `{label}`"
    return f"Expected `{label}`, got `{class_name(type(value))}`"


def _decodable(returns: Any) -> Any:
    """The return annotation if results can be decoded to it, else Any. A task is not refused for it, since it matters
    only to those who read a result."""
    try:
        decoder(MSGPACK, returns)
    except Exception:  # noqa: BLE001 - annotations may be anything
        return Any
    return returns
