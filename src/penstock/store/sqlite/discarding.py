"""Throwing away many jobs at the front of a line, with a few statements."""

from __future__ import annotations

from penstock.model.states import Event, State
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.in_memory import Line, Place


def discard_front(endings: Endings, line: Line, limit: int) -> int:
    """Throw away at most so many ready jobs, those that would be leased next, and count them as discarded. Answers how
    many. Jobs that were refused stand elsewhere, and are not looked at."""
    books, database = endings.books, endings.database
    endings.line.write(line.id)
    rows = database.rows("front_of_line", line.id, limit)
    if not rows:
        return 0
    endings.line.cut(line.id, Place(*rows[-1][:3]))
    gone = [(seq, job_id, interest) for *_, seq, job_id, interest in rows]
    endings.listeners.tell_deleted(gone, line.id, State.READY)
    database.run_many("delete_job", [(seq,) for seq, _, _ in gone])
    books.mishaps.forget(seq for seq, _, _ in gone)
    books.move(line.queue, Event.DELETE, State.READY, None, len(gone))
    return len(gone)
