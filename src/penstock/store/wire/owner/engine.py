"""What an owner needs of the store that it serves, beyond the contract: several calls in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from penstock.model.job import DeferredEnqueue
from penstock.ports import Store

SEVERAL: Final = b""
"""See `Engine.asking`."""


class Engine(Store, Protocol):
    """A store that can put several calls into one transaction."""

    @property
    def epoch(self) -> int:
        """Raised at every take-over."""
        ...

    asking: bytes | None
    """The client whose request is being done, who may make only so many queues. None: nobody's in particular; empty:
    requests of several clients are done as one, and no queues are made for them."""

    @property
    def suspects(self) -> bool:
        """A chore failed: `tick` had better not be part of a transaction, which it would spoil, but outside of any."""
        ...

    @property
    def wants_room(self) -> bool:
        """`make_room` is called for before anything else is done: a chore, or the log, found the disk full."""
        ...

    @property
    def lost(self) -> str | None:
        """Why it cannot go on, so that its owner has to end. None: it can."""
        ...

    @property
    def watched(self) -> set[bytes]:
        """Ids that somebody waits for; written by the owner."""
        ...

    @property
    def ended(self) -> list[bytes]:
        """Those of the watched that ended since the owner last emptied the list."""
        ...

    @property
    def readied(self) -> set[tuple[str, str]]:
        """Lines, each a queue and a task, in which something became ready since the owner last emptied the set."""
        ...

    @property
    def is_particular(self) -> bool:
        """Whether what one holder is not given may still be for another."""
        ...

    @property
    def deferred(self) -> int:
        """Requests that are durable and answered, and of which the next transaction makes rows, whatever it is for."""
        ...

    def defer(self, requests: Sequence[DeferredEnqueue]) -> bool:
        """Make enqueues durable without a transaction. False: these have to be enqueued. Not while one is open."""
        ...

    def catch_up(self) -> None:
        """Make rows of what is deferred."""
        ...

    def make_room(self, size_bytes: int, spared: Collection[bytes]) -> bool:
        """After `StoreFull`: throw away what a transaction of this size needs, none of the jobs in ``spared``. Answers
        whether it is worth trying again. Not while a transaction is open."""
        ...

    def begin(self) -> None:
        """Open the transaction."""
        ...

    def commit(self) -> None:
        """Make it durable, then return."""
        ...

    def tidy(self) -> None:
        """Do what can wait until those who asked have been answered."""
        ...

    def rollback(self) -> None:
        """Undo it."""
        ...

    def record_answer(self, client: bytes, number: int, answer: bytes) -> None:
        """Keep an answer, in the transaction that it answers, in place of the client's CLIENT_REQUESTS_MAX-th last."""
        ...

    def answers_of(self, client: bytes, lowest: int = 0) -> dict[int, bytes]:
        """The answers kept for a client, by number, from the lowest that is asked for."""
        ...

    def forget_answers(self, before: float) -> None:
        """Drop the answers of clients not heard of since this time (Unix seconds)."""
        ...
