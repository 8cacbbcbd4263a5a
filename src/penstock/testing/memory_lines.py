"""Closing and opening lines of the in-memory store."""

from __future__ import annotations

from abc import abstractmethod

from penstock.model.lines import Closed, ClosedLine
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_slots import WithSlots, serving


class LineCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` that closes lines and opens them."""

    _refusals: Refusals

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @serving
    def close_lines(self, reason: Closed, *, queue: str | None = None, task: str | None = None) -> None:
        """Give out no jobs of these lines."""
        self._open()
        self._refusals.closed.close(ClosedLine(queue, task, reason))
        if reason is Closed.PAUSED:
            self.slots.review()

    @serving
    def open_lines(self, *, queue: str | None = None, task: str | None = None, reason: Closed | None = None) -> None:
        """Undo `close_lines`."""
        self._open()
        self._refusals.closed.open(queue, task, reason)
        if reason in (None, Closed.PAUSED):
            self.slots.review()

    def closed_lines(self) -> list[ClosedLine]:
        """What was closed and has not been opened."""
        self._open()
        return self._refusals.closed.all()
