"""The port of the engine: what an owner needs of the store that it serves, beyond the contract of all stores.

It puts several calls into one transaction, makes enqueues durable without a transaction, keeps answers for repeats, and
tells what became ready and what ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from penstock.model.store_file import CopyStep, FileStatistics
from penstock.ports import Store
from penstock.store.deferring import DeferredEnqueue

SEVERAL: Final = b""
"""See `Engine.asking`."""


class Engine(Store, Protocol):
    """A store that can put several calls into one transaction."""

    @property
    def epoch(self) -> int:
        """A number that rises with every owner of the store."""
        ...

    @property
    def schema_version(self) -> int:
        """Of the store's tables. It rises with versions of Penstock."""
        ...

    asking: bytes | None
    """The client whose request is being done, who may make only so many queues. None: nobody's in particular; empty:
    requests of several clients are done as one, and no queues are made for them."""

    @property
    def suspects(self) -> bool:
        """Whether a chore has failed lately. Then `tick` is called outside of any transaction, which it might spoil."""
        ...

    @property
    def wants_room(self) -> bool:
        """Whether a chore, or the redo log, found the disk full: call `make_room` before anything else."""
        ...

    @property
    def lost(self) -> str | None:
        """Why the engine cannot go on, so that its owner has to end. None: it can."""
        ...

    @property
    def watched(self) -> set[bytes]:
        """Ids that somebody waits for; written by the owner."""
        ...

    @property
    def ended(self) -> list[bytes]:
        """The watched jobs that ended since the owner last emptied the list."""
        ...

    @property
    def readied(self) -> set[tuple[str, str]]:
        """Lines, each a queue and a task, in which something became ready since the owner last emptied the set."""
        ...

    @property
    def is_particular(self) -> bool:
        """Whether jobs that one holder is not given may still be for another, because some were refused, or because
        there are limits."""
        ...

    @property
    def has_limits(self) -> bool:
        """Whether some queue or task has limits."""
        ...

    @property
    def opens_at(self) -> float:
        """When a rate lets jobs start that wait for it, by the monotonic clock; infinity: none waits."""
        ...

    def open_due(self) -> None:
        """Note in `readied` what rates let start by now."""
        ...

    @property
    def is_acting(self) -> bool:
        """Whether there is work to be done that nobody waits for: a detached owner does it before it leaves."""
        ...

    @property
    def deferred(self) -> int:
        """How many requests are durable and answered, without rows yet. The next transaction makes rows of them."""
        ...

    def defer(self, requests: Sequence[DeferredEnqueue]) -> bool:
        """Make enqueues durable without a transaction. Answers False when they have to go through one. Not while a
        transaction is open.
        """
        ...

    def catch_up(self) -> None:
        """Make rows of what is deferred."""
        ...

    def make_room(self, size_bytes: int, spared: Collection[bytes]) -> bool:
        """After `StoreFull`: throw away what a transaction of this size needs, none of the jobs in ``spared``. Answers
        whether it is worth trying again. Not while a transaction is open."""
        ...

    def copy_file(self, target: str, *, begin: bool) -> CopyStep:
        """Copy the next pages of the store's file, for a bounded time. Not while a transaction is open."""
        ...

    def drop_copy(self) -> None:
        """Give up the copy that is being made, if there is one."""
        ...

    def drop_idle_copy(self) -> None:
        """Give up a copy of which nobody has asked for more for a while."""
        ...

    def file_statistics(self, cursor: str | None = None) -> FileStatistics:
        """What there is to tell of the store's file. Not while a transaction is open."""
        ...

    def begin(self) -> None:
        """Open the transaction."""
        ...

    def commit(self) -> None:
        """Make the transaction durable, then return."""
        ...

    def tidy(self) -> None:
        """Do what can wait until the clients have been answered."""
        ...

    def rollback(self) -> None:
        """Undo the transaction."""
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
