"""The ready line: where new jobs join it, and where leases take from its front.

Within a transaction, new jobs of a line whose queue had nothing ready are held in memory first. When a lease of the
same transaction takes them, which is how a system lives whose workers keep up, they never touch the `ready` table; what
is left is written with the commit, or before anything else looks at the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.in_memory import Books, Place

Row = tuple[int, bytes, int, bytes]
"""seq, id, checksum, body: what is a new job's own."""


class Ready(NamedTuple):
    """A row of `take_ready`: a job that was just taken from a line."""

    line: int
    urgency: int
    rank: int
    arrival: int
    seq: int
    id: bytes
    attempts: int
    checksum: int
    body: bytes
    extra: bytes | None
    expires_at: float | None
    interest: int

    @property
    def place(self) -> Place:
        """Where it stood."""
        return Place(self.urgency, self.rank, self.arrival)


as_ready: Final[Callable[[Any], Ready]] = partial(tuple.__new__, Ready)
"""Names the columns of a row."""

RANGE_ROWS: Final = 50
"""From this many new jobs on, one statement that finds them is cheaper than one each."""
_SPAN_MAX: Final = 1_000 << 21
"""Ids made within a second: the stretch of the table they stand in is short."""


class Alike(NamedTuple):
    """What the jobs of one group share. ``first_arrival`` is the first one's, and each has the next; 0: they wait
    for a time, and have none yet."""

    line: int
    priority: int
    rank: int
    first_arrival: int
    extra: bytes | None
    created_at: float
    run_at: float
    expires_at: float | None


class Newcomers(NamedTuple):
    """New jobs of one line, in order, with their arrival numbers. ``arrivals_end`` is past the last one given out for
    them."""

    alike: Alike
    arrivals: Sequence[int]
    rows: Sequence[Row]
    arrivals_end: int

    def ready(self, limit: int) -> list[Ready]:
        """What `take_ready` would find of the first ``limit``."""
        line, priority, rank, _, extra, _, _, expires_at = self.alike
        return [
            Ready(line, -priority, rank, arrival, seq, job_id, 0, crc, body, extra, expires_at, 0)
            for arrival, (seq, job_id, crc, body) in zip(self.arrivals[:limit], self.rows, strict=False)
        ]

    def after(self, count: int) -> Newcomers:
        """Those behind the first ``count``."""
        return self._replace(arrivals=self.arrivals[count:], rows=self.rows[count:])


class ReadyLine:
    """The one place that adds new jobs to the `ready` table and takes jobs from its front."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database = books.database
        self._fresh: dict[int, Newcomers] = {}

    def join(self, newcomers: Newcomers) -> None:
        """Add new jobs. Their count is the caller's, and made after this."""
        line, rows = newcomers.alike.line, newcomers.rows
        if self.books.queues[self.books.lines[line].queue].counts.ready:
            self.write(line)
            self._insert(newcomers)
        elif rows:
            self._fresh[line] = newcomers

    def take(self, line: int, limit: int, room_bytes: int) -> tuple[list[Ready], int]:
        """Remove up to ``limit`` jobs from the front, until their bodies fill ``room_bytes``. Answers them and the room
        that is left, which is 0 or less when it was filled. Their count is the caller's."""
        fresh = self._fresh.pop(line, None)
        candidates = (
            map(as_ready, self.database.connection.execute(STATEMENTS["take_ready"], (line, limit)))
            if fresh is None
            else fresh.ready(limit)
        )
        rows: list[Ready] = []
        for row in candidates:
            rows.append(row)
            room_bytes -= len(row.body)
            if room_bytes <= 0:
                break
        if rows:
            if fresh is None:
                self.database.run("delete_ready_to", line, *rows[-1].place)
            elif len(rows) < len(fresh.rows):
                self._fresh[line] = fresh.after(len(rows))
        return rows, room_bytes

    def put_back(self, rows: Sequence[Ready]) -> None:
        """Return jobs that were just taken to their places. They have not been counted out."""
        self.write_all()
        self.database.run_many("insert_ready", [row[:5] for row in rows])

    def insert(self, line: int, place: Place, seq: int) -> None:
        """Put a job into the `ready` table. Its count is the caller's."""
        self.database.run("insert_ready", line, *place, seq)

    def insert_many(self, rows: Sequence[tuple[int, int, int, int, int]]) -> None:
        """As `insert`, of several: line, urgency, rank, arrival, seq."""
        self.database.run_many("insert_ready", rows)

    def remove(self, line: int, place: Place) -> None:
        """Take a job out of the `ready` table. Its count is the caller's."""
        self.database.run("delete_ready", line, *place)
        assert self.database.connection.changes() == 1, "a ready job stands in its line"

    def write_all(self) -> None:
        """Write what is held in memory. Whoever reads the `ready` table, or adds to it, calls this first."""
        while self._fresh:
            self._insert(self._fresh.popitem()[1])

    def write(self, line: int) -> None:
        """As `write_all`, for one line."""
        fresh = self._fresh.pop(line, None)
        if fresh is not None:
            self._insert(fresh)

    def forget(self) -> None:
        """The transaction was undone."""
        self._fresh.clear()

    def _insert(self, newcomers: Newcomers) -> None:
        """Their arrival numbers were given to nobody else, so they find the rows."""
        alike, arrivals = newcomers.alike, newcomers.arrivals
        seqs = [row[0] for row in newcomers.rows]
        if len(seqs) >= RANGE_ROWS:
            first, last = min(seqs), max(seqs)
            if last - first < _SPAN_MAX:
                self.database.run("line_up", first, last, arrivals[0], newcomers.arrivals_end, alike.line)
                assert self.database.connection.changes() == len(seqs), "arrival numbers are given out once"
                return
        self.database.run_many(
            "insert_ready",
            [
                (alike.line, -alike.priority, alike.rank, arrival, seq)
                for arrival, seq in zip(arrivals, seqs, strict=True)
            ],
        )
