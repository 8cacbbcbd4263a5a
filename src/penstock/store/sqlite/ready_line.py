"""The ready line: where new jobs join it, and where leases take from its front.

Within a transaction, new jobs of a queue that had nothing ready are held in memory first. When a lease of the same
transaction takes them, which is how a system lives whose workers keep up, they never touch the `ready` table; what is
left is written with the commit, or before anything else looks at the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.in_memory import Books

Ready = tuple[Any, ...]
"""A row of `take_ready`; the names below are its columns."""
Row = tuple[int, bytes, int, bytes]
"""seq, id, checksum, body: what is a new job's own."""
ORDER_KEY, SEQ, TASK, CHECKSUM, BODY, EXPIRES_AT, QUEUE = 0, 1, 3, 5, 6, 8, 9

RANGE_ROWS: Final = 50
"""From this many new jobs on, one statement that finds them is cheaper than one each."""
_SPAN_MAX: Final = 1_000 << 21
"""Ids made within a second: the stretch of the table they stand in is short."""


class Alike(NamedTuple):
    """What the jobs of one group share. ``step`` tells how far apart their order keys are: 0 while they wait."""

    task: int
    queue: int
    first_key: int
    extra: bytes | None
    run_at: float
    expires_at: float | None
    step: int


class Newcomers(NamedTuple):
    """New jobs of one queue, in order, with their order keys. ``keys_end`` is past the last key given out for them."""

    alike: Alike
    keys: Sequence[int]
    rows: Sequence[Row]
    keys_end: int

    def ready(self, limit: int) -> list[Ready]:
        """What `take_ready` would find of the first ``limit``."""
        task, queue, _, extra, _, expires_at, _ = self.alike
        return [
            (order_key, seq, job_id, task, 0, crc, body, extra, expires_at, queue)
            for order_key, (seq, job_id, crc, body) in zip(self.keys[:limit], self.rows, strict=False)
        ]

    def after(self, count: int) -> Newcomers:
        """Those behind the first ``count``."""
        return self._replace(keys=self.keys[count:], rows=self.rows[count:])


class ReadyLine:
    """The one place that adds new jobs to the `ready` table and takes jobs from its front."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database = books.database
        self._fresh: dict[int, Newcomers] = {}

    def join(self, newcomers: Newcomers) -> None:
        """Add new jobs, and count them."""
        queue, rows = newcomers.alike.queue, newcomers.rows
        counts = self.books.counts(queue)
        if counts.ready:
            self.write(queue)
            self._insert(newcomers)
        elif rows:
            self._fresh[queue] = newcomers
        counts.ready += len(rows)

    def take(self, queue: int, limit: int, room_bytes: int) -> tuple[list[Ready], int]:
        """Remove up to ``limit`` jobs from the front, until their bodies fill ``room_bytes``. Answers them and the room
        that is left, which is 0 or less when it was filled."""
        fresh = self._fresh.pop(queue, None)
        candidates = (
            self.database.connection.execute(STATEMENTS["take_ready"], (queue, limit))
            if fresh is None
            else fresh.ready(limit)
        )
        rows: list[Ready] = []
        for row in candidates:
            rows.append(row)
            room_bytes -= len(row[BODY])
            if room_bytes <= 0:
                break
        if rows:
            self.books.counts(queue).ready -= len(rows)
            if fresh is None:
                self.database.run("delete_ready_to", queue, rows[-1][ORDER_KEY])
            elif len(rows) < len(fresh.rows):
                self._fresh[queue] = fresh.after(len(rows))
        return rows, room_bytes

    def put_back(self, rows: Sequence[Ready]) -> None:
        """Return jobs that were just taken to their places."""
        self.write_all()
        self.database.run_many("insert_ready", [(row[QUEUE], row[ORDER_KEY], row[SEQ]) for row in rows])
        for row in rows:
            self.books.counts(row[QUEUE]).ready += 1

    def write_all(self) -> None:
        """Write what is held in memory. Whoever reads the `ready` table, or adds to it, calls this first."""
        while self._fresh:
            self._insert(self._fresh.popitem()[1])

    def write(self, queue: int) -> None:
        """As `write_all`, for one queue."""
        fresh = self._fresh.pop(queue, None)
        if fresh is not None:
            self._insert(fresh)

    def forget(self) -> None:
        """The transaction was undone."""
        self._fresh.clear()

    def _insert(self, newcomers: Newcomers) -> None:
        """Their order keys were given to nobody else, so they find the rows."""
        queue, keys = newcomers.alike.queue, newcomers.keys
        seqs = [row[0] for row in newcomers.rows]
        if len(seqs) >= RANGE_ROWS:
            first, last = min(seqs), max(seqs)
            if last - first < _SPAN_MAX:
                self.database.run("line_up", first, last, keys[0], newcomers.keys_end, queue)
                assert self.database.connection.changes() == len(seqs), "order keys are given out once"
                return
        self.database.run_many("insert_ready", [(queue, key, seq) for key, seq in zip(keys, seqs, strict=True)])
