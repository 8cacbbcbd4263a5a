"""Searching jobs, newest first, in slices: each ends after a short time, so that nobody's commit waits for a search.

SQLite leaves out most rows that do not match; what is left is looked at as a whole. `Search.slice` is one slice:
`query` answers it as a page, and a bulk action does its work on it (operator_actions.py). The statements `search_…`
answer the rows of a slice one by one, each with whether it may match, so that a slice can end between any two rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from penstock.model import limits
from penstock.model.job import Filter, JobView, Page
from penstock.model.states import TERMINAL, State
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.row_numbers import cursor_before, row_before

ROWS_MAX: Final = 20_000
"""Rows that one slice looks at, however fast that goes."""
_FEW: Final = 2_000
"""So many jobs in a state, or fewer, are listed and put in order; more are found among all jobs."""
_LOOKS: Final = 16
"""Rows between two looks at the clock. A row with a large body costs as much as reading a part of that body."""

Rows = Iterable[tuple[int, Any]]
"""Row numbers, falling, each with whether the job may match."""


class Slice(NamedTuple):
    """Attributes:
    found: the rows of the jobs that match, falling, and the jobs.
    below: the row below which the search goes on; None: it has been through.
    """

    found: list[tuple[int, JobView]]
    below: int | None


class _Numbers(NamedTuple):
    """What a filter names, by number; None: all."""

    queue: int | None
    task: int | None


class Search:
    """Finds jobs by filter."""

    def __init__(self, books: Books, inspector: Inspector) -> None:
        self.books = books
        self.database = books.database
        self.inspector = inspector
        self.refusals = inspector.refusals

    def query(self, where: Filter, cursor: str | None, limit: int) -> Page:
        """See `penstock.ports.Store.query`."""
        limit = max(1, min(limit, limits.PAGE_JOBS_MAX))
        found, below = self.slice(where, row_before(cursor), limit, self.until())
        return Page([view for _, view in found], None if below is None else cursor_before(below))

    def until(self) -> float:
        """When a slice that begins now ends, in monotonic seconds."""
        return self.books.clock.monotonic() + limits.SLICE_S

    def slice(self, where: Filter, below: int, limit: int, until: float) -> Slice:
        """Look at jobs under the row ``below``, until ``limit`` are found or the time is over."""
        found: list[tuple[int, JobView]] = []
        numbers = self._numbers(where)
        if numbers is None:
            return Slice(found, None)
        monotonic = self.books.clock.monotonic
        last = below
        for count, (seq, may_match) in enumerate(self._rows(where, below, numbers), 1):
            if may_match:
                view = self.inspector.view_row(seq)
                if view is not None and _matches(view, where):
                    if len(found) == limit:
                        return Slice(found, last)
                    found.append((seq, view))
            last = seq
            if (may_match or not count % _LOOKS) and (monotonic() >= until or count >= ROWS_MAX):
                return Slice(found, last)
        return Slice(found, None)

    def _numbers(self, where: Filter) -> _Numbers | None:
        """The queue and the task that are named, by their numbers; None: there is no such queue or no such task."""
        queue = None if where.queue is None else self.books.queue_by_name.get(where.queue)
        task = None if where.task is None else self.books.task_ids.get(where.task)
        if (where.queue is not None and queue is None) or (where.task is not None and task is None):
            return None
        return _Numbers(None if queue is None else queue.id, task)

    def _rows(self, where: Filter, below: int, numbers: _Numbers) -> Rows:
        """Rows worth looking at."""
        few = self._few(where, numbers.queue)
        if few is not None:
            return ((seq, True) for seq in sorted(few, reverse=True) if seq < below)
        tag = None if where.tag is None else where.tag.encode()
        values = (below, numbers.queue, tag, numbers.task)
        if where.state is None or where.state is State.RUNNING:
            rows = self.database.connection.execute(STATEMENTS["search_jobs"], values)
            if where.state is None:
                return rows
            running = self.books.by_seq
            return ((seq, may_match and seq in running) for seq, may_match in rows)
        if where.state in TERMINAL:
            return self.database.connection.execute(STATEMENTS["search_finished"], (*values, where.state.value))
        name = {State.READY: "search_ready", State.SCHEDULED: "search_scheduled", State.BLOCKED: "search_blocked"}
        return self.database.connection.execute(STATEMENTS[name[where.state]], values)

    def _few(self, where: Filter, queue: int | None) -> list[int] | None:
        """The rows of all jobs in a state, if these are few and can be listed; None: they cannot. There may be rows of
        other queues and tasks among them."""
        if where.state not in (State.READY, State.SCHEDULED, State.RUNNING):
            return None
        counts = self.books.totals()
        if where.state is State.RUNNING:
            return list(self.books.by_seq) if len(self.books.by_seq) <= _FEW else None
        if where.state is State.SCHEDULED:
            return _firsts(self.database.rows("scheduled_seqs")) if counts.scheduled <= _FEW else None
        wanted = None
        if counts.ready <= _FEW:
            found = _firsts(self.database.rows("ready_seqs"))
        elif queue is not None and self.books.queues[queue].counts.ready <= _FEW:
            # However many jobs other queues have, they are not read.
            wanted = {line.id for line in self.books.lines_of(queue)}
            found = _firsts(self.database.rows("ready_seqs_of_lines", json.dumps(list(wanted))))
        else:
            return None
        for party, line in self.refusals.waiting_lines():
            if wanted is None or line in wanted:
                found += _firsts(self.database.rows("refused_seqs", party, line))
        return found


def _firsts(rows: Iterable[tuple[Any, ...]]) -> list[int]:
    return [row[0] for row in rows]


def _matches(view: JobView, where: Filter) -> bool:
    return (
        (where.state is None or view.state is where.state)
        and (where.queue is None or view.queue == where.queue)
        and (where.task is None or view.task == where.task)
        and (where.tag is None or where.tag in (view.tags or ()))
    )
