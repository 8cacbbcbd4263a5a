"""How far the time in a job's id is from the time at which the job was accepted, at most, of all jobs there ever were.

Ids are made by producers, whose clocks differ from the store's, and some time before the job arrives: a child's id
when its parent asked for it. Row numbers are made of ids. So a search by the time of acceptance knows among which row
numbers to look, and what it finds there it compares by the time itself.

One number is kept. Each time it proves too small it at least doubles, so it is written a few times in a store's life,
and enqueueing compares two row numbers with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.store.sqlite.database import Database
from penstock.store.sqlite.row_numbers import ROW_NUMBER_MAX, row_at, time_of_row

_LEAST_S: Final = 2.0
_ROUNDING_S: Final = 0.005
"""The time of a row is cut to the millisecond, and a displaced job stands a few rows behind its own."""


class IdSkew:
    """The number.

    Attributes:
        within_s: no job's id is farther from its time.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.within_s = 0.0

    def load(self) -> None:
        """Read it from the file."""
        self.within_s = float(self.database.value("get_meta", "id_skew_s") or 0.0)

    def note(self, numbers: Sequence[int], now: float) -> None:
        """Jobs whose ids ask for these row numbers are accepted now."""
        lowest, highest = min(numbers), max(numbers)
        if lowest < row_at(now - self.within_s) or highest >= row_at(now + self.within_s):
            farthest = max(abs(now - time_of_row(lowest)), abs(now - time_of_row(highest)))
            self.within_s = max(_LEAST_S, 2 * self.within_s, 2 * farthest)
            self.database.run("put_meta", "id_skew_s", self.within_s)

    def rows_between(self, since: float | None, until: float | None) -> tuple[int, int]:
        """Among which row numbers the jobs are that were accepted in this time: the lowest, and one behind the highest.
        None: since ever, until now."""
        most_s = self.within_s + _ROUNDING_S
        low = 0 if since is None else row_at(since - most_s)
        return low, ROW_NUMBER_MAX if until is None else row_at(until + most_s)
