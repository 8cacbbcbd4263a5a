"""The journal: one row a transaction, for what every transaction must leave behind whatever it did.

That is the answers it gave, in case they are asked for again, and the ledgers of the queues it touched. Kept in rows of
their own, one a client and one a queue, they would be most of the pages that a small transaction writes. The journal is
bounded: from time to time the oldest rows are deleted, and what of them is still of use is written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import apsw
import msgspec

from penstock.model import limits
from penstock.ports import Clock
from penstock.store.sqlite.database import STATEMENTS, Database

ROWS_MAX: Final = 1_024
"""Rows from which on old ones are dropped: at a take-over they are all read."""
BYTES_MAX: Final = 16 * 1024 * 1024
"""As `ROWS_MAX`, for answers that are long."""
STEP_ROWS: Final = 64
"""Rows dropped at a time, and how many transactions lie between two such times."""

Ledger = tuple[int, ...]
"""Of one queue: its number, its last arrival number, its counts in the order of `QueueStats`."""
Answer = tuple[bytes, int, bytes]
"""Client, number of the request, answer."""

_encode: Final = msgspec.msgpack.Encoder().encode
_ledgers_in: Final = msgspec.msgpack.Decoder(list[Ledger]).decode
_answers_in: Final = msgspec.msgpack.Decoder(list[Answer]).decode


def read_ledgers(connection: apsw.Connection) -> Iterator[Ledger]:
    """The ledgers in the journal, oldest first: the last one of a queue holds, and beats what its row says."""
    for _, ledgers in connection.execute(STATEMENTS["journal_ledgers"]):
        yield from _ledgers_in(ledgers)


class Journal:
    """What is in the journal, and what the open transaction is going to add."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._answers: list[Answer] = []

    def load(self) -> dict[int, Ledger]:
        """Read it. Answers the ledgers that stand in it, by queue."""
        self._answers.clear()
        self._first = self._next = 1
        self._bytes = 0
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
            self._note(row, at, _answers_in(packed_answers), len(packed_answers))
        return ledgers

    def _note(self, row: int, at: float, answers: list[Answer], size_bytes: int) -> None:
        self._bytes += size_bytes
        for client, number, _ in answers:
            window = self._places.get(client)
            if window is None:
                window = self._places[client] = {}
            window[number] = row
            window.pop(number - limits.CLIENT_REQUESTS_MAX, None)
            self._heard[client] = at

    # --- the open transaction ----------------------------------------------------------------------------------------
    def add_answer(self, client: bytes, number: int, answer: bytes) -> None:
        """Keep an answer, in place of the client's CLIENT_REQUESTS_MAX-th last."""
        self._answers.append((client, number, answer))

    def stale_ledgers(self) -> list[int]:
        """Queues whose rows must be written now, because the last that the journal has of them is about to go."""
        if not self._drops():
            return []
        end = self._drop_end()
        return [queue for queue, row in self._ledger_rows.items() if row < end]

    def write(self, ledgers: list[Ledger]) -> None:
        """Write the transaction's row, if there is anything to say. Call it last, then commit, then `committed`."""
        if self._drops():
            self._drop()
        self._at = self.clock.time()
        self._ledgers = ledgers
        if ledgers or self._answers:
            self._packed = _encode(self._answers)
            self.database.run("insert_journal", self._next, self._at, _encode(ledgers), self._packed)

    def _drops(self) -> bool:
        if self._next % STEP_ROWS:
            return False
        return self._next - self._first > ROWS_MAX or self._bytes > BYTES_MAX

    def _drop_end(self) -> int:
        return min(self._first + STEP_ROWS, self._next)

    def _drop(self) -> None:
        """Delete the oldest rows; of their answers, those that may be asked for again move on to this row."""
        end = self._drop_end()
        kept: list[Answer] = []
        for row, answers in self.database.rows("journal_answers", end):
            self._bytes -= len(answers)
            kept += [one for one in _answers_in(answers) if self._places.get(one[0], {}).get(one[1]) == row]
        self._answers[:0] = kept
        self.database.run("drop_journal", end)
        self._first = end

    def committed(self) -> None:
        """The transaction is durable."""
        if self._ledgers or self._answers:
            row = self._next
            self._next += 1
            for ledger in self._ledgers:
                self._ledger_rows[ledger[0]] = row
            self._note(row, self._at, self._answers, len(self._packed))
            self._answers.clear()

    def forget_ledger(self, queue: int) -> None:
        """The queue's own row says it all; so does this transaction, should it be undone: then `load` is called."""
        self._ledger_rows.pop(queue, None)

    # --- answers -----------------------------------------------------------------------------------------------------
    def answers_of(self, client: bytes) -> dict[int, bytes]:
        """The answers kept for a client, by request number."""
        places = self._places.get(client, {})
        kept: dict[int, bytes] = {}
        for row in set(places.values()):
            told = _answers_in(self.database.value("journal_answer", row))
            kept.update(
                (number, answer) for whose, number, answer in told if whose == client and places.get(number) == row
            )
        return kept

    def forget_answers(self, before: float) -> None:
        """Do not keep the answers of clients that have not been heard of since this time (Unix seconds)."""
        for client in [client for client, at in self._heard.items() if at < before]:
            del self._heard[client], self._places[client]
