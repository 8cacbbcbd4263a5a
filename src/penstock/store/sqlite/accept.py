"""Accepting jobs: `Store.enqueue` over the embedded file."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

import apsw
import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.acceptance import check_groups
from penstock.model.errors import StoreFull
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobExtra, JobGroup
from penstock.model.states import State
from penstock.store.sqlite.books import Books
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.inspect import Inspector

SHARED_FRONTS_MAX: Final = 512
"""How far from its own number a job may be put when ids share a front."""

_halves: Final = Struct(">QQ").unpack
_encode: Final = msgspec.msgpack.Encoder().encode

Row = tuple[int, bytes, int, int, int, int, bytes, bytes | None, float, float | None]


class Acceptor:
    """Turns groups of jobs into rows."""

    def __init__(self, books: Books, inspector: Inspector, endings: Endings) -> None:
        self.books = books
        self.database = books.database
        self.inspector = inspector
        self.endings = endings

    def enqueue(self, groups: Sequence[JobGroup], *, atomic: bool) -> EnqueueAnswer:
        """See `penstock.ports.Store.enqueue`."""
        if self.database.full:
            raise StoreFull(f"The disk that holds {self.database.path} is full; free space, then enqueue again.")
        check_groups(groups, self.books.clock.time())
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
        task = books.task(group.task)
        run_at = max(now, group.run_at or now) if group.delay_s is None else now + group.delay_s
        waits = run_at > now
        expires_at = None if group.expires_s is None else now + group.expires_s
        extra = _encode(JobExtra(group.headers, group.tags)) if group.headers or group.tags else None
        first_key = books.order_key(group.priority, 0 if waits else books.take_arrivals(len(entries)))
        rows = [
            (
                (((halves := _halves(entry.id))[0] >> 16) & 0x3FFFFFFFFFF) << 21
                | (halves[0] & 0xFFF) << 9
                | (halves[1] >> 53) & 0x1FF,
                entry.id,
                task,
                queue.id,
                order_key,
                entry.checksum,
                entry.body,
                extra,
                run_at,
                expires_at,
            )
            for order_key, (_, entry) in zip(range(first_key, first_key + len(entries)), entries, strict=True)
        ]
        if waits:
            rows = [(*row[:4], first_key, *row[5:]) for row in rows]
        inserted = self._insert_jobs(rows, entries, offset, exceptions)
        counts = books.counts(queue.id)
        counts.accepted_total += len(inserted)
        if not waits:
            self.database.run_many("insert_ready", [(queue.id, row[4], row[0]) for row in inserted])
            self.endings.readied.add(queue.name)
            counts.ready += len(inserted)
        else:
            self.database.run_many("insert_scheduled", [(run_at, row[0]) for row in inserted])
            counts.scheduled += len(inserted)
            self._tell_scheduled(inserted, rows, entries, offset, exceptions)
        self._keep_keys(task, entries, inserted, now)
        return len(inserted)

    def _insert_jobs(
        self, rows: list[Row], entries: list[tuple[int, JobEntry]], offset: int, exceptions: list[Enqueued]
    ) -> list[Row]:
        """Insert all rows at once; where a row's number is taken, find out why and go on behind it."""
        connection = self.database.connection
        inserted: list[Row] = []
        start = 0
        while start < len(rows):
            before = connection.total_changes()
            try:
                self.database.run_many("insert_job", rows[start:] if start else rows)
                return inserted + rows[start:] if start else rows
            except apsw.ConstraintError:
                done = connection.total_changes() - before
                inserted.extend(rows[start : start + done])
                clash = start + done
                moved = self._beside(rows[clash])
                if moved is None:
                    exceptions.append(Enqueued(offset + entries[clash][0], rows[clash][1], None, duplicate=True))
                else:
                    self.database.run("insert_job", *moved)
                    self.database.run("insert_displaced", moved[1], moved[0])
                    self.books.displaced.add(moved[1])
                    inserted.append(moved)
                start = clash + 1
        return inserted

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

    def _beside(self, row: Row) -> Row | None:
        """The row under the next free number, or None when the job is there already."""
        free = row[0]
        for seq, job_id in self.database.rows("seqs_from", row[0], row[0] + SHARED_FRONTS_MAX):
            if job_id == row[1]:
                return None
            if seq == free:
                free += 1
        return (free, *row[1:])

    def _tell_scheduled(
        self,
        inserted: list[Row],
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

    def _keep_keys(self, task: int, entries: list[tuple[int, JobEntry]], inserted: list[Row], now: float) -> None:
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
