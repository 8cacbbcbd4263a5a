"""Graphs of named steps: what a step takes is told by the names of other steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from penstock.model.errors import InvalidOption
from penstock.tasks import names
from penstock.tasks.canvas.composition import Canvas, connection_of
from penstock.tasks.canvas.handing_over import Given, Value
from penstock.tasks.canvas.plan_builder import PlanBuilder
from penstock.tasks.canvas.plan_parts import NAME_CHARS_MAX, Flat
from penstock.tasks.store_connection import StoreConnection

R_co = TypeVar("R_co", covariant=True)
_NO_NAME: Final = "is {}: give text of 1 to {} characters without a slash"


class DagStep(Struct, frozen=True, gc=False):
    """A step of a graph. ``takes``, ``named`` and ``after`` name other steps, which need not be there yet."""

    name: str
    canvas: Canvas[Any]
    takes: tuple[str, ...]
    named: tuple[tuple[str, str], ...]
    after: tuple[str, ...]

    def needs(self) -> list[str]:
        """The steps that must have succeeded before it starts, each once."""
        return list(dict.fromkeys((*self.takes, *(step for _, step in self.named), *self.after)))


class Dag(Canvas[R_co], Generic[R_co], frozen=True, eq=False, gc=False):
    """A graph of named steps. Made by `dag`.

    Attributes:
        name: of the graph.
        steps: in the order in which they were added.
        returned: the steps whose values it hands on; None: of those that nothing needs.
    """

    name: str
    steps: tuple[DagStep, ...] = ()
    returned: tuple[str, ...] | None = None

    def step(
        self,
        name: str,
        canvas: Canvas[Any],
        /,
        *,
        takes: str | Iterable[str] = (),
        named: Mapping[str, str] | None = None,
        after: str | Iterable[str] = (),
    ) -> Dag[Any]:
        """The same graph with one more step. Steps may be named before they are added.

        Args:
            name: unique in the graph.
            canvas: what it does: a call such as ``clean.s()``, or any other canvas.
            takes: the steps whose values it is given, in order, after its own positional arguments.
            named: by the name of a parameter, the step whose value is its argument.
            after: the steps that it waits for without taking their values.

        Raises:
            InvalidOption: there is a step of this name, or something here is not what it may be.
        """
        _check_name("name", name)
        if not isinstance(canvas, Canvas):
            names.refuse("canvas", f"of step {name!r} is {names.shown(canvas)}: give a call such as task.s(1)")
        if any(step.name == name for step in self.steps):
            raise InvalidOption(
                f"{self._label}: there are two steps {name!r}: give one of them another name.", field="name"
            )
        if not isinstance(named or {}, Mapping):
            names.refuse("named", f'of step {name!r} is {names.shown(named)}: give {{"parameter": "step"}}')
        found = DagStep(
            name,
            canvas,
            _checked_names("takes", takes, name),
            tuple((parameter, _check_name("named", step, name)) for parameter, step in (named or {}).items()),
            _checked_names("after", after, name),
        )
        return replace(self, steps=(*self.steps, found))

    def returns(self, *steps: str) -> Dag[Any]:
        """The same graph, whose value is that of this step; of several a dict by their names. Without it the value is
        that of the only step that nothing else needs, or a dict of those."""
        if not steps:
            names.refuse("steps", "is empty: name a step")
        return replace(self, returned=tuple(_check_name("steps", step) for step in steps))

    def connection(self) -> StoreConnection:
        """Of its first step that has a task in it."""
        if not self.steps:
            raise self._empty()
        return connection_of(step.canvas for step in self.steps)

    def described(self) -> str:
        """Its name."""
        return self.name

    def flatten(self, builder: PlanBuilder, given: Given, label: str | None) -> Flat:
        """Add its steps, each behind those that it needs.

        Raises:
            InvalidOption: a step names one that is not there, or steps need each other.
        """
        if not self.steps:
            raise self._empty()
        self.check_inside()
        ordered = self._ordered()
        values: dict[str, Value] = {}
        own: list[int] = []
        with builder.scope(label or self.name):
            for step in ordered:
                flat = step.canvas.flatten(builder, self._given(step, values, given), step.name)
                own += flat.steps
                if flat.value is None:
                    raise InvalidOption(
                        f"{self._label}: step {step.name!r} has several results, and a step has one: name it with"
                        " .returns(…).",
                        field="canvas",
                    )
                values[step.name] = flat.value
        returned = self._returned()
        if len(returned) == 1:
            return self.with_callbacks(builder, Flat(values[returned[0]], tuple(own)))
        return self.with_callbacks(builder, Flat(None, tuple(own), tuple((name, values[name]) for name in returned)))

    def __repr__(self) -> str:
        return f"<{self._label} of {len(self.steps)} steps>"

    @property
    def _label(self) -> str:
        return f"Dag {self.name!r}"

    def _given(self, step: DagStep, values: dict[str, Value], given: Given) -> Given:
        """What a step is given: what it asks for; one that asks for nothing is given what the graph is given."""
        if not step.needs():
            return given
        return Given(
            tuple(values[name] for name in step.takes),
            tuple((parameter, values[name]) for parameter, name in step.named),
            tuple(values[name].step for name in step.after),
        )

    def _returned(self) -> tuple[str, ...]:
        if self.returned is not None:
            for name in self.returned:
                self._check_known(name, "it returns")
            return self.returned
        needed = {name for step in self.steps for name in step.needs()}
        return tuple(step.name for step in self.steps if step.name not in needed)

    def _empty(self) -> InvalidOption:
        return InvalidOption(f"{self._label} has no steps: add one with .step(…).", field="steps")

    def _check_known(self, name: str, who: str) -> None:
        known = [step.name for step in self.steps]
        if name not in known:
            close = names.closest(name, known)
            rest = f"did you mean {close}?" if close else f"it has {', '.join(known[:10])}."
            raise InvalidOption(f"{self._label}: {who} {name!r}, which is no step of it; {rest}", field="takes")

    def _ordered(self) -> list[DagStep]:
        """The steps, each behind those that it needs, otherwise as they were added."""
        by_name = {step.name: step for step in self.steps}
        waits = {step.name: len(step.needs()) for step in self.steps}
        needed_by: dict[str, list[DagStep]] = {name: [] for name in by_name}
        for step in self.steps:
            for need in step.needs():
                self._check_known(need, f"step {step.name!r} needs")
                needed_by[need].append(step)
        ready = [step for step in self.steps if not waits[step.name]]
        for step in ready:
            for follower in needed_by[step.name]:
                waits[follower.name] -= 1
                if not waits[follower.name]:
                    ready.append(follower)
        if len(ready) < len(self.steps):
            raise InvalidOption(f"{self._label}: its steps need each other: {_cycle(by_name, waits)}.", field="takes")
        return ready


def _cycle(by_name: Mapping[str, DagStep], waits: Mapping[str, int]) -> str:
    """One of the circles among the steps that still wait: ``a needs b, which needs a``."""
    name = next(name for name, count in waits.items() if count)
    path: list[str] = []
    while name not in path:
        path.append(name)
        name = next(need for need in by_name[name].needs() if waits[need])
    circle = [*path[path.index(name) :], name]
    return f"{circle[0]!r} needs " + ", which needs ".join(map(repr, circle[1:]))


def dag(name: str) -> Dag[Any]:
    """A graph of named steps, each of which says what it takes:

    ```python
    report = (
        dag("report")
        .step("extract", extract.s(day))
        .step("clean", clean.s(), takes="extract")
        .step("count", count.s(), takes="extract")
        .step("publish", publish.s(), takes=["clean", "count"])
    )
    report.enqueue()
    ```

    Raises:
        InvalidOption: it is no name.
    """
    return Dag(_check_name("name", name))


def _check_name(field: str, name: Any, step: str = "") -> str:
    """A name that may be one. ``step``: whose ``field`` it is given for."""
    if not isinstance(name, str) or not name or len(name) > NAME_CHARS_MAX or "/" in name:
        whose = f"of step {step!r} " if step else ""
        names.refuse(field, whose + _NO_NAME.format(names.shown(name), NAME_CHARS_MAX))
    return name


def _checked_names(field: str, given: Any, step: str) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, Iterable):
        names.refuse(field, f"of step {step!r} is {names.shown(given)}: give the name of a step, or several")
    return tuple(_check_name(field, name, step) for name in found)
