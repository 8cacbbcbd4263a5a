"""Breadth-first through every state that can be reached. Pure: what happens, and what a state is, a world says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

Action = TypeVar("Action", bound=Hashable)


class Breach(Exception):
    """Something that was promised does not hold. The message says what."""


class World(Protocol[Action]):
    """Something that is in a state, and in which things happen. The same actions always lead to the same state."""

    def actions(self) -> Iterable[Action]:
        """What may happen now."""
        ...

    def do(self, action: Action) -> None:
        """Let it happen.

        Raises:
            Breach: what was answered is against a promise.
        """
        ...

    def check(self) -> None:
        """Look at what must hold in every state.

        Raises:
            Breach: it does not.
        """
        ...

    def form(self) -> Hashable:
        """The state. Worlds of the same form have the same future."""
        ...


class Finding(NamedTuple, Generic[Action]):
    """A breach, and the actions that lead to it from the beginning: as few as there can be."""

    what: str
    trace: list[Action]


class Searched(NamedTuple, Generic[Action]):
    """What a search has seen.

    Attributes:
        states: different ones.
        transitions: actions that were done in a state, whether or not they changed it.
        depth: the most actions that it takes to reach a state in the shortest way.
        is_whole: no state is left that was not looked at.
        finding: the breach that ended the search; None: there is none in what was seen.
        ways: shortest ways from the beginning, which together go through every state.
    """

    states: int
    transitions: int
    depth: int
    is_whole: bool
    finding: Finding[Action] | None
    ways: list[list[Action]]


class _Node(NamedTuple, Generic[Action]):
    """A state that was reached, by its way: the node before it and the action from there."""

    before: _Node[Action] | None
    action: Action | None
    depth: int

    def trace(self) -> list[Action]:
        actions: list[Action] = []
        node: _Node[Action] | None = self
        while node is not None and node.action is not None:
            actions.append(node.action)
            node = node.before
        return actions[::-1]


def search(make_world: Callable[[], World[Action]], *, states_max: int | None = None) -> Searched[Action]:
    """Look at all states, nearest first, up to the first breach.

    A state is made anew by doing what leads to it, so a world need not be copied. One in which an action has changed
    nothing is used for the next action.

    Args:
        make_world: a world at its beginning.
        states_max: stop when so many states are known; None: never.
    """
    known = {make_world().form()}
    to_do: deque[_Node[Action]] = deque([_Node(None, None, 0)])
    transitions = depth = 0
    ways: list[list[Action]] = []

    def searched(finding: Finding[Action] | None = None) -> Searched[Action]:
        is_whole = not to_do and finding is None
        return Searched(len(known), transitions, depth, is_whole, finding, [*ways, *(node.trace() for node in to_do)])

    while to_do and (states_max is None or len(known) < states_max):
        node = to_do[0]
        trace, goes_on = node.trace(), False
        world, done = _led_to(make_world, trace), trace
        form = world.form()
        for action in list(world.actions()):
            transitions += 1
            done = [*done, action]
            try:
                world.do(action)
                world.check()
            except Breach as breach:
                return searched(_shortest(make_world, [*trace, action]) or Finding(str(breach), done))
            after = world.form()
            if after == form:
                continue
            if after not in known:
                known.add(after)
                depth, goes_on = node.depth + 1, True
                to_do.append(_Node(node, action, depth))
            world, done = _led_to(make_world, trace), trace
        to_do.popleft()
        if not goes_on:
            ways.append(trace)
    return searched()


def _shortest(make_world: Callable[[], World[Action]], trace: list[Action]) -> Finding[Action] | None:
    """The breach at the end of a trace; None: it takes more, of what had seemed to change nothing."""
    world = make_world()
    try:
        for action in trace:
            world.do(action)
        world.check()
    except Breach as breach:
        return Finding(str(breach), trace)
    return None


def _led_to(make_world: Callable[[], World[Action]], trace: list[Action]) -> World[Action]:
    world = make_world()
    for action in trace:
        world.do(action)
    return world
