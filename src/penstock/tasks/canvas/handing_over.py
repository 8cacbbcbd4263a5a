"""What the steps of a workflow hand over to each other, held against the signatures of their tasks.

A value becomes the next positional argument after those that the call has, or the argument of a named parameter; an
error becomes the first. The call is encoded without them: the store adds them when it has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from types import GenericAlias
from typing import Any, NamedTuple, NoReturn, Optional, Protocol

from penstock.model import limits
from penstock.model.errors import InvalidArguments, InvalidOption
from penstock.model.flow_acceptance import parameter_in
from penstock.model.workflow_plan import Take
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.parameters import Parameter, Parameters
from penstock.tasks.canvas.value_types import (
    ERROR_TYPE,
    contradicts,
    is_anything,
    is_results,
    item_type,
    takes_none,
)
from penstock.tasks.options import JobOptions
from penstock.tasks.sendable_task import SendableTask


class Call(Protocol):
    """A call of a task: `penstock.tasks.canvas.composition.Signature`."""

    @property
    def task(self) -> SendableTask[Any]: ...  # noqa: D102 - as in Signature
    @property
    def args(self) -> tuple[Any, ...]: ...  # noqa: D102 - as in Signature
    @property
    def kwargs(self) -> dict[str, Any]: ...  # noqa: D102 - as in Signature
    @property
    def job_options(self) -> JobOptions | None: ...  # noqa: D102 - as in Signature
    @property
    def immutable(self) -> bool: ...  # noqa: D102 - as in Signature


class Taker(NamedTuple):
    """A parameter that a value goes to, and what to call it in a message."""

    label: str
    parameter: Parameter


@dataclass(slots=True)
class GroupItems:
    """What is known of the values of a group's members, while they are being added.

    Attributes:
        types: annotations of what members return, each once; ``Any`` among them: some are not known.
        total: how many members there are so far.
        more: at least one more is still to come.
        gaps: members may fail, so some of the values may be None.
        takers: what the group's value goes to. Members that are added later are held against them.
    """

    name: str
    gaps: bool
    types: list[Any] = field(default_factory=list)
    total: int = 0
    more: bool = False
    takers: list[Taker] = field(default_factory=list)

    def add(self, kinds: Iterable[Any], count: int = 1) -> None:
        """Add members that return one of these types.

        Raises:
            InvalidOption: what takes the group's value cannot take theirs, or not so many.
        """
        self.total += count
        for kind in kinds:
            if not any(kind is known or kind == known for known in self.types):
                self.types.append(kind)
                for taker in self.takers:
                    _check_items(self, [kind], taker)
        if self.total - count <= limits.RESULTS_INLINE_MAX < self.total:
            for taker in self.takers:
                self.check_size(taker)

    def list_type(self) -> Any:
        """The annotation of the list of them."""
        if len(self.types) != 1:
            return list[Any]
        [kind] = self.types
        return GenericAlias(list, (Optional[kind],) if self.gaps else (kind,))  # noqa: UP045 - kind is a value

    def check_size(self, taker: Taker) -> None:
        """Pass when the taker can take as many values as there are."""
        kind = taker.parameter.type
        if self.total + self.more > limits.RESULTS_INLINE_MAX and not (is_results(kind) or is_anything(kind)):
            raise InvalidOption(
                f"{taker.label} takes `{taker.parameter.label}`, and group {self.name!r} has more than"
                f" {limits.RESULTS_INLINE_MAX} members (RESULTS_INLINE_MAX): take `Results`, which is read in pages.",
                field=taker.parameter.name,
            )


class Value(NamedTuple):
    """What a step hands on.

    Attributes:
        step: its number.
        name: the step's.
        types: annotations of what it may be.
        items: of a group: its members' values. None: it is no group's.
    """

    step: int
    name: str
    types: tuple[Any, ...]
    items: GroupItems | None = None

    def annotation(self) -> Any:
        """Its type, as far as there is one."""
        if self.items is not None and len(self.types) == 0:
            return self.items.list_type()
        return self.types[0] if len(self.types) == 1 and self.items is None else Any


class Given(NamedTuple):
    """What a part of a canvas is given by those before it.

    Attributes:
        values: to be taken by position, in order.
        named: to be taken by these parameters.
        after: the numbers of steps that it waits for besides.
    """

    values: tuple[Value, ...] = ()
    named: tuple[tuple[str, Value], ...] = ()
    after: tuple[int, ...] = ()

    @property
    def hands_over(self) -> bool:
        """Whether there is a value to take."""
        return bool(self.values or self.named)

    def ordering(self) -> list[int]:
        """The steps that a part waits for which takes nothing."""
        found = [value.step for value in self.values] + [value.step for _, value in self.named]
        return list(dict.fromkeys([*found, *self.after]))


NOTHING = Given()


class PartTask(SendableTask[Any]):
    """A task as far as it takes to send calls of it to which arguments are added later."""

    def __init__(self, task: SendableTask[Any], names: frozenset[str]) -> None:
        codec = task.codec.without(names)
        self.name = task.name
        self.codec: Codec = codec
        self.connection = task.connection
        self.queue = task.queue
        self.priority = task.priority
        self.expires_s = task.expires_s
        self.tags = task.tags
        self.tag_list = task.tag_list
        self.texts = task.texts.without(names, partial(codec.texts, "limits"), codec.whole_text)
        self.is_plain = task.is_plain
        self.sensitive = task.sensitive


class Handover(NamedTuple):
    """How a call is sent, and what is added to it.

    Attributes:
        task: what it is encoded by.
        takes: the values that are added.
    """

    task: SendableTask[Any]
    takes: tuple[Take, ...]


class Handovers:
    """Works out handovers, each once for calls that are alike."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Handover, Given]] = {}
        self._parts: dict[Any, PartTask] = {}

    def of(self, step: str, call: Call, given: Given, *, error_first: bool = False) -> Handover:
        """How a call is sent that is given these values.

        Args:
            step: its name, for messages.
            error_first: an error is added as its first argument.

        Raises:
            InvalidOption: a value is of a type that its parameter does not take; the task's jobs are counted by what is
                handed over; or the call has options that a step cannot have.
            InvalidArguments: the task does not take as many arguments.
        """
        options = call.job_options
        if options is not None and options.idempotency_key is not None:
            raise InvalidOption(
                f"Step {step!r} ({call.task.name}): a step has no idempotency key of its own. Give it to the whole:"
                " canvas.options(idempotency_key=…).",
                field="idempotency_key",
            )
        if not (given.hands_over or error_first):
            return Handover(call.task, ())
        key = (call.task, len(call.args), tuple(call.kwargs), id(given), error_first, options and options.queue)
        known = self._known.get(key)
        if known is None:
            # What is given is kept with it, so that its identity is not that of something else later.
            known = self._known[key] = (self._found(_Receiver(step, call), given, error_first=error_first), given)
        return known[0]

    def _found(self, receiver: _Receiver, given: Given, *, error_first: bool) -> Handover:
        task = receiver.call.task
        place = len(receiver.call.args) + error_first
        receiver.check_given(place)
        taken: list[Parameter] = []
        takes: list[Take] = []
        if error_first:
            taken.append(receiver.parameter_at(0, "the error"))
            receiver.check_type((ERROR_TYPE,), taken[0], "the error")
        for value in given.values:
            parameter = receiver.parameter_at(place, f"the value of step {value.name!r}")
            takes.append(receiver.take(value, parameter, None))
            taken.append(parameter)
            place += 1
        for name, value in given.named:
            parameter = receiver.parameter_named(name, place, value.name)
            takes.append(receiver.take(value, parameter, name))
            taken.append(parameter)
        extras = (receiver.parameters.extra_positional, receiver.parameters.extra_keyword)
        names = frozenset(parameter.name for parameter in taken if parameter not in extras)
        receiver.check_texts(names)
        part = (task, names)
        if part not in self._parts:
            self._parts[part] = PartTask(task, names)
        return Handover(self._parts[part], tuple(takes))


class _Receiver:
    """A call that values are added to, for checks and their messages."""

    def __init__(self, step: str, call: Call) -> None:
        self.call = call
        self.parameters: Parameters = call.task.codec.parameters
        self._label = f"Step {step!r} ({call.task.name})"

    def check_given(self, places: int) -> None:
        """Pass when no argument is given by name in the place of one that is given by position."""
        for parameter in self.parameters.positional[:places]:
            if parameter.name in self.call.kwargs and parameter.name in self.parameters.keyword:
                self._twice(parameter.name, "given by position too")

    def parameter_at(self, place: int, what: str) -> Parameter:
        """The parameter that takes what is added at this place."""
        if place < len(self.parameters.positional):
            found = self.parameters.positional[place]
            if found.name in self.call.kwargs and found.name in self.parameters.keyword:
                self._twice(found.name, f"{what} would be handed over for it")
            return found
        extra = self.parameters.extra_positional
        if extra is None:
            most = len(self.parameters.positional)
            raise InvalidArguments(
                f"{self._label} takes {most} positional argument{'' if most == 1 else 's'}, and {what} would be one"
                " more. Use .si(…) for a call that takes nothing of what is handed over.",
                field="args",
            )
        return extra

    def parameter_named(self, name: str, places: int, step: str) -> Parameter:
        """The parameter of this name, which is to be given the value of a step."""
        found = self.parameters.keyword.get(name) or self.parameters.extra_keyword
        if found is None:
            raise InvalidArguments(
                f"{self._label} takes no argument {name!r}, which the value of step {step!r} would be.", field=name
            )
        by_position = name in [one.name for one in self.parameters.positional[:places]]
        if by_position or name in self.call.kwargs:
            how = f"the value of step {step!r} would be handed over for it"
            self._twice(name, how, given="by position" if by_position else "by name")
        return found

    def take(self, value: Value, parameter: Parameter, name: str | None) -> Take:
        """The taking of a value by a parameter."""
        streams = is_results(parameter.type)
        if value.items is not None:
            taker = Taker(f"{self._label}: parameter {parameter.name!r}", parameter)
            _check_items(value.items, value.items.types, taker)
            value.items.check_size(taker)
            value.items.takers.append(taker)
        elif streams and value.types and Any not in value.types:
            raise InvalidOption(
                f"{self._label}: parameter {parameter.name!r} takes `Results`, and step {value.name!r} is no group.",
                field=parameter.name,
            )
        self.check_type(value.types, parameter, f"step {value.name!r}")
        return Take(value.step, name, streams)

    def check_type(self, kinds: Iterable[Any], parameter: Parameter, what: str) -> None:
        """Pass unless a value of one of these types cannot be taken by a parameter."""
        for kind in kinds:
            if not is_results(parameter.type) and contradicts(kind, parameter.type):
                raise InvalidOption(
                    f"{self._label}: parameter {parameter.name!r} takes `{parameter.label}`, and {what} hands over"
                    f" {_shown(kind)}.",
                    field=parameter.name,
                )

    def check_texts(self, names: frozenset[str]) -> None:
        """Pass when the task's jobs are not counted by one of these parameters."""
        task, options = self.call.task, self.call.job_options
        queue = task.queue if options is None or options.queue is None else options.queue
        if not task.texts.needs(queue):
            return
        counted = task.texts.counted_by(queue)
        for name in ["all its arguments"] if counted is None else counted:
            if counted is None or parameter_in(name) in names:
                shown = name if counted is None else repr(name)
                raise InvalidOption(
                    f"{self._label}: its jobs are limited, or unique, by {shown}, and {', '.join(sorted(names))} would"
                    " be handed over when the job is there already. Give it in the call, or count by a header.",
                    field=name,
                )

    def _twice(self, name: str, how: str, given: str = "by name") -> NoReturn:
        raise InvalidArguments(f"{self._label}: argument {name!r} is given {given}, and {how}.", field=name)


def _check_items(items: GroupItems, kinds: Iterable[Any], taker: Taker) -> None:
    """Pass unless what takes the value of a group cannot take it when members return these types."""
    wanted, parameter = taker.parameter.type, taker.parameter
    if not is_results(wanted) and contradicts(list[Any], wanted):
        raise InvalidOption(
            f"{taker.label} takes `{parameter.label}`, and group {items.name!r} hands over a list.",
            field=parameter.name,
        )
    item = item_type(wanted)
    for kind in kinds:
        if contradicts(kind, item):
            raise InvalidOption(
                f"{taker.label} takes `{parameter.label}`, and a member of group {items.name!r} returns"
                f" {_shown(kind)}.",
                field=parameter.name,
            )
    if items.gaps and not takes_none(item):
        raise InvalidOption(
            f"{taker.label} takes `{parameter.label}`, and members of group {items.name!r} may fail: the values of"
            " those are None. Let its items be None too, as in `list[str | None]`.",
            field=parameter.name,
        )


def _shown(kind: Any) -> str:
    if kind is None or kind is type(None):
        return "`None`"
    return f"`{kind.__name__}`" if isinstance(kind, type) and not hasattr(kind, "__args__") else f"`{kind}`"
