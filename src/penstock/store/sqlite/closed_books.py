"""Which lines are closed, in memory and in the file."""

from __future__ import annotations

from penstock.model.lines import Closed, ClosedLine, ClosedLines
from penstock.store.sqlite.database import Database


class ClosedBooks:
    """The part of `penstock.store.sqlite.in_memory.Books` that knows which lines are closed.

    Attributes:
        closed: those that were closed and have not been opened.
    """

    database: Database

    def load_closed(self) -> None:
        """Read all from the file."""
        closed = self.database.rows("load_closed_lines")
        self.closed = ClosedLines(ClosedLine(queue or None, task or None, Closed(why)) for queue, task, why in closed)

    def close_lines(self, one: ClosedLine) -> None:
        """Note that lines are closed. Those that are known to have jobs are told by the caller."""
        self.closed.close(one)
        self.database.run("insert_closed_line", one.queue or "", one.task or "", one.reason.value)

    def open_lines(self, queue: str | None, task: str | None, reason: Closed | None) -> None:
        """Undo `close_lines`."""
        self.closed.open(queue, task, reason)
        for one in Closed if reason is None else [reason]:
            self.database.run("delete_closed_line", queue or "", task or "", one.value)
