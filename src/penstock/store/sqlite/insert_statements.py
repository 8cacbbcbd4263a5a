"""Statements that insert the rows of many new jobs at once."""

from __future__ import annotations

from itertools import count
from typing import Final

from penstock.store.sqlite.database import STATEMENTS

_CHUNK_ROWS: Final = (50, 10)
"""Jobs in one statement: what they share is bound once, and SQLite is entered once. The largest that is filled."""
_BOOLS: Final = (False, True)


def _chunk_statement(rows: int, *, with_values: bool, with_ranks: bool, of_step: bool) -> str:
    """Inserts so many jobs. Bound are what they share (?1 to ?9; of a step: its row, and the place of the first), then
    of each its row, its extra if it is of a step, and its values and its rank if it has those of its own."""
    first = 12 if of_step else 10
    width = 4 + of_step + with_values + with_ranks
    own = []
    for place, at in zip(range(rows), count(first, width), strict=False):
        rank = at + width - 1 if with_ranks else 3
        extra = at + 4 if of_step else 5
        columns = f"?{at}, ?{at + 1}, ?1, ?2, ?{rank}, ?4 + {place}, ?{at + 2}, ?{at + 3}, ?{extra}, ?6, ?7, ?8, ?9"
        if of_step:
            columns += f", {f'?{at + 5}' if with_values else 'NULL'}, ?10, ?11 + {place}"
        elif with_values:
            columns += f", ?{at + 4}"
        own.append(f"({columns})")
    name = "insert_job_of_step" if of_step else "insert_job_with_values" if with_values else "insert_job"
    return STATEMENTS[name].split("VALUES")[0] + "VALUES " + ", ".join(own)


def chunk_size(rows: int) -> int:
    """How many of so many rows to insert with one statement. 0: each with its own."""
    for size in _CHUNK_ROWS:
        if rows >= size:
            return size
    return 0


INSERT_CHUNK: Final = {
    (rows, with_values, with_ranks, of_step): _chunk_statement(
        rows, with_values=with_values, with_ranks=with_ranks, of_step=of_step
    )
    for rows in _CHUNK_ROWS
    for with_values in _BOOLS
    for with_ranks in _BOOLS
    for of_step in _BOOLS
}
"""By how many jobs they insert, whether these have values, whether each has a rank of its own, and whether they are of
a step of a workflow."""
