"""Who holds slots of which keys, and whether others wait for them (`penstock.model.keyed_limits`).

All of it is in the file: a slot is a row of `slot`, who waits is a row of `blocked`. So no slot is lost with an owner,
and none leaks: whoever ends a job deletes its rows in the same transaction. What was last asked of some keys is in
memory besides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from penstock.model.keyed_limits import Key
from penstock.store.sqlite.blocked_line import Blocked, BlockedLines
from penstock.store.sqlite.database import Database, of_many

CHUNK_ROWS: Final = 50
"""Jobs in one statement."""
_AHEAD_ROWS: Final = 8
"""Of a key that is served, so many more rows are read at a time than are asked for."""
_AHEAD_ROWS_MAX: Final = 20_000
"""Rows read ahead, of all keys together. Beyond: only what is asked for is read."""

WaitingRow = tuple[Any, ...]
"""Of a job that waits for a key: seq, line, urgency, rank, arrival, values."""

_RATES: Final = of_many("rate_slots", CHUNK_ROWS)
_GIVE_BACK: Final = {rows: of_many("delete_slots", rows) for rows in (1, CHUNK_ROWS)}


class _Known:
    """What is known of a key.

    Attributes:
        taken: how many slots are taken.
        waits: whether jobs wait; None: that is to be asked.
        ahead: the first of those that wait, read before they were asked for. Empty: they are to be read.
    """

    __slots__ = ("ahead", "taken", "waits")

    def __init__(self, taken: int) -> None:
        self.taken = taken
        self.waits: bool | None = None
        self.ahead: list[WaitingRow] = []


class Slots:
    """The tables `slot` and `blocked`, as far as keys go."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.blocked = BlockedLines(database)
        self._known: dict[Key, _Known] = {}
        self._ahead_rows = 0
        self.note_whether_any()

    def forget(self) -> None:
        """Nothing is known but what is in the file."""
        self._known.clear()
        self._ahead_rows = 0
        self.note_whether_any()

    def __len__(self) -> int:
        """Of how many keys something is remembered."""
        return len(self._known)

    def _of(self, key: Key) -> _Known:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _Known(int(self.database.value("count_slots", *key)))
        return found

    # --- slots -------------------------------------------------------------------------------------------------------
    def taken(self, key: Key) -> int:
        """How many slots of a key are taken."""
        return self._of(key).taken

    def take(self, keys: Sequence[Key]) -> None:
        """Count a slot of each of these keys as taken. `write` must follow in the same call."""
        for key in keys:
            self._of(key).taken += 1

    def write(self, rows: Iterable[tuple[int, Key]]) -> None:
        """Write whose the slots are that were taken: the number of the job's row, and the key."""
        values = [(seq, *key) for seq, key in rows]
        if values:
            self._are_any = True
            self.database.run_many("insert_slot", values)

    def held(self, seq: int) -> list[Key]:
        """The keys that a job holds a slot of."""
        return [Key(*found) for found in self.database.rows("slots_of", seq)]

    def give_back(self, seqs: Sequence[int], kept: Collection[Key] = ()) -> set[Key]:
        """Take all slots from these jobs, but those of ``kept``. Answers the keys of those that are free now."""
        gone: list[Key] = []
        if kept and self._are_any:
            rows = [(seq, key) for seq in seqs for key in self.held(seq) if key not in kept]
            self.database.run_many("delete_slot", [(seq, *key) for seq, key in rows])
            gone = [key for _, key in rows]
        elif self._are_any:
            for start in range(0, len(seqs), CHUNK_ROWS):
                part = seqs[start : start + CHUNK_ROWS]
                values = [*part, *[None] * (CHUNK_ROWS - len(part))] if len(part) > 1 else part
                gone += map(Key._make, self.database.connection.execute(_GIVE_BACK[len(values)], values))
        for key in gone:
            self._of_taken(key)
        return set(gone)

    def _of_taken(self, key: Key) -> None:
        known = self._known.get(key)
        if known is not None:
            known.taken -= 1

    def spend(self, seqs: Sequence[int]) -> Counter[Key]:
        """Take the slots of rates from jobs that are leased. Answers of which keys they were, and how many of each."""
        found: list[tuple[int, Key]] = []
        for start in range(0, len(seqs), CHUNK_ROWS):
            part = seqs[start : start + CHUNK_ROWS]
            rows = self.database.connection.execute(_RATES, [*part, *[None] * (CHUNK_ROWS - len(part))])
            found += [(seq, Key(kind, text)) for seq, kind, text in rows]
        self.database.run_many("delete_slot", [(seq, *key) for seq, key in found])
        for _, key in found:
            self._of_taken(key)
        return Counter([key for _, key in found])

    def note_whether_any(self) -> None:
        """Find out whether there is any slot at all. While there is none, ends of jobs need not be looked at."""
        self._are_any = self.database.value("any_slot") is not None

    # --- who waits ---------------------------------------------------------------------------------------------------
    def waits(self, key: Key) -> bool:
        """Whether jobs wait for a key."""
        known = self._of(key)
        if known.waits is None:
            known.waits = self.database.value("any_blocked", *key) is not None
        return known.waits

    def note_waiting(self, key: Key) -> None:
        """A job is about to be blocked for a key."""
        self._of(key).waits = True

    def block(self, key: Key, jobs: Iterable[Blocked]) -> None:
        """Let jobs wait for a key."""
        self.blocked.join(*key, jobs)
        self._forget_ahead(self._of(key))
        self.note_waiting(key)

    def first(self, key: Key, limit: int) -> list[WaitingRow]:
        """The first of those that wait for a key, which the caller takes out of their line."""
        known = self._of(key)
        found = known.ahead
        self._ahead_rows -= len(found)
        if len(found) <= limit:
            more = _AHEAD_ROWS if self._ahead_rows < _AHEAD_ROWS_MAX else 0
            found = self.blocked.first(*key, limit + 1 + more)
        known.ahead = found[limit:]
        known.waits = bool(known.ahead)
        self._ahead_rows += len(known.ahead)
        return found[:limit]

    def _forget_ahead(self, known: _Known) -> None:
        self._ahead_rows -= len(known.ahead)
        known.ahead = []

    def leave(self, seq: int) -> None:
        """Take a job that waits out of its line, wherever it stands."""
        row = self.database.row("blocked_for", seq)
        assert row is not None, "a blocked job stands in its line"
        self.blocked.leave(seq)
        known = self._known.get(Key(*row))
        if known is not None:
            known.waits = None
            self._forget_ahead(known)

    def is_waiting(self, seq: int) -> bool:
        """Whether a job is blocked."""
        return self.database.row("blocked_for", seq) is not None

    def next_key(self, after: Key) -> Key | None:
        """The next key, in order, for which jobs wait. None: there is none behind this one."""
        row = self.database.row("next_blocked_key", *after)
        return None if row is None else Key(*row)
