"""A page of what somebody wants, put together of the pages that a store gives.

A page of a store is bounded in time, so it may be short, or empty, and still go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class PageFilling(Generic[T]):
    """Collects pages until as much is there as is wanted, or nothing is left: ``while filling.is_open``, ask the store
    for the page of `cursor` with at most `left` in it, and `add` what it answers.

    Args:
        limit: how much is wanted.
        cursor: where to begin. None: at the start.

    Attributes:
        items: what has come so far.
        cursor: where it goes on; None, after the first page: nowhere.
    """

    __slots__ = ("_begun", "_limit", "cursor", "items")

    def __init__(self, limit: int, cursor: str | None = None) -> None:
        self.items: list[T] = []
        self.cursor = cursor
        self._limit = limit
        self._begun = False

    @property
    def left(self) -> int:
        """How much is still wanted."""
        return self._limit - len(self.items)

    @property
    def is_open(self) -> bool:
        """Whether to ask for another page."""
        return not self._begun or (self.cursor is not None and self.left > 0)

    def add(self, items: Iterable[T], cursor: str | None) -> None:
        """Take in a page, and the cursor that it came with."""
        self.items.extend(items)
        self.cursor = cursor
        self._begun = True
