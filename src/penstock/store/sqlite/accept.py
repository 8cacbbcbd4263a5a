"""Accepting jobs: `Store.enqueue` over the embedded file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from struct import Struct
from typing import Any, Final, NamedTuple

import apsw
import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.acceptance import check_groups
from penstock.model.errors import InvalidOption, StoreFull
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobExtra, JobGroup
from penstock.model.states import State
from penstock.store.sqlite.books import Books
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.inspect import Inspector
from penstock.store.sqlite.ready import Newcomers, Ready, ReadyLine

_halves: Final = Struct(">QQ").unpack
_encode: Final = msgspec.msgpack.Encoder().encode

Row = tuple[int, bytes, int, bytes]
"""seq, id, checksum, body: what is a job's own."""
Placed = tuple[int, bytes, int]
"""seq, id, order key of a job that is stored."""

CHUNK_ROWS: Final = 50
"""Jobs in one statement: what they share is bound once, and SQLite is entered once."""


def _chunk_statement() -> str:
    own = (
        f"(?{at}, ?{at + 1}, ?1, ?2, ?3 + {place}, ?{at + 2}, ?{at + 3}, ?4, ?5, ?6)"
        for place, at in zip(range(CHUNK_ROWS), count(7, 4), strict=False)
    )
    return STATEMENTS["insert_job"].split("VALUES")[0] + "VALUES " + ", ".join(own)


_INSERT_CHUNK: Final = _chunk_statement()


def _row_number(halves: tuple[int, int]) -> int:
    """As `penstock.model.ids.row_number`, from the two halves of an id."""
    return (halves[0] >> 16 & 0x3FFFFFFFFFF) << 21 | (halves[0] & 0xFFF) << 9 | halves[1] >> 53 & 0x1FF


class Alike(NamedTuple):
    """What the jobs of one group share. ``step`` tells how far apart their order keys are: 0 while they wait."""

    task: int
    queue: int
    first_key: int
    extra: bytes | None
    run_at: float
    expires_at: float | None
    step: int


class Acceptor:
    """Turns groups of jobs into rows."""

    def __init__(self, books: Books, inspector: Inspector, endings: Endings, line: ReadyLine) -> None:
        self.books = books
        self.line = line
        self.database = books.database
        self.inspector = inspector
        self.endings = endings

    def enqueue(self, groups: Sequence[JobGroup], *, atomic: bool) -> EnqueueAnswer:
        """See `penstock.ports.Store.enqueue`."""
        if self.database.full:
            raise StoreFull(
                f"The disk that holds {self.database.path} is full; free space, then enqueue again.", refused=True
            )
        check_groups(groups, self.books.clock.time())
        self.check_queues({group.queue for group in groups})
        exceptions: list[Enqueued] = []
        keyed = any(entry.idempotency_key is not None for group in groups for entry in group.jobs)
        fresh = self._without_known_keys(groups, exceptions) if keyed else [list(enumerate(g.jobs)) for g in groups]
        if atomic and any(exception.conflict for exception in exceptions):
            return EnqueueAnswer(0, [exception for exception in exceptions if exception.conflict])
        accepted = offset = 0
        for group, entries in zip(groups, fresh, strict=True):
            if entries:
                accepted += self._insert_group(group, entries, offset, exceptions)
            offset += len(group.jobs)
        return EnqueueAnswer(accepted, self._with_states(exceptions))

    def _with_states(self, exceptions: list[Enqueued]) -> list[Enqueued]:
        """In order, and with the states that jobs have now that all are stored."""
        exceptions.sort(key=lambda exception: exception.index)
        return [
            replace(exception, state=self.inspector.state_of(exception.id))
            if exception.duplicate or exception.conflict
            else exception
            for exception in exceptions
        ]

    def check_queues(self, names: set[str]) -> None:
        """Pass when these queues exist or may be made.

        Raises:
            InvalidOption: there are too many.
        """
        known = self.books.queue_by_name
        new = len(names.difference(known)) if not names <= known.keys() else 0
        if new and len(known) + new > limits.QUEUES_MAX:
            raise InvalidOption(f"There are {limits.QUEUES_MAX} queues already (QUEUES_MAX).", field="queue")

    # --- idempotency keys --------------------------------------------------------------------------------------------
    def _without_known_keys(
        self, groups: Sequence[JobGroup], exceptions: list[Enqueued]
    ) -> list[list[tuple[int, JobEntry]]]:
        """The entries that are new by their keys; what the others are goes into ``exceptions``."""
        now = self.books.clock.time()
        seen: dict[tuple[str, str], tuple[bytes, int, int]] = {}
        fresh: list[list[tuple[int, JobEntry]]] = []
        index = 0
        for group in groups:
            task = self.books.task_ids.get(group.task)
            kept: list[tuple[int, JobEntry]] = []
            for place, entry in enumerate(group.jobs):
                key = entry.idempotency_key
                if key is None:
                    kept.append((place, entry))
                else:
                    first = seen.get((group.task, key))
                    if first is None and task is not None:
                        first = self.database.row("idempotency", task, key, now)
                    if first is None:
                        seen[group.task, key] = (entry.id, entry.checksum, len(entry.body))
                        kept.append((place, entry))
                    else:
                        exceptions.append(self._repeated(index, first, entry))
                index += 1
            fresh.append(kept)
        return fresh

    def _repeated(self, index: int, first: tuple[bytes, int, int], entry: JobEntry) -> Enqueued:
        same = first[1:] == (entry.checksum, len(entry.body))
        return Enqueued(index, first[0], None, duplicate=same, conflict=not same)

    # --- rows --------------------------------------------------------------------------------------------------------
    def _insert_group(
        self, group: JobGroup, entries: list[tuple[int, JobEntry]], offset: int, exceptions: list[Enqueued]
    ) -> int:
        books, now = self.books, self.books.clock.time()
        if books.displaced:
            entries = self._without_displaced(entries, offset, exceptions)
        queue = books.queue(group.queue)
        run_at = max(now, group.run_at or now) if group.delay_s is None else now + group.delay_s
        waits = run_at > now
        alike = Alike(
            books.task(group.task),
            queue.id,
            books.order_key(group.priority, 0 if waits else books.take_arrivals(len(entries))),
            _encode(JobExtra(group.headers, group.tags)) if group.headers or group.tags else None,
            run_at,
            None if group.expires_s is None else now + group.expires_s,
            0 if waits else 1,
        )
        rows = [(_row_number(_halves(entry.id)), entry.id, entry.checksum, entry.body) for _, entry in entries]
        inserted = self._insert_jobs(alike, rows, [offset + place for place, _ in entries], exceptions)
        counts = books.counts(queue.id)
        counts.accepted_total += len(inserted)
        if waits:
            self.database.run_many("insert_scheduled", [(run_at, row[0]) for row in inserted])
            counts.scheduled += len(inserted)
            self._tell_scheduled(inserted, rows, entries, offset, exceptions)
        else:
            self.line.join(_newcomers(alike, rows, inserted))
            self.endings.readied.add(queue.name)
        self._keep_keys(alike.task, entries, inserted, now)
        return len(inserted)

    def _insert_jobs(
        self, alike: Alike, rows: list[Row], places: list[int], exceptions: list[Enqueued]
    ) -> list[Placed]:
        """Insert all rows, `CHUNK_ROWS` with one statement. Answers those that are new, with their order keys."""
        inserted: list[Placed] = []
        execute = self.database.connection.execute
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            first_key = alike.first_key + start * alike.step
            if len(chunk) == CHUNK_ROWS and alike.step:
                shared = (alike.task, alike.queue, first_key, alike.extra, alike.run_at, alike.expires_at)
                try:
                    execute(_INSERT_CHUNK, (*shared, *chain.from_iterable(chunk)))
                except apsw.ConstraintError:
                    pass
                else:
                    inserted.extend([(row[0], row[1], key) for row, key in zip(chunk, count(first_key), strict=False)])
                    continue
            self._insert_rows(alike, chunk, start, places, inserted, exceptions)
        return inserted

    def _insert_rows(
        self,
        alike: Alike,
        chunk: list[Row],
        start: int,
        places: list[int],
        inserted: list[Placed],
        exceptions: list[Enqueued],
    ) -> None:
        """Insert one by one; where a row's number is taken, find out why."""
        for index, (seq, job_id, crc, body) in enumerate(chunk, start):
            key = alike.first_key + index * alike.step
            try:
                self._insert_row(alike, seq, job_id, key, crc, body)
            except apsw.ConstraintError:
                free = self._free_beside(seq, job_id)
                if free is None:
                    exceptions.append(Enqueued(places[index], job_id, None, duplicate=True))
                    continue
                self._insert_row(alike, free, job_id, key, crc, body)
                self.database.run("insert_displaced", job_id, free)
                self.books.displaced[job_id] = free
                inserted.append((free, job_id, key))
            else:
                inserted.append((seq, job_id, key))

    def _insert_row(self, alike: Alike, seq: int, job_id: bytes, key: int, crc: int, body: bytes) -> None:
        self.database.run(
            "insert_job",
            seq,
            job_id,
            alike.task,
            alike.queue,
            key,
            crc,
            body,
            alike.extra,
            alike.run_at,
            alike.expires_at,
        )

    def _without_displaced(
        self, entries: list[tuple[int, JobEntry]], offset: int, exceptions: list[Enqueued]
    ) -> list[tuple[int, JobEntry]]:
        """The entries less those that stand under another number than their own already."""
        again = {
            place: entry.id
            for place, entry in entries
            if entry.id in self.books.displaced and self.inspector.seq_of(entry.id) is not None
        }
        exceptions.extend(Enqueued(offset + place, job_id, None, duplicate=True) for place, job_id in again.items())
        return [item for item in entries if item[0] not in again]

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

    def _tell_scheduled(
        self,
        inserted: list[Placed],
        rows: list[Row],
        entries: list[tuple[int, JobEntry]],
        offset: int,
        exceptions: list[Enqueued],
    ) -> None:
        new = {row[1] for row in inserted} if len(inserted) < len(rows) else None
        told = {exception.index for exception in exceptions}
        exceptions.extend(
            Enqueued(offset + place, entry.id, State.SCHEDULED)
            for place, entry in entries
            if (new is None or entry.id in new) and offset + place not in told
        )

    def _keep_keys(self, task: int, entries: list[tuple[int, JobEntry]], inserted: list[Placed], now: float) -> None:
        keyed = [entry for _, entry in entries if entry.idempotency_key is not None]
        if keyed:
            new: set[Any] = {row[1] for row in inserted}
            until = now + limits.IDEMPOTENCY_S
            self.database.run_many(
                "insert_idempotency",
                [
                    (task, entry.idempotency_key, entry.id, entry.checksum, len(entry.body), until)
                    for entry in keyed
                    if entry.id in new
                ],
            )


def _newcomers(alike: Alike, rows: list[Row], inserted: list[Placed]) -> Newcomers:
    """What `take_ready` would find of the new jobs."""
    first_key, task, queue, extra, expires_at = alike.first_key, alike.task, alike.queue, alike.extra, alike.expires_at
    ready: list[Ready] = []
    for seq, job_id, order_key in inserted:
        _, _, crc, body = rows[order_key - first_key]
        ready.append((order_key, seq, job_id, task, 0, crc, body, extra, expires_at, queue))
    return Newcomers(queue, first_key, first_key + len(rows), ready)
