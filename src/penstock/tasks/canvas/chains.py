"""How chains are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

from penstock.tasks import names
from penstock.tasks.canvas.composition import Canvas, Chain, links_of

R = TypeVar("R")


@overload
def chain(first: Canvas[R], /) -> Chain[R]: ...
@overload
def chain(first: Canvas[Any], second: Canvas[R], /) -> Chain[R]: ...
@overload
def chain(first: Canvas[Any], second: Canvas[Any], third: Canvas[R], /) -> Chain[R]: ...
@overload
def chain(first: Canvas[Any], second: Canvas[Any], third: Canvas[Any], fourth: Canvas[R], /) -> Chain[R]: ...
@overload
def chain(parts: Iterable[Canvas[Any]], /) -> Chain[Any]: ...
@overload
def chain(*parts: Canvas[Any]) -> Chain[Any]: ...
def chain(*parts: Any) -> Chain[Any]:
    """Parts that follow one after the other: ``chain(fetch.s(url), parse.s(), store.s())``.

    Each is given the value of the one before it, after its own positional arguments; what is immutable (`Task.si`)
    only waits for it. A group hands on the list of its members' values, in order. The value of the chain is that of its
    last part.

    Raises:
        InvalidOption: there is nothing in it, or something that is no canvas.
    """
    found = parts
    if len(parts) == 1 and not isinstance(parts[0], Canvas):
        if not isinstance(parts[0], Iterable):
            names.refuse("parts", f"is {names.shown(parts[0])}: a chain is of calls such as task.s(1), and of canvases")
        found = tuple(parts[0])
    for part in found:
        if not isinstance(part, Canvas):
            names.refuse(
                "parts", f"has {names.shown(part)} in it: a chain is of calls such as task.s(1), and of canvases"
            )
    if not found:
        names.refuse("parts", "is empty: a chain has at least one part")
    return Chain(tuple(link for part in found for link in links_of(part)))
