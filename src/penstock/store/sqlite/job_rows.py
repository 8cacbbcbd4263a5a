"""The rows of new jobs: many are inserted with one statement, and where a number is taken it is found out why."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import apsw
import msgspec
from msgspec.structs import replace

from penstock.model.job import Enqueued, JobExtra, JobGroup
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.insert_statements import INSERT_CHUNK, chunk_size
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.ready_jobs import Alike, Newcomers, Row, Values

_encode: Final = msgspec.msgpack.Encoder().encode


class Part(NamedTuple):
    """What jobs of a workflow are to it.

    Attributes:
        row: of the step that they belong to.
        workflow: its id.
        step: the number of the step.
        first: the place of the first of them as members of the step, which is a group; None: it is the step's own job;
            -1: it undoes the step.
    """

    row: int
    workflow: bytes
    step: int
    first: int | None

    def own(self, group: JobGroup, places: Sequence[int], values: Values, ranks: Sequence[int] | None) -> Own:
        """What these jobs have of their own. ``places``: of each in its group."""
        extra = JobExtra(group.headers, group.tags, workflow=self.workflow, step=self.step, each=group.each)
        if self.first is None or self.first < 0:
            return Own(values, ranks, self.row, [_encode(extra)] * len(places), [self.first] * len(places))
        if len(places) == len(group.jobs):
            placed: Sequence[int] = range(self.first, self.first + len(places))
        else:
            placed = [self.first + place for place in places]
        return Own(values, ranks, self.row, [_encode(replace(extra, place=place)) for place in placed], placed)


class Own(NamedTuple):
    """What new jobs of one group have of their own besides their rows. None: none has any.

    Attributes:
        ranks: the rank of each, in order.
        step: of jobs of a workflow, the row of the step that they belong to.
        extras: what is packed with each of these.
        places: the place of each of these there.
    """

    values: Values = None
    ranks: Sequence[int] | None = None
    step: int | None = None
    extras: Sequence[bytes] = ()
    places: Sequence[int | None] = ()

    def columns(self, start: int) -> list[Sequence[Any]]:
        """In the order in which the statements of many rows bind them, from this job on."""
        extras = None if self.step is None else self.extras
        return [column[start:] for column in (extras, self.values, self.ranks) if column is not None]

    @property
    def are_in_a_row(self) -> bool:
        """Whether they have no places, or such that follow each other."""
        return self.step is None or isinstance(self.places, range)


class Collision(NamedTuple):
    """A job whose row number was taken. ``at``: its index in its group. ``number``: the one that it got instead; None:
    the job is in the store already."""

    at: int
    number: int | None


class JobRows:
    """Inserts the rows of new jobs."""

    def __init__(self, books: Books, inspector: Inspector) -> None:
        self.books = books
        self.database = books.database
        self.inspector = inspector

    def insert(
        self, alike: Alike, rows: list[Row], own: Own, places: Sequence[int], exceptions: list[Enqueued]
    ) -> Newcomers:
        """Insert all rows, many with one statement. Answers those that are new.

        Args:
            places: of each job in the request.
            exceptions: what is said of those that are in the store already is added here.
        """
        collisions: list[Collision] = []
        start = 0
        while start < len(rows):
            size = chunk_size(len(rows) - start) if alike.first_arrival and own.are_in_a_row else 0
            chunk = rows[start : start + size] if size else rows[start:]
            if not size or not self._insert_chunk(alike, chunk, own, start):
                self.insert_single(alike, chunk, own, start, collisions)
            start += len(chunk)
        end = alike.first_arrival + len(rows)
        arrivals = range(alike.first_arrival, end) if alike.first_arrival else [0] * len(rows)
        if not collisions:
            return Newcomers(alike, arrivals, rows, end, *own)
        known = {one.at for one in collisions if one.number is None}
        displaced = {one.at: one.number for one in collisions if one.number is not None}
        exceptions.extend(Enqueued(places[index], rows[index][1], None, duplicate=True) for index in sorted(known))
        new = [index for index in range(len(rows)) if index not in known]
        placed = [(displaced.get(index, rows[index][0]), *rows[index][1:]) for index in new]
        left = Newcomers(alike, [arrivals[index] for index in new], placed, end)
        if own.values is not None:
            left = left._replace(values=[own.values[index] for index in new])
        if own.ranks is not None:
            left = left._replace(ranks=[own.ranks[index] for index in new])
        if own.step is not None:
            extras = [own.extras[index] for index in new]
            left = left._replace(step=own.step, extras=extras, places=[own.places[index] for index in new])
        return left

    def _insert_chunk(self, alike: Alike, chunk: list[Row], own: Own, start: int) -> bool:
        """Whether these could be inserted at once: none of their numbers was taken."""
        rows: list[tuple[Any, ...]] = list[tuple[Any, ...]](chunk)
        for column in own.columns(start):
            rows = [(*row, one) for row, one in zip(rows, column, strict=False)]
        statement = INSERT_CHUNK[len(chunk), own.values is not None, own.ranks is not None, own.step is not None]
        line, priority, rank, first_arrival, *rest = alike
        shared = (line, priority, rank, first_arrival + start, *rest)
        if own.step is not None:
            shared += (own.step, own.places[start])
        try:
            self.database.connection.execute(statement, (*shared, *chain.from_iterable(rows)))
        except apsw.ConstraintError:
            return False
        return True

    def insert_single(self, alike: Alike, chunk: list[Row], own: Own, start: int, collisions: list[Collision]) -> None:
        """Insert one by one; where a row's number is taken, find out why."""
        values, ranks, step, extras, places = own
        execute = self.database.connection.execute
        name = "insert_job" if values is None else "insert_job_with_values"
        statement = STATEMENTS[name if step is None else "insert_job_of_step"]
        line, priority, rank, first_arrival, extra, created_at, run_at, expires_at, interest = alike
        for index, (seq, job_id, crc, body) in enumerate(chunk, start):
            arrival = first_arrival + index if first_arrival else 0
            columns: tuple[Any, ...] = (
                job_id,
                line,
                priority,
                rank if ranks is None else ranks[index],
                arrival,
                crc,
                body,
                extra if step is None else extras[index],
                created_at,
                run_at,
                expires_at,
                interest,
            )
            if values is not None:
                columns += (values[index],)
            if step is not None:
                columns = (*columns[:12], None if values is None else values[index], step, places[index])
            try:
                execute(statement, (seq, *columns))
            except apsw.ConstraintError:
                free = self._free_beside(seq, job_id)
                collisions.append(Collision(index, free))
                if free is not None:
                    execute(statement, (free, *columns))
                    self.database.run("insert_displaced", job_id, free)
                    self.books.displaced[job_id] = free

    def _free_beside(self, seq: int, job_id: bytes) -> int | None:
        """The next free number, or None when the job is there already."""
        if self.inspector.seq_of(job_id) is not None:
            return None
        free = seq
        for (taken,) in self.database.connection.execute(STATEMENTS["taken_from"], (seq,)):
            if taken != free:
                break
            free += 1
        return free
