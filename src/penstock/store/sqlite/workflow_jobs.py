"""The jobs of workflows: how they are enqueued, run again and cancelled when the machine has decided so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.job_rows import Part
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.row_numbers import row_number
from penstock.store.sqlite.workflow_forks import members_taken_over
from penstock.store.sqlite.workflow_rows import COMPENSATION, StoredWorkflow, step_row
from penstock.store.sqlite.workflow_work import Work
from penstock.workflow.values import MemberBodies

_encode: Final = msgspec.msgpack.Encoder().encode
_groups_of: Final = msgspec.msgpack.Decoder(list[JobGroup]).decode
_NO_PLACE: Final = -1


class Enqueued(NamedTuple):
    """How many members have become jobs, and how many could not, as others have their unique keys."""

    jobs: int
    refused: int

    def __add__(self, other: object) -> Enqueued:
        assert isinstance(other, Enqueued), "these are added to each other alone"
        return Enqueued(self.jobs + other.jobs, self.refused + other.refused)


class WorkflowJobs:
    """Makes and moves jobs of workflows, in the open transaction."""

    def __init__(self, books: Books, acceptor: Acceptor, operating: Operating) -> None:
        self.books = books
        self.database = books.database
        self.acceptor = acceptor
        self.operating = operating

    # --- single ones -------------------------------------------------------------------------------------------------
    def start(
        self, stored: StoredWorkflow, step: int, job: bytes, call: JobGroup, body: bytes, *, undoes: bool = False
    ) -> bool:
        """Enqueue the job of a step, or let it run again. Answers whether it waits or runs now.

        Args:
            job: its id.
            call: what it is, with one entry.
            body: its arguments.
            undoes: it is the compensation of the step.
        """
        row, place = step_row(stored.number, step), COMPENSATION if undoes else None
        seq = self.acceptor.inspector.seq_of(job)
        if seq is not None:
            return self.database.row("step_of_job", seq) == (row, place) and self.operating.repeats(seq, body)
        part = Part(row, stored.id, step, place)
        return self.acceptor.land_part(_with(call, job, body), part).accepted == 1

    def call(self, call: JobGroup, job: bytes, body: bytes) -> None:
        """Enqueue the job of a callback."""
        self.acceptor.land([_with(call, job, body)])

    # --- members that are new ----------------------------------------------------------------------------------------
    def new_members(self, stored: StoredWorkflow, step: int, groups: Sequence[JobGroup]) -> list[JobGroup]:
        """Those that are not there yet, as jobs or held."""
        ids = [entry.id for group in groups for entry in group.jobs]
        known = self._known(ids) | self._held(stored, step, ids)
        if not known and len(set(ids)) == len(ids):
            return list(groups)
        fresh: list[JobGroup] = []
        for group in groups:
            entries = [entry for entry in group.jobs if entry.id not in known]
            entries = list({entry.id: entry for entry in entries}.values())
            known.update(entry.id for entry in entries)
            if entries:
                fresh.append(replace(group, jobs=entries))
        return fresh

    def _known(self, ids: Sequence[bytes]) -> set[bytes]:
        """Of these ids, those of jobs that there are. Most are newer than all that is there."""
        highest = self.database.value("highest")
        if not ids or highest is None or row_number(min(ids)) > highest:
            return set()
        seq_of = self.acceptor.inspector.seq_of
        return {job for job in ids if row_number(job) <= highest and seq_of(job) is not None}

    def _held(self, stored: StoredWorkflow, step: int, ids: Sequence[bytes]) -> set[bytes]:
        """Of these ids, those that are held for a group."""
        row = step_row(stored.number, step)
        last = self.database.row("last_held", row)
        if last is None or not ids:
            return set()
        plan = stored.step(step)[0].plan.group
        if plan is not None and plan.total is None and min(ids) > max(_ids_of(last[0])):
            # An open group has its members in the order in which they came. Others have them at places of their own.
            return set()
        wanted = set(ids)
        return {job for (jobs,) in self.database.rows("all_held", row) for job in _ids_of(jobs) if job in wanted}

    def hold(self, stored: StoredWorkflow, step: int, groups: Sequence[JobGroup], first: int, *, opened: bool) -> None:
        """Keep members that are not to become jobs yet, some in a row. ``opened``: they have, and are kept because they
        may have to be made anew with other values."""
        row = step_row(stored.number, step)
        for part in _parted(groups, limits.TICK_STEP_JOBS):
            count = sum(len(group.jobs) for group in part)
            self.database.run("insert_held", row, first, count, int(opened), _encode(part))
            first += count

    def enqueue(
        self, stored: StoredWorkflow, step: int, groups: Sequence[JobGroup], first: int, bodies: MemberBodies | None
    ) -> Enqueued:
        """Make jobs of members, from this place on. ``bodies``: their arguments; None: those of the calls."""
        row, done = step_row(stored.number, step), Enqueued(0, 0)
        for group in groups:
            given = group
            if bodies is not None and bodies.changes:
                given = replace(
                    group, jobs=[_given(entry, bodies.body(entry.body, each=group.each)) for entry in group.jobs]
                )
            accepted = self.acceptor.land_part(given, Part(row, stored.id, step, first)).accepted
            done += Enqueued(accepted, len(group.jobs) - accepted)
            first += len(group.jobs)
        return done

    # --- members, a bounded part at a time ---------------------------------------------------------------------------
    def open_some(self, stored: StoredWorkflow, work: Work) -> tuple[Enqueued, Work | None]:
        """Make jobs of the next held members of a group. Answers how many, and what is left to do."""
        taken_over = self._open_source(stored, work)
        if taken_over is not None:
            return taken_over
        row = step_row(stored.number, work.step)
        found = self.database.row("next_held", row)
        if found is None:
            return Enqueued(0, 0), None
        first, jobs = found
        bodies = MemberBodies(stored, work.step)
        done = self.enqueue(stored, work.step, _groups_of(jobs), first, bodies)
        self.database.run("note_opened" if bodies.changes else "delete_held", row, first)
        return done, work if self.database.row("next_held", row) else None

    def _open_source(self, stored: StoredWorkflow, work: Work) -> tuple[Enqueued, Work | None] | None:
        """As `open_some`, of the members that a fork takes over. None: it takes no more over."""
        if stored.workflow().forked_from is None:
            return None
        found = members_taken_over(self.books, stored, work.step, work.place)
        if found is None:
            return None
        bodies = MemberBodies(stored, work.step)
        if bodies.changes:
            self.hold(stored, work.step, found.groups, found.first, opened=True)
        done = self.enqueue(stored, work.step, found.groups, found.first, bodies)
        return done, replace(work, place=found.behind)

    def repeat_some(self, stored: StoredWorkflow, work: Work) -> tuple[Enqueued, Work | None]:
        """Let the next members of a group whose jobs have ended run again. Answers how many do, and what is left."""
        row = step_row(stored.number, work.step)
        rows = self.database.rows("ended_members", row, work.place, work.behind, limits.TICK_STEP_JOBS)
        blocks = {place for place, _ in self.database.rows("member_blocks", row)}
        bodies = MemberBodies(stored, work.step)
        again = [
            (seq, place)
            for seq, place, state in rows
            if state is not None and place not in blocks and (work.anew or state != "succeeded")
        ]
        given = dict(self._bodies(row, bodies, again)) if bodies.changes else {}
        accepted = sum(self.operating.repeats(seq, given.get(place)) for seq, place in again)
        left = None if len(rows) < limits.TICK_STEP_JOBS else replace(work, place=rows[-1][1] + 1)
        return Enqueued(accepted, len(again) - accepted), left

    def _bodies(self, row: int, bodies: MemberBodies, again: Sequence[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """The bodies of members, by place, made anew of their calls."""
        first, entries = 0, dict[int, tuple[JobGroup, JobEntry]]()
        behind = _NO_PLACE
        for _, place in again:
            if place >= behind:
                found = self.database.row("held_at", row, place)
                if found is None:
                    continue
                first, count, jobs = found
                behind = first + count
                each = ((group, entry) for group in _groups_of(jobs) for entry in group.jobs)
                entries = dict(enumerate(each, first))
            if place in entries:
                group, entry = entries[place]
                yield place, bodies.body(entry.body, each=group.each)

    def cancel(self, job: bytes) -> None:
        """Cancel a job that waits; ask who runs it to end it."""
        self.operating.cancels(job)

    def cancel_some(self, stored: StoredWorkflow, work: Work) -> Work | None:
        """Cancel the next members of a group. Answers what is left to do."""
        row = step_row(stored.number, work.step)
        rows = self.database.rows("unended_members", row, work.place, limits.TICK_STEP_JOBS)
        for _, job, has_ended in rows:
            if not has_ended:
                self.operating.cancels(job)
        return None if len(rows) < limits.TICK_STEP_JOBS else replace(work, place=rows[-1][0] + 1)


def _ids_of(jobs: bytes) -> list[bytes]:
    return [entry.id for group in _groups_of(jobs) for entry in group.jobs]


def _given(entry: JobEntry, body: bytes) -> JobEntry:
    """A call with other arguments."""
    return replace(entry, body=body, checksum=checksum(body))


def _with(call: JobGroup, job: bytes, body: bytes) -> JobGroup:
    """A call of one job, with this id and these arguments."""
    return replace(call, jobs=[replace(_given(call.jobs[0], body), id=job)])


def _parted(groups: Sequence[JobGroup], size: int) -> Iterator[list[JobGroup]]:
    """The same jobs, at most so many at a time."""
    part: list[JobGroup] = []
    room = size
    for group in groups:
        start = 0
        while start < len(group.jobs):
            some = group.jobs[start : start + room]
            part.append(replace(group, jobs=some))
            start += len(some)
            room -= len(some)
            if not room:
                yield part
                part, room = [], size
    if part:
        yield part
