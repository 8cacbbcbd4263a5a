"""Leasing: taking ready jobs in order, each with a fence, and holding on to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import count
from typing import Any, Final
from zlib import crc32

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.deliveries import HOLDER_BYTES
from penstock.model.interests import Interest
from penstock.model.job import Extended, Extension, JobError, JobExtra, LeaseBatch, LeasedJob, LeaseRequest
from penstock.model.states import Event, State
from penstock.model.topics import is_of_topic
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.ready_jobs import (
    Ready,
    Taken,
    as_ready,
    body_of,
    checksum_of,
    expires_at_of,
    interest_of,
    line_of,
    seq_of,
)
from penstock.store.sqlite.ready_line import ReadyLine
from penstock.store.sqlite.refused_jobs import Refusals

TASKS_MAX: Final = 256
"""Different tasks in one batch: an index is one byte."""
CHUNK_ROWS: Final = 50
"""Leases in one statement."""
_INSERT_CHUNK: Final = "INSERT INTO running (fence, seq, holder) VALUES " + ", ".join(
    f"(?2 + {place}, ?{at}, ?1)" for place, at in zip(range(CHUNK_ROWS), count(3), strict=False)
)
_INSERT_INTERESTING_CHUNK: Final = "INSERT INTO running (fence, seq, holder, interest) VALUES " + ", ".join(
    f"(?2 + {place}, ?{at}, ?1, ?3)" for place, at in zip(range(CHUNK_ROWS), count(4), strict=False)
)
_AGAIN_JOBS_MAX: Final = 100
"""Jobs that one lease gives out, or sets aside anew, to a holder that has refused them before."""
CORRUPT: Final = JobError("Corrupt", "The stored arguments do not match their checksum; the job was not run.")

NAMELESS: Final = JobError("Corrupt", "The store does not know any more which task this is; the job was not run.")


_RECORDED: Final = Interest.RECORDED.value
"""As a number: to ask a member of an enum takes longer than the rest of the question."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode


class Leasing:
    """Moves jobs from ready to running."""

    def __init__(self, books: Books, endings: Endings, line: ReadyLine, refusals: Refusals) -> None:
        self.books = books
        self.line = line
        self.database = books.database
        self.endings = endings
        self.refusals = refusals
        self._room_bytes = 0
        self._unsound = 0
        self._parties: dict[int, int] = {}

    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """See `penstock.ports.Store.lease`."""
        self.refusals.heard_of(request)
        if self.books.consumers:
            self.books.consumers.leases(request, self.books.clock.monotonic())
        if not self.books.ready:
            # As most leases of a system find it whose workers keep up.
            return LeaseBatch(0, [], b"", [], limited=[] if self.books.limits else None)
        if not self.books.limits:
            return self._lease(request)
        self.endings.note_open(self.books.limits.begin_lease(request.limited))
        batch = self._lease(request)
        self.books.limits.end_lease()
        return batch if batch.limited is not None else replace(batch, limited=[])

    def _lease(self, request: LeaseRequest) -> LeaseBatch:
        limit = min(request.limit, limits.LEASE_JOBS_MAX, limits.RUNNING_JOBS_MAX - len(self.books.by_fence))
        rows: list[Taken] = []
        self._room_bytes = limits.LEASE_BYTES_MAX
        self._unsound = 0
        self._parties.clear()
        self._fill(rows, request, limit, again=False)
        more = not rows and self._is_tired
        if self.refusals.matters and not more:
            self._fill(rows, request, limit, again=True)
        if not rows:
            return LeaseBatch(0, [], b"", [], more=more)
        rows = self._few_tasks(rows)
        try:
            return self._grant(request, rows)
        except KeyError:
            rows = self._known(rows)
            return self._grant(request, rows) if rows else LeaseBatch(0, [], b"", [])

    def _fill(self, rows: list[Taken], request: LeaseRequest, limit: int, *, again: bool) -> None:
        """Take jobs that may run until there are ``limit``. ``again``: those that the holder has refused before."""
        most = _AGAIN_JOBS_MAX if again else limit
        while limit > len(rows) and self._room_bytes > 0 and not self._is_tired and most > 0:
            taken = self._take(request, min(limit - len(rows), most), again=again)
            if not taken:
                return
            most -= len(taken) if again else 0
            sound = self._sound(taken)
            if self.refusals.knows_unknown(request.holder):
                sound = self._unrefused(request.holder, sound)
            self._unsound += len(taken) - len(sound)
            if self.books.limits and len(sound) < len(taken):
                self._leave_room(taken, sound)
            rows.extend(sound)

    def _leave_room(self, taken: list[Taken], sound: list[Taken]) -> None:
        """Of jobs that were taken only these are leased: the others do not count against limits."""
        for line, number in (Counter(map(line_of, taken)) - Counter(map(line_of, sound))).items():
            self.books.limits.put_back(self.books.limits.of_line(line), number)

    @property
    def _is_tired(self) -> bool:
        """Whether this lease has met so many jobs that it could not give out that others should have their turn."""
        return self._unsound > limits.TICK_STEP_JOBS

    # --- choosing ----------------------------------------------------------------------------------------------------
    def _take(self, request: LeaseRequest, limit: int, *, again: bool) -> list[Taken]:
        """Remove up to ``limit`` of the jobs that come next. ``again``: of those that the holder has refused before."""
        books = self.books
        tasks = None
        if request.tasks is not None:
            tasks = {books.task_ids[name] for name in request.tasks if name in books.task_ids}
        if request.channels is not None:
            tasks = (set(books.task_names) if tasks is None else tasks) | self._channels(request.channels)
        if request.queues is None:
            return self._take_from(None, tasks, request.holder, limit, again=again)
        for name in request.queues:
            queue = books.queue_by_name.get(name)
            if queue is not None and queue.counts.ready:
                taken = self._take_from(queue.id, tasks, request.holder, limit, again=again)
                if taken:
                    return taken
        return []

    def _channels(self, names: Collection[str]) -> set[int]:
        """What a lease asks for to be given messages of these channels (`in_memory.Line.leased_as`)."""
        books = self.books
        queues = [queue for name in names if (queue := books.queue_by_name.get(name)) is not None]
        return {line.leased_as for queue in queues if is_of_topic(queue.name) for line in books.lines_of(queue.id)}

    def _take_from(
        self, queue: int | None, tasks: Collection[int] | None, holder: bytes, limit: int, *, again: bool
    ) -> list[Taken]:
        """Those that come next in a queue (None: in all)."""
        aside = self.refusals.fronts(holder, queue, tasks, again=again) if self.refusals.matters else []
        taken = self.line.take(queue, tasks, limit, self._room_bytes, aside, of_lines=not again)
        self._room_bytes = taken.room_bytes
        if taken.parties:
            self.refusals.taken([as_ready(row) for row in taken.rows if seq_of(row) in taken.parties], taken.parties)
            self._parties.update(taken.parties)
        return taken.rows

    def _unrefused(self, holder: bytes, rows: list[Taken]) -> list[Taken]:
        """Those whose task the holder is not known not to know; the others are set aside for it."""
        known, aside, hopeless = self.refusals.set_aside(holder, [as_ready(row) for row in rows], self._parties)
        for row in aside:
            self._parties.pop(row.seq, None)
        for row, reason in hopeless:
            self._parties.pop(row.seq, None)
            self._end(row, Event.GIVE_UP, reason)
        return list[Taken](known)

    def _sound(self, rows: list[Taken]) -> list[Taken]:
        """Those that may run; a job past its time is expired, one whose body is damaged is buried."""
        sums = map(crc32, map(body_of, rows))
        if list(sums) == list(map(checksum_of, rows)) and not any(map(expires_at_of, rows)):
            return rows
        named = [as_ready(row) for row in rows]
        suspects = [row for row in named if crc32(row.body) != row.checksum or row.expires_at is not None]
        now = self.books.clock.time()
        gone = set[int]()
        for row in suspects:
            if row.expires_at is not None and 0 < row.expires_at <= now:
                self._end(row, Event.EXPIRE)
            elif crc32(row.body) != row.checksum:
                self._end(row, Event.CORRUPT, CORRUPT)
            else:
                continue
            self._drop_refusal(row)
            gone.add(row.seq)
        return [row for row in rows if seq_of(row) not in gone]

    def _end(self, row: Ready, event: Event, error: JobError | None = None) -> None:
        """Give a job that was just taken an outcome."""
        self.endings.end_waiting(row.seq, row.id, row.line, row.attempts, event, State.READY, error)

    def _drop_refusal(self, row: Ready) -> None:
        """A job that was just taken has ended."""
        if self._parties.pop(row.seq, 0):
            self.refusals.forget(row.seq, row.line)

    def _few_tasks(self, rows: list[Taken]) -> list[Taken]:
        """The longest front of the batch that has no more than `TASKS_MAX` tasks; the rest goes back to its place."""
        if len(rows) <= TASKS_MAX:
            return rows
        lines = self.books.lines
        numbers = set(map(line_of, rows))
        if len(numbers) <= TASKS_MAX or len({lines[number].task for number in numbers}) <= TASKS_MAX:
            return rows
        seen: set[int] = set()
        place = 0
        while len(seen) <= TASKS_MAX:
            seen.add(lines[line_of(rows[place])].task)
            place += 1
        rest = [as_ready(row) for row in rows[place - 1 :]]
        self.line.put_back([row for row in rest if row.seq not in self._parties])
        for row in rest:
            if row.seq in self._parties:
                self.refusals.put_back(row, self._parties.pop(row.seq))
        return rows[: place - 1]

    def _known(self, rows: list[Taken]) -> list[Taken]:
        """Those of tasks that there are; a job whose task's row is gone is buried, and holds up no other."""
        known = []
        for row in rows:
            if self.books.lines[line_of(row)].task in self.books.task_names:
                known.append(row)
            else:
                named = as_ready(row)
                self._drop_refusal(named)
                self._end(named, Event.CORRUPT, NAMELESS)
        return known

    # --- granting ----------------------------------------------------------------------------------------------------
    def _grant(self, request: LeaseRequest, rows: list[Taken]) -> LeaseBatch:
        books = self.books
        lines = books.lines
        numbers = list(map(line_of, rows))
        # Most leases are of one line. To see that is faster than to count lines.
        is_one_line = numbers.count(numbers[0]) == len(numbers)
        by_line = {numbers[0]: len(numbers)} if is_one_line else Counter(numbers)
        tasks, task_of = self._task_table(numbers, by_line)
        first = books.take_fences(len(rows))
        fences = range(first, first + len(rows))
        seqs = list(map(seq_of, rows))
        self._insert_running(first, rows, seqs, books.holder(request.holder))
        expiring: dict[int, float] = {}
        if any(map(expires_at_of, rows)):
            expiring = {seq_of(row): expires_at_of(row) for row in rows if (expires_at_of(row) or 0) > 0}
            self.database.run_many("hide_expiry", [(seq,) for seq in expiring])
            now = books.clock.time()
        identity, deadline = request.holder, books.clock.monotonic() + request.lease_s
        held, jobs = [], []
        line = lines[numbers[0]]
        for number, _, _, _, seq, job_id, attempts, _, body, stored, _, interest, step, place in rows:
            if number != line.id:
                line = lines[number]
            extra, lease = stored, Lease(seq, job_id, number, line.queue, line.task, attempts, identity, deadline)
            if interest:
                lease.interest, lease.step, lease.place = interest, step, place
                books.interested.add(seq)
                if interest & _RECORDED:
                    extra = _with(extra, recorded=True)
            if expiring and seq in expiring:
                lease.expires = True
                extra = _with(extra, expires_in_s=expiring[seq] - now)
            held.append(lease)
            jobs.append(LeasedJob(job_id, attempts + 1, line.queue_name, body, extra))
        if self._parties:
            for lease in held:
                lease.party = self._parties.get(lease.seq, 0)
            books.refused_leased.update(self._parties)
        books.by_fence.update(zip(fences, held, strict=True))
        books.by_seq.update(zip(seqs, fences, strict=True))
        by_queue: dict[int, int] = {}
        for number, taken in by_line.items():
            queue = lines[number].queue
            by_queue[queue] = by_queue.get(queue, 0) + taken
        books.move_each(by_queue, Event.LEASE, State.READY, State.RUNNING)
        if books.fair.queues:
            self.endings.joining.tenants.leased(rows)
        if self.endings.joining.rules.has_rates:
            self._spend(rows, first)
        batch = LeaseBatch(first, tasks, task_of, jobs, books.mishaps.suspects(seqs))
        if books.limits:
            books.limits.grant(by_line)
            limited = {number for number in by_line if books.limits.of_line(number)}
            return replace(batch, limited=[at for at, number in enumerate(numbers) if number in limited])
        return batch

    def _spend(self, rows: list[Taken], fence: int) -> None:
        """Jobs that rates count for spend their tokens. ``fence``: the first of their leases."""
        seqs = [seq_of(row) for row in rows if interest_of(row) & Interest.SLOT]
        if seqs:
            self.endings.joining.leased(seqs, fence)

    def _insert_running(self, first: int, rows: list[Taken], seqs: list[int], holder: int) -> None:
        """Note the leases, `CHUNK_ROWS` with one statement where the same have an interest in how each of them ends."""
        execute = self.database.connection.execute
        whole = 0
        interests = set(map(interest_of, rows))
        if len(interests) == 1:
            (interest,) = interests
            whole = len(rows) - len(rows) % CHUNK_ROWS
            for start in range(0, whole, CHUNK_ROWS):
                chunk = seqs[start : start + CHUNK_ROWS]
                if interest:
                    execute(_INSERT_INTERESTING_CHUNK, (holder, first + start, interest, *chunk))
                else:
                    execute(_INSERT_CHUNK, (holder, first + start, *chunk))
        single = [(first + at, seqs[at], holder, interest_of(rows[at])) for at in range(whole, len(rows))]
        if single:
            self.database.run_many("insert_running", single)

    def _task_table(self, lines: list[int], different: Collection[int]) -> tuple[list[str], bytes]:
        """The names of the tasks of these lines, and for each line which of them it is. ``different``: each once."""
        known = self.books.lines
        task_of = {line: known[line].task for line in different}
        tasks = dict.fromkeys(task_of.values())
        names = [self.books.task_names[task] for task in tasks]
        if len(names) == 1:
            return names, bytes(len(lines))
        index = {task: place for place, task in enumerate(tasks)}
        return names, bytes([index[task_of[line]] for line in lines])

    # --- holding on --------------------------------------------------------------------------------------------------
    def extend(self, extension: Extension) -> Extended:
        """See `penstock.ports.Store.extend`."""
        by_fence = self.books.by_fence
        now = self.books.clock.monotonic()
        if len(extension.holder) == HOLDER_BYTES:
            self.refusals.holders.extends(extension.holder, now)
            if self.books.consumers:
                self.books.consumers.extends(extension.holder, now)
        deadline = now + extension.lease_s
        lost: list[int] = []
        cancel: list[int] = []
        for fence in extension.fences:
            held = by_fence.get(fence)
            if held is None or not held.holder.startswith(extension.holder):
                lost.append(fence)
                continue
            held.deadline = deadline
            if held.cancel:
                cancel.append(fence)
        for fence, started_at in extension.started:
            held = by_fence.get(fence)
            if held is not None and held.holder.startswith(extension.holder) and held.started_at is None:
                held.started_at = started_at
                self.endings.started(held)
                self.database.run("start_running", started_at, fence)
        for fence, progress in extension.progress:
            held = by_fence.get(fence)
            if held is not None and held.holder.startswith(extension.holder):
                self.books.told[fence] = progress
        return Extended(lost, cancel)

    def hold_all_anew(self) -> None:
        """Start every live lease anew, and the time of ephemeral channels: the owner was away, not its clients."""
        self.books.consumers.start_anew(self.books.clock.monotonic())
        deadline = self.books.clock.monotonic() + limits.LEASE_S
        for held in self.books.by_fence.values():
            held.deadline = max(held.deadline, deadline)


def _with(extra: bytes | None, **told: Any) -> bytes:
    """What a job's runner is told, and this besides."""
    return _encode(replace(_decode_extra(extra) if extra else JobExtra(), **told))
