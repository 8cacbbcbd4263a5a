"""The parameters of a task's function: the schema of its jobs' arguments."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Final

from penstock.model.errors import InvalidOption
from penstock.tasks.arguments.untyped_values import LEAVES, Mark, marker
from penstock.tasks.arguments.values import Traits, traits
from penstock.tasks.durable_context import DurableContext

_Kind = inspect.Parameter
_TEXT: Final[frozenset[type]] = frozenset({str})
_ADVICE: Final = (
    "Use str, int, float, bool, bytes, dates and times, Decimal, UUID, Path, enums, dataclasses, msgspec structs,"
    " pydantic models, or containers of these, and make the rest inside the function."
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. An unannotated one takes anything.

    Attributes:
        traits: those of its ``type``.
        mark: what is done to its values before they are encoded; None: nothing.
        open: list and dict, where the type says nothing of what is in them but, at most, what the keys are. With each
            comes the set of classes that the keys may have. An instance with such keys fits without a further look.
    """

    name: str
    type: Any
    required: bool
    traits: Traits
    label: str
    mark: Mark | None = None
    open: dict[type, frozenset[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function takes, without its context.

    Attributes:
        positional: those that a value can be given for by position, in order.
        keyword: those that a value can be given for by name, in order.
        extra_positional: ``*args``; None: it has none.
        extra_keyword: ``**kwargs``; None: it has none.
        takes_context: the function wants a `Context` first.
        returns: the return annotation; Any when there is none. Of a call that may be returned instead of a value
            (``Canvas[int] | int``), what that comes to.
    """

    positional: tuple[Parameter, ...]
    keyword: dict[str, Parameter]
    extra_positional: Parameter | None
    extra_keyword: Parameter | None
    takes_context: bool
    returns: Any
    returns_label: str

    def all(self) -> list[Parameter]:
        """Every parameter, each once."""
        found = {parameter.name: parameter for parameter in (*self.positional, *self.keyword.values())}
        return [*found.values(), *(extra for extra in (self.extra_positional, self.extra_keyword) if extra)]

    def without(self, names: Collection[str]) -> Parameters:
        """The same, less the parameters with these names."""
        return replace(
            self,
            positional=tuple(parameter for parameter in self.positional if parameter.name not in names),
            keyword={name: parameter for name, parameter in self.keyword.items() if name not in names},
        )


def read_parameters(task: str, function: Callable[..., Any]) -> Parameters:
    """The parameters of ``function``.

    Raises:
        NameError: an annotation names something that does not exist, or not yet.
        InvalidOption: a parameter is of a type that cannot be sent, or a context is not the first one.
    """
    hints = _hints(task, function)
    found = list(inspect.signature(function).parameters.values())
    takes_context = bool(found) and _is_context(found[0], hints)
    positional: list[Parameter] = []
    keyword: dict[str, Parameter] = {}
    extras: dict[Any, Parameter] = {}
    for raw in found[1:] if takes_context else found:
        parameter = _parameter(task, raw, hints)
        if raw.kind in (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD):
            positional.append(parameter)
        if raw.kind in (_Kind.KEYWORD_ONLY, _Kind.POSITIONAL_OR_KEYWORD):
            keyword[raw.name] = parameter
        if raw.kind in (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD):
            extras[raw.kind] = parameter
    returns = _come_to(hints.get("return", Any))
    return Parameters(
        tuple(positional),
        keyword,
        extras.get(_Kind.VAR_POSITIONAL),
        extras.get(_Kind.VAR_KEYWORD),
        takes_context,
        returns,
        inspect.formatannotation(returns),
    )


def _come_to(returns: Any) -> Any:
    """A return annotation, with what canvases in it come to in their place. They are known by their ``comes_to``, as
    `penstock.tasks.canvas` knows of parameters and cannot be known here."""
    origin, parts = typing.get_origin(returns) or returns, typing.get_args(returns)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(_come_to, parts))]  # noqa: UP007 - made of values
    come_to = getattr(origin, "comes_to", None) if isinstance(origin, type) else None
    return returns if come_to is None else come_to(parts[0] if parts else Any)


def _hints(task: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError:
        raise
    except Exception as error:
        name, which = unresolved(function)
        raise InvalidOption(f"{task}: {which} cannot be read: {error}. Write it as a type.", field=name) from error


def unresolved(function: Callable[..., Any]) -> tuple[str, str]:
    """The first parameter whose annotation cannot be resolved (or ``return``), and what to call that annotation."""
    names = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in function.__annotations__.items():
        try:
            typing.get_type_hints(SimpleNamespace(__annotations__={name: annotation}), names)
        except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything
            label = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
            what = "what it returns" if name == "return" else f"parameter {name!r}"
            return name, f"the annotation `{label}` of {what}"
    return "function", "an annotation"


def _is_context(first: inspect.Parameter, hints: dict[str, Any]) -> bool:
    if first.kind not in (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD):
        return False
    kind = hints.get(first.name)
    if kind is None:
        return first.name == "ctx" and first.annotation is _Kind.empty
    return isinstance(kind, type) and issubclass(kind, DurableContext)


def _parameter(task: str, raw: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    kind = hints.get(raw.name, Any)
    if isinstance(kind, type) and issubclass(kind, DurableContext):
        raise InvalidOption(f"{task}: a Context is the first parameter or none; {raw.name!r} is not.", field=raw.name)
    label = inspect.formatannotation(kind)
    annotated = f"{task}: parameter {raw.name!r} is annotated `{label}`, which cannot be sent"
    try:
        found = traits(kind)
    except Exception as error:
        raise InvalidOption(f"{annotated}: {str(error).rstrip('.')}. {_ADVICE}", field=raw.name) from error
    if found.foreign:
        foreign = " and ".join(f"`{name}`" for name in dict.fromkeys(found.foreign))
        raise InvalidOption(f"{annotated} because of {foreign}. {_ADVICE}", field=raw.name)
    required = raw.default is _Kind.empty and raw.kind not in (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
    return Parameter(raw.name, kind, required, found, label, marker(kind), _open(kind))


def _open(kind: Any) -> dict[type, frozenset[Any]]:
    """See `Parameter.open`."""
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {known: keys for part in parts for known, keys in _open(part).items()}
    if origin is list and all(part in (Any, object) for part in parts):
        return {list: frozenset()}
    if origin is dict and all(part in (Any, object) for part in parts):
        return {dict: LEAVES}
    if origin is dict and parts[0] is str and parts[1] in (Any, object):
        return {dict: _TEXT}
    return {}
