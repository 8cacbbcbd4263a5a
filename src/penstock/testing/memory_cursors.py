"""Positions of sources in the in-memory store."""

from __future__ import annotations

from abc import ABC, abstractmethod

from penstock.model.source_cursors import (
    SourceCursor,
    check_cursor,
    check_new_cursor,
    check_source_name,
    moved,
)


class Cursors:
    """The position of each partition of each source."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, str], SourceCursor] = {}

    def after(self, cursor: SourceCursor, *, has_jobs: bool) -> SourceCursor:
        """The position after an enqueue or a publish with this cursor, which may be refused.

        ``has_jobs``: whether anything comes with it."""
        check_cursor(cursor)
        in_force = self.all.get((cursor.source, cursor.partition))
        if in_force is None:
            check_new_cursor(len(self.all))
        return moved(cursor, in_force, has_jobs=has_jobs)

    def move(self, cursor: SourceCursor) -> None:
        """Keep a position."""
        self.all[cursor.source, cursor.partition] = cursor


class CursorCalls(ABC):
    """The part of `penstock.testing.memory.MemoryStore` that tells and forgets positions."""

    _cursors: Cursors

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    def cursors(self, source: str | None = None) -> list[SourceCursor]:
        """The positions of a source, or of all."""
        self._open()
        if source is not None:
            check_source_name(source, "source")
        return [self._cursors.all[key] for key in sorted(self._cursors.all) if source in (None, key[0])]

    def remove_cursors(self, source: str, *, partition: str | None = None) -> int:
        """Forget positions. Answers how many."""
        self._open()
        check_source_name(source, "source")
        if partition is not None:
            check_source_name(partition, "partition")
        gone = [key for key in self._cursors.all if key[0] == source and partition in (None, key[1])]
        for key in gone:
            del self._cursors.all[key]
        return len(gone)
