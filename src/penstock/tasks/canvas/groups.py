"""Groups: parts that run side by side, and the chords that follow them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import GenericAlias
from typing import Any, Generic, Literal, TypeVar, overload

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.tasks import names
from penstock.tasks.canvas.composition import Canvas, Chain, Signature, StepCanvas
from penstock.tasks.canvas.handing_over import Given
from penstock.tasks.canvas.plan_builder import PlanBuilder
from penstock.tasks.canvas.plan_parts import Flat, GroupPolicy, checked_policy
from penstock.tasks.options import JobOptions
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.store_connection import StoreConnection

T = TypeVar("T")
R = TypeVar("R")


class Group(StepCanvas[list[T]], Generic[T], frozen=True, eq=False, gc=False):
    """Parts that run side by side. Its value is the list of theirs, in their order. Made by `group`.

    Attributes:
        members: what is in it. An iterator is used up when it is enqueued.
        policy: what becomes of failures.
        label: how its members are described; None: by the first of them.
    """

    members: Iterable[Canvas[Any]]
    policy: GroupPolicy = GroupPolicy()
    label: str | None = None
    source: SendableTask[Any] | None = None

    @staticmethod
    def comes_to(kind: Any) -> Any:
        """The list of what its members come to."""
        return GenericAlias(list, (kind,))

    def connection(self) -> StoreConnection:
        """Of its first member."""
        if self.source is not None:
            return self.source.connection
        first = _first(self.members)
        if first is None:
            raise InvalidOption("The group is empty: give it a member, or leave it out.", field="members")
        return first.connection()

    def described(self) -> str:
        """``group(thumbnail)``."""
        return f"group({self.members_described()})"

    def members_described(self) -> str:
        """What its members are, as far as a look at the first one tells."""
        if self.label is not None:
            return self.label
        first = _first(self.members)
        return "" if first is None else first.described()

    def flatten(self, builder: PlanBuilder, given: Given, label: str | None) -> Flat:
        """Add its step, and the steps of those members that are more than a call."""
        value = builder.add_group(self.members, self.policy, given, self.label_inside(label), "group")
        return self.with_links(builder, value, given)

    def __repr__(self) -> str:
        return f"<{self.described()}>"


class Chunk(Signature[T], Generic[T], frozen=True, eq=False, gc=False):
    """Several calls of a task that one job makes, one after the other. ``args``: those of each."""

    @property
    def each(self) -> bool:
        """Whether it is a chunk of calls."""
        return True


@overload
def group(
    members: Iterable[Canvas[R]],
    /,
    *,
    allow_failures: int = ...,
    on_failure: Literal["stop", "finish"] = ...,
    open_s: float = ...,
    on_abandoned: Literal["fail", "close"] = ...,
    grows: bool = ...,
) -> Group[R]: ...
@overload
def group(
    *members: Canvas[R],
    allow_failures: int = ...,
    on_failure: Literal["stop", "finish"] = ...,
    open_s: float = ...,
    on_abandoned: Literal["fail", "close"] = ...,
    grows: bool = ...,
) -> Group[R]: ...
def group(
    *members: Any,
    allow_failures: int = 0,
    on_failure: Literal["stop", "finish"] = "stop",
    open_s: float = limits.GROUP_OPEN_S,
    on_abandoned: Literal["fail", "close"] = "fail",
    grows: bool = False,
) -> Group[Any]:
    """Parts that run side by side: ``group(thumbnail.s(path) for path in paths)``.

    Its value is the list of theirs, in their order. In a chain each member is given the value of what comes before the
    group.

    Members may be a generator, of any length: they are made while they are sent, and those that were sent run
    meanwhile. A group of more than 10,000 jobs has only calls of tasks for members, and hands on `Results`.

    Args:
        members: calls, and canvases of any kind; or one iterable of these.
        allow_failures: so many members may fail. The values of those are None.
        on_failure: of more: ``stop`` cancels the others at once, ``finish`` lets them end before the group fails.
        open_s: when it is sent in parts, and nothing came for so long, its producer has abandoned it.
        on_abandoned: then it ``fail``s, or is ``close``d with the members that it has.
        grows: it is sent like one of more than 10,000 members. Members may add others to any group while it runs
            (`Context.add_members`).

    Raises:
        InvalidOption: an option is outside what it may be.
    """
    found: Any = members
    if len(members) == 1 and not isinstance(members[0], Canvas):
        [found] = members
        if not isinstance(found, Iterable):
            names.refuse("members", f"is {names.shown(found)}: a group is of calls such as task.s(1), and of canvases")
    failures: Any = allow_failures
    if not isinstance(failures, int) or isinstance(failures, bool) or failures < 0:
        names.refuse("allow_failures", f"is {names.shown(failures)}: give a whole number, 0 or more")
    if on_abandoned not in ("fail", "close"):
        names.refuse("on_abandoned", f"is {names.shown(on_abandoned)}: use 'fail' or 'close'")
    policy = GroupPolicy(
        failures,
        checked_policy(on_failure),
        names.check_seconds("open_s", open_s, zero=False),
        closes=on_abandoned == "close",
        grows=bool(grows),
    )
    return Group(_Once(found) if isinstance(found, Iterator) else found, policy)


def chord(header: Group[Any] | Iterable[Canvas[Any]], callback: Canvas[R]) -> Chain[R]:
    """A group, and what follows when all its members have succeeded:
    ``chord(group(thumbnail.s(path) for path in paths), publish.s())``.

    The callback is given the list of the members' values, in their order. It is enqueued once, in the transaction that
    commits the outcome of the last member. ``chain(group(…), callback)`` is the same.

    Raises:
        InvalidOption: ``header`` is no group and nothing to make one of, or ``callback`` no canvas.
    """
    before = header if isinstance(header, Group) else group(header)
    if not isinstance(callback, Canvas):
        names.refuse("callback", f"is {names.shown(callback)}: give a call such as task.s(), or a canvas")
    parts = callback.parts if isinstance(callback, Chain) and callback.is_plain else (callback,)
    return Chain((before, *parts), f"chord({before.members_described()}, {callback.described()})")


def mapped(task: SendableTask[R], items: Iterable[Any], options: JobOptions | None = None) -> Group[R]:
    """A group with a call of the task for each item. See `penstock.tasks.task.Task.map`."""
    return _of_calls(task, _Calls(items, lambda item: Signature(task, (item,), {}, options)))


def starmapped(task: SendableTask[R], items: Iterable[Iterable[Any]], options: JobOptions | None = None) -> Group[R]:
    """A group with a call of the task for each list of arguments. See `penstock.tasks.task.Task.starmap`."""
    return _of_calls(task, _Calls(items, lambda item: Signature(task, _arguments(item), {}, options)))


def chunked(
    task: SendableTask[R], items: Iterable[Iterable[Any]], size: int, options: JobOptions | None = None
) -> Group[list[R]]:
    """A group with a job for every ``size`` lists of arguments. See `penstock.tasks.task.Task.chunks`."""
    many: Any = size
    if not isinstance(many, int) or isinstance(many, bool) or many < 1:
        names.refuse("n", f"is {names.shown(many)}: give a whole number, 1 or more")
    return _of_calls(
        task, _Calls(items, lambda calls: Chunk(task, tuple(map(_arguments, calls)), {}, options, immutable=True), many)
    )


def _arguments(item: Any) -> tuple[Any, ...]:
    """The arguments of one call."""
    if not isinstance(item, Iterable) or isinstance(item, (str, bytes)):
        names.refuse(
            "items",
            f"has {names.shown(item)} in it: give the arguments of each call as a list, such as [1, 2], or [1] where"
            " it is one; .map takes them as they are",
        )
    return tuple(item)


def _of_calls(task: SendableTask[Any], calls: _Calls) -> Group[Any]:
    return Group(calls, label=task.name.rpartition(".")[2], source=task)


class _Once:
    """An iterator that says so when it has been used up before. The first item may be looked at."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._head: list[Any] | None = None
        self._used = False

    def first(self) -> Any:
        """The first item, which stays; None: there is none."""
        if self._head is None:
            self._head = list(islice(self._items, 1))
        return self._head[0] if self._head else None

    def __iter__(self) -> Iterator[Any]:
        if self._used:
            raise InvalidOption(
                "The members of the group come from an iterator, which has been used up: make the group anew, or give"
                " it a list.",
                field="members",
            )
        self.first()
        self._used = True
        yield from self._head or ()
        yield from self._items


class _Calls:
    """Calls made of items as they are gone through, again each time that these can be gone through again."""

    def __init__(self, items: Iterable[Any], make: Callable[[Any], Any], size: int | None = None) -> None:
        """``size``: each call is made of so many items; None: of one."""
        if not isinstance(items, Iterable):
            names.refuse("items", f"is {names.shown(items)}: give what can be gone through")
        self._items: Iterable[Any] = _Once(items) if isinstance(items, Iterator) else items
        self._make = make
        self._size = size

    def __iter__(self) -> Iterator[Any]:
        if self._size is None:
            yield from map(self._make, self._items)
            return
        items = iter(self._items)
        while part := list(islice(items, self._size)):
            yield self._make(part)


def _first(members: Iterable[Any]) -> Canvas[Any] | None:
    found = members.first() if isinstance(members, _Once) else next(iter(members), None)
    if found is not None and not isinstance(found, Canvas):
        names.refuse(
            "members", f"has {names.shown(found)} in it: a group is of calls such as task.s(1), and of canvases"
        )
    return found
