"""Arguments of a call as they are shown: with nothing to be read in place of those that are sensitive."""

from __future__ import annotations

from typing import Any, Final

from penstock.model.errors import InvalidOption
from penstock.tasks.sendable_task import SendableTask


class _Covered:
    """Stands in a text where a sensitive value would."""

    def __repr__(self) -> str:
        return "…"


_COVERED: Final = _Covered()


def shown_arguments(
    task: SendableTask[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with nothing to be read in place of those that are sensitive. The call may be wrong: what stands behind
    the last parameter is covered too."""
    if not task.sensitive:
        return args, kwargs
    try:
        known = task.codec.positional_names()
    except InvalidOption:
        known = ()
    places = [place < len(known) and known[place] not in task.sensitive for place in range(len(args))]
    return (
        tuple(value if shown else _COVERED for value, shown in zip(args, places, strict=True)),
        {name: _COVERED if name in task.sensitive else value for name, value in kwargs.items()},
    )
