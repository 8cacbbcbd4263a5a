"""Blocked lines: jobs that may not start for a reason that counts for one key, such as a limit for one customer.

There is one line for each reason and key. It has the manner of a ready line: jobs join it with their place, the first
are taken, one leaves from wherever it stands. Whoever limits decides which jobs join, and takes as many as may start;
the counts of their queues are the caller's. A job that is cancelled, moved, edited, deleted or expired leaves by
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from penstock.store.sqlite.database import Database
from penstock.store.sqlite.in_memory import Place


class Blocked(NamedTuple):
    """A job in a blocked line: the number of its row, and the place it has among ready jobs once it is one of them."""

    seq: int
    place: Place


class BlockedLines:
    """The one place that adds jobs to the `blocked` table and takes jobs from it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def join(self, reason: str, key: str, jobs: Iterable[Blocked]) -> None:
        """Put jobs into the line of this reason and key. They stand in no other table."""
        self.database.run_many("insert_blocked", [(reason, key, *place, seq) for seq, place in jobs])

    def first(self, reason: str, key: str, limit: int) -> list[tuple[Any, ...]]:
        """The first jobs, in order: seq, line, and from the row of the job its urgency, rank, arrival and values."""
        return self.database.rows("first_blocked", reason, key, limit)

    def remove(self, seqs: Sequence[int]) -> None:
        """Remove these jobs."""
        self.database.run_over("delete_blocked", seqs)

    def leave(self, seq: int) -> None:
        """Remove one job, wherever it stands."""
        self.database.run("delete_blocked", seq)
        assert self.database.connection.changes() == 1, "a blocked job stands in its line"

    def count(self, reason: str, key: str) -> int:
        """How many jobs there are for this reason and key."""
        return int(self.database.value("count_blocked", reason, key))
