"""What a chord of the load is made of: all of it follows from its token. Pure.

A chord is a group of jobs, now and then with a job before it, and a callback that is given what the members returned.
Some members fail for good. Where as many may fail the callback has nothing in their places; where fewer may, the others
end, and somebody is told of the failure instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

CALLBACK: Final = "torture.released"
"""The task of callbacks."""
ON_ERROR: Final = "torture.told"
"""The task of those who are told that a chord has failed."""
NOTHING: Final = "-"
"""Stands in a callback's result for a member that failed."""
DOOMED: Final = "torture.doomed"
"""The task of members that are meant to fail."""
_MEMBERS: Final = (
    *["torture.coroutine"] * 6,
    *["torture.plain"] * 4,
    "torture.threaded",
    "torture.short",
    "torture.flaky",
    "torture.steps",
    "torture.plain_steps",
)
_SIZE_MAX: Final = 12
_LARGE: Final = 80
_LARGE_SHARE: Final = 0.06
_HEAD_SHARE: Final = 0.4
_DOOMED_MAX: Final = 3
_KINDS: Final = ("sound", "sound", "allowed", "failing")


class Part(NamedTuple):
    """One job of a chord."""

    task: str
    token: str


class Chord(NamedTuple):
    """A chord.

    Attributes:
        token: of the whole.
        head: a job before the group; None: there is none.
        failures_max: so many members may fail.
        on_error: who is told when all of it has failed.
    """

    token: str
    head: Part | None
    members: list[Part]
    failures_max: int
    callback: Part
    on_error: Part

    def parts(self) -> Iterator[Part]:
        """All of them."""
        if self.head is not None:
            yield self.head
        yield from self.members
        yield self.callback
        yield self.on_error

    def first(self) -> list[Part]:
        """Those that are enqueued when it is accepted."""
        return self.members if self.head is None else [self.head]


def chord_of(token: str) -> Chord:
    """The chord that a token stands for."""
    draw = Random(token)
    size = _LARGE if draw.random() < _LARGE_SHARE else draw.randint(1, _SIZE_MAX)
    names, kind = [draw.choice(_MEMBERS) for _ in range(size)], draw.choice(_KINDS)
    doomed = 0 if kind == "sound" else draw.randint(1, min(_DOOMED_MAX, size))
    for place in draw.sample(range(size), doomed):
        names[place] = DOOMED
    return Chord(
        token,
        Part("torture.coroutine", f"{token}/head") if draw.random() < _HEAD_SHARE else None,
        [Part(name, f"{token}/{place}") for place, name in enumerate(names)],
        doomed - (kind == "failing"),
        Part(CALLBACK, f"{token}/callback"),
        Part(ON_ERROR, f"{token}/error"),
    )


def token_of(callback: str) -> str:
    """The token of a chord, by that of its callback."""
    return callback.removesuffix("/callback")


def nonce_of(result: str | None) -> str:
    """The name of the execution that has returned this; of None: `NOTHING`."""
    return NOTHING if result is None else result.partition(" ")[0]
