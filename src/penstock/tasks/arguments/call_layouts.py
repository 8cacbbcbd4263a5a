"""What remains to be checked of a call, remembered by the call's shape.

The shape of a call is the classes of its positional arguments, and the names and classes of the others. Once a call of
some shape has been checked against the signature, much of that is known to hold for every call of the shape: that the
names exist, that none is missing, that an ``int`` fits. A `Layout` lists the rest.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from penstock.tasks.arguments.parameters import Parameter
from penstock.tasks.arguments.untyped_values import LEAVES, is_plain

Keys = frozenset[Any]
"""The classes that a dict's keys may be of."""


class Layout(Struct, frozen=True):
    """What is still to be done for each call of one shape, before it is encoded and after.

    For each of four things there are the places in ``args`` and the names in ``kwargs`` of the values it concerns.

    Attributes:
        deep_args: values of which the class does not tell whether they fit: they are to be looked into.
        deep_kwargs: the same by name.
        inexact_args: values of which only decoding what was encoded tells whether they arrive as they are.
        inexact_kwargs: the same by name.
        loose_args: values that are marked with what they are (`penstock.tasks.arguments.untyped_values`).
        loose_kwargs: the same by name.
        open_args: lists and dicts that need none of that when they hold only what JSON has. With each comes what its
            keys may be; None: anything.
        open_kwargs: the same by name.
        open: there are open ones, and everything that is deep or loose is among them.
    """

    deep_args: list[tuple[int, Parameter]]
    deep_kwargs: list[tuple[str, Parameter]]
    loose_args: list[tuple[int, Parameter]]
    loose_kwargs: list[tuple[str, Parameter]]
    inexact_args: list[tuple[int, Parameter]]
    inexact_kwargs: list[tuple[str, Parameter]]
    open_args: list[tuple[int, Keys | None]] = []
    open_kwargs: list[tuple[str, Keys | None]] = []
    open: bool = False

    def sends_as_it_is(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether nothing is to be done to this call before it is encoded. Asked only where the layout is ``open``."""
        for place, keys in self.open_args:
            value = args[place]
            if not is_plain(value) or (keys is not None and not keys.issuperset(map(type, value))):
                return False
        for name, keys in self.open_kwargs:
            value = kwargs[name]
            if not is_plain(value) or (keys is not None and not keys.issuperset(map(type, value))):
                return False
        return True


def open_ones(among: list[tuple[Any, Parameter]], values: Any) -> list[tuple[Any, Keys | None]] | None:
    """For these places or names, what `Layout.open_args` says of them. None: not all of them are open."""
    found: dict[Any, Keys | None] = {}
    for place, parameter in among:
        kind = type(values[place])
        keys = LEAVES if parameter.traits.shallow and kind in (dict, list) else parameter.open.get(kind)
        if keys is None or parameter.mark is None:
            return None
        found[place] = None if keys is LEAVES or kind is list else keys
    return list(found.items())
