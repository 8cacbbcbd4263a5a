"""Making room on a full disk for what must be committed all the same: outcomes, leases, a take-over.

The reserve file is given up first (`database`), and nothing is thrown away while it lasts. When a transaction finds the
disk full after that, results are thrown away, then whole records: as many as the transaction needs, the oldest first.
Those that somebody waits for are spared. The youngest go last, because whoever enqueued these jobs may be about to ask
for them. The pages that become free in the database take what is written next, so that the file need not grow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

import apsw

from penstock.model import limits
from penstock.model.errors import StoreFull
from penstock.store.sqlite import database
from penstock.store.sqlite.in_memory import Books

_logger = logging.getLogger("penstock.store")

_AGAIN_S: Final = 5.0
"""When a transaction finds no room again within this time, the free space that the disk tells of is of no use, as under
a quota."""
_BATCHES: Final = (50, 5, 1)
"""Records in one transaction. The fewer, the less room it needs itself."""
_ROW_BYTES: Final = 200
"""What a record takes besides its arguments and its result."""
_ANY_TIME: Final = 1e18
_TOLD_FACTOR: Final = 10
"""The owner's log is told again when this many times as much has been dropped."""

Drop = Callable[[list[tuple[int, int, str, int]]], None]


class DiskRoom:
    """Drops results and records, and counts them.

    Args:
        alone: does a step in a transaction of its own.
        drop: throws away records (seq, line, state, interest).

    Attributes:
        throw_away_workflows: throws away so many rows of workflows that are over and that nobody waits for. Answers how
            many they were.
    """

    def __init__(self, books: Books, alone: Callable[[Callable[[], Any]], Any], drop: Drop) -> None:
        self.books = books
        self.database = books.database
        self._alone = alone
        self._drop = drop
        self.throw_away_workflows: Callable[[int, Collection[bytes]], int] = lambda *_: 0
        self._asked_at = -_AGAIN_S
        self._was_believed = False
        self._told = 0
        self._dropped = 0

    def dropped(self) -> tuple[int, int]:
        """Results and records dropped since the store was made."""
        return int(self.database.value("get_meta", "results_dropped") or 0), int(
            self.database.value("get_meta", "records_dropped") or 0
        )

    def make(self, size_bytes: int, spared: Collection[bytes]) -> bool:
        """Make room for a transaction of this size that found the disk full. Answers whether it is worth trying again.

        Args:
            size_bytes: how much it writes, as far as is known.
            spared: ids of jobs that somebody waits for.
        """
        store = self.database
        if not store.full:
            return False
        now = self.books.clock.monotonic()
        if now - self._asked_at >= _AGAIN_S:
            self._was_believed = False
        self._asked_at = now
        # Not more when this is called again: a transaction that fails with so much room lacks room in the log.
        needed = max(database.SLACK_BYTES, 2 * size_bytes)
        store.shrink_log()
        if not store.short and not self._was_believed and store.free_bytes() >= max(needed, database.LAST_BYTES):
            # The reserve has made the room, or another program has. Under a quota neither helps, and this is called
            # again.
            self._was_believed = True
            return True
        store.give_up_last()
        store.short = not store.shrink_log()
        slack = store.slack_bytes()
        if slack < needed:
            self._drop_until(needed, spared)
        self._tell()
        return store.slack_bytes() > slack or slack >= needed

    def _drop_until(self, needed: int, spared: Collection[bytes]) -> None:
        """Drop until there is so much room inside the database, or nothing that may go."""
        now = self.books.clock.time()
        for until in (now - limits.RECORD_SPARED_S, _ANY_TIME):
            self._in_batches("oldest_results", needed, until, spared, self._strip)
            self._in_batches("oldest_finished", needed, until, spared, self._discard)
        self._workflows_in_batches(needed, spared)
        self._in_batches("oldest_dead", needed, _ANY_TIME, spared, self._discard)

    def has_room(self) -> None:
        """The disk has room again."""
        if self._dropped:
            _logger.warning("while the disk was full, %d results or records were dropped to make room", self._dropped)
        self._dropped = self._told = 0

    def _tell(self) -> None:
        if self._dropped >= max(1, self._told * _TOLD_FACTOR) and self._dropped > self._told:
            self._told = self._dropped
            _logger.error(
                "the disk is full and its reserve used up: %d of the oldest results or records were dropped so far",
                self._dropped,
            )

    # --- throwing away ------------------------------------------------------------------------------------------------
    def _strip(self, rows: list[Any]) -> None:
        """Throw away results, and the arguments of jobs that succeeded. Their records stay, and say so."""
        for row in rows:
            # Deleted and inserted: a row that is only made smaller gives back no page. All columns are read and written
            # back whatever they are, so that one added later is not lost here.
            for table, stripped in (("finished", {"result": None}), ("job", {"body": b""})):
                read = self.database.connection.execute(f"SELECT * FROM {table} WHERE seq = ?", (row[0],))
                names = [name for name, _ in read.get_description()]
                kept = dict(zip(names, next(read), strict=True)) | stripped
                read.close()
                self.database.run(f"delete_{table}", row[0])
                marks = ", ".join("?" * len(names))
                self.database.connection.execute(f"INSERT INTO {table} VALUES ({marks})", tuple(kept.values()))
            if self.books.finished.retained:
                self.books.finished.retained.leave(row[0])
                self.books.finished.retained.enter([(row[0], self.books.lines[row[2]].queue)])
        self._count("results_dropped", sum(row[4] > 0 for row in rows))

    def _discard(self, rows: list[Any]) -> None:
        """Throw away records."""
        self._drop([(row[0], row[2], row[3], row[6]) for row in rows])
        self._count("records_dropped", len(rows))

    def _count(self, name: str, count: int) -> None:
        if count:
            before = int(self.database.value("get_meta", name) or 0)
            self.database.run("put_meta", name, before + count)

    def _workflows_in_batches(self, needed: int, spared: Collection[bytes]) -> None:
        """As `_in_batches`, of workflows that are over: each goes as a whole, with the records of its jobs."""
        at = 0
        while at < len(_BATCHES) and self.database.slack_bytes() < needed:
            try:
                done = self._alone(partial(self._throw_away, _BATCHES[at], spared))
            except StoreFull:
                at += 1
                done = 1
            self.database.shrink_log()
            if not done:
                return
            self._dropped += done

    def _throw_away(self, most: int, spared: Collection[bytes]) -> int:
        done = self.throw_away_workflows(most, spared)
        self._count("records_dropped", done)
        return done

    def _in_batches(
        self, name: str, needed: int, until: float, spared: Collection[bytes], act: Callable[[list[Any]], None]
    ) -> None:
        """Act on the oldest, in transactions that are made smaller when there is no room for them."""
        after, at = 0, 0
        while at < len(_BATCHES) and (left := needed - self.database.slack_bytes()) > 0:
            found = self.database.rows(name, after, until, _BATCHES[at])
            if not found:
                return
            rows, size_bytes = [], 0
            for row in found:
                after_this = row[0]
                if row[1] not in spared:
                    rows.append(row)
                    size_bytes += row[4] + row[5] + _ROW_BYTES
                    if size_bytes >= left:
                        break
            if rows:
                try:
                    self._alone(partial(act, rows))
                except StoreFull:
                    at += 1
                    self.database.shrink_log()
                    continue
                self.database.shrink_log()
            after = after_this
            self._dropped += len(rows)


def open_with_room(room: DiskRoom, take_over: Callable[[], None]) -> None:
    """Take a store over, on a full disk too.

    Raises:
        apsw.Error: it cannot be done, not even with what can be thrown away.
    """
    for chance in range(4):
        try:
            take_over()
        except apsw.FullError as error:
            room.database.rollback()
            room.database.translate(error)
            room.books.load()
            if chance and not room.make(0, ()) and chance > 1:
                raise
        else:
            return
    take_over()
