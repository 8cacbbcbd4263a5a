"""Statements about many ready jobs at a time: as few of them as there can be, whatever lines the jobs are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.store.sqlite.database import STATEMENTS, Database
from penstock.store.sqlite.ready_jobs import Newcomers, Taken, body_of

CHUNK_ROWS: Final = 50
"""Jobs, or lines, in one statement."""
_SIZES: Final = (1, 10, CHUNK_ROWS)
"""Of how many there are statements. A chunk of another size is filled up with NULL, which is nowhere."""


def _of_each_size(name: str) -> dict[int, str]:
    return {size: STATEMENTS[name].replace("(?)", f"({', '.join('?' * size)})") for size in _SIZES}


_FETCH: Final = _of_each_size("jobs_at")
_DELETE_BETWEEN: Final = _of_each_size("delete_ready_between")
RANGE_ROWS: Final = 50
"""From this many new jobs on, one statement that finds them is cheaper than one each."""
_SPARSE: Final = 8
"""Where the copies of messages stand side by side, a line has only one of so many rows. Where it has fewer, looking
through all of them costs more than one statement each."""
_SPAN_MAX: Final = 1_000 << 21
"""Ids made within a second: the stretch of the table they stand in is short."""


def _filled_up(numbers: Sequence[int]) -> list[int | None]:
    """A chunk as its statement takes it."""
    size = next(size for size in _SIZES if size >= len(numbers))
    return [*numbers, *[None] * (size - len(numbers))]


def fetch_jobs(database: Database, seqs: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """What `take_ready` has of so many jobs, `CHUNK_ROWS` at most, besides their places; by seq."""
    values = _filled_up(seqs)
    return {row[0]: row for row in database.connection.execute(_FETCH[len(values)], values)}


def size_bytes_of(rows: Sequence[Taken]) -> int | None:
    """Of the bodies of these jobs. None: some are large, or stand elsewhere, and have not been fetched."""
    try:
        return sum(map(len, map(body_of, rows)))
    except TypeError:
        return None


def delete_between(database: Database, lines: Sequence[int], urgency: int, first: int, last: int) -> int:
    """Delete from the `ready` table all jobs of these lines that have this urgency, no rank, and an arrival from the
    first to the last. Answers how many they were."""
    deleted = 0
    for start in range(0, len(lines), CHUNK_ROWS):
        values = _filled_up(lines[start : start + CHUNK_ROWS])
        database.connection.execute(_DELETE_BETWEEN[len(values)], (*values, urgency, first, last))
        deleted += database.connection.changes()
    return deleted


def insert_newcomers(database: Database, newcomers: Newcomers) -> None:
    """Write new jobs into the `ready` table. Their arrival numbers were given to nobody else, so they find the rows."""
    alike, arrivals = newcomers.alike, newcomers.arrivals
    seqs = [row[0] for row in newcomers.rows]
    is_dense = newcomers.arrivals_end - arrivals[0] <= _SPARSE * len(seqs) if seqs else False
    if len(seqs) >= RANGE_ROWS and is_dense:
        first, last = min(seqs), max(seqs)
        if last - first < _SPAN_MAX:
            database.run("line_up", first, last, arrivals[0], newcomers.arrivals_end, alike.line)
            assert database.connection.changes() == len(seqs), "arrival numbers are given out once"
            return
    line, urgency, ranks = alike.line, -alike.priority, newcomers.ranks or [alike.rank] * len(seqs)
    rows = [(line, urgency, rank, arrival, seq) for rank, arrival, seq in zip(ranks, arrivals, seqs, strict=True)]
    database.run_many("insert_ready", rows)
