"""Forks of workflows: what they begin with, and the members of groups that they take over.

Members are not copied when a workflow is forked: it may have very many. The source is kept as long as its forks, and a
fork makes jobs of the source's members when it opens the group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobExtra, JobGroup
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.unique_keys import stored_rule
from penstock.store.sqlite.workflow_rows import StoredWorkflow, find_workflow, insert_workflow, step_row
from penstock.workflow.forking import fork
from penstock.workflow.machine import Machine

_groups_of: Final = msgspec.msgpack.Decoder(list[JobGroup]).decode
_extra_of: Final = msgspec.msgpack.Decoder(JobExtra).decode
_values_of: Final = msgspec.msgpack.Decoder(dict[str, str]).decode


class SourceMembers(NamedTuple):
    """Some members of a group of the source that follow each other.

    Attributes:
        first: the place of the first.
        groups: their calls, under new ids.
        behind: the place behind the last.
    """

    first: int
    groups: list[JobGroup]
    behind: int


def begin_fork(books: Books, source: StoredWorkflow, step: int, new: bytes) -> tuple[StoredWorkflow, Machine] | None:
    """Make the rows of a fork. None: there is a workflow of this id already.

    Raises:
        WorkflowNotFound, InvalidOption, Conflict: it cannot be forked there.
    """
    now = books.clock.time()
    if books.database.value("workflow_number", new) is not None:
        return None
    made = fork(source, source.id, step, now, source.new_job_id)
    stored = insert_workflow(books.database, replace(source.plan, id=new, idempotency_key=None), source.number)
    machine = Machine(stored, now)
    machine.begin_with(made.workflow, made.steps)
    return stored, machine


def members_taken_over(books: Books, stored: StoredWorkflow, step: int, place: int) -> SourceMembers | None:
    """The next members, from this place on, that a fork takes over: of those that the source had when it was forked. It
    may have got others since, as may the fork, whose own stand behind those. None: there are no more."""
    group = stored.step(step)[1].group
    if group is None or not group.held:
        return None
    last = books.database.value("last_place", step_row(stored.number, step), group.from_source)
    place = max(place, 0 if last is None else int(last) + 1)
    found = _source_members(books, stored, step, place) if place < group.from_source else None
    return None if found is None else _first_of(found, min(group.held, group.from_source - found.first))


def _first_of(found: SourceMembers, most: int) -> SourceMembers | None:
    """At most so many of these. None: that is none."""
    groups: list[JobGroup] = []
    room = most
    for group in found.groups:
        if room <= 0:
            break
        groups.append(replace(group, jobs=group.jobs[:room]))
        room -= len(groups[-1].jobs)
    return SourceMembers(found.first, groups, found.first + most - room) if groups else None


def _source_members(books: Books, stored: StoredWorkflow, step: int, place: int) -> SourceMembers | None:
    """The next members, from this place on, of the workflow that a fork was forked from, or of the one that this was
    forked from. None: there are no more."""
    origin = stored.workflow().forked_from
    source = None if origin is None else find_workflow(books.database, origin)
    if source is None:
        return None
    row = step_row(source.number, step)
    held = books.database.row("held_behind", row, place)
    jobs = books.database.rows("member_calls", row, place, limits.TICK_STEP_JOBS)
    if held is not None and (not jobs or held[0] <= jobs[0][0]):
        return _of_held(held[0], held[1], place)
    if jobs:
        until = held[0] if held is not None else jobs[-1][0] + 1
        return _of_jobs(books, [job for job in _in_a_row(jobs) if job[0] < until])
    return _source_members(books, source, step, place)


def _in_a_row(jobs: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Those at the beginning whose places follow each other."""
    for at, job in enumerate(jobs, jobs[0][0]):
        if job[0] != at:
            return
        yield job


def _of_held(first: int, jobs: bytes, place: int) -> SourceMembers:
    """Members that the source holds, or held, from this place on."""
    groups: list[JobGroup] = []
    at = first
    for group in _groups_of(jobs):
        entries = group.jobs[max(0, place - at) :]
        at += len(group.jobs)
        if entries:
            ids = new_ids(len(entries))
            own = [replace(entry, id=job) for entry, job in zip(entries, ids, strict=True)]
            groups.append(replace(group, jobs=own))
    return SourceMembers(max(first, place), groups, at)


def _of_jobs(books: Books, jobs: list[tuple[Any, ...]]) -> SourceMembers:
    """Members that are jobs of the source."""
    groups: list[JobGroup] = []
    for job_id, (_, *columns) in zip(new_ids(len(jobs)), jobs, strict=True):
        call = _call(books, job_id, *columns)
        if groups and replace(groups[-1], jobs=[]) == replace(call, jobs=[]):
            groups[-1].jobs.extend(call.jobs)
        else:
            groups.append(call)
    return SourceMembers(jobs[0][0], groups, jobs[-1][0] + 1)


def _call(
    books: Books,
    job_id: bytes,
    seq: int,
    line: int,
    priority: int,
    checksum: int,
    body: bytes,
    extra: bytes | None,
    values: bytes | None,
    expires_s: float | None,
) -> JobGroup:
    """The call that a job was made of."""
    queue, task = books.line_name(line)
    told = JobExtra() if extra is None else _extra_of(extra)
    searchable = dict(books.database.rows("searchable_of", seq)) or None
    key, unique = stored_rule(books.database, seq) or (None, None)
    entry = JobEntry(
        job_id,
        body,
        checksum,
        values=None if values is None else _values_of(values),
        searchable=searchable,
        unique_key=key,
    )
    return JobGroup(
        task,
        [entry],
        queue,
        priority,
        expires_s=expires_s,
        headers=told.headers,
        tags=told.tags,
        unique=unique,
        each=told.each,
    )
