"""Throwing away many jobs of a line, with a few statements. They count as discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.model.states import Event, State
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.in_memory import Line, Place


class Aside(NamedTuple):
    """A job of a line that is not ready.

    Attributes:
        due: the time that it waits for; None: it is blocked.
        seq: the number of its row.
    """

    line: Line
    due: float | None
    seq: int
    id: bytes
    interest: int


def discard_front(endings: Endings, line: Line, limit: int) -> int:
    """Throw away at most so many ready jobs, those that would be leased next. Answers how many. Jobs that were refused
    stand elsewhere, and are not looked at."""
    endings.line.write(line.id)
    rows = endings.database.rows("front_of_line", line.id, limit)
    if not rows:
        return 0
    endings.line.cut(line.id, Place(*rows[-1][:3]))
    _throw_away(endings, line, [(seq, job_id, interest) for *_, seq, job_id, interest in rows], State.READY)
    return len(rows)


def discard_aside(endings: Endings, line: Line, jobs: Sequence[Aside]) -> None:
    """Throw away these jobs of a line, which wait for their time, or are blocked."""
    scheduled = [job for job in jobs if job.due is not None]
    blocked = [job for job in jobs if job.due is None]
    endings.database.run_many("delete_scheduled", [(job.due, job.seq) for job in scheduled])
    for job in blocked:
        endings.joining.slots.leave(job.seq)
    for some, state in ((scheduled, State.SCHEDULED), (blocked, State.BLOCKED)):
        if some:
            _throw_away(endings, line, [(job.seq, job.id, job.interest) for job in some], state)


def _throw_away(endings: Endings, line: Line, jobs: Sequence[tuple[int, bytes, int]], state: State) -> None:
    """Delete the rows of jobs that have left their line: seq, id and interest of each."""
    endings.listeners.tell_deleted(jobs, line.id, state)
    endings.database.run_many("delete_job", [(seq,) for seq, _, _ in jobs])
    endings.books.mishaps.forget(seq for seq, _, _ in jobs)
    endings.books.move(line.queue, Event.DELETE, state, None, len(jobs))
