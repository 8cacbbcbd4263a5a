"""Which records belong to queues that have bounds of their own, and how large these records are together.

A record of such a queue is marked: its row in `finished` has the number of the queue and its size, which puts it into a
partial index by age. So the oldest of a queue are found at once, however many records other queues have, and those of
other queues are not in the index. Records that are there when a queue gets its bounds are marked in slices, and until
that is done the queue is not trimmed: else newer ones would go before them. A queue that has once had bounds goes on
being marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from penstock.model.flow import QueueRecord, Retention
from penstock.store.sqlite.database import STATEMENTS, Database

_LOOKS = 16
"""Rows between two looks at the clock."""


class Numbered(Protocol):
    """A queue."""

    id: int


class RetainedQueues:
    """The queues, by their numbers.

    Attributes:
        sizes: how large the marked records of each are together, in bytes.
        unmarked: those that have records which are not marked.
        touched: those whose records, or bounds, have changed since somebody looked.
        changed: those whose sizes are to be written.
        entered: how many records were made since somebody looked.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.declared: dict[str, Retention] = {}
        self.sizes: dict[int, int] = {}
        self.unmarked: set[int] = set()
        self.touched: set[int] = set()
        self.changed: set[int] = set()
        self.entered = 0
        self._below = 0

    def __bool__(self) -> bool:
        return bool(self.sizes)

    def load(self) -> None:
        """Read everything from the file, but for what is declared: `declare` must follow. Marking begins anew: what is
        marked is passed over."""
        self.declared = {}
        rows = self.database.rows("load_retained")
        self.sizes = {queue: size_bytes for queue, size_bytes, _ in rows}
        self.unmarked = {queue for queue, _, is_marked in rows if not is_marked}
        self.touched = set(self.sizes)
        self.changed = set()
        self._below = 0

    def declare(self, records: Iterable[QueueRecord], queues: Mapping[str, Numbered]) -> None:
        """These bounds hold from now on, and no others of these queues. ``queues``: those that there are, by name."""
        for record in records:
            self.declared.pop(record.name, None)
            if record.retention is not None:
                self.declared[record.name] = record.retention
            queue = queues.get(record.name)
            if queue is not None and record.retention is not None:
                if queue.id not in self.sizes:
                    self._add(queue.id, is_marked=False)
                self.touched.add(queue.id)

    def named(self, number: int, name: str, *, is_new: bool) -> None:
        """A queue has this name from now on. ``is_new``: it has no records."""
        if name in self.declared:
            if number not in self.sizes:
                self._add(number, is_marked=is_new)
            self.touched.add(number)

    def _add(self, number: int, *, is_marked: bool) -> None:
        self.sizes[number] = 0
        self.database.run("insert_retained", number, is_marked)
        if not is_marked:
            self.unmarked.add(number)
            self._below = 0

    def removed(self, number: int) -> None:
        """Forget a queue that was removed."""
        if number in self.sizes:
            del self.sizes[number]
            self.database.run("delete_retained", number)
            for numbers in (self.unmarked, self.touched, self.changed):
                numbers.discard(number)

    def save(self) -> None:
        """Write the sizes that have changed, in the open transaction."""
        for number in self.changed:
            self.database.run("save_retained", self.sizes[number], number)
        self.changed.clear()

    # --- records -----------------------------------------------------------------------------------------------------
    def enter(self, records: Iterable[tuple[int, int]]) -> None:
        """Records have been made: the number of each row, and of its queue."""
        ours = [(queue, seq) for seq, queue in records if queue in self.sizes]
        self.entered += len(ours)
        self._mark(ours)

    def _mark(self, records: list[tuple[int, int]]) -> None:
        """Mark records: the number of the queue, and of the row."""
        for queue, size_bytes in self.database.connection.executemany(STATEMENTS["mark_retained"], records):
            self.sizes[queue] += size_bytes
        queues = {queue for queue, _ in records}
        self.touched |= queues
        self.changed |= queues

    def leave(self, seq: int) -> None:
        """The record in this row is about to be deleted, or made smaller."""
        queue, size_bytes = self.database.row("retained_of", seq) or (None, 0)
        if queue in self.sizes:
            self.sizes[queue] -= size_bytes
            self.touched.add(queue)
            self.changed.add(queue)

    def mark_some(self, queue_of: Callable[[int], int | None], goes_on: Callable[[], bool]) -> bool:
        """Mark records that were there before their queue had bounds, until ``goes_on`` says no. ``queue_of``: the
        queue of a line. Answers whether all are marked."""
        found: list[tuple[int, int]] = []
        is_done = True
        rows = self.database.connection.execute(STATEMENTS["unmarked_records"], (self._below,))
        for count, (seq, line, is_marked) in enumerate(rows, 1):
            queue = queue_of(line)
            if not is_marked and queue is not None and queue in self.unmarked:
                found.append((queue, seq))
            self._below = seq
            if not count % _LOOKS and not goes_on():
                is_done = False
                break
        rows.close()
        self._mark(found)
        if is_done:
            for queue in self.unmarked:
                self.database.run("all_marked", queue)
            self.unmarked.clear()
        return is_done
