"""Calls as the store takes them: arguments are encoded, and jobs that are alike are put into groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final
from zlib import crc32

from penstock.model.errors import InvalidOption
from penstock.model.flow_texts import told_bytes
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup
from penstock.tasks.arguments.codec import GivenArguments
from penstock.tasks.job_texts import JobTexts, JobTold
from penstock.tasks.options import JobOptions
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.store_connection import StoreConnection

_NOTHING_TOLD: Final[JobTold] = (None, None, None)


def entries_of(
    task: SendableTask[Any],
    options: JobOptions | None,
    calls: Sequence[GivenArguments],
    ids: Sequence[bytes],
    bodies: list[bytes],
) -> tuple[list[JobEntry], int]:
    """Calls of one task with the same options, checked and encoded, and how many bytes they take.

    Args:
        ids: of the jobs, one for each call.
        bodies: filled with the bodies of the calls. When one raises, it has those before it.

    Raises:
        InvalidArguments, BodyTooLarge: as `entry_of`.
    """
    task.codec.encode_all(calls, bodies)
    size_bytes = sum(map(len, bodies))
    key = None if options is None else options.idempotency_key
    identities = repeat(None) if key is None else map(task.codec.identity, bodies)
    texts, headers = _texts_of(task, options)
    parts: list[Iterable[Any]] = [ids, bodies, map(crc32, bodies), repeat(key), identities]
    if texts is not None:
        told = [texts.of_call(call.args, call.kwargs, headers, body) for call, body in zip(calls, bodies, strict=True)]
        size_bytes += sum(told_bytes(values) + told_bytes(searchable) for values, searchable, _ in told)
        parts += zip(*told, strict=True)
    return list(map(JobEntry, *parts)), size_bytes


def alike(groups: dict[Any, JobGroup], task: SendableTask[Any], options: JobOptions | None) -> JobGroup:
    """The group for jobs of this task with such options."""
    key = (task.name, None if options is None else options.alike)
    group = groups.get(key)
    if group is None:
        group = groups[key] = group_of(task, [], options)
    return group


def check_same(connection: StoreConnection, task: SendableTask[Any]) -> None:
    """Pass when a task is of the application with this connection.

    Raises:
        InvalidOption: it is of another, whose jobs may be kept elsewhere.
    """
    if task.connection is not connection:
        raise InvalidOption(f"{task.name} is a task of another application.", field="signatures")


def entry_of(
    task: SendableTask[Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: JobOptions | None
) -> JobEntry:
    """One call, checked and encoded, with an id of its own.

    Raises:
        InvalidArguments: the arguments do not fit the task.
        BodyTooLarge: they are over the limit.
    """
    body = task.codec.encode(args, kwargs)
    key = None if options is None else options.idempotency_key
    identity = None if key is None else task.codec.identity(body)
    texts, headers = _texts_of(task, options)
    told = _NOTHING_TOLD if texts is None else texts.of_call(args, kwargs, headers, body)
    return JobEntry(new_id(), body, crc32(body), key, identity, *told)


def _texts_of(task: SendableTask[Any], options: JobOptions | None) -> tuple[JobTexts | None, Mapping[str, str] | None]:
    """What computes what is told of such jobs (None: nothing is), and their headers."""
    if options is None:
        return (None if task.is_plain else task.texts.of(task.queue)), None
    return task.texts.of(task.queue if options.queue is None else options.queue), options.headers


def group_of(
    task: SendableTask[Any], entries: list[JobEntry], options: JobOptions | None, *, each: bool = False
) -> JobGroup:
    """Jobs of a task that have the same options. ``each``: see `JobGroup`."""
    unique = task.texts.unique
    if options is None:
        own = (task.queue, task.priority, None, None, task.expires_s, None, task.tag_list, unique)
        return JobGroup(task.name, entries, *own, each)
    return JobGroup(
        task.name,
        entries,
        task.queue if options.queue is None else options.queue,
        task.priority if options.priority is None else options.priority,
        options.delay_s,
        options.run_at,
        task.expires_s if options.expires_s is None else options.expires_s,
        options.headers,
        task.tag_list if options.tags is None else options.tags,
        unique,
        each,
    )
