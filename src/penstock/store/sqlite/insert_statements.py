"""Statements that insert the rows of many new jobs at once."""

from __future__ import annotations

from itertools import count
from typing import Final

from penstock.store.sqlite.database import STATEMENTS

_CHUNK_ROWS: Final = (50, 10)
"""Jobs in one statement: what they share is bound once, and SQLite is entered once. The largest that is filled."""


def _chunk_statement(rows: int, *, with_values: bool, with_ranks: bool) -> str:
    """Inserts so many jobs. Bound are what they share (?1 to ?9), then of each its row, and its values and its rank if
    they have those of their own."""
    width = 4 + with_values + with_ranks
    own = []
    for place, at in zip(range(rows), count(10, width), strict=False):
        rank = at + width - 1 if with_ranks else 3
        columns = f"?{at}, ?{at + 1}, ?1, ?2, ?{rank}, ?4 + {place}, ?{at + 2}, ?{at + 3}, ?5, ?6, ?7, ?8, ?9"
        own.append(f"({columns}, ?{at + 4})" if with_values else f"({columns})")
    name = "insert_job_with_values" if with_values else "insert_job"
    return STATEMENTS[name].split("VALUES")[0] + "VALUES " + ", ".join(own)


def chunk_size(rows: int) -> int:
    """How many of so many rows to insert with one statement. 0: each with its own."""
    for size in _CHUNK_ROWS:
        if rows >= size:
            return size
    return 0


INSERT_CHUNK: Final = {
    (rows, with_values, with_ranks): _chunk_statement(rows, with_values=with_values, with_ranks=with_ranks)
    for rows in _CHUNK_ROWS
    for with_values in (False, True)
    for with_ranks in (False, True)
}
"""By how many jobs they insert, whether these have values, and whether each has a rank of its own."""
