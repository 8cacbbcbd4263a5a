"""A store of one's own, as somebody writes it who has `penstock.ports` and `penstock.model` and nothing else.

It shows that the contract can be met from its text: it knows neither the engine nor the in-memory twin. It is as slow
as can be. All jobs lie on one shelf, and every call walks along it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock.model import acceptance, ledger, limits, source_cursors
from penstock.model.audit import check_by
from penstock.model.counts import added
from penstock.model.dead_kinds import DeadKinds
from penstock.model.deliveries import HOLDER_BYTES, UNANSWERED, check_holders, delivers
from penstock.model.empty_queues import EmptyQueues
from penstock.model.errors import BodyTooLarge, InvalidOption, StoreUnavailable
from penstock.model.flow import ConcurrencyRule, QueueRecord, Rule
from penstock.model.health import StoreHealth
from penstock.model.job import (
    FENCE_COUNTER_BITS,
    Capabilities,
    DeadCounts,
    EnqueueAnswer,
    Enqueued,
    Extended,
    Extension,
    Fate,
    Filter,
    JobEntry,
    JobError,
    JobExtra,
    JobGroup,
    JobView,
    LeaseBatch,
    LeasedJob,
    LeaseRequest,
    Outcomes,
    Page,
    Progress,
    QueueStats,
    Settled,
    StatsPage,
    Step,
    TaskRecord,
    Ticked,
    Totals,
    checksum,
)
from penstock.model.keyed_limits import Key, kind_of
from penstock.model.limits_in_force import (
    LimitsInForce,
    LimitView,
    check_registration,
    check_scope,
    queue_scope,
    rule_text,
    task_scope,
)
from penstock.model.line_limit import LineLimit
from penstock.model.lines import Closed, ClosedLine, ClosedLines
from penstock.model.losses import Loss, Standing
from penstock.model.message_ids import message_id
from penstock.model.refusals import Holders, aside_until, is_hopeless
from penstock.model.retention import Excess, TrimPace, excess, to_trim
from penstock.model.searching import check_filter, has_arguments, matches
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import TERMINAL, WAITING, Event, State
from penstock.model.step_history import NEVER
from penstock.model.topics import MESSAGE_TASK, check_queue_or_channel, is_of_topic, may_move, may_replay
from penstock.model.unique import Claim, Remains, Verdict, after_end, verdict
from penstock.ports import Clock
from tests.conformance.shelf_keys import ShelfKeys
from tests.conformance.shelf_operators import ShelfOperators
from tests.conformance.shelf_steps import ShelfSteps
from tests.conformance.shelf_topics import ShelfTopics
from tests.conformance.shelf_turns import ShelfTurns

STEP = limits.TICK_STEP_JOBS
TASKS_IN_A_BATCH = 256
REVIVABLE = (State.DEAD, State.CANCELLED, State.EXPIRED)


@dataclass(slots=True, eq=False)
class Refusal:
    """Who refused a job that has not run since, and since when. ``again``: they may be asked once more."""

    since: float
    error: JobError
    by: dict[bytes, bool] = field(default_factory=dict)
    unfit_since: float | None = None
    again: bool = False
    look_at: float | None = None


@dataclass(slots=True, eq=False)
class Job:
    """Everything that is known of one job."""

    number: int
    entry: JobEntry
    task: str
    queue: str
    priority: int
    created_at: float
    headers: dict[str, str] | None
    tags: list[str] | None
    expires_at: float | None
    state: State | None = None
    ended_as: State | None = None
    rank: int = 0
    arrival: int = 0
    ready_at: float = 0.0
    run_at: float | None = None
    may_expire: bool = True
    attempts: int = 0
    standing: Standing = field(default_factory=Standing)
    error: JobError | None = None
    refusal: Refusal | None = None
    fence: int = 0
    holder: bytes = b""
    lease_ends: float = 0.0
    is_asked_to_end: bool = False
    progress: Progress | None = None
    started_at: float | None = None
    finished_at: float | None = None
    keep_until: float = 0.0
    result: bytes | None = None
    result_until: float = 0.0
    slots: set[Key] = field(default_factory=set)
    waits_for: Key | None = None
    waits_by: Rule | None = None
    dead_kind: int = 0
    claim: Claim | None = None

    @property
    def size_bytes(self) -> int:
        """What its arguments and its result take."""
        return len(self.entry.body) + len(self.result or b"")

    @property
    def order(self) -> tuple[int, int, int]:
        """Its place among the ready jobs of its queue."""
        return (-self.priority, self.rank, self.arrival)

    def is_late(self, now: float) -> bool:
        """Whether it expires now."""
        return self.may_expire and self.expires_at is not None and self.expires_at <= now


class ShelfStore(ShelfOperators, ShelfTopics, ShelfKeys, ShelfSteps, ShelfTurns):
    """`penstock.ports.Store` on a shelf."""

    def __init__(self, clock: Clock, *, records_max: int, dead_max: int) -> None:
        self._clock = clock
        self._most = {False: records_max, True: dead_max}
        self._jobs: dict[bytes, Job] = {}
        self._numbers: set[int] = set()
        self._counts: dict[str, QueueStats] = {}
        self._removed = QueueStats()
        self._dead_kinds = DeadKinds()
        self._records: dict[str, TaskRecord] = {}
        self._keys: dict[tuple[str, str], tuple[bytes, tuple[int, int], float]] = {}
        self._unique: dict[tuple[str, str], Job] = {}
        self._cursors: dict[tuple[str, str], SourceCursor] = {}
        self._fence = 1 << FENCE_COUNTER_BITS
        self._arrival = 0
        self._unknown: dict[tuple[bytes, str], tuple[float, JobError]] = {}
        self._holders = Holders(clock.monotonic())
        self._closed_lines = ClosedLines()
        self._limits = LimitsInForce()
        self._queue_records: dict[str, QueueRecord] = {}
        self._used: dict[str, LineLimit] = {}
        self._limited_left = 0
        self._begin_operators()
        self._begin_keys()
        self._begin_turns()
        self._begin_steps()
        self._empty = EmptyQueues[str](self._counts.get, self._stays)
        self._paces = {False: TrimPace(), True: TrimPace()}
        self._ticked_at = clock.monotonic()
        self._start_topics()
        self._is_open = True

    # --- what is told ------------------------------------------------------------------------------------------------
    def capabilities(self) -> Capabilities:
        return Capabilities(durability="memory")

    def health(self) -> StoreHealth:
        self._check_open()
        return StoreHealth()

    def register_tasks(self, tasks: Sequence[TaskRecord], queues: Sequence[QueueRecord] = ()) -> None:
        self._check_open()
        check_registration(tasks, queues)
        for record in tasks:
            self._records[record.name] = record
            self._forget_unknown(lambda _, task, name=record.name: task == name)
            self._limits.declare(task_scope(record.name), record.flow.limits if record.flow else ())
        for queue in queues:
            self._limits.declare(queue_scope(queue.name), queue.limits)
            self._queue_records[queue.name] = queue
        self._use_limits()

    def declared_queues(self) -> list[QueueRecord]:
        self._check_open()
        return sorted(self._queue_records.values(), key=lambda record: record.name)

    def tasks(self) -> list[TaskRecord]:
        self._check_open()
        return sorted(self._records.values(), key=lambda record: record.name)

    def totals(self) -> Totals:
        self._check_open()
        return Totals(len(self._counts), added(self._counts.values(), self._removed), self._removed)

    def stats(self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False) -> StatsPage:
        self._check_open()
        acceptance.check_stats(cursor, busiest=busiest)
        limit = max(1, min(limit, limits.PAGE_QUEUES_MAX))
        if busiest:
            came_in = {name: counts.accepted_total + counts.moved_in_total for name, counts in self._counts.items()}
            names = sorted(self._counts, key=lambda name: (-came_in[name], name))
            others = added([self._counts[name] for name in names[limit:]], self._removed)
            return StatsPage({name: self._shown_counts(name) for name in names[:limit]}, None, others)
        after = "" if cursor is None else _read_cursor("after queue ", cursor)
        names = sorted(name for name in self._counts if name > after)
        page = {name: self._shown_counts(name) for name in names[:limit]}
        return StatsPage(page, f"after queue {names[limit - 1]}" if len(names) > limit else None)

    def _shown_counts(self, queue: str) -> QueueStats:
        ready = [job for job in self._in(State.READY) if job.queue == queue]
        oldest = min((job.ready_at for job in ready), default=None)
        age_s = None if oldest is None else max(0.0, self._clock.time() - oldest)
        refused = sum(job.refusal is not None for job in ready)
        return msgspec.structs.replace(self._counts[queue], oldest_ready_age_s=age_s, refused=refused)

    def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[JobView | None]:
        self._check_open()
        found = [self._find(job_id) for job_id in ids]
        views = [None if job is None else self._view(job, result=result, body=body) for job in found]
        if sum(len(one.result or b"") + len(one.body or b"") for one in views if one) > limits.ANSWER_BYTES_MAX:
            raise BodyTooLarge("Ask for fewer jobs at a time.")
        return views

    def query(self, where: Filter, *, cursor: str | None = None, limit: int = 100) -> Page:
        self._check_open()
        jobs, after = self._search(where, cursor, max(1, min(limit, limits.PAGE_JOBS_MAX)))
        return Page([self._view(job) for job in jobs], after)

    def _search(self, where: Filter, cursor: str | None, limit: int) -> tuple[list[Job], str | None]:
        check_filter(where, self._records.values(), self._is_stored)
        below = None if cursor is None else _read_number("before job ", cursor)
        found = [
            job
            for job in sorted(self._jobs.values(), key=lambda job: -job.number)
            if (below is None or job.number < below) and self._is_kept(job) and self._fits(job, where)
        ]
        return found[:limit], f"before job {found[limit - 1].number}" if len(found) > limit else None

    def _is_stored(self, name: str) -> bool:
        return any(name in (job.entry.searchable or ()) for job in self._jobs.values())

    def _fits(self, job: Job, where: Filter) -> bool:
        """Whether a search finds it."""
        named = message_id(job.entry.id) if job.task == MESSAGE_TASK else job.entry.id
        uses = [use for (_, key), use in self._keys.items() if key == where.key and self._clock.time() < use[2]]
        has_key = where.key is None or any(first_id == named for first_id, _, _ in uses)
        holds_key = self._unique.get((job.task, where.key or "")) is job
        view = self._view(job)
        has_key = has_key or holds_key or view.key == where.key
        return has_key and has_arguments(job.entry.searchable, where) and matches(view, where)

    def dead_counts(self) -> DeadCounts:
        self._check_open()
        return self._dead_kinds.counts()

    def _view(self, job: Job, *, result: bool = False, body: bool = False) -> JobView:
        assert job.state is not None
        record = self._records.get(job.task)
        has_result = job.result is not None and self._clock.time() < job.result_until
        error, reason, key = job.error, None, None
        if job.state is State.BLOCKED:
            reason, key = self._explained(job)
        if job.state is State.READY:
            reason = self._closed_lines.reason_of(job.queue, job.task) or self._limit_reason(job)
            unknown = self._holders.unknown_task(job.queue, job.task, self._clock.monotonic())
            error = job.refusal.error if job.refusal else unknown or error
        view = JobView(
            id=job.entry.id,
            task=job.task,
            queue=job.queue,
            state=job.state,
            priority=job.priority,
            attempt=job.attempts + (job.state is State.RUNNING),
            max_attempts=record.max_attempts if record else limits.MAX_ATTEMPTS,
            created_at=job.created_at,
            run_at=job.run_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            losses=job.standing.losses,
            strays=job.standing.strays,
            suspect=job.standing.suspect,
            progress=job.progress,
            error=error,
            headers=job.headers,
            tags=job.tags,
            result=job.result if result and has_result else None,
            result_kept=has_result,
            body=job.entry.body if body else None,
            cancel_requested=job.is_asked_to_end,
            reason=reason,
            key=key,
            recorded=job.entry.id in self._histories,
        )
        return self._with_pending(job, view)

    # --- jobs come in ------------------------------------------------------------------------------------------------
    def enqueue(
        self, groups: Sequence[JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> EnqueueAnswer:
        self._check_open()
        position = None
        if cursor is not None:
            position = self._position_after(cursor, has_jobs=any(group.jobs for group in groups))
        acceptance.check_groups(groups, self._clock.time())
        self._holds.check_intake(groups)
        self._make_queues({group.queue for group in groups})
        if atomic:
            conflicts = [one for one in self._rehearsed(groups) if one.conflict]
            if conflicts:
                return EnqueueAnswer(0, conflicts)
        if position is not None:
            self._cursors[position.source, position.partition] = position
        return self._accept(groups)

    def _position_after(self, cursor: SourceCursor, *, has_jobs: bool) -> SourceCursor:
        source_cursors.check_cursor(cursor)
        in_force = self._cursors.get((cursor.source, cursor.partition))
        if in_force is None:
            source_cursors.check_new_cursor(len(self._cursors))
        return source_cursors.moved(cursor, in_force, has_jobs=has_jobs)

    def cursors(self, source: str | None = None) -> list[SourceCursor]:
        self._check_open()
        if source is not None:
            source_cursors.check_source_name(source, "source")
        found = [one for one in self._cursors.values() if source in (None, one.source)]
        return sorted(found, key=lambda one: (one.source, one.partition))

    def remove_cursors(self, source: str, *, partition: str | None = None) -> int:
        self._check_open()
        source_cursors.check_source_name(source, "source")
        if partition is not None:
            source_cursors.check_source_name(partition, "partition")
        gone = [one for one in self.cursors(source) if partition in (None, one.partition)]
        for one in gone:
            del self._cursors[one.source, one.partition]
        return len(gone)

    def _accept(self, groups: Sequence[JobGroup]) -> EnqueueAnswer:
        answers: list[Enqueued] = []
        accepted = 0
        for index, (group, entry) in enumerate(_pairs(groups)):
            answer = self._known(group.task, entry, index) or self._same(group, entry, index)
            if answer is None:
                accepted += 1
                self._put(group, entry)
                answer = Enqueued(index, entry.id, None)
            answers.append(answer)
        answers = [msgspec.structs.replace(answer, state=self._state_of(answer.id)) for answer in answers]
        simple = (State.READY, False, False)
        return EnqueueAnswer(accepted, [one for one in answers if (one.state, one.duplicate, one.conflict) != simple])

    def _rehearsed(self, groups: Sequence[JobGroup]) -> list[Enqueued]:
        """What would be answered for jobs that are not simply new: it is tried on another shelf."""
        other = copy.deepcopy(self, {id(self._clock): self._clock})
        return other._accept(groups).exceptions

    def _same(self, group: JobGroup, entry: JobEntry, index: int) -> Enqueued | None:
        """What is said of a newcomer that another keeps away from its unique key."""
        if group.unique is None or entry.unique_key is None:
            return None
        job = self._keeper(group.task, entry.unique_key)
        what = Verdict.NEW if job is None else verdict(group.unique.on_conflict, self._state_of(job.entry.id))
        if job is None or what is Verdict.NEW:
            return None
        if what is Verdict.REFUSE:
            return Enqueued(index, job.entry.id, None, conflict=True, unique=True)
        if what is not Verdict.EXISTING:
            self._replace(job, group, entry, keeps_time=what is Verdict.KEEP_TIME)
        self._note_key(group.task, entry, job.entry.id)
        return Enqueued(index, job.entry.id, None, duplicate=True, replaced=what is not Verdict.EXISTING, unique=True)

    def _keeper(self, task: str, key: str) -> Job | None:
        """The job that keeps others away from this key."""
        job = self._unique.get((task, key))
        if job is None or job.claim is None:
            return None
        return job if job.claim.keeps_away(self._state_of(job.entry.id), self._clock.time()) else None

    def _replace(self, job: Job, group: JobGroup, entry: JobEntry, *, keeps_time: bool) -> None:
        now = self._clock.time()
        keeps_time = keeps_time and not self._awaits(job)
        self._begin_anew(job)
        if not keeps_time:
            self._take_rank_back(job)
        job.entry = msgspec.structs.replace(entry, id=job.entry.id, unique_key=job.entry.unique_key)
        job.headers, job.tags = group.headers or None, group.tags or None
        job.attempts, job.error, job.refusal = 0, None, None
        job.standing = Standing(suspect=job.standing.suspect)
        if not keeps_time:
            job.may_expire, job.expires_at = True, None if group.expires_s is None else now + group.expires_s
            job.claim = job.claim and job.claim.anew(now)
        run_at = group.run_at if group.delay_s is None else now + group.delay_s
        self._wait_anew(job, None if keeps_time else (now if run_at is None else run_at))

    def _known(self, task: str, entry: JobEntry, index: int) -> Enqueued | None:
        if entry.id in self._jobs:
            return Enqueued(index, entry.id, None, duplicate=True)
        if entry.idempotency_key is None:
            return None
        first_id, call, until = self._keys.get((task, entry.idempotency_key), (b"", (0, 0), 0.0))
        if until <= self._clock.time():
            return None
        same = entry.is_call(call)
        return Enqueued(index, first_id, None, duplicate=same, conflict=not same)

    def _put(self, group: JobGroup, entry: JobEntry) -> State:
        now = self._clock.time()
        expires_at = None if group.expires_s is None else now + group.expires_s
        own = (group.task, group.queue, group.priority, now, group.headers or None, group.tags or None, expires_at)
        job = Job(self._free_number(entry.id), entry, *own)
        self._jobs[entry.id] = job
        self._tasks_seen.add(group.task)
        self._note_key(group.task, entry, entry.id)
        if group.unique is not None and entry.unique_key is not None:
            job.claim = Claim.of(group.unique, now)
            self._unique[group.task, entry.unique_key] = job
        return self._wait(job, Event.ENQUEUE, group.run_at if group.delay_s is None else now + group.delay_s)

    def _note_key(self, task: str, entry: JobEntry, job_id: bytes) -> None:
        if entry.idempotency_key is not None:
            until = self._clock.time() + limits.IDEMPOTENCY_S
            self._keys[task, entry.idempotency_key] = (job_id, entry.told_by(), until)

    def _free_number(self, job_id: bytes) -> int:
        number = int.from_bytes(job_id[:10], "big") >> 5
        while number in self._numbers:
            number += 1
        self._numbers.add(number)
        return number

    def _wait(self, job: Job, event: Event, run_at: float | None) -> State:
        """It waits: for its time, or in line."""
        job.run_at = run_at
        if run_at is not None and run_at > self._clock.time():
            job.rank = 0
            self._go(job, event, State.SCHEDULED)
            return State.SCHEDULED
        self._arrival += 1
        job.arrival, job.ready_at = self._arrival, self._clock.time()
        self._give_rank(job)
        self._go(job, event, State.READY)
        self._take_slots(job, is_in_turn=False)
        assert job.state is not None
        return job.state

    # --- jobs run ----------------------------------------------------------------------------------------------------
    def lease(self, request: LeaseRequest) -> LeaseBatch:
        self._check_open()
        acceptance.check_lease(request)
        self._hear_of(request)
        self._consumers.leases(request, self._clock.monotonic())
        running = sum(1 for _ in self._in(State.RUNNING))
        room = min(request.limit, limits.LEASE_JOBS_MAX, limits.RUNNING_JOBS_MAX - running)
        batch = LeaseBatch(self._fence + 1, [], b"", [])
        places: list[int] = []
        places_of_limited: list[int] = []
        self._limited_left = room if request.limited is None else request.limited
        for job in self._in_turn(request) if room > 0 else ():
            if job.task not in batch.tasks and len(batch.tasks) == TASKS_IN_A_BATCH:
                break
            if job.task not in batch.tasks:
                batch.tasks.append(job.task)
            places.append(batch.tasks.index(job.task))
            if self._limits_of(job):
                places_of_limited.append(len(batch.jobs))
            if job.standing.suspect:
                batch.alone.append(len(batch.jobs))
            batch.jobs.append(self._give_out(job, request))
            if len(batch.jobs) == room:
                break
        limited = places_of_limited if self._used else None
        return LeaseBatch(batch.first_fence, batch.tasks, bytes(places), batch.jobs, batch.alone, limited=limited)

    def _give_out(self, job: Job, request: LeaseRequest) -> LeasedJob:
        now = self._clock.time()
        for used in self._limits_of(job):
            used.begin(1, self._clock.monotonic())
        self._limited_left -= bool(self._limits_of(job))
        self._fence += 1
        job.fence, job.holder = self._fence, request.holder
        job.lease_ends = self._clock.monotonic() + request.lease_s
        self._go(job, Event.LEASE, State.RUNNING)
        self._pass_rank(job)
        self._spend_tokens(job)
        left_s = job.expires_at - now if job.may_expire and job.expires_at is not None else None
        extra = JobExtra(job.headers, job.tags, left_s, recorded=self._is_recorded(job))
        packed = None if extra == JobExtra() else msgspec.msgpack.encode(extra)
        return LeasedJob(job.entry.id, job.attempts + 1, job.queue, job.entry.body, packed)

    def _in_turn(self, request: LeaseRequest) -> Iterator[Job]:
        """The jobs that this holder may have, in order; those in front of one that nobody may have are dealt with."""
        for again in (False, True):
            for job in self._in_order(request, again=again):
                if not self._has_room(job):
                    continue
                until, error = self._unknown.get((request.holder, job.task), (0.0, None))
                if job.is_late(self._clock.time()):
                    self._end(job, Event.EXPIRE, State.EXPIRED, self._keep_s(job))
                elif checksum(job.entry.body) != job.entry.checksum:
                    job.error = JobError("Corrupt", "The body is damaged.")
                    self._end(job, Event.CORRUPT, State.DEAD, limits.KEEP_DEAD_S)
                elif error is not None and until > self._clock.time():
                    self._refuse(job, request.holder, error, unfit=False)
                else:
                    yield job

    def _in_order(self, request: LeaseRequest, *, again: bool) -> list[Job]:
        lines: dict[str, list[Job]] = {}
        for job in self._in(State.READY):
            is_named = request.takes(job.queue, job.task)
            refused = job.refusal is not None and request.holder in job.refusal.by
            is_for = (refused and job.refusal is not None and job.refusal.again) if again else not refused
            if is_named and is_for and self._closed_lines.reason_of(job.queue, job.task) is None:
                lines.setdefault(job.queue, []).append(job)
        for line in lines.values():
            line.sort(key=lambda job: job.order)
        if request.queues is not None:
            return [job for name in dict.fromkeys(request.queues) for job in lines.get(name, ())]
        return _merged(lines.values())

    def extend(self, extension: Extension) -> Extended:
        self._check_open()
        acceptance.check_extension(extension)
        if len(extension.holder) == HOLDER_BYTES:
            self._holders.extends(extension.holder, self._clock.monotonic())
            self._consumers.extends(extension.holder, self._clock.monotonic())
        held = {job.fence: job for job in self._in(State.RUNNING) if job.holder.startswith(extension.holder)}
        for fence, started_at in extension.started:
            if fence in held and held[fence].started_at is None:
                held[fence].started_at, held[fence].may_expire = started_at, False
        for fence, progress in extension.progress:
            if fence in held:
                held[fence].progress = progress
        ours = [held[fence] for fence in extension.fences if fence in held]
        for job in ours:
            job.lease_ends = self._clock.monotonic() + extension.lease_s
        lost = [fence for fence in extension.fences if fence not in held]
        return Extended(lost, [job.fence for job in ours if job.is_asked_to_end])

    def settle(self, outcomes: Outcomes) -> Settled:
        self._check_open()
        acceptance.check_outcomes(outcomes, self._clock.time())
        held = {job.fence: job for job in self._in(State.RUNNING) if job.holder.startswith(outcomes.holder)}
        good = {*outcomes.forgotten, *(one.fence for one in outcomes.succeeded)} & held.keys()
        children = [group for fence, groups in outcomes.children if fence in good for group in groups]
        acceptance.check_children(children)
        self._make_queues({group.queue for group in children})
        exceptions: list[tuple[int, Fate]] = []
        for fence, wanted, become in self._wishes(outcomes):
            job = held.pop(fence, None)
            if job is None:
                exceptions.append((fence, Fate.STALE))
                continue
            become(job)
            if job.ended_as is not wanted and job.ended_as is not None:
                exceptions.append((fence, Fate[job.ended_as.name]))
        self._accept(children)
        return Settled(exceptions)

    def _wishes(self, outcomes: Outcomes) -> Iterator[tuple[int, State | None, Callable[[Job], Any]]]:
        """Each fence, the state that its job is to end in (None: it runs again), and what brings that about."""
        for fence in outcomes.forgotten:
            yield fence, State.SUCCEEDED, lambda job: self._end(job, Event.SUCCEED, State.SUCCEEDED, 0.0)
        for good in outcomes.succeeded:
            yield good.fence, State.SUCCEEDED, lambda job, good=good: self._succeed(job, good)
        for bad in outcomes.buried:
            yield bad.fence, State.DEAD, lambda job, bad=bad: self._bury(job, bad)
        for one in outcomes.cancelled:
            yield one.fence, State.CANCELLED, lambda job, one=one: self._cancel_running(job, one.keep_record_s)
        for again in outcomes.retried:
            yield again.fence, None, lambda job, one=again: self._run_again(job, Event.RETRY, one.delay_s, one.error)
        for later in outcomes.snoozed:
            yield later.fence, None, lambda job, one=later: self._run_again(job, Event.SNOOZE, one.delay_s, None)
        for held in outcomes.suspended:
            yield held.fence, None, lambda job, one=held: self._put_to_sleep(job, one)
        for lost in outcomes.lost:
            yield (
                lost.fence,
                None,
                lambda job, one=lost: self._lose(job, one.loss, one.error, one.started_at),
            )
        for fence in outcomes.released:
            yield fence, None, lambda job: self._give_back(job, Event.RELEASE)
        for refused in outcomes.refused:
            yield refused.fence, None, lambda job, one=refused: self._take_refusal(job, one.error, unfit=one.is_unfit)

    def _succeed(self, job: Job, good: Any) -> None:
        keep_s = good.keep_record_s
        if good.result is not None and good.keep_result_s > 0:
            keep_s = max(keep_s, good.keep_result_s)
            job.result, job.result_until = good.result, self._clock.time() + good.keep_result_s
        job.attempts += 1
        job.started_at = good.started_at
        self._acquit(job)
        self._end(job, Event.SUCCEED, State.SUCCEEDED, keep_s, finished_at=good.finished_at)

    def _bury(self, job: Job, bad: Any) -> None:
        job.attempts += 1
        job.error = bad.error
        job.started_at = job.started_at if bad.started_at is None else bad.started_at
        self._acquit(job)
        self._end(job, Event.BURY, State.DEAD, bad.keep_s)

    def _cancel_running(self, job: Job, keep_s: float) -> None:
        job.attempts += 1
        self._end(job, Event.CANCEL, State.CANCELLED, keep_s)

    def _put_to_sleep(self, job: Job, outcome: Any) -> None:
        run_at = None if job.is_asked_to_end else self._suspend(job, outcome)
        self._run_again(job, Event.SUSPEND, 0.0, None, run_at)

    def _run_again(
        self, job: Job, event: Event, delay_s: float, error: JobError | None, run_at: float | None = None
    ) -> None:
        if job.is_asked_to_end:
            self._cancel_running(job, self._keep_s(job))
            return
        if event is Event.RETRY:
            job.attempts += 1
            job.error = error
        self._acquit(job)
        job.may_expire, job.refusal = False, None
        self._let_go(job)
        self._leave_slots(job, self._lasting(job))
        self._wait(job, event, run_at or self._clock.time() + min(delay_s, limits.DELAY_S_MAX))

    def _give_back(self, job: Job, event: Event, *, has_run: bool = False) -> bool:
        """It has its old place again. Answers whether: it may end instead."""
        if job.is_asked_to_end:
            self._cancel_running(job, self._keep_s(job))
            return False
        if not has_run and job.started_at is None:
            self._return_tokens(job)
        self._let_go(job)
        if job.refusal is not None:
            job.refusal.again = False
            self._look_later(job.refusal)
        self._go(job, event, State.READY)
        if job.is_late(self._clock.time()):
            self._end(job, Event.EXPIRE, State.EXPIRED, self._keep_s(job))
        else:
            self._take_slots(job, is_in_turn=True)
        return job.state is State.READY

    def _lose(self, job: Job, loss: Loss, error: JobError, started_at: float | None = None) -> None:
        if delivers(job.holder):
            self._deliver_again(job)
            return
        if not job.is_asked_to_end and loss is not Loss.UNSTARTED:
            job.may_expire = False
            job.standing = job.standing.after(loss)
            job.error = JobError("WorkerLost", error.message, error.traceback)
            if job.standing.is_dead(loss):
                job.attempts += 1
                job.started_at = job.started_at if started_at is None else started_at
                self._end(job, Event.LOSE, State.DEAD, limits.KEEP_DEAD_S)
                return
        self._give_back(job, Event.LOSE, has_run=loss is not Loss.UNSTARTED)

    def _deliver_again(self, job: Job) -> None:
        if not job.is_asked_to_end:
            job.may_expire = False
            job.attempts += 1
            job.error = UNANSWERED
        self._give_back(job, Event.RETRY, has_run=True)

    def _abandon(self, job: Job) -> None:
        """Nobody knows what became of its runner."""
        loss = Loss.UNSTARTED if job.started_at is None else Loss.STRAY
        self._lose(job, loss, JobError("WorkerLost", "Its supervisor was not heard of in time."))

    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        self._check_open()
        check_holders(holder)
        theirs = [job for job in self._in(State.RUNNING) if job.holder.startswith(holder)]
        dropped = [job for job in theirs if job.fence not in set(fences)]
        for job in dropped:
            if job.started_at is None and not delivers(job.holder):
                self._give_back(job, Event.RELEASE)
            else:
                self._abandon(job)
        if not fences:
            self._forget_unknown(lambda other, _: other.startswith(holder))
            for job in self._jobs.values():
                if job.refusal is not None:
                    job.refusal.by = {one: how for one, how in job.refusal.by.items() if not one.startswith(holder)}
        return len(dropped)

    # --- refusals ----------------------------------------------------------------------------------------------------
    def _hear_of(self, request: LeaseRequest) -> None:
        now = self._clock.monotonic()
        if request.holder not in self._holders.live(now):
            self._forget_unknown(lambda other, _: other == request.holder)
        self._holders.leases(request, now)

    def _forget_unknown(self, is_gone: Callable[[bytes, str], bool]) -> None:
        self._unknown = {key: what for key, what in self._unknown.items() if not is_gone(*key)}

    def _take_refusal(self, job: Job, error: JobError, *, unfit: bool) -> None:
        holder = job.holder
        if self._give_back(job, Event.REFUSE):
            if not unfit:
                self._unknown[holder, job.task] = (self._clock.time() + limits.REFUSED_AGAIN_S_MAX, error)
            self._refuse(job, holder, error, unfit=unfit)

    def _refuse(self, job: Job, holder: bytes, error: JobError, *, unfit: bool) -> None:
        now, live = self._clock.time(), self._holders.live(self._clock.monotonic())
        refusal = job.refusal = job.refusal or Refusal(now, error)
        if unfit or refusal.unfit_since is None:
            refusal.error = error
        if unfit and refusal.unfit_since is None:
            refusal.unfit_since = now
        refusal.by = {one: was for one, was in refusal.by.items() if one in live} | {holder: unfit}
        refusal.again = False
        self._look_later(refusal)
        self._give_up(job)

    def _look_later(self, refusal: Refusal) -> None:
        refusal.look_at = aside_until(refusal.since, refusal.unfit_since, self._clock.time())

    def _give_up(self, job: Job) -> bool:
        """End a job that everybody has refused for long. Answers whether it was one."""
        monotonic, refusal = self._clock.monotonic(), job.refusal
        live = self._holders.live(monotonic, job.queue, job.task)
        if refusal is None or not self._holders.knows_all(monotonic):
            return False
        if not is_hopeless(refusal.by, live, refusal.unfit_since, self._clock.time()):
            return False
        job.error = refusal.error
        self._end(job, Event.GIVE_UP, State.DEAD, limits.KEEP_DEAD_S)
        return True

    def _ask_again(self, job: Job) -> None:
        if not self._give_up(job) and job.refusal is not None:
            job.refusal.again = True
            self._look_later(job.refusal)
            if job.refusal.unfit_since is None:
                job.refusal.look_at = None

    # --- time passes -------------------------------------------------------------------------------------------------
    def tick(self) -> Ticked:
        self._check_open()
        now, monotonic = self._clock.time(), self._clock.monotonic()
        if monotonic - self._ticked_at >= limits.TICK_GAP_S:
            for job in self._in(State.RUNNING):
                job.lease_ends = max(job.lease_ends, monotonic + limits.LEASE_S)
            self._consumers.start_anew(monotonic)
        self._ticked_at = monotonic
        promoted = self._do(self._due(), now, self._promote)
        expired = self._do(
            self._expiring(), now, lambda job: self._end(job, Event.EXPIRE, State.EXPIRED, self._keep_s(job))
        )
        self._do(self._aside(), now, self._ask_again)
        reclaimed = self._do(self._leased(), monotonic, self._abandon)
        self._asked |= {job.waits_for for job in self._in(State.BLOCKED) if job.waits_for is not None}
        self._serve()
        trimmed = self._trim(now, is_dead=False) + self._trim(now, is_dead=True)
        self._trim_queues()
        self._keys = {key: use for key, use in self._keys.items() if use[2] > now}
        self._clear_some()
        self._empty.note(self._counts)
        self._empty.look(monotonic)
        for name in self._empty.due(monotonic, STEP):
            self._remove_queue(name)
        self._go_on_with_actions()
        self._forget_ranks()
        return Ticked(promoted, expired, reclaimed, trimmed, self._next_s(now, monotonic))

    def _promote(self, job: Job) -> None:
        self._time_has_come(job)
        self._wait(job, Event.PROMOTE, job.run_at)

    def _due(self) -> list[tuple[float, int, Job]]:
        return [(job.run_at or 0.0, job.number, job) for job in self._in(State.SCHEDULED)]

    def _expiring(self) -> list[tuple[float, int, Job]]:
        waiting = [job for job in self._jobs.values() if job.state in WAITING and job.may_expire]
        return [(job.expires_at, job.number, job) for job in waiting if job.expires_at is not None]

    def _aside(self) -> list[tuple[float, int, Job]]:
        refused = [(job, job.refusal.look_at) for job in self._in(State.READY) if job.refusal is not None]
        return [(look_at, job.number, job) for job, look_at in refused if look_at is not None]

    def _leased(self) -> list[tuple[float, int, Job]]:
        return [(job.lease_ends, job.fence, job) for job in self._in(State.RUNNING)]

    def _ended(self, *, is_dead: bool) -> list[tuple[float, int, Job]]:
        ended = [job for job in self._jobs.values() if job.state in TERMINAL and (job.state is State.DEAD) is is_dead]
        return [(job.keep_until, job.number, job) for job in ended]

    @staticmethod
    def _do(timed: list[tuple[float, int, Job]], now: float, act: Callable[[Job], Any]) -> int:
        due = sorted((at, number, job) for at, number, job in timed if at <= now)[:STEP]
        for _, _, job in due:
            act(job)
        return len(due)

    def _trim(self, now: float, *, is_dead: bool) -> int:
        records = sorted(self._ended(is_dead=is_dead))
        too_many = len(records) - self._most[is_dead]
        over = sum(at <= now for at, _, _ in records)
        count = min(max(over, too_many, 0), self._paces[is_dead].step(len(records)))
        for _, _, job in records[:count]:
            self._go(job, Event.TRIM, None)
        self._paces[is_dead].trimmed(count, kept=len(records))
        return count

    def _trim_queues(self) -> None:
        for record in self._queue_records.values():
            of_queue = [job for job in self._jobs.values() if job.queue == record.name and job.state in TERMINAL]
            over = self._excess(record)
            left_bytes = over.size_bytes
            for is_dead, too_many in ((False, over.records), (True, over.dead)):
                oldest = [job for job in of_queue if (job.state is State.DEAD) is is_dead]
                oldest.sort(key=lambda job: (job.keep_until, job.number))
                for job in oldest[: to_trim([job.size_bytes for job in oldest], too_many, left_bytes)][:STEP]:
                    self._go(job, Event.TRIM, None)
                    left_bytes -= job.size_bytes

    def _excess(self, record: QueueRecord) -> Excess:
        counts = self._counts.get(record.name)
        if counts is None or record.retention is None:
            return Excess()
        kept = [job for job in self._jobs.values() if job.queue == record.name and job.state in TERMINAL]
        return excess(record.retention, counts, sum(job.size_bytes for job in kept))

    def _next_s(self, now: float, monotonic: float) -> float | None:
        ended = {is_dead: self._ended(is_dead=is_dead) for is_dead in (False, True)}
        if any(len(records) > self._most[is_dead] for is_dead, records in ended.items()) or self._leaving():
            return 0.0
        if any(any(self._excess(record)) for record in self._queue_records.values()):
            return 0.0
        by_clock = [*self._due(), *self._expiring(), *self._aside(), *ended[False], *ended[True]]
        waits = [at - now for at, _, _ in by_clock if at < NEVER] + [at - monotonic for at, _, _ in self._leased()]
        waits += [until - now for _, _, until in self._keys.values()]
        waits += self._waits_of_keys()
        free = [used.next_free_at(monotonic) for used in self._used.values()]
        for at in (*free, self._empty.next_at(), self._turns.next_at(self._under_way())):
            waits += [] if at is None else [at - monotonic]
        return max(0.0, min(waits)) if waits else None

    # --- people act --------------------------------------------------------------------------------------------------
    def cancel(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        return self._each(ids, self._cancel, "cancel", by)

    def revive(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        return self._each(ids, self._revive, "retry", by)

    def revive_edited(self, entry: JobEntry, *, by: str | None = None) -> State | None:
        job = self._find(entry.id)
        acceptance.check_edited(entry, None if job is None else job.task)
        return self._each([entry.id], lambda job: self._revive(job, entry), "edit and retry", by)[0]

    def move(self, ids: Sequence[bytes], queue: str, *, by: str | None = None) -> list[State | None]:
        self._check_target(queue)
        return self._each(ids, lambda job: self._transfer(job, queue), "move", by)

    def delete(self, ids: Sequence[bytes], *, by: str | None = None) -> list[bool]:
        self._check_open()
        deleted = [job is not None and self._delete(job) for job in map(self._find, ids)]
        self._note_jobs(by, "delete", ids, sum(deleted))
        return deleted

    def edit(
        self,
        ids: Sequence[bytes],
        *,
        priority: int | None = None,
        run_at: float | None = None,
        by: str | None = None,
    ) -> list[State | None]:
        if priority is not None:
            acceptance.check_priority(priority)
        if run_at is not None:
            acceptance.check_run_at(run_at, self._clock.time())
        return self._each(ids, lambda job: self._edit(job, priority, run_at), "edit", by)

    def cancel_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        return self._each_where(where, cursor, self._cancel)

    def revive_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        return self._each_where(where, cursor, self._revive)

    def move_where(self, where: Filter, queue: str, *, cursor: str | None = None) -> Step:
        self._check_target(queue)
        return self._each_where(where, cursor, lambda job: self._transfer(job, queue))

    def delete_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        return self._each_where(where, cursor, self._delete)

    def close_lines(self, reason: Closed, *, queue: str | None = None, task: str | None = None) -> None:
        self._check_open()
        self._closed_lines.close(ClosedLine(queue, task, reason))
        self._look_over_keys()

    def open_lines(self, *, queue: str | None = None, task: str | None = None, reason: Closed | None = None) -> None:
        self._check_open()
        self._closed_lines.open(queue, task, reason)
        self._look_over_keys()

    def closed_lines(self) -> list[ClosedLine]:
        self._check_open()
        return self._closed_lines.all()

    # --- limits ------------------------------------------------------------------------------------------------------
    def put_limits(self, scope: str, rules: Sequence[Rule], *, by: str = "") -> None:
        self._check_open()
        check_by(by)
        self._limits.put(scope, rules)
        self._note(by, "limit", scope, note="; ".join(map(rule_text, rules)))
        self._use_limits()

    def restore_limits(self, scope: str, per: str | None = None, *, by: str = "") -> None:
        self._check_open()
        check_by(by)
        if self._limits.restore(scope, per):
            self._note(by, "restore", scope, note=None if per is None else f"per {per}")
        self._use_limits()

    def limits(self) -> list[LimitView]:
        self._check_open()
        return [view for scope in self._limits.scopes() for view in self._limit_views(scope)]

    def _use_limits(self) -> None:
        self._used = {scope: self._used.get(scope) or LineLimit(scope) for scope in self._limits.scopes()}
        for scope, used in self._used.items():
            used.change(self._limits.rules(scope), self._clock.monotonic())
        self._look_over_keys()

    def _limits_of(self, job: Job) -> list[LineLimit]:
        scopes = (queue_scope(job.queue), task_scope(job.task))
        found = [self._used[scope] for scope in scopes if scope in self._used]
        for used in found:
            running = self._in(State.RUNNING)
            used.running = sum(used.queue == one.queue or used.task == one.task for one in running)
        return found

    def _has_room(self, job: Job) -> bool:
        found = self._limits_of(job)
        return not found or (self._limited_left > 0 and all(used.room(self._clock.monotonic()) for used in found))

    def _limit_reason(self, job: Job) -> str | None:
        reasons = [used.reason(self._clock.monotonic()) for used in self._limits_of(job)]
        return next((reason for reason in reasons if reason is not None), None)

    def _limit_views(self, scope: str) -> Iterator[LimitView]:
        queue, task = check_scope(scope)
        now, used = self._clock.monotonic(), self._used[scope]
        here = [job.state for job in self._jobs.values() if job.queue == queue or job.task == task]
        waiting = min(here.count(State.READY), limits.LIMIT_WAITING_MAX)
        free_at = used.next_free_at(now)
        shown_at = None if free_at is None else self._clock.time() + free_at - now
        for rule, source, declared in self._limits.of(scope):
            if rule.per is not None:
                yield LimitView(scope, rule, source, *self._used_of_keys(kind_of(scope, rule), rule), None, declared)
            elif isinstance(rule, ConcurrencyRule):
                yield LimitView(scope, rule, source, here.count(State.RUNNING), waiting, None, declared)
            else:
                yield LimitView(scope, rule, source, used.tokens_in_use(now), waiting, shown_at, declared)

    def close(self) -> None:
        self._is_open = False

    def _each(self, ids: Sequence[bytes], act: Callable[[Job], bool], verb: str, by: str | None) -> list[State | None]:
        self._check_open()
        answer: list[State | None] = []
        changed = 0
        for job in map(self._find, ids):
            if job is not None:
                changed += act(job)
            answer.append(None if job is None else job.ended_as or job.state)
        self._note_jobs(by, verb, ids, changed)
        return answer

    def _each_where(self, where: Filter, cursor: str | None, act: Callable[[Job], bool]) -> Step:
        self._check_open()
        jobs, after = self._search(where, cursor, limits.ADMIN_JOBS_MAX)
        return Step(sum(act(job) for job in jobs), after)

    def _cancel(self, job: Job) -> bool:
        if job.state is State.RUNNING:
            was, job.is_asked_to_end = job.is_asked_to_end, True
            return not was
        if job.state in WAITING:
            self._end(job, Event.CANCEL, State.CANCELLED, self._keep_s(job))
            return True
        return False

    def _revive(self, job: Job, edited: JobEntry | None = None) -> bool:
        if job.state not in REVIVABLE:
            return False
        if not self._holds_again(job, edited):
            return False
        if edited is not None:
            key = job.entry.unique_key if edited.unique_key is None else edited.unique_key
            self._begin_anew(job)
            job.entry = msgspec.structs.replace(edited, idempotency_key=job.entry.idempotency_key, unique_key=key)
        job.attempts, job.standing = 0, Standing(suspect=job.standing.suspect)
        job.ended_as = job.error = job.expires_at = job.started_at = job.finished_at = None
        self._wait(job, Event.REVIVE, None)
        self._take_turn(job)
        return True

    def _replay(self, job: Job) -> bool:
        if not may_replay(job.task, job.queue, job.state):
            return False
        self._begin_anew(job)
        job.result = None
        job.attempts, job.standing = 0, Standing(suspect=job.standing.suspect)
        job.ended_as = job.error = job.expires_at = job.started_at = job.finished_at = None
        self._wait(job, Event.REPLAY, None)
        self._take_turn(job)
        return True

    def _holds_again(self, job: Job, edited: JobEntry | None) -> bool:
        """Whether a job that is to run again may: no other keeps it away from its unique key, or from a new one."""
        old = job.entry.unique_key
        if job.claim is None or old is None:
            return True
        new = old if edited is None or edited.unique_key is None else edited.unique_key
        if self._keeper(job.task, new) not in (None, job):
            return False
        if self._unique.get((job.task, old)) is job:
            del self._unique[job.task, old]
        job.claim = job.claim.anew(self._clock.time())
        self._unique[job.task, new] = job
        return True

    def _transfer(self, job: Job, queue: str) -> bool:
        if job.state not in WAITING or job.queue == queue or not may_move(job.queue, queue):
            return False
        self._unblock(job)
        self._take_rank_back(job)
        ledger.transfer(self._counts[job.queue], self._counts_of(queue), job.state)
        job.queue, job.refusal = queue, None
        if job.state is State.READY:
            self._give_rank(job)
        self._wait_anew(job)
        return True

    def _wait_anew(self, job: Job, run_at: float | None = None) -> None:
        """A job that waits is another one now, or elsewhere, or for another time (None: it keeps its own)."""
        self._unblock(job)
        is_later = run_at is not None and run_at > self._clock.time()
        self._leave_slots(job, () if is_later and job.state is State.READY else self._lasting(job))
        if run_at is not None:
            self._wait(job, Event.RESCHEDULE, run_at)
        elif job.state is State.READY:
            self._take_slots(job, is_in_turn=False)
        self._take_turn(job)

    def _edit(self, job: Job, priority: int | None, run_at: float | None) -> bool:
        if job.state not in WAITING:
            return False
        job.refusal = None
        now = self._clock.time()
        is_other = run_at is not None and (job.state is State.SCHEDULED or run_at > now)
        is_elsewhere = priority not in (None, job.priority)
        if run_at is not None and job.state is State.SCHEDULED:
            self._edited(job, max(run_at, now))
        if is_other or is_elsewhere:
            self._take_rank_back(job)
        job.priority = job.priority if priority is None else priority
        if is_elsewhere and not is_other and job.state is not State.SCHEDULED:
            self._give_rank(job)
        self._wait_anew(job, max(run_at, now) if run_at is not None and is_other else None)
        return True

    def _delete(self, job: Job) -> bool:
        if job.state is State.RUNNING:
            return False
        self._take_rank_back(job)
        self._go(job, Event.DELETE, None)
        return True

    # --- the shelf ---------------------------------------------------------------------------------------------------
    def _go(self, job: Job, event: Event, state: State | None) -> None:
        ledger.move(self._counts_of(job.queue), event, job.state, state)
        if job.state is State.DEAD:
            self._dead_kinds.leave(job.dead_kind)
        if state is State.DEAD:
            assert job.error is not None
            job.dead_kind = self._dead_kinds.enter(job.task, job.error.type)
        before, job.state = job.state, state
        if state is None or state in TERMINAL:
            self._leave_slots(job)
            self._steps_end(job, state)
        key, ends = (job.task, job.entry.unique_key or ""), state is None or state in TERMINAL
        if job.claim and before and ends and self._unique.get(key) is job:
            remains = after_end(job.claim, event, before, state, self._clock.time())
            if remains is not Remains.HELD:
                del self._unique[key]
        if state is None:
            del self._jobs[job.entry.id]
            self._numbers.discard(job.number)

    def _end(self, job: Job, event: Event, state: State, keep_s: float, *, finished_at: float | None = None) -> None:
        now = self._clock.time()
        self._let_go(job, keep_start=True)
        job.ended_as, job.refusal = state, None
        job.error = job.error if state is State.DEAD else None
        job.finished_at = now if finished_at is None else finished_at
        self._take_rank_back(job)
        job.keep_until = now + keep_s
        self._go(job, event, state if keep_s > 0 or state is State.DEAD else None)

    @staticmethod
    def _let_go(job: Job, *, keep_start: bool = False) -> None:
        job.progress, job.is_asked_to_end = None, False
        job.started_at = job.started_at if keep_start else None

    @staticmethod
    def _acquit(job: Job) -> None:
        job.standing = job.standing._replace(suspect=False)

    def _keep_s(self, job: Job) -> float:
        record = self._records.get(job.task)
        return record.keep_record_s if record else limits.KEEP_RECORD_S

    def _in(self, state: State) -> list[Job]:
        return [job for job in self._jobs.values() if job.state is state]

    def _find(self, job_id: bytes) -> Job | None:
        job = self._jobs.get(job_id)
        return job if job is not None and self._is_kept(job) else None

    def _is_kept(self, job: Job) -> bool:
        return job.state not in TERMINAL or self._clock.time() < job.keep_until

    def _state_of(self, job_id: bytes) -> State | None:
        job = self._find(job_id)
        return None if job is None else job.state

    # --- queues ------------------------------------------------------------------------------------------------------
    def _counts_of(self, queue: str) -> QueueStats:
        return self._counts.setdefault(queue, QueueStats())

    def _check_target(self, queue: str) -> None:
        check_queue_or_channel(queue)
        if is_of_topic(queue):
            self._check_channel(queue)
            return
        self._holds.check_target(queue)
        self._make_queues({queue})

    def _stays(self, name: str) -> bool:
        return is_of_topic(name) or self._closed_lines.keeps(name) or name in self._holds.queue_names()

    def _make_queues(self, names: set[str]) -> None:
        """Make room for the names of these queues.

        Raises:
            InvalidOption: there is none.
        """
        known = {name for name in self._counts if not is_of_topic(name)}
        too_many = len(known | names) - limits.QUEUES_MAX
        if too_many <= 0 or names <= known:
            return
        self._empty.note(self._counts)
        spare = self._empty.spare(self._clock.monotonic(), too_many, names)
        acceptance.check_new_queues(len(known) - len(spare), len(names - known))
        for name in spare:
            self._remove_queue(name)

    def _remove_queue(self, name: str) -> None:
        self._removed = added([self._counts.pop(name)], self._removed)
        self._empty.forget(name)

    def _check_open(self) -> None:
        # What the last call has given back is for those that wait for it.
        self._serve()
        if not self._is_open:
            raise StoreUnavailable("This store is closed.")


def _merged(lines: Iterable[list[Job]]) -> list[Job]:
    """The jobs of several queues, each of them in order. Ranks say nothing between queues."""
    left, merged = [line[:] for line in lines], []
    while any(left):
        first = min((line for line in left if line), key=lambda line: (-line[0].priority, line[0].arrival))
        merged.append(first.pop(0))
    return merged


def _pairs(groups: Iterable[JobGroup]) -> Iterator[tuple[JobGroup, JobEntry]]:
    return ((group, entry) for group in groups for entry in group.jobs)


def _read_cursor(kind: str, cursor: str) -> str:
    if not cursor.startswith(kind):
        raise InvalidOption("This is no cursor of this call.", field="cursor")
    return cursor.removeprefix(kind)


def _read_number(kind: str, cursor: str) -> int:
    text = _read_cursor(kind, cursor)
    if not (text.isascii() and text.isdecimal()) or len(text) > 30:
        raise InvalidOption("This is no cursor of this call.", field="cursor")
    return int(text)
