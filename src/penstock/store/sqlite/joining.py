"""How jobs become ready anew: an enqueue, a promotion, a retry, a snooze, a revival, a move, an edit.

All of these come through here, so this is the one place that decides which place such a job has. A job that only comes
back to its old place, because it was released, lost or refused, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.store.sqlite.in_memory import Books, Place
from penstock.store.sqlite.ready_jobs import Newcomers
from penstock.store.sqlite.ready_line import ReadyLine


class Joiner(NamedTuple):
    """A job that has its row, stands in no table besides, and is to be ready.

    Attributes:
        place: as `Joining.place` gave it, or the one it had before. The row of the job has it already.
        values: as packed in the row; None: it has none.
    """

    seq: int
    line: int
    place: Place
    values: bytes | None


class Joining:
    """Lets jobs join the lines of ready jobs.

    Attributes:
        readied: lines, each a queue and a task, in which something became ready since the set was last emptied.
    """

    def __init__(self, books: Books, line: ReadyLine) -> None:
        self.books = books
        self.line = line
        self.readied: set[tuple[str, str]] = set()

    def place(self, urgency: int) -> Place:
        """A place at the end of a line."""
        return Place(urgency, 0, self.books.take_arrivals(1))

    def newcomers(self, newcomers: Newcomers) -> None:
        """New jobs of one group that do not wait for a time. The caller counts them as ready, after this."""
        self.line.join(newcomers)
        self.readied.add(self.books.line_name(newcomers.alike.line))

    def join(self, jobs: Sequence[Joiner]) -> None:
        """Let jobs join their lines. The caller counts them as ready."""
        self.line.insert_many([(line, *place, seq) for seq, line, place, _ in jobs])
        self.readied.update([self.books.line_name(line) for line in {job.line for job in jobs}])
