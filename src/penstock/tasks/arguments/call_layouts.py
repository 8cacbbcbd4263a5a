"""What is remembered of calls that fit, so that the next of their kind is checked no further than it has to be."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from penstock.tasks.arguments.parameters import Parameter
from penstock.tasks.arguments.untyped_values import LEAVES, is_plain

Keys = frozenset[Any]
"""The classes that a dict's keys may be of."""


class Layout(Struct, frozen=True):
    """What is still to be checked of calls of one shape: the classes by position, the names, and the classes by name.

    Attributes:
        deep_args: places in ``args`` whose values are still to be looked into. deep_kwargs: names in ``kwargs`` whose
        values are. inexact_args: places in ``args`` of whose values only what arrives tells whether it is the same.
        inexact_kwargs: names in ``kwargs`` of such values. loose_args: places in ``args`` whose values are marked with
        what they are (`penstock.tasks.arguments.untyped_values`). loose_kwargs: names in ``kwargs`` whose values are.
        open_args: places in ``args`` of lists and dicts that can be sent as they are when all in them is JSON's; with
            what their keys have to be, None: anything.
        open_kwargs: names in ``kwargs`` of such.
        open: there are such, and nothing else is to be done.
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
        """Whether nothing is to be done to a call before it is encoded. Asked where it is ``open``."""
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
    """For these places or names, what `Layout` has of those that are open; None: one is not."""
    found: dict[Any, Keys | None] = {}
    for place, parameter in among:
        kind = type(values[place])
        keys = LEAVES if parameter.traits.shallow and kind in (dict, list) else parameter.open.get(kind)
        if keys is None or parameter.mark is None:
            return None
        found[place] = None if keys is LEAVES or kind is list else keys
    return list(found.items())
