"""A client's side of "applied once": numbers, what is unanswered, and what to repeat. Pure: no sockets, no clock.

Both clients keep a `Session` as long as they live, over all their connections. The rules:
* A recorded request gets the next number, and only while that is less than CLIENT_REQUESTS_MAX above the lowest one
  without an answer: the owner keeps exactly that many answers.
* What is unanswered when a connection ends is repeated on the next, in the order it was first asked.
* A request that its caller gave up on is not repeated. Whether it was applied is not known, and its caller was told so.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreOverloaded
from penstock.store.wire import protocol

_HELLO: Final = 0
"""The number of the hello, which is no request."""


class ClientStatistics(msgspec.Struct, frozen=True):
    """What a client has done.

    Attributes:
        connections: made so far; more than one: a connection to the owner was lost.
        unanswered: requests that wait for their answers now.
        epoch: of the store, as the owner said it on the latest connection.
    """

    requests: int
    connections: int
    unanswered: int
    epoch: int


class Pending:
    """A request without an answer yet.

    Attributes:
        frame: as sent, for a repeat.
        deadline: monotonic seconds at which its caller gives up.
        sent_on: the connection that it was sent on last; None: none yet.
        answer: the payload; None until it is there.
        error: what came instead of an answer.
        done: the answer or the error is there.
        waker: how the client wakes the caller: an `exchange.Caller` for threads, a future for an event loop.
    """

    __slots__ = ("answer", "deadline", "done", "error", "frame", "kind", "number", "sent_on", "waker")

    def __init__(self, kind: int, number: int, payload: bytes, deadline: float) -> None:
        self.kind = kind
        self.number = number
        self.frame = protocol.frame(kind, number, payload)
        self.deadline = deadline
        self.sent_on: object | None = None
        self.answer: bytes | None = None
        self.error: PenstockError | None = None
        self.done = False
        self.waker: Any = None


class Forks:
    """How often this process was forked from another: a child must not go on with its parent's connection."""

    count = 0


def _count_fork() -> None:
    Forks.count += 1


os.register_at_fork(after_in_child=_count_fork)


class Session:
    """What one client identity has asked and not been answered. Not thread-safe: the client sees to that."""

    def __init__(self, identity: bytes | None = None) -> None:
        self.identity = identity or os.urandom(16)
        self._recorded: dict[int, Pending] = {}
        self._others: dict[int, Pending] = {}
        self._alone = 0
        self._next_recorded = 1
        self._next_other = protocol.UNRECORDED

    def __len__(self) -> int:
        return len(self._recorded) + len(self._others)

    @property
    def lowest(self) -> int:
        """The lowest recorded number without an answer; the next one when there is none."""
        return self._alone or next(iter(self._recorded), self._next_recorded)

    def hello(self, role: str) -> bytes:
        """The first frame of a connection."""
        versions = (protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION)
        hello = protocol.Hello(versions, self.identity, role, self.lowest)
        return protocol.frame(protocol.HELLO, _HELLO, protocol.encode(hello))

    def has_room(self, *, recorded: bool) -> bool:
        """Whether `ask` may be called now; a recorded request may have to wait for an answer first."""
        return not recorded or self._next_recorded < self.lowest + limits.CLIENT_REQUESTS_MAX

    def ask(self, kind: int, payload: bytes, deadline: float, *, recorded: bool) -> Pending:
        """Number a request and remember it until it is answered. Only while `has_room`.

        Raises:
            BodyTooLarge: it does not fit a frame.
            StoreOverloaded: more callers wait than a client holds.
        """
        if len(self._recorded) + len(self._others) >= limits.CLIENT_CALLERS_MAX:
            raise StoreOverloaded(f"{limits.CLIENT_CALLERS_MAX} requests of this process wait for the store already.")
        if recorded:
            number = self._next_recorded
            pending = self._recorded[number] = Pending(kind, number, payload, deadline)
            self._next_recorded = number + 1
        else:
            number = self._next_other
            pending = self._others[number] = Pending(kind, number, payload, deadline)
            self._next_other = number + 1
        return pending

    def ask_alone(self, *, recorded: bool) -> int:
        """A number for a request that its caller sends and reads itself while nothing else is unanswered. Its answer is
        told by `answered_alone`; when it does not come at once, the request is one like all others by `adopt`."""
        if recorded:
            number = self._alone = self._next_recorded
            self._next_recorded = number + 1
        else:
            number = self._next_other
            self._next_other = number + 1
        return number

    def answered_alone(self) -> None:
        """The request of `ask_alone` is over."""
        self._alone = 0

    def adopt(self, pending: Pending) -> None:
        """Remember a request of `ask_alone` until it is answered, before those that were asked since."""
        self._alone = 0
        if pending.number >= protocol.UNRECORDED:
            self._others = {pending.number: pending, **self._others}
        else:
            self._recorded = {pending.number: pending, **self._recorded}

    def answered(self, number: int) -> Pending | None:
        """The request that this answer is for, which is forgotten here. None: its caller gave up, or the answer to its
        repeat came before."""
        if number >= protocol.UNRECORDED:
            return self._others.pop(number, None)
        return self._recorded.pop(number, None)

    def give_up(self, pending: Pending) -> None:
        """The caller has gone: do not repeat this request."""
        self.answered(pending.number)

    def unanswered(self) -> list[Pending]:
        """What to repeat on a new connection: first what changes the store, each kind in the order it was asked."""
        return [*self._recorded.values(), *self._others.values()]

    def overdue(self, now: float) -> list[Pending]:
        """Requests whose callers have waited long enough."""
        return [pending for pending in self.unanswered() if pending.deadline <= now]


def settle_pending(pending: Pending, kind: int, payload: bytes) -> None:
    """Write an answer frame into the request it belongs to."""
    if kind == protocol.ANSWER:
        pending.answer = payload
    else:
        pending.error = protocol.error_of(payload)
    pending.done = True


def outcome_of(pending: Pending) -> bytes:
    """The answer to a request that is done, or the error that came instead."""
    if pending.error is not None:
        raise pending.error
    assert pending.answer is not None
    return pending.answer
