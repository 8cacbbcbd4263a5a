"""Fences, and the epochs that they begin with: no fence is given out twice, whatever happens to the owner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from penstock.model.job import FENCE_COUNTER_BITS
from penstock.store.sqlite.database import Database

_FENCES_MAX: Final = 1 << FENCE_COUNTER_BITS


class Fences(ABC):
    """The part of `penstock.store.sqlite.in_memory.Books` that gives out fences.

    Attributes:
        epoch: rises each time the file is opened.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.epoch = 0
        self._fence_counter = 0

    @abstractmethod
    def load(self, *, is_undone: bool = False) -> None:
        """Read everything from the file."""

    @abstractmethod
    def sweep(self) -> None:
        """Forget, in the open transaction, what nobody refers to any more."""

    def load_epoch(self) -> None:
        """After a rollback that undid a new epoch: the next fence begins another one."""
        if self.epoch != (stored := int(self.database.value("epoch") or 0)) and self.epoch:
            self.epoch, self._fence_counter = stored, _FENCES_MAX

    def rise_epoch(self) -> None:
        """Start a new epoch, durably: no fence of it was ever given out."""
        self.database.begin()
        self._next_epoch()
        self.sweep()
        self.database.commit()
        self.load()

    def _next_epoch(self) -> None:
        """In the open transaction."""
        self.epoch = int(self.database.value("epoch") or 0) + 1
        self._fence_counter = 0
        self.database.run("put_meta", "epoch", self.epoch)

    @property
    def next_fence(self) -> int:
        """No fence that was given out so far is as great, and none that will be is smaller."""
        return (self.epoch << FENCE_COUNTER_BITS) + self._fence_counter + 1

    def take_fences(self, count: int) -> int:
        """The first of ``count`` consecutive fences, each greater than any before."""
        if self._fence_counter + count >= _FENCES_MAX:
            self._next_epoch()
        first = (self.epoch << FENCE_COUNTER_BITS) | (self._fence_counter + 1)
        self._fence_counter += count
        return first
