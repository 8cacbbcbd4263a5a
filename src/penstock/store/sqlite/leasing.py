"""Leasing: taking ready jobs in order, each with a fence, and holding on to them."""

from __future__ import annotations

from heapq import merge
from typing import Any, Final
from zlib import crc32

from penstock.model import limits
from penstock.model.job import Extended, Extension, JobError, LeaseBatch, LeasedJob, LeaseRequest
from penstock.model.states import State
from penstock.store.sqlite.books import Books, Held
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.endings import Endings

TASKS_MAX: Final = 256
"""Different tasks in one batch: an index is one byte."""
CORRUPT: Final = JobError("Corrupt", "The stored arguments do not match their checksum; the job was not run.")


class Leasing:
    """Moves jobs from ready to running."""

    def __init__(self, books: Books, endings: Endings) -> None:
        self.books = books
        self.database = books.database
        self.endings = endings
        self._room_bytes = 0

    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """See `penstock.ports.Store.lease`."""
        limit = min(request.limit, limits.LEASE_JOBS_MAX, limits.RUNNING_JOBS_MAX - len(self.books.by_fence))
        rows: list[Any] = []
        self._room_bytes = limits.LEASE_BYTES_MAX
        while limit > len(rows) and self._room_bytes > 0:
            taken = self._take(request.queues, limit - len(rows))
            if not taken:
                break
            rows.extend(self._sound(taken))
        rows = self._few_tasks(rows)
        return self._grant(request, rows) if rows else LeaseBatch(0, [], b"", [])

    # --- choosing ----------------------------------------------------------------------------------------------------
    def _take(self, names: list[str] | None, limit: int) -> list[Any]:
        """Remove up to ``limit`` rows from the front of the line; each is the queue's name, then `take_ready`'s."""
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

    def _take_merged(self, queues: list[int], limit: int) -> list[Any]:
        """The first in order over several queues."""
        heads = [[(row[0], queue) for row in self.database.rows("ready_heads", queue, limit)] for queue in queues]
        shares: dict[int, int] = {}
        for place, (_, queue) in enumerate(merge(*heads)):
            if place == limit:
                break
            shares[queue] = shares.get(queue, 0) + 1
        rows = [row for queue, share in shares.items() for row in self._take_from(queue, share)]
        rows.sort(key=_order_key)
        return rows

    def _take_from(self, queue: int, limit: int) -> list[Any]:
        rows: list[tuple[Any, ...]] = []
        room_bytes = self._room_bytes
        for row in self.database.connection.execute(STATEMENTS["take_ready"], (queue, limit)):
            rows.append(row)
            room_bytes -= len(row[6])
            if room_bytes <= 0:
                break
        self._room_bytes = room_bytes
        if rows:
            self.database.run("delete_ready_to", queue, rows[-1][0])
            self.books.counts(queue).ready -= len(rows)
        return [(queue, row) for row in rows]

    def _sound(self, taken: list[Any]) -> list[Any]:
        """Those that may run; a job past its time is expired, one whose body is damaged is buried."""
        now = self.books.clock.time()
        unsound = [
            item
            for item in taken
            if crc32(item[1][6]) != item[1][5] or (item[1][8] is not None and 0 < item[1][8] <= now)
        ]
        if not unsound:
            return taken
        for queue, row in unsound:
            if row[8] is not None and 0 < row[8] <= now:
                self.endings.end_waiting(row[1], row[2], queue, row[3], row[4], State.EXPIRED)
            else:
                self.endings.end_waiting(row[1], row[2], queue, row[3], row[4], State.DEAD, CORRUPT)
        gone = {item[1][1] for item in unsound}
        return [item for item in taken if item[1][1] not in gone]

    def _few_tasks(self, rows: list[Any]) -> list[Any]:
        """The longest front of the batch that has no more than `TASKS_MAX` tasks; the rest goes back to its place."""
        if len(rows) <= TASKS_MAX:
            return rows
        seen: set[int] = set()
        for place, (_, row) in enumerate(rows):
            seen.add(row[3])
            if len(seen) > TASKS_MAX:
                back = rows[place:]
                self.database.run_many("insert_ready", [(queue, row[0], row[1]) for queue, row in back])
                for queue, _ in back:
                    self.books.counts(queue).ready += 1
                return rows[:place]
        return rows

    # --- granting ----------------------------------------------------------------------------------------------------
    def _grant(self, request: LeaseRequest, rows: list[Any]) -> LeaseBatch:
        books = self.books
        names = {job_id: queue.name for job_id, queue in books.queues.items()}
        holder = books.holder(request.holder)
        first = books.take_fences(len(rows))
        identity = request.holder
        deadline = books.clock.monotonic() + request.lease_s
        fences = range(first, first + len(rows))
        self.database.run_many(
            "insert_running", [(fence, item[1][1], holder) for fence, item in zip(fences, rows, strict=True)]
        )
        held = [Held(row[1], row[2], queue, row[3], row[4], identity, deadline) for queue, row in rows]
        expiring = [(row[1],) for _, row in rows if row[8] is not None]
        if expiring:
            self.database.run_many("hide_expiry", expiring)
        books.by_fence.update(zip(fences, held, strict=True))
        books.by_seq.update(zip([lease.seq for lease in held], fences, strict=True))
        for queue in {queue for queue, _ in rows}:
            books.counts(queue).running += sum(1 for item in rows if item[0] == queue)
        jobs = [LeasedJob(row[2], row[4] + 1, names[queue], row[6], row[7]) for queue, row in rows]
        tasks, task_of = self._task_table([row[3] for _, row in rows])
        return LeaseBatch(first, tasks, task_of, jobs)

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
                held.progress = progress
        return Extended(lost, cancel)

    def hold_all_anew(self) -> None:
        """Start every live lease anew: the owner was away, not its clients."""
        deadline = self.books.clock.monotonic() + limits.LEASE_S
        for held in self.books.by_fence.values():
            held.deadline = max(held.deadline, deadline)


def _order_key(item: tuple[int, Any]) -> int:
    key: int = item[1][0]
    return key
