"""Positions of sources over the embedded file.

They are read from the file whenever they are asked for, so nothing of them is in memory. An enqueue with a cursor
always goes through a transaction: one from the redo log could not be refused any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from penstock.model.job import EnqueueAnswer, JobGroup
from penstock.model.source_cursors import (
    SourceCursor,
    check_cursor,
    check_new_cursor,
    check_source_name,
    moved,
)
from penstock.model.topics import PublishAnswer
from penstock.store.sqlite.transactions import Transactions, draining

_Answer = TypeVar("_Answer", EnqueueAnswer, PublishAnswer)


class SourceCursorCalls(Transactions):
    """The calls of the engine that are about sources."""

    def _enqueue_with(self, cursor: SourceCursor, groups: Sequence[JobGroup], *, atomic: bool) -> EnqueueAnswer:
        """`enqueue` that moves a source, in the open transaction."""
        has_jobs = any(group.jobs for group in groups)
        enqueue = partial(self._acceptor.enqueue, groups, atomic=atomic)
        return self._moving(cursor, enqueue, has_jobs=has_jobs, atomic=atomic)

    def _moving(self, cursor: SourceCursor, accept: Callable[[], _Answer], *, has_jobs: bool, atomic: bool) -> _Answer:
        """Accept something and move a source, in the open transaction. All that may be refused is looked at first.

        Args:
            cursor: the position that is asked for.
            accept: accepts what was made of what was read.
            has_jobs: whether that is anything.
            atomic: whether nothing was accepted when the answer tells of a conflict; then the source stays where it is.
        """
        check_cursor(cursor)
        in_force = self._position(cursor.source, cursor.partition)
        after = moved(cursor, in_force, has_jobs=has_jobs)
        if in_force is None:
            check_new_cursor(int(self.database.value("count_source_cursors")))
        answer = accept()
        if not (atomic and any(exception.conflict for exception in answer.exceptions)):
            self.database.run("put_source_cursor", after.source, after.partition, after.offset, after.fence)
        return answer

    def _position(self, source: str, partition: str) -> SourceCursor | None:
        found = self.database.row("source_cursor", source, partition)
        return None if found is None else SourceCursor(*found)

    def cursors(self, source: str | None = None) -> list[SourceCursor]:
        """See `penstock.ports.SourceStore.cursors`."""
        if source is not None:
            check_source_name(source, "source")
        found = self.database.rows("source_cursors", source)
        return [SourceCursor(*row) for row in found]

    @draining
    def remove_cursors(self, source: str, *, partition: str | None = None) -> int:
        """See `penstock.ports.SourceStore.remove_cursors`."""
        check_source_name(source, "source")
        if partition is not None:
            check_source_name(partition, "partition")
        return len(self.database.rows("remove_source_cursors", source, partition))
