"""The statements of searches: each is put together of a source of rows and of the conditions that a filter has.

A statement answers the rows of its source under ``:below``, newest first, or from above ``:above`` on, oldest first:
the number of each, and whether the job may be one that the filter means. It has no limit: whoever asks stops when a
slice is over. Queue and task are looked up in the row of the job's line, so that the cost does not depend on how many
lines there are. What comes behind the body in a row of `job` is read only when a condition needs it: a large body would
have to be walked through.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple


class _Source(NamedTuple):
    """``row``: the column with the row number. ``tables``: where it is found. ``among``: which rows; empty: all."""

    row: str
    tables: str
    among: str = ""


_FINISHED_JOB: Final = "CROSS JOIN job ON job.seq = finished.seq"
_SOURCES: Final = {
    "jobs": _Source("job.seq", "job"),
    "blocked": _Source("blocked.seq", "blocked CROSS JOIN job ON job.seq = blocked.seq"),
    "finished": _Source("finished.seq", "finished"),
    # One partial index each: SQLite uses it when the statement says the same.
    "state": _Source("finished.seq", "finished", "finished.state <> 'succeeded' AND finished.state = :state"),
    "dead kind": _Source("finished.seq", "finished", "finished.dead = 1 AND finished.kind = :kind"),
    "argument": _Source(
        "searchable.seq",
        "searchable CROSS JOIN job ON job.seq = searchable.seq",
        "searchable.name = :name AND searchable.text = :text",
    ),
}

_CONDITIONS: Final = {
    "queue": ":queue = (SELECT line.queue FROM line WHERE line.id = job.line)",
    "task": ":task = (SELECT line.task FROM line WHERE line.id = job.line)",
    "ready": """(EXISTS (SELECT 1 FROM ready WHERE ready.line = job.line AND ready.urgency = -job.priority
            AND ready.rank = job.rank AND ready.arrival = job.arrival AND ready.seq = job.seq)
        OR EXISTS (SELECT 1 FROM refused WHERE refused.seq = job.seq AND refused.party > 0))""",
    "scheduled": "EXISTS (SELECT 1 FROM scheduled WHERE scheduled.due = job.run_at AND scheduled.seq = job.seq)",
    "blocked": "EXISTS (SELECT 1 FROM blocked WHERE blocked.seq = job.seq)",
    "ended": "EXISTS (SELECT 1 FROM finished WHERE finished.seq = job.seq AND finished.state = :state)",
    "finished state": "finished.state = :state",
    "blocked key": "blocked.key = :key AND blocked.reason <> 'paused'",
    "since": "job.created_at >= :since",
    "until": "job.created_at < :until",
    "tag": "ifnull(instr(job.extra, :tag) > 0, 0)",
    "error": """(ifnull(instr(job.error, :error) > 0, 0)
        OR EXISTS (SELECT 1 FROM finished WHERE finished.seq = job.seq AND instr(finished.error, :error) > 0)
        OR EXISTS (SELECT 1 FROM refused WHERE refused.seq = job.seq AND instr(refused.error, :error) > 0))""",
}
"""Those that leave most rows out, and cost least, come first."""
_NEED_NO_JOB: Final = frozenset({"finished state"})


@cache
def statement(source: str, conditions: frozenset[str], *, is_rising: bool = False) -> str:
    """The statement for this source and these conditions. It takes its values by name."""
    row, tables, among = _SOURCES[source]
    if tables == "finished" and conditions - _NEED_NO_JOB:
        tables = f"{tables} {_FINISHED_JOB}"
    wanted = " AND ".join(text for name, text in _CONDITIONS.items() if name in conditions)
    bounds = f"{row} > :above AND {row} < :below" if is_rising else f"{row} < :below"
    where = f"{among} AND {bounds}" if among else bounds
    return f"SELECT {row}, {wanted or '1'} FROM {tables} WHERE {where} ORDER BY {row} {'ASC' if is_rising else 'DESC'}"
