"""The signature of a task whose code is not here, from what a worker has recorded in the store.

A gate without the application uses it. A record holds the names of the parameters and their types as text. Builtin and
standard types are recognised. A value of any other type is not checked here, but by the worker.
"""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import pathlib
import typing
import uuid
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from penstock.model.flow import TaskFlow
from penstock.tasks.arguments.call_identity import call_identity
from penstock.tasks.arguments.call_plan import CallPlan
from penstock.tasks.arguments.named_places import own_names, recorded_places
from penstock.tasks.arguments.named_texts import NamedTexts, WholeText
from penstock.tasks.arguments.parameters import Parameter, Parameters
from penstock.tasks.arguments.values import JSON, decoder, traits

_KNOWN: Final[dict[str, Any]] = {
    **{kind.__name__: kind for kind in (int, float, str, bool, bytes, list, dict, set, frozenset, tuple)},
    **{f"datetime.{kind.__name__}": kind for kind in (dt.datetime, dt.date, dt.time, dt.timedelta)},
    "decimal.Decimal": decimal.Decimal,
    "uuid.UUID": uuid.UUID,
    "pathlib.Path": pathlib.Path,
    "pathlib._local.Path": pathlib.Path,
    "Any": Any,
    "typing.Any": Any,
    "Optional": typing.Optional,
    "typing.Optional": typing.Optional,
    "Union": typing.Union,
    "typing.Union": typing.Union,
}
_LABEL_CHARS_MAX: Final = 1_000
_Call = tuple[tuple[Any, ...], dict[str, Any]]


class RecordedSignature:
    """What is known of a task's parameters without its code.

    Args:
        task: its name.
        schema: JSON, as `Codec.schema` makes it; None or anything else: nothing is known.
    """

    def __init__(self, task: str, schema: str | None) -> None:
        self._task = task
        self._schema = schema
        self._plan: CallPlan | None = None

    def identity(self, body: bytes) -> tuple[int, int]:
        """As `Codec.identity`, as far as the types are known here.

        Raises:
            msgspec.DecodeError, ValueError, OverflowError, RecursionError: it cannot be read.
        """
        args, kwargs = self._decode(body)
        return call_identity(self._known().places, args, kwargs)

    def texts(self, flow: TaskFlow, names: Iterable[str]) -> NamedTexts:
        """As `Codec.texts`. ``flow`` is what was recorded with the schema; the names are those of its rules."""
        places = recorded_places(self._known().parameters, names, flow.parameters)
        return NamedTexts(places, self._decode, flow.sensitive)

    def whole_text(self, flow: TaskFlow) -> WholeText:
        """As `Codec.whole_text`."""
        found = self._known().parameters
        places = recorded_places(found, own_names(found), flow.parameters)
        return WholeText(places, len(found.positional), self._decode, is_covered=bool(flow.sensitive))

    def _known(self) -> CallPlan:
        if self._plan is None:
            self._plan = CallPlan(self._task, _parameters(self._schema))
        return self._plan

    def _decode(self, body: bytes) -> _Call:
        try:
            return self._known().decode(body)
        except Exception:  # noqa: BLE001 - the worker says what is wrong, and may know a newer signature
            return _plain(body)


def _plain(body: bytes) -> _Call:
    """The arguments as they came."""
    call: _Call = decoder(body[0] if body else JSON, tuple[tuple[Any, ...], dict[str, Any]]).decode(body[1:])
    return call


def _parameters(schema: str | None) -> Parameters:
    try:
        rows = msgspec.json.decode(schema or "{}", type=dict[str, Any]).get("parameters", [])
        return _read(rows)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return _read([])


def _read(rows: list[dict[str, Any]]) -> Parameters:
    positional: list[Parameter] = []
    keyword: dict[str, Parameter] = {}
    many: list[Parameter] = []
    for row in rows:
        parameter = _parameter(row)
        if row.get("many"):
            many.append(parameter)
            continue
        if not row.get("keyword_only"):
            positional.append(parameter)
        if not row.get("positional_only"):
            keyword[parameter.name] = parameter
    # The record does not say which of the two it is; what does not fit one is taken as it comes.
    extra = many[0] if many else None
    return Parameters(tuple(positional), keyword, extra, many[-1] if many else None, False, Any, "Any")


def _parameter(row: dict[str, Any]) -> Parameter:
    label = str(row["type"])
    kind = known_type(label)
    return Parameter(str(row["name"]), kind, bool(row["required"]), traits(kind), label)


def known_type(label: str) -> Any:
    """The type that an annotation's text names, as far as it is made of Python's own; Any for what is not known."""
    if len(label) > _LABEL_CHARS_MAX:
        return Any
    try:
        kind = _evaluate(ast.parse(label, mode="eval").body)
        traits(kind)
    except Exception:  # noqa: BLE001 - it may be any text
        return Any
    return kind


def _evaluate(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and node.value in (None, Ellipsis):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _KNOWN.get(ast.unparse(node), Any)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return typing.Union[_evaluate(node.left), _evaluate(node.right)]  # noqa: UP007 - the parts are values
    if isinstance(node, ast.Subscript):
        base = _evaluate(node.value)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return (
            Any if base is Any else base[tuple(map(_evaluate, inner))] if len(inner) > 1 else base[_evaluate(inner[0])]
        )
    return Any
