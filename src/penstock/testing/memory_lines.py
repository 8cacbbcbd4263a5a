"""Closing and opening lines of the in-memory store."""

from __future__ import annotations

from abc import ABC, abstractmethod

from penstock.model.lines import Closed, ClosedLine
from penstock.testing.memory_refusals import Refusals


class LineCalls(ABC):
    """The part of `penstock.testing.memory.MemoryStore` that closes lines and opens them."""

    _refusals: Refusals

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    def close_lines(self, reason: Closed, *, queue: str | None = None, task: str | None = None) -> None:
        """Give out no jobs of these lines."""
        self._open()
        self._refusals.closed.close(ClosedLine(queue, task, reason))

    def open_lines(self, *, queue: str | None = None, task: str | None = None, reason: Closed | None = None) -> None:
        """Undo `close_lines`."""
        self._open()
        self._refusals.closed.open(queue, task, reason)

    def closed_lines(self) -> list[ClosedLine]:
        """What was closed and has not been opened."""
        self._open()
        return self._refusals.closed.all()
