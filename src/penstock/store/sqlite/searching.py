"""Searching jobs, newest first, in slices: each ends after a short time, so that nobody's commit waits for a search.

`Search.slice` is one slice: `query` answers it as a page, and a bulk action does its work on it (operator_actions.py).
First a plan is made: where the rows come from that are worth looking at. That is the smallest set that an index or a
count knows of: the jobs of a key, of an argument, of a kind of dead jobs, in a state that few jobs are in. Where none
does, all jobs are gone through. SQLite leaves out most rows that do not match, and says of each other row that it may;
what is left is looked at as a whole. Rows come one by one, so that a slice can end between any two.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple

from penstock.model import limits
from penstock.model.job import UNKNOWN_TASK, Filter, JobView, Page
from penstock.model.message_ids import SLOTS, message_id
from penstock.model.searching import check_filter, matches
from penstock.model.states import TERMINAL, State
from penstock.model.step_history import shown
from penstock.model.topics import MESSAGE_TASK
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.row_numbers import ROW_NUMBER_MAX, cursor_before, row_before, row_number
from penstock.store.sqlite.search_statements import statement
from penstock.store.sqlite.searchable_arguments import SearchableArguments

ROWS_MAX: Final = 20_000
"""Rows that one slice looks at, however fast that goes."""
_FEW: Final = 2_000
"""So many jobs in a state, or fewer, are listed and put in order; more are found among all jobs."""
_KINDS: Final = 50
"""So many kinds of dead jobs, or fewer, are gone through side by side; with more, all dead jobs are."""
_LOOKS: Final = 16
"""Rows between two looks at the clock. A row with a large body costs as much as reading a part of that body."""

Rows = Iterable[tuple[int, Any]]
"""Row numbers, falling or rising, each with whether the job may match."""


class Slice(NamedTuple):
    """Attributes:
    found: the rows of the jobs that match, falling, and the jobs.
    below: the row below which the search goes on; None: it has been through.
    """

    found: list[tuple[int, JobView]]
    below: int | None


class _Plan(NamedTuple):
    """Attributes:
    rows: worth looking at.
    lowest: below this row there are none.
    arguments: those that the rows have not been chosen by.
    """

    rows: Rows
    lowest: int
    arguments: dict[str, str]


class Search:
    """Finds jobs by filter."""

    def __init__(self, books: Books, inspector: Inspector) -> None:
        self.books = books
        self.database = books.database
        self.inspector = inspector
        self.refusals = inspector.refusals
        self.arguments = SearchableArguments(books.database)

    def query(self, where: Filter, cursor: str | None, limit: int) -> Page:
        """See `penstock.ports.Store.query`."""
        self.check(where)
        limit = max(1, min(limit, limits.PAGE_JOBS_MAX))
        found, below = self.slice(where, row_before(cursor), limit, self.until())
        return Page([shown(view) for _, view in found], None if below is None else cursor_before(below))

    def check(self, where: Filter) -> None:
        """Pass when this may be searched for.

        Raises:
            InvalidOption: see `penstock.model.searching.check_filter`.
        """
        check_filter(where, self.books.records.values(), self.arguments.is_known)

    def until(self) -> float:
        """When a slice that begins now ends, in monotonic seconds."""
        return self.books.clock.monotonic() + limits.SLICE_S

    def slice(self, where: Filter, below: int, limit: int, until: float) -> Slice:
        """Look at jobs under the row ``below``, until ``limit`` are found or the time is over."""
        found: list[tuple[int, JobView]] = []
        plan = self._plan(where, below)
        if plan is None:
            return Slice(found, None)
        monotonic = self.books.clock.monotonic
        last = below
        for count, (seq, may_match) in enumerate(plan.rows, 1):
            if seq < plan.lowest:
                break
            if may_match:
                view = self._view(seq, where, plan.arguments)
                if view is not None:
                    if len(found) == limit:
                        return Slice(found, last)
                    found.append((seq, view))
            last = seq
            if (may_match or not count % _LOOKS) and (monotonic() >= until or count >= ROWS_MAX):
                return Slice(found, last)
        return Slice(found, None)

    def rising(self, where: Filter, above: int, limit: int, until: float) -> tuple[list[int], int | None]:
        """Look at records of jobs that have succeeded, in rows above this one and the oldest first, until ``limit`` are
        found or the time is over. Answers the rows, and above which row it goes on; None: it has been through. What
        the filter has beside queue and times is left out, and the time of a record may be up."""
        found: list[int] = []
        plan = self._plan(where, ROW_NUMBER_MAX, above)
        last = above
        for count, (seq, matches_all) in enumerate(() if plan is None else plan.rows, 1):
            if matches_all:
                if len(found) == limit:
                    return found, last
                found.append(seq)
            last = seq
            if not count % _LOOKS and (self.books.clock.monotonic() >= until or count >= ROWS_MAX):
                return found, last
        return found, None

    def _view(self, seq: int, where: Filter, arguments: dict[str, str]) -> JobView | None:
        """The job in this row, if it is one that the filter means."""
        if not all(self.arguments.has(seq, name, text) for name, text in arguments.items()):
            return None
        view = self.inspector.view_row(seq)
        return view if view is not None and matches(view, where) else None

    # --- the plan ----------------------------------------------------------------------------------------------------
    def _plan(self, where: Filter, below: int, above: int | None = None) -> _Plan | None:
        """Where to look for jobs under this row or, with ``above``, above that one and the oldest first. None: there
        are none."""
        queue = None if where.queue is None else self.books.queue_by_name.get(where.queue)
        task = None if where.task is None else self.books.task_ids.get(where.task)
        if (where.queue is not None and queue is None) or (where.task is not None and task is None):
            return None
        if where.state is not None:
            counts = self.books.totals() if queue is None else queue.counts
            if not getattr(counts, where.state.value):
                return None
        lowest, behind = self.books.id_skew.rows_between(where.since, where.until)
        below = min(below, behind)
        walk = _Walk(self.books, where, below, None if queue is None else queue.id, task)
        if above is not None:
            return _Plan(walk.rising(max(above, lowest - 1)), lowest, {})
        if where.key is not None:
            return _Plan(self._of_key(where.key, task, walk), lowest, where.arguments or {})
        if where.arguments:
            name = self.arguments.rarest(where.arguments, _FEW + 1)
            others = {other: text for other, text in where.arguments.items() if other != name}
            return _Plan(walk.of_argument(name, where.arguments[name]), lowest, others)
        return _Plan(self._of_state(where, walk), lowest, {})

    def _of_key(self, key: str, task: int | None, walk: _Walk) -> Rows:
        """The jobs that an idempotency key stands for, that hold a unique key, or that are blocked for a key of this
        text."""
        ids = _firsts(self.database.rows("keyed", key, self.books.clock.time(), task))
        found = {seq for seq in map(self.inspector.seq_of, ids) if seq is not None}
        if task in (None, self.books.task_ids.get(MESSAGE_TASK)):
            found.update(self._copies_of_key(key))
        blocked = _firsts(self.database.rows("blocked_of_key", key, _FEW + 1))
        if len(blocked) <= _FEW:
            return walk.listed(found.union(blocked))
        return _merged([walk.listed(found), walk.blocked_for(key)])

    def _copies_of_key(self, key: str) -> Iterator[int]:
        """The copies of the messages that an idempotency key stands for."""
        for (message,) in self.database.rows("keyed_messages", key, self.books.clock.time()):
            base = row_number(message)
            there = _firsts(self.database.rows("copies", base, base + SLOTS - 1))
            ids = {one for one in (*there, *self.books.displaced) if message_id(one) == message}
            yield from (seq for seq in map(self.inspector.seq_of, ids) if seq is not None)

    def _of_state(self, where: Filter, walk: _Walk) -> Rows:
        if where.error is not None and where.state in (None, State.DEAD):
            # Of jobs that have ended, dead ones alone have an error.
            dead = walk.dead(self.books.finished.kinds.of(where.task, where.error))
            if where.state is State.DEAD:
                return dead
            waiting = [self._few(state, where) for state in State if state not in TERMINAL]
            if None not in waiting:
                return _merged([dead, walk.listed(seq for some in waiting for seq in some or ())])
        elif where.state is State.DEAD and where.task is not None:
            return walk.dead(self.books.finished.kinds.of(where.task, None))
        few = None if where.state is None else self._few(where.state, where)
        return walk.through() if few is None else walk.listed(few)

    def _few(self, state: State, where: Filter) -> list[int] | None:
        """The rows of all jobs in a state, if these are few and can be listed; None: they cannot. There may be rows of
        other queues and tasks among them."""
        counts = self.books.totals()
        if state is State.RUNNING:
            return list(self.books.by_seq) if len(self.books.by_seq) <= _FEW else None
        if state is State.READY:
            return self._few_ready(None if where.queue is None else self.books.queue_by_name[where.queue].id)
        listed = {State.SCHEDULED: "scheduled_seqs", State.BLOCKED: "blocked_seqs"}
        if state not in listed or getattr(counts, state.value) > _FEW:
            return None
        return _firsts(self.database.rows(listed[state]))

    def _few_ready(self, queue: int | None) -> list[int] | None:
        wanted = None
        if self.books.totals().ready <= _FEW:
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


class _Walk:
    """Goes through rows under ``below``, newest first. ``queue`` and ``task``: the numbers of those that are named."""

    def __init__(self, books: Books, where: Filter, below: int, queue: int | None, task: int | None) -> None:
        self.books = books
        self.where = where
        self.below = below
        error = None if where.error in (None, UNKNOWN_TASK) else where.error.encode()
        self.values: dict[str, object] = {
            "queue": queue,
            "task": task,
            "tag": None if where.tag is None else where.tag.encode(),
            "since": where.since,
            "until": where.until,
            # That nobody knows a task is found out for a whole line at once, and stands in no row.
            "error": error,
        }

    def _rows(self, source: str, *more: str, is_rising: bool = False, **values: object) -> Rows:
        given = {name: value for name, value in self.values.items() if value is not None}
        text = statement(source, frozenset((*given, *more)), is_rising=is_rising)
        return self.books.database.connection.execute(text, {"below": self.below, **given, **values})

    def rising(self, above: int) -> Rows:
        """The jobs above this row that have succeeded, the oldest first."""
        return self._rows("finished", "finished state", is_rising=True, state=State.SUCCEEDED.value, above=above)

    def listed(self, seqs: Iterable[int]) -> Rows:
        """These rows, each once."""
        return ((seq, True) for seq in sorted(set(seqs), reverse=True) if seq < self.below)

    def of_argument(self, name: str, text: str) -> Rows:
        """The jobs that have this text."""
        state = self.where.state
        if state is not None and state in TERMINAL:
            return self._rows("argument", "ended", name=name, text=text, state=state.value)
        return self._running_alone(self._rows("argument", *self._waiting(), name=name, text=text))

    def blocked_for(self, key: str) -> Rows:
        """The jobs that are blocked for this key."""
        return self._rows("blocked", "blocked key", key=key)

    def dead(self, kinds: list[int]) -> Rows:
        """The dead jobs of these kinds."""
        if len(kinds) > _KINDS:
            return self._rows("state", state=State.DEAD.value)
        return _merged([self._rows("dead kind", kind=kind) for kind in kinds])

    def through(self) -> Rows:
        """All jobs that may be in the state that is asked for."""
        state = self.where.state
        if state is State.SUCCEEDED:
            return self._rows("finished", "finished state", state=state.value)
        if state is not None and state in TERMINAL:
            return self._rows("state", state=state.value)
        if state is State.BLOCKED:
            return self._rows("blocked")
        return self._running_alone(self._rows("jobs", *self._waiting()))

    def _waiting(self) -> tuple[str, ...]:
        """The condition for the state that is asked for, if it has one."""
        state = self.where.state
        return (state.value,) if state in (State.READY, State.SCHEDULED, State.BLOCKED) else ()

    def _running_alone(self, rows: Rows) -> Rows:
        """Without those that do not run, if the ones that run are asked for: these are known in memory."""
        if self.where.state is not State.RUNNING:
            return rows
        running = self.books.by_seq
        return ((seq, may_match and seq in running) for seq, may_match in rows)


def _merged(sources: list[Rows]) -> Iterator[tuple[int, Any]]:
    """The rows of several sources, falling. No row is in two of them that may match twice."""
    last = None
    for seq, may_match in heapq.merge(*sources, key=itemgetter(0), reverse=True):
        if seq != last or not may_match:
            yield seq, may_match
        last = seq if may_match else last


def _firsts(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    return [row[0] for row in rows]
