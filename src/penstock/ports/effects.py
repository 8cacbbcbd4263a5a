"""What a call does to a store, as far as whoever carries it has to know: is there anything to commit, and what if the
answer is lost and the call is made again?
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Effect(StrEnum):
    """What a call does, and what a repeat of it would do."""

    READS = "reads"
    """It changes nothing."""
    REPEATABLE = "repeatable"
    """It changes the store. A repeat does no harm: the second lease gives back what the first one took."""
    ONCE = "once"
    """It changes the store, and a repeat is answered with the first answer and applied once."""


_EFFECTS: Final[dict[str, Effect]] = {}


def reads(call: F) -> F:
    """Marks a call that changes nothing."""
    _EFFECTS[call.__name__] = Effect.READS
    return call


def repeatable(call: F) -> F:
    """Marks a call that changes the store and may be made twice."""
    _EFFECTS[call.__name__] = Effect.REPEATABLE
    return call


def effect_of(name: str) -> Effect:
    """What the call of this name does. A call that is not marked is applied once."""
    return _EFFECTS.get(name, Effect.ONCE)
