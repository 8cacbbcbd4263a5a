"""Leasing: taking ready jobs in order, each with a fence, and holding on to them."""

from __future__ import annotations

import sys
from heapq import merge
from itertools import count, islice
from operator import itemgetter
from typing import Final
from zlib import crc32

from penstock.model import limits
from penstock.model.job import Extended, Extension, JobError, LeaseBatch, LeasedJob, LeaseRequest
from penstock.model.states import State
from penstock.store.sqlite.books import Books, Held
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.ready import BODY, CHECKSUM, EXPIRES_AT, ORDER_KEY, QUEUE, SEQ, TASK, Ready, ReadyLine

TASKS_MAX: Final = 256
"""Different tasks in one batch: an index is one byte."""
CHUNK_ROWS: Final = 50
"""Leases in one statement."""
_INSERT_CHUNK: Final = "INSERT INTO running (fence, seq, holder) VALUES " + ", ".join(
    f"(?2 + {place}, ?{at}, ?1)" for place, at in zip(range(CHUNK_ROWS), count(3), strict=False)
)
CORRUPT: Final = JobError("Corrupt", "The stored arguments do not match their checksum; the job was not run.")

NAMELESS: Final = JobError("Corrupt", "The store does not know any more which task this is; the job was not run.")


class Leasing:
    """Moves jobs from ready to running."""

    def __init__(self, books: Books, endings: Endings, line: ReadyLine) -> None:
        self.books = books
        self.line = line
        self.database = books.database
        self.endings = endings
        self._room_bytes = 0

    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """See `penstock.ports.Store.lease`."""
        limit = min(request.limit, limits.LEASE_JOBS_MAX, limits.RUNNING_JOBS_MAX - len(self.books.by_fence))
        rows: list[Ready] = []
        self._room_bytes = limits.LEASE_BYTES_MAX
        unsound = 0
        while limit > len(rows) and self._room_bytes > 0 and unsound <= limits.TICK_STEP_JOBS:
            taken = self._take(request.queues, limit - len(rows))
            if not taken:
                break
            sound = self._sound(taken)
            unsound += len(taken) - len(sound)
            rows.extend(sound)
        rows = self._few_tasks(rows)
        try:
            return self._grant(request, rows) if rows else LeaseBatch(0, [], b"", [])
        except KeyError:
            rows = self._known(rows)
            return self._grant(request, rows) if rows else LeaseBatch(0, [], b"", [])

    # --- choosing ----------------------------------------------------------------------------------------------------
    def _take(self, names: list[str] | None, limit: int) -> list[Ready]:
        """Remove up to ``limit`` rows of `take_ready` from the front of the line."""
        books = self.books
        if names is not None:
            for name in names:
                queue = books.queue_by_name.get(name)
                if queue is not None and queue.counts.ready:
                    return self._take_from(queue.id, limit)
            return []
        waiting = [queue for queue in books.queues.values() if queue.counts.ready]
        if len(waiting) == 1:
            return self._take_from(waiting[0].id, limit)
        return self._take_merged([queue.id for queue in waiting], limit)

    def _take_merged(self, queues: list[int], limit: int) -> list[Ready]:
        """The first in order over several queues."""
        self.line.write_all()
        heads = [[(*row, queue) for row in self.database.rows("ready_heads", queue, limit)] for queue in queues]
        shares: dict[int, int] = {}
        room_bytes = self._room_bytes
        for _, size_bytes, queue in islice(merge(*heads), limit):
            shares[queue] = shares.get(queue, 0) + 1
            room_bytes -= size_bytes
            if room_bytes <= 0:
                break
        rows = [row for queue, share in shares.items() for row in self.line.take(queue, share, sys.maxsize)[0]]
        self._room_bytes = room_bytes
        rows.sort(key=itemgetter(ORDER_KEY))
        return rows

    def _take_from(self, queue: int, limit: int) -> list[Ready]:
        rows, self._room_bytes = self.line.take(queue, limit, self._room_bytes)
        return rows

    def _sound(self, rows: list[Ready]) -> list[Ready]:
        """Those that may run; a job past its time is expired, one whose body is damaged is buried."""
        suspects = [row for row in rows if crc32(row[BODY]) != row[CHECKSUM] or row[EXPIRES_AT] is not None]
        if not suspects:
            return rows
        now = self.books.clock.time()
        gone = set()
        for _, seq, job_id, task, attempts, crc, body, _, expires_at, queue in suspects:
            if expires_at is not None and 0 < expires_at <= now:
                self.endings.end_waiting(seq, job_id, queue, task, attempts, State.EXPIRED)
            elif crc32(body) != crc:
                self.endings.end_waiting(seq, job_id, queue, task, attempts, State.DEAD, CORRUPT)
            else:
                continue
            gone.add(seq)
        return [row for row in rows if row[SEQ] not in gone]

    def _few_tasks(self, rows: list[Ready]) -> list[Ready]:
        """The longest front of the batch that has no more than `TASKS_MAX` tasks; the rest goes back to its place."""
        if len({row[TASK] for row in rows}) <= TASKS_MAX:
            return rows
        seen: set[int] = set()
        place = 0
        while len(seen) <= TASKS_MAX:
            seen.add(rows[place][TASK])
            place += 1
        self.line.put_back(rows[place - 1 :])
        return rows[: place - 1]

    def _known(self, rows: list[Ready]) -> list[Ready]:
        """Those of tasks that there are; a job whose task's row is gone is buried, and holds up no other."""
        known = []
        for row in rows:
            if row[TASK] in self.books.task_names:
                known.append(row)
            else:
                _, seq, job_id, task, attempts, *_, queue = row
                self.endings.end_waiting(seq, job_id, queue, task, attempts, State.DEAD, NAMELESS)
        return known

    # --- granting ----------------------------------------------------------------------------------------------------
    def _grant(self, request: LeaseRequest, rows: list[Ready]) -> LeaseBatch:
        books = self.books
        names = {number: queue.name for number, queue in books.queues.items()}
        tasks, task_of = self._task_table([row[TASK] for row in rows])
        first = books.take_fences(len(rows))
        fences = range(first, first + len(rows))
        seqs = [row[SEQ] for row in rows]
        self._insert_running(first, seqs, books.holder(request.holder))
        expiring = [(row[SEQ],) for row in rows if row[EXPIRES_AT] is not None]
        if expiring:
            self.database.run_many("hide_expiry", expiring)
        identity, deadline = request.holder, books.clock.monotonic() + request.lease_s
        held, jobs = [], []
        for _, seq, job_id, task, attempts, _, body, extra, _, queue in rows:
            held.append(Held(seq, job_id, queue, task, attempts, identity, deadline))
            jobs.append(LeasedJob(job_id, attempts + 1, names[queue], body, extra))
        books.by_fence.update(zip(fences, held, strict=True))
        books.by_seq.update(zip(seqs, fences, strict=True))
        queues = [row[QUEUE] for row in rows]
        for queue in set(queues):
            books.counts(queue).running += queues.count(queue)
        return LeaseBatch(first, tasks, task_of, jobs, books.mishaps.suspects(seqs))

    def _insert_running(self, first: int, seqs: list[int], holder: int) -> None:
        """Note the leases, `CHUNK_ROWS` with one statement."""
        execute = self.database.connection.execute
        whole = len(seqs) - len(seqs) % CHUNK_ROWS
        for start in range(0, whole, CHUNK_ROWS):
            execute(_INSERT_CHUNK, (holder, first + start, *seqs[start : start + CHUNK_ROWS]))
        self.database.run_many(
            "insert_running", [(first + place, seqs[place], holder) for place in range(whole, len(seqs))]
        )

    def _task_table(self, ids: list[int]) -> tuple[list[str], bytes]:
        different = list(dict.fromkeys(ids))
        names = [self.books.task_names[job_id] for job_id in different]
        if len(different) == 1:
            return names, bytes(len(ids))
        index = {job_id: place for place, job_id in enumerate(different)}
        return names, bytes([index[job_id] for job_id in ids])

    # --- holding on --------------------------------------------------------------------------------------------------
    def extend(self, extension: Extension) -> Extended:
        """See `penstock.ports.Store.extend`."""
        by_fence = self.books.by_fence
        deadline = self.books.clock.monotonic() + extension.lease_s
        lost: list[int] = []
        cancel: list[int] = []
        for fence in extension.fences:
            held = by_fence.get(fence)
            if held is None or held.holder != extension.holder:
                lost.append(fence)
                continue
            held.deadline = deadline
            if held.cancel:
                cancel.append(fence)
        for fence, started_at in extension.started:
            held = by_fence.get(fence)
            if held is not None and held.holder == extension.holder and held.started_at is None:
                held.started_at = started_at
                self.database.run("start_running", started_at, fence)
        for fence, progress in extension.progress:
            held = by_fence.get(fence)
            if held is not None and held.holder == extension.holder:
                self.books.told[fence] = progress
        return Extended(lost, cancel)

    def hold_all_anew(self) -> None:
        """Start every live lease anew: the owner was away, not its clients."""
        deadline = self.books.clock.monotonic() + limits.LEASE_S
        for held in self.books.by_fence.values():
            held.deadline = max(held.deadline, deadline)
