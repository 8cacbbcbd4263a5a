"""The journal: a table in which every transaction writes one row, with what each transaction must record.

A row has the answers that the transaction gave, for requests that are repeated, and the ledgers (counts) of the
queues that it touched. One row a client and one row a queue would be most of the pages that a small transaction writes.
The journal is bounded: from time to time the oldest rows are deleted, and those of their answers that may still be
asked for are written into new rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from penstock.model import limits
from penstock.model.job import QueueStats
from penstock.ports import Clock
from penstock.store.sqlite.database import STATEMENTS, Database

ROWS_MAX: Final = 1_024
"""With more rows than this the oldest are dropped. A take-over reads all of them."""
BYTES_MAX: Final = 16 * 1024 * 1024
"""With more bytes than this all rows are dropped. When the answers that may still be asked for are more than half of
that, the limit is twice their size: they would be written anew again and again."""
STEP_ROWS: Final = 64
"""Oldest rows dropped at a time, and how many rows lie between two such times."""
ROW_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest row of answers that are written anew. They may be those of many clients, and SQLite limits a row."""

Ledger = tuple[int, int, QueueStats]
"""Of one queue: its number, its last arrival number, its counts."""


class Answer(NamedTuple):
    """An answer to ``client``'s request of this ``number``. ``heard_at``: when the client asked last, Unix seconds;
    None: when the row was written.
    """

    client: bytes
    number: int
    answer: bytes
    heard_at: float | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_packed_ledgers: Final = msgspec.msgpack.Decoder(list[list[Any]]).decode
_answers_in: Final = msgspec.msgpack.Decoder(list[Answer]).decode


def _ledgers_in(packed: bytes) -> list[Ledger]:
    """The ledgers in a row. Before schema version 5 the counts stood behind the two numbers, not in their own list."""
    found = _packed_ledgers(packed)
    return [
        (number, arrival, QueueStats(*(counts[0] if isinstance(counts[0], list) else counts)))
        for number, arrival, *counts in found
    ]


def read_ledgers(connection: apsw.Connection) -> Iterator[Ledger]:
    """The ledgers in the journal, oldest first: the last one of a queue holds, and beats what its row says."""
    for _, ledgers in connection.execute(STATEMENTS["journal_ledgers"]):
        yield from _ledgers_in(ledgers)


class Journal:
    """Where in the journal each answer and ledger stands, and what the open transaction is going to add."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._answers: list[Answer] = []
        self._is_row_required = False

    def require_row(self) -> None:
        """Have the next transaction write a row whatever it does. That makes the records in the redo log void."""
        self._is_row_required = True

    def load(self) -> dict[int, Ledger]:
        """Read the journal. Answers the ledgers that stand in it, by queue."""
        self._answers = []
        self._written: list[tuple[list[Answer], int]] = []
        self._first = self._next = 1
        self._bytes = 0
        self._lasting_bytes = 0
        self._places: dict[bytes, dict[int, int]] = {}
        self._heard: dict[bytes, float] = {}
        self._ledger_rows: dict[int, int] = {}
        ledgers: dict[int, Ledger] = {}
        for row, at, packed_ledgers, packed_answers in self.database.rows("load_journal"):
            if not self._bytes:
                self._first = row
            self._next = row + 1
            for ledger in _ledgers_in(packed_ledgers):
                ledgers[ledger[0]] = ledger
                self._ledger_rows[ledger[0]] = row
            self._note(row, at, _answers_in(packed_answers), len(packed_ledgers) + len(packed_answers))
        return ledgers

    @property
    def next_number(self) -> int:
        """The number of the next row. It rises with every row that is written, and never falls."""
        return self._next

    def _note(self, row: int, at: float, answers: list[Answer], size_bytes: int) -> None:
        self._bytes += size_bytes
        for client, number, _, heard_at in answers:
            window = self._places.get(client)
            if window is None:
                window = self._places[client] = {}
            window[number] = row
            window.pop(number - limits.CLIENT_REQUESTS_MAX, None)
            if len(window) > limits.CLIENT_REQUESTS_MAX:
                _close_gaps(window)
            if heard_at is None:
                self._heard[client] = at
            else:
                self._heard.setdefault(client, heard_at)

    # --- the open transaction ----------------------------------------------------------------------------------------
    def add_answer(self, client: bytes, number: int, answer: bytes) -> None:
        """Keep an answer, in place of the client's CLIENT_REQUESTS_MAX-th last."""
        self._answers.append(Answer(client, number, answer))

    def stale_ledgers(self) -> list[int]:
        """Queues whose rows must be written now, because the last that the journal has of them is about to go."""
        if not self._drops():
            return []
        end = self._drop_end()
        return [queue for queue, row in self._ledger_rows.items() if row < end]

    def write(self, ledgers: list[Ledger]) -> None:
        """Write the transaction's row, if there is anything to say. Call it last, then commit, then `committed`."""
        self._at = self.clock.time()
        drops = self._drops()
        if drops:
            self._drop()
        self._ledgers = ledgers
        if ledgers or self._answers or self._is_row_required or (drops and not self._written):
            # There must be a row after a drop: the numbers go on from the last one.
            self._insert(ledgers, self._answers)

    def _insert(self, ledgers: list[Ledger], answers: list[Answer]) -> None:
        packed_ledgers, packed_answers = _encode(ledgers), _encode(answers)
        number = self._next + len(self._written)
        self.database.run("insert_journal", number, self._at, packed_ledgers, packed_answers)
        self._written.append((answers, len(packed_ledgers) + len(packed_answers)))

    def _drops(self) -> bool:
        return not self._next % STEP_ROWS and (self._next - self._first > ROWS_MAX or self._is_long())

    def _is_long(self) -> bool:
        return self._bytes > max(BYTES_MAX, 2 * self._lasting_bytes)

    def _drop_end(self) -> int:
        return self._next if self._is_long() else min(self._first + STEP_ROWS, self._next)

    def _drop(self) -> None:
        """Delete the oldest rows, or all; of their answers, those that may be asked for again move on to new rows."""
        end = self._drop_end()
        kept: list[Answer] = []
        for row, size_bytes, answers in self.database.rows("journal_answers", end):
            self._bytes -= size_bytes
            kept += [
                one._replace(heard_at=self._heard[one.client])
                for one in _answers_in(answers)
                if self._places.get(one.client, {}).get(one.number) == row
            ]
        self.database.run("drop_journal", end)
        for some in _in_rows(kept):
            self._insert([], some)
        if end == self._next:
            self._lasting_bytes = sum(size_bytes for _, size_bytes in self._written)
        self._first = end

    def committed(self) -> None:
        """The transaction is durable."""
        for answers, size_bytes in self._written:
            self._note(self._next, self._at, answers, size_bytes)
            self._next += 1
        if self._written:
            for ledger in self._ledgers:
                self._ledger_rows[ledger[0]] = self._next - 1
            self._written.clear()
            self._answers = []
            self._is_row_required = False

    def forget_ledger(self, queue: int) -> None:
        """The queue's own row has its ledger now. Should the transaction be undone, `load` is called."""
        self._ledger_rows.pop(queue, None)

    # --- answers -----------------------------------------------------------------------------------------------------
    def answers_of(self, client: bytes, lowest: int = 0) -> dict[int, bytes]:
        """The answers kept for a client, by request number, from the lowest that is asked for."""
        places = {number: row for number, row in self._places.get(client, {}).items() if number >= lowest}
        kept: dict[int, bytes] = {}
        for row in set(places.values()):
            told = _answers_in(self.database.value("journal_answer", row))
            kept.update(
                (one.number, one.answer) for one in told if one.client == client and places.get(one.number) == row
            )
        return kept

    def forget_answers(self, before: float) -> None:
        """Do not keep the answers of clients that have not been heard of since this time (Unix seconds)."""
        for client in [client for client, at in self._heard.items() if at < before]:
            del self._heard[client], self._places[client]


def _close_gaps(window: dict[int, int]) -> None:
    """Forget what is too old to be asked for again. Not every number gets an answer that drives out an older one."""
    last = max(window)
    for number in [number for number in window if number <= last - limits.CLIENT_REQUESTS_MAX]:
        del window[number]


def _in_rows(answers: list[Answer]) -> Iterator[list[Answer]]:
    some: list[Answer] = []
    size_bytes = 0
    for one in answers:
        some.append(one)
        size_bytes += len(one.answer)
        if size_bytes >= ROW_BYTES_MAX:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some
