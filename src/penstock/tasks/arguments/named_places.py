"""Where names are found in the calls of a task, and what is said of names that its calls do not have.

A name is that of a parameter (``tenant``), a dotted path into one (``order.customer``) or a header (``header:user``).
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, NoReturn

import msgspec

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow_texts import HEADER
from penstock.tasks.arguments.named_texts import ABSENT, Place, follow, text_of
from penstock.tasks.arguments.parameters import Parameter, Parameters
from penstock.tasks.arguments.values import fitted

Defaults = Mapping[str, Any]
"""Values of arguments that are left out, by parameter."""
_SIMPLE: Final[frozenset[Any]] = frozenset({str, int, float, bool, type(None)})
"""Classes whose instances arrive as they were given, where the annotation names them."""


def defaults_of(function: Callable[..., Any], parameters: Parameters) -> dict[str, Any]:
    """The defaults of a function's parameters, each of its annotated type where it can be made one."""
    found: dict[str, Any] = {}
    raw = inspect.signature(function).parameters
    for parameter in parameters.all():
        default = raw[parameter.name].default
        if default is not inspect.Parameter.empty:
            found[parameter.name] = _fitted(default, parameter.type)
    return found


def _fitted(default: Any, kind: Any) -> Any:
    try:
        return fitted(default, kind)
    except Exception:  # noqa: BLE001 - a default need not be of the annotated type, and users' classes run in here
        return default


def check_names(option: str, names: Iterable[object]) -> tuple[str, ...]:
    """Names as an option was given them.

    Raises:
        InvalidOption: one cannot be a name, whatever the task, or they are too many.
    """
    found = tuple(names)
    for name in found:
        _check_name(option, name)
    texts = tuple(str(name) for name in found)
    if len(set(texts)) < len(texts):
        raise InvalidOption(f"{option} names one argument twice: {', '.join(texts)}.", field=option)
    if len(texts) > limits.JOB_VALUES_MAX:
        raise InvalidOption(
            f"{option} has {len(texts)} names; the limit (JOB_VALUES_MAX) is {limits.JOB_VALUES_MAX}.", field=option
        )
    return texts


def _check_name(option: str, name: object) -> None:
    if not isinstance(name, str):
        raise InvalidOption(
            f'{option} takes names of arguments as text, such as "order_id", not {type(name).__name__}.', field=option
        )
    if name.startswith(HEADER):
        if not name.removeprefix(HEADER):
            raise InvalidOption(
                f"{option}: header: is followed by the name of a header, as in header:user.", field=option
            )
        return
    root, *path = name.split(".")
    if not root.isidentifier() or not all(step.isidentifier() and not step.startswith("_") for step in path):
        raise InvalidOption(
            f"{option} names {name!r}: write a parameter (order_id), a path into one (order.customer) or a header"
            " (header:user).",
            field=option,
        )


def places_of(task: str, option: str, names: Iterable[str], parameters: Parameters, defaults: Defaults) -> list[Place]:
    """Where each of these names is found.

    Args:
        task: its name.
        option: what is to blame for a name that the task lacks, such as ``unique``.
        names: that have passed `check_names`.
        parameters: of the task.
        defaults: see `defaults_of`.

    Raises:
        InvalidOption: the task has no such parameter, or its type has no such field.
    """
    found: list[Place] = []
    for name in names:
        if name.startswith(HEADER):
            found.append(Place(name, name.removeprefix(HEADER), is_header=True))
            continue
        parameter = _parameter(task, option, name, parameters)
        path = name.split(".")[1:]
        if path:
            _check_path(task, option, name, parameter, path)
        default = follow(defaults.get(parameter.name, ABSENT), path)
        text = None if default is ABSENT else text_of(default)
        found.append(_place(name, parameters, text, _simple_classes(parameter.type, path)))
    return found


def own_names(parameters: Parameters) -> list[str]:
    """The names of all parameters, ``*args`` and ``**kwargs`` left out."""
    extras = (parameters.extra_positional, parameters.extra_keyword)
    return [parameter.name for parameter in parameters.all() if parameter not in extras]


def _place(name: str, parameters: Parameters, default: str | None, simple: frozenset[Any] = frozenset()) -> Place:
    root, *path = name.split(".")
    positions = [index for index, one in enumerate(parameters.positional) if one.name == root]
    return Place(
        name,
        root,
        path,
        position=positions[0] if positions else None,
        by_name=root in parameters.keyword or not positions,
        default=default,
        simple=simple,
    )


def _parameter(task: str, option: str, name: str, parameters: Parameters) -> Parameter:
    """The parameter that a name begins with."""
    root = name.split(".", maxsplit=1)[0]
    known = own_names(parameters)
    for one in parameters.all():
        if one.name == root and root in known:
            return one
    if parameters.extra_keyword is not None:
        return parameters.extra_keyword
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    raise InvalidOption(
        f"{task}: {option} names {name!r}, but the task takes no argument {root!r}: {takes}. For a header write"
        f" {HEADER}NAME.",
        field=option,
    )


# --- paths -----------------------------------------------------------------------------------------------------------
def _check_path(task: str, option: str, name: str, parameter: Parameter, path: list[str]) -> None:
    """Pass when the type of a parameter has what follows its name, as far as that is known."""
    kind, before = parameter.type, name.split(".", maxsplit=1)[0]
    for step in path:
        if _has_any_field(kind):
            return
        fields = _field_types(kind)
        if step not in fields:
            _refuse_field(task, option, name, before, kind, step, list(fields))
        kind, before = fields[step], f"{before}.{step}"


def _refuse_field(task: str, option: str, name: str, before: str, kind: Any, step: str, fields: list[str]) -> NoReturn:
    label = inspect.formatannotation(kind)
    has = f"it has {', '.join(fields)}" if fields else f"write {before!r}"
    what = f"has no field {step!r}" if fields else "has no fields"
    raise InvalidOption(
        f"{task}: {option} names {name!r}, but {before!r} is a `{label}`, which {what}: {has}.", field=option
    )


def _simple_classes(kind: Any, path: Iterable[str]) -> frozenset[Any]:
    """Classes of which a value at the end of a path has the text that it will have when it arrives: those that the
    annotation names there, if it names no others."""
    for step in path:
        kind = _field_types(kind).get(step, Any)
    if kind is Any or kind is object:
        return _SIMPLE
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    try:
        parts = frozenset(typing.get_args(kind) if is_union else (kind,))
    except TypeError:  # an annotation need not be hashable
        return frozenset()
    return parts if parts <= _SIMPLE else frozenset()


def _field_types(kind: Any) -> dict[str, Any]:
    """The fields that a path may go on with, with their types; of a union, those of its parts."""
    found: dict[str, Any] = {}
    for part in _parts(kind):
        model = getattr(part, "model_fields", None)
        if isinstance(model, dict):
            found |= {name: field.annotation for name, field in model.items()}
            continue
        try:
            hints = typing.get_type_hints(typing.get_origin(part) or part, include_extras=True)
        except Exception:  # noqa: BLE001 - what is not a class has none; evaluating an annotation may raise anything
            hints = {}
        found |= {
            name: hint
            for name, hint in hints.items()
            if not name.startswith("_") and typing.get_origin(hint) is not ClassVar
        }
    return found


def _has_any_field(kind: Any) -> bool:
    """Whether a path may go on with whatever name: into a mapping, and into what is not annotated."""
    return any(_is_open(typing.get_origin(part) or part) for part in _parts(kind))


def _is_open(kind: Any) -> bool:
    if kind is Any or kind is object:
        return True
    return isinstance(kind, type) and issubclass(kind, Mapping) and not typing.is_typeddict(kind)


def _parts(kind: Any) -> tuple[Any, ...]:
    """What a union may be, None left out; any other type by itself."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(one for part in typing.get_args(kind) if part is not type(None) for one in _parts(part))
    return (kind,)


# --- without the task's code -----------------------------------------------------------------------------------------
def default_texts(parameters: Parameters, defaults: Defaults) -> tuple[tuple[str, str | None], ...]:
    """The names of all parameters with the texts of their defaults, for `penstock.model.flow.TaskFlow.parameters`."""
    return tuple((name, text_of(defaults[name]) if name in defaults else None) for name in own_names(parameters))


def recorded_places(
    parameters: Parameters, names: Iterable[str], defaults: Iterable[tuple[str, str | None]]
) -> list[Place]:
    """As `places_of`, of what a worker recorded of a task, which is not checked: the worker's own process has done so.

    Args:
        parameters: as far as they are known.
        names: of the task's rules.
        defaults: as `default_texts` made them.
    """
    texts = dict(defaults)
    found: list[Place] = []
    for name in names:
        if name.startswith(HEADER):
            found.append(Place(name, name.removeprefix(HEADER), is_header=True))
        else:
            root, *path = name.split(".")
            found.append(_place(name, parameters, _default_at(texts.get(root), path)))
    return found


def _default_at(text: str | None, path: list[str]) -> str | None:
    """The text at the end of a path into a default of which the text is known."""
    if text is None or not path:
        return text
    try:
        found = follow(msgspec.json.decode(text), path)
    except msgspec.DecodeError:
        return None
    return None if found is ABSENT else text_of(found)
