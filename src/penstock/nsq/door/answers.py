"""The answers that a connection owes for what it has published, in the order in which it was asked. Pure.

A client may send many PUBs without waiting. They are published together with those of others, and each is answered in
its place. Many of the same request are one entry.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from penstock.model.errors import PenstockError
from penstock.nsq.protocol import frames

OK: Final = frames.OK


class Answered:
    """What answers are for: `penstock.nsq.door.connection.Connection`."""

    __slots__ = ()
    answers: Answers

    def answered(self) -> None:
        """One of its answers has become known."""


class Owed:
    """Answers of one connection that are known all at once.

    Attributes:
        count: how many OKs these are.
        verb: what was asked; named in an error.
        frame: what is sent instead of OKs, when it is known; None: OKs.
        error: why it failed; None: it did not.
        is_fatal: the connection ends with `frame`.
        done: it is known.
    """

    __slots__ = ("connection", "count", "done", "error", "frame", "is_fatal", "verb")

    def __init__(self, connection: Answered, verb: str, count: int = 1) -> None:
        self.connection = connection
        self.verb = verb
        self.count = count
        self.frame: bytes | None = None
        self.error: PenstockError | None = None
        self.is_fatal = False
        self.done = False


class Answers:
    """What a connection owes.

    Attributes:
        ends: a fatal error is among them, so that nothing more is done for the client.
        ended: it has been handed out; nothing is sent after it.
    """

    __slots__ = ("_owed", "ended", "ends")

    def __init__(self) -> None:
        self._owed: deque[Owed] = deque()
        self.ends = False
        self.ended = False

    def __bool__(self) -> bool:
        return bool(self._owed)

    def last(self) -> Owed | None:
        """The entry that was owed last."""
        return self._owed[-1] if self._owed else None

    def owe(self, owed: Owed) -> None:
        """There is one more."""
        self._owed.append(owed)

    def frames(self) -> bytes:
        """What can be sent now: all that is known up to the first that is not."""
        owed, found = self._owed, []
        while owed and owed[0].done and not self.ended:
            one = owed.popleft()
            found.append(OK * one.count if one.frame is None else one.frame)
            self.ended = one.is_fatal
        return b"".join(found)
