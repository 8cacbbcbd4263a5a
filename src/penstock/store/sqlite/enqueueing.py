"""Accepting jobs: `Store.enqueue` over the embedded file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Final

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.acceptance import check_groups
from penstock.model.errors import StoreFull
from penstock.model.interests import Interest
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobExtra, JobGroup
from penstock.model.states import Event, State
from penstock.store.sqlite.in_memory import Books, Line
from penstock.store.sqlite.job_rows import JobRows, Own, Part
from penstock.store.sqlite.joining import Joining
from penstock.store.sqlite.operator_records import OperatorRecords
from penstock.store.sqlite.queue_names import QueueNames
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.ready_jobs import Alike, Newcomers
from penstock.store.sqlite.row_numbers import row_numbers
from penstock.store.sqlite.searchable_arguments import SearchableArguments, interest_of
from penstock.store.sqlite.unique_keys import Entries, Plan, UniqueKeys, in_order

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode
_values_of: Final = attrgetter("values")
_NO_EXTRA: Final = JobExtra(None, None)


class Acceptor:
    """Turns groups of jobs into rows."""

    def __init__(
        self,
        books: Books,
        names: QueueNames,
        inspector: Inspector,
        joining: Joining,
        unique: UniqueKeys,
        records: OperatorRecords,
    ) -> None:
        self.books = books
        self.unique = unique
        self.names = names
        self.database = books.database
        self.inspector = inspector
        self.rows = JobRows(books, inspector)
        self.joining = joining
        self.arguments = SearchableArguments(books.database)
        self.records = records

    def enqueue(self, groups: Sequence[JobGroup], *, atomic: bool) -> EnqueueAnswer:
        """See `penstock.ports.Store.enqueue`."""
        self.check_room()
        checked = check_groups(groups, self.books.clock.time())
        self.check_intake(groups)
        return self._accept_all(groups, atomic=atomic, plain=checked.plain)

    def check_room(self) -> None:
        """Pass when the disk has room for new jobs.

        Raises:
            StoreFull: it has none.
        """
        if self.database.full:
            raise StoreFull(
                f"The disk that holds {self.database.path} is full; free space, then enqueue again.", refused=True
            )

    def check_intake(self, groups: Sequence[JobGroup]) -> None:
        """Pass when the queues of these jobs are there or may be made, and take new jobs.

        Raises:
            QueueDraining: one takes none.
            InvalidOption: there would be too many queues.
        """
        if self.records.holds.drains:
            self.records.holds.check_intake(groups)
        self.names.check({group.queue for group in groups})

    def land(self, groups: Sequence[JobGroup]) -> None:
        """Accept jobs that were looked at, as children of others: they may use what is kept back for a full disk."""
        self._accept_all(groups, atomic=False, plain=False)

    def land_part(self, group: JobGroup, part: Part) -> EnqueueAnswer:
        """As `land`, of jobs of a step of a workflow."""
        return self._accept_all([group], atomic=False, plain=False, part=part)

    def _accept_all(
        self, groups: Sequence[JobGroup], *, atomic: bool, plain: bool, part: Part | None = None
    ) -> EnqueueAnswer:
        exceptions: list[Enqueued] = []
        fresh: Iterable[Entries] = in_order(groups)
        has_keys = not plain and any(entry.idempotency_key is not None for group in groups for entry in group.jobs)
        plan = self.unique.plan(groups) if any(group.unique is not None for group in groups) else None
        if plan is not None:
            fresh, exceptions = plan.fresh, plan.exceptions
        elif has_keys:
            fresh = self._without_known_keys(groups, exceptions)
        if atomic and exceptions:
            conflicts = [exception for exception in exceptions if exception.conflict]
            if conflicts:
                return EnqueueAnswer(0, conflicts)
        books, accepted = self.books, 0
        # By queue, so that many groups for one queue are counted with one move.
        ready: dict[int, int] = {}
        scheduled: dict[int, int] = {}
        for group, entries in zip(groups, fresh, strict=True):
            if entries.jobs:
                now = books.clock.time()
                newcomers = self._insert_group(group, entries, exceptions, now, plain=plain, part=part)
                number, queue = len(newcomers.rows), books.queue_by_name[group.queue].id
                accepted += number
                numbers = ready if newcomers.alike.first_arrival else scheduled
                numbers[queue] = numbers.get(queue, 0) + number
                if has_keys:
                    self._keep_keys(books.task(group.task), entries, newcomers, now)
        for queue, number in ready.items():
            books.move(queue, Event.ENQUEUE, None, State.READY, number)
        for queue, number in scheduled.items():
            books.move(queue, Event.ENQUEUE, None, State.SCHEDULED, number)
        if plan is not None:
            exceptions = self._carry_out(plan, groups)
        return EnqueueAnswer(
            accepted, self._with_states(exceptions, are_moved=plan is not None) if exceptions else exceptions
        )

    def _carry_out(self, plan: Plan, groups: Sequence[JobGroup]) -> list[Enqueued]:
        """Write what concerns unique keys, once there are rows of what is new. Answers what is said of the jobs."""
        said = {exception.index for exception in plan.exceptions if exception.duplicate}
        fresh = [
            (group, entry, place)
            for group, entries in zip(groups, plan.fresh, strict=True)
            for entry, place in zip(*entries, strict=True)
            if place not in said
        ]
        self.unique.write(
            plan,
            [(group, entry) for group, entry, _ in fresh if group.unique is not None and entry.unique_key is not None],
        )
        for task, entry, job_id in plan.remembered:
            until = self.books.clock.time() + limits.IDEMPOTENCY_S
            key = entry.idempotency_key
            self.database.run("insert_idempotency", self.books.task(task), key, job_id, *entry.told_by(), until)
        replaced = {one.job_id for one in plan.replacements}
        if not replaced:
            return plan.exceptions
        # Jobs that were replaced may wait otherwise than they did when they were found, or stored.
        told = [
            replace(one, state=None) if one.id in replaced else one
            for one in plan.exceptions
            if one.duplicate or one.conflict or one.id not in replaced
        ]
        new = [(place, entry.id) for _, entry, place in fresh if entry.id in replaced]
        states = [(place, job_id, self.inspector.state_of(job_id)) for place, job_id in new]
        return told + [Enqueued(*found) for found in states if found[2] is not State.READY]

    def accept(self, group: JobGroup, at: float) -> None:
        """Make rows of jobs that were accepted ``at`` (Unix seconds). All is right with them, and they are ready."""
        newcomers = self._insert_group(group, Entries(group.jobs, range(len(group.jobs))), [], at)
        assert newcomers.alike.first_arrival, "they are ready"
        queue = self.books.queue_by_name[group.queue].id
        self.books.move(queue, Event.ENQUEUE, None, State.READY, len(newcomers.rows))

    def _with_states(self, exceptions: list[Enqueued], *, are_moved: bool) -> list[Enqueued]:
        """In order, and with the states that jobs have now that all are stored. ``are_moved``: those that were replaced
        may have given slots to others."""
        exceptions.sort(key=lambda exception: exception.index)
        told = [
            replace(exception, state=self.inspector.state_of(exception.id))
            if (exception.state is None and (exception.duplicate or exception.conflict))
            or (are_moved and exception.state is State.BLOCKED)
            else exception
            for exception in exceptions
        ]
        return [one for one in told if one.duplicate or one.conflict or one.state is not State.READY]

    def check_queues(self, names: set[str]) -> None:
        """Pass when these queues exist or may be made, as `QueueNames.check`."""
        self.names.check(names)

    # --- idempotency keys --------------------------------------------------------------------------------------------
    def _without_known_keys(self, groups: Sequence[JobGroup], exceptions: list[Enqueued]) -> list[Entries]:
        """The entries that are new by their keys; what the others are goes into ``exceptions``."""
        now = self.books.clock.time()
        seen: dict[tuple[str, str], tuple[bytes, int, int]] = {}
        fresh: list[Entries] = []
        for group, whole in zip(groups, in_order(groups), strict=True):
            task = self.books.task_ids.get(group.task)
            kept: list[tuple[JobEntry, int]] = []
            for entry, index in zip(whole.jobs, whole.places, strict=True):
                key = entry.idempotency_key
                if key is None:
                    kept.append((entry, index))
                else:
                    first = seen.get((group.task, key))
                    if first is None and task is not None:
                        first = self.database.row("idempotency", task, key, now)
                    if first is None:
                        seen[group.task, key] = (entry.id, *entry.told_by())
                        kept.append((entry, index))
                    else:
                        exceptions.append(self._repeated(index, first, entry))
            fresh.append(_entries(kept))
        return fresh

    def _repeated(self, index: int, first: tuple[bytes, int, int], entry: JobEntry) -> Enqueued:
        same = entry.is_call(first[1:])
        return Enqueued(index, first[0], None, duplicate=same, conflict=not same)

    # --- rows --------------------------------------------------------------------------------------------------------
    def _insert_group(
        self,
        group: JobGroup,
        entries: Entries,
        exceptions: list[Enqueued],
        now: float,
        *,
        plain: bool = False,
        part: Part | None = None,
    ) -> Newcomers:
        """Make rows of the jobs of a group. Answers those that are new, which the caller counts.

        Args:
            plain: they have neither values nor searchable arguments; False: that is not known.
            part: what they are to a workflow; None: nothing.
        """
        books = self.books
        if books.displaced:
            entries = self._without_displaced(entries, exceptions)
        queue = books.queue(group.queue)
        run_at = max(now, group.run_at or now) if group.delay_s is None else now + group.delay_s
        waits = run_at > now
        jobs = entries.jobs
        line = books.line(queue.id, books.task(group.task))
        values = None
        if not plain and any(map(_values_of, jobs)):
            values = [_encode(job.values) if job.values else None for job in jobs]
        ranks = None
        if not waits and self.joining.tenants:
            ranks = self.joining.tenants.ranks(line, group.priority, [job.values for job in jobs])
        alike = Alike(
            line.id,
            group.priority,
            0,
            0 if waits else books.take_arrivals(len(jobs)),
            packed_extra(group),
            now,
            run_at,
            None if group.expires_s is None else now + group.expires_s,
            (0 if plain else interest_of(jobs))
            | (0 if group.unique is None else Interest.UNIQUE.value)
            | (0 if values is None else Interest.SLOT.value)
            | (0 if part is None else Interest.PARENT.value),
        )
        numbers = row_numbers([job.id for job in jobs])
        if numbers:
            books.id_skew.note(numbers, now)
        rows = [(number, job.id, job.checksum, job.body) for number, job in zip(numbers, jobs, strict=True)]
        own = Own(values, ranks) if part is None else part.own(group, entries.places, values, ranks)
        newcomers = self.rows.insert(alike, rows, own, entries.places, exceptions)
        if ranks is not None and len(newcomers.rows) < len(jobs):
            newcomers = self._with_ranks(newcomers, line, jobs)
        if alike.interest & Interest.SEARCHABLE.value:
            self.arguments.keep(jobs, newcomers)
        if waits:
            self.database.run_many("insert_scheduled", [(run_at, row[0]) for row in newcomers.rows])
            _tell_waiting({row[1] for row in newcomers.rows}, State.SCHEDULED, entries, exceptions)
            return newcomers
        blocked = self.joining.newcomers(newcomers)
        if blocked:
            ids = {row[1] for row in newcomers.rows if row[0] in blocked}
            _tell_waiting(ids, State.BLOCKED, entries, exceptions)
        return newcomers

    def _with_ranks(self, newcomers: Newcomers, line: Line, jobs: Sequence[JobEntry]) -> Newcomers:
        """Some of these jobs were there already: give their turns to those that are new."""
        priority, new = newcomers.alike.priority, {row[1]: row[0] for row in newcomers.rows}
        self.joining.tenants.give_back(line, priority, [job.values for job in jobs])
        values = {job.id: job.values for job in jobs}
        ranks = self.joining.tenants.ranks(line, priority, [values[job_id] for job_id in new])
        assert ranks is not None, "the queue is fair"
        self.database.run_many("rank_job", list(zip(ranks, new.values(), strict=True)))
        return newcomers._replace(ranks=ranks)

    def _without_displaced(self, entries: Entries, exceptions: list[Enqueued]) -> Entries:
        """The entries less those that stand under another number than their own already."""
        kept: list[tuple[JobEntry, int]] = []
        for entry, place in zip(entries.jobs, entries.places, strict=True):
            if entry.id in self.books.displaced and self.inspector.seq_of(entry.id) is not None:
                exceptions.append(Enqueued(place, entry.id, None, duplicate=True))
            else:
                kept.append((entry, place))
        return _entries(kept)

    def _keep_keys(self, task: int, entries: Entries, newcomers: Newcomers, now: float) -> None:
        keyed = [entry for entry in entries.jobs if entry.idempotency_key is not None]
        if keyed:
            new = {row[1] for row in newcomers.rows}
            until = now + limits.IDEMPOTENCY_S
            self.database.run_many(
                "insert_idempotency",
                [
                    (task, entry.idempotency_key, entry.id, *entry.told_by(), until)
                    for entry in keyed
                    if entry.id in new
                ],
            )


def packed_extra(group: JobGroup, before: bytes | None = None) -> bytes | None:
    """What is packed with each job of a group; None: nothing. Jobs of workflows have more (`Part.extras`), and keep it
    when they are given other arguments. ``before``: what was packed with such a job so far."""
    extra = JobExtra(group.headers, group.tags, each=group.each)
    if before is not None:
        was = _decode_extra(before)
        extra = replace(extra, workflow=was.workflow, step=was.step, place=was.place, recorded=was.recorded)
    return None if extra == _NO_EXTRA else _encode(extra)


def _entries(pairs: list[tuple[JobEntry, int]]) -> Entries:
    return Entries([entry for entry, _ in pairs], [place for _, place in pairs])


def _tell_waiting(new: Collection[bytes], state: State, entries: Entries, exceptions: list[Enqueued]) -> None:
    """Of these ids that are new: their jobs are not ready."""
    told = {exception.index for exception in exceptions}
    exceptions.extend(
        Enqueued(place, entry.id, state)
        for entry, place in zip(entries.jobs, entries.places, strict=True)
        if entry.id in new and place not in told
    )
