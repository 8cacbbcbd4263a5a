"""How tasks and applications are pickled: by the module and the name under which they are found.

A task is not copied. The pickle says where it is, and the process that reads it imports that module, as for a function.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pickle import PicklingError
from typing import Any

Place = tuple[str, str]
"""A module and an attribute of it, which may have dots."""


def place_of(thing: object, module_name: str, likely: str | None = None) -> Place | None:
    """Where ``thing`` is found in a module: under the name that is ``likely``, or any other. None: nowhere."""
    # What stands in sys.modules need not be a module, and may answer to any name.
    names = getattr(sys.modules.get(module_name), "__dict__", {})
    if likely is not None:
        first, *rest = likely.split(".")
        found = names.get(first)
        for name in rest:
            found = getattr(found, name, None)
        if found is thing:
            return module_name, likely
    for name, value in list(names.items()):
        if value is thing:
            return module_name, name
    return None


def place_in_any(thing: object, first: Iterable[str]) -> Place:
    """Where ``thing`` is found in a module, those named ``first`` before all others.

    Raises:
        PicklingError: it is in none.
    """
    for name in dict.fromkeys([*first, *sys.modules]):
        place = place_of(thing, name)
        if place is not None:
            return place
    raise PicklingError(f"{thing!r} cannot be pickled: it is no attribute of a module, so nobody could find it again.")


def found_at(module_name: str, path: str) -> Any:
    """What is at a place, in this process."""
    found: Any = import_module(module_name)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def task_of(module_name: str, path: str, task: str) -> Any:
    """The task of this name of the application at a place, in this process."""
    return found_at(module_name, path).get(task)
