"""How calls of tasks become jobs in the store: arguments are encoded, jobs that are alike grouped, the groups sent, and
the store's answer turned into handles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Final, TypeVar
from zlib import crc32

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, Conflict, InvalidOption, PenstockError
from penstock.model.flow_texts import told_bytes
from penstock.model.ids import id_text, new_id, new_ids
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobGroup
from penstock.tasks.job_handle import Job
from penstock.tasks.job_texts import JobTexts, JobTold
from penstock.tasks.options import JobOptions
from penstock.tasks.signature import SendableTask, Signature
from penstock.tasks.store_connection import StoreConnection

R = TypeVar("R")

_NOTHING_TOLD: Final[JobTold] = (None, None, None)


def send_one(
    task: SendableTask[R], args: tuple[Any, ...], kwargs: dict[str, Any], options: JobOptions | None = None
) -> Job[R]:
    """Enqueue one job. See `penstock.tasks.task.Task.enqueue` for what it raises."""
    connection = task.connection
    if options is not None or not task.is_plain:
        entry = entry_of(task, args, kwargs, options)
        answer = connection.store().enqueue([group_of(task, [entry], options)])
    else:
        # The usual case, without calls of `entry_of` and `group_of`: where many producers share a core, they show.
        body = task.codec.encode(args, kwargs)
        entry = JobEntry(new_id(), body, crc32(body))
        group = JobGroup(task.name, [entry], task.queue, task.priority, None, None, task.expires_s, None, task.tag_list)
        answer = connection.store().enqueue([group])
    if answer.exceptions:
        return _handle(task, entry, answer.exceptions[0])
    return Job(connection, task.name, task.codec, entry.id)


async def send_one_async(
    task: SendableTask[R], args: tuple[Any, ...], kwargs: dict[str, Any], options: JobOptions | None = None
) -> Job[R]:
    """`send_one` for a coroutine."""
    entry = entry_of(task, args, kwargs, options)
    store = await task.connection.async_store()
    answer = await store.enqueue([group_of(task, [entry], options)])
    return _handle(task, entry, answer.exceptions[0] if answer.exceptions else None)


class SignatureBatch:
    """Many calls that are sent in one request.

    Attributes:
        groups: what goes to the store; empty when there were no calls.
    """

    def __init__(self, connection: StoreConnection, signatures: Iterable[Signature[Any]]) -> None:
        """Check and encode the calls.

        Raises:
            InvalidOption: they are too many, or one is of a task of another application.
            InvalidArguments: the arguments of one do not fit; a note says which call it was.
            BodyTooLarge: they are too large, one of them or together.
        """
        calls: Sequence[Signature[Any]] = list(islice(signatures, limits.BATCH_JOBS_MAX + 1))
        if len(calls) > limits.BATCH_JOBS_MAX:
            raise InvalidOption(
                f"More than {limits.BATCH_JOBS_MAX} jobs at once (BATCH_JOBS_MAX): send them in parts.",
                field="signatures",
            )
        self._calls = calls
        self._ids = new_ids(len(calls))
        self.groups = self._grouped(connection)

    def jobs(self, answer: EnqueueAnswer) -> list[Job[Any]]:
        """The handles, in the order of the calls.

        Raises:
            Conflict: an idempotency key was used before with other arguments, or a task refuses (`Unique`) jobs like
                one that is there; nothing was enqueued.
        """
        jobs: list[Job[Any]] = [
            Job(call.task.connection, call.task.name, call.task.codec, job_id)
            for call, job_id in zip(self._calls, self._ids, strict=True)
        ]
        if answer.exceptions:
            sent = [entry for group in self.groups for entry in group.jobs]
            place = {job_id: index for index, job_id in enumerate(self._ids)}
            for exception in answer.exceptions:
                entry = sent[exception.index]
                index = place[entry.id]
                jobs[index] = _handle(self._calls[index].task, entry, exception)
        return jobs

    def _grouped(self, connection: StoreConnection) -> list[JobGroup]:
        """The calls' jobs, those of one task with equal options in one group, each group in the order given."""
        groups: dict[Any, JobGroup] = {}
        calls, ids = self._calls, self._ids
        size_bytes = start = 0
        while start < len(calls):
            task, options = calls[start].task, calls[start].options
            check_same(connection, task)
            behind = start + 1
            while behind < len(calls) and calls[behind].task is task and calls[behind].options is options:
                behind += 1
            bodies: list[bytes] = []
            try:
                task.codec.encode_all(calls[start:behind], bodies)
            except PenstockError as error:
                index = start + len(bodies)
                error.add_note(f"This was call {index} of {len(calls)}, counted from 0; nothing was enqueued.")
                raise
            size_bytes += sum(map(len, bodies))
            key = None if options is None else options.idempotency_key
            identities = repeat(None) if key is None else map(task.codec.identity, bodies)
            texts, headers = _texts_of(task, options)
            parts: list[Iterable[Any]] = [ids[start:behind], bodies, map(crc32, bodies), repeat(key), identities]
            if texts is not None:
                told = [
                    texts.of_call(call.args, call.kwargs, headers, body)
                    for call, body in zip(calls[start:behind], bodies, strict=True)
                ]
                size_bytes += sum(told_bytes(values) + told_bytes(searchable) for values, searchable, _ in told)
                parts += zip(*told, strict=True)
            alike(groups, task, options).jobs.extend(map(JobEntry, *parts))
            start = behind
        if size_bytes > limits.REQUEST_BYTES_MAX:
            raise BodyTooLarge(
                f"{size_bytes} bytes of arguments at once; the limit (REQUEST_BYTES_MAX) is"
                f" {limits.REQUEST_BYTES_MAX}: send them in parts."
            )
        return list(groups.values())


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


def group_of(task: SendableTask[Any], entries: list[JobEntry], options: JobOptions | None) -> JobGroup:
    """Jobs of a task that have the same options."""
    unique = task.texts.unique
    if options is None:
        own = (task.queue, task.priority, None, None, task.expires_s, None, task.tag_list, unique)
        return JobGroup(task.name, entries, *own)
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
    )


def _handle(task: SendableTask[R], entry: JobEntry, exception: Enqueued | None) -> Job[R]:
    """The handle of one job, with what the store had to say of it."""
    if exception is None:
        return Job(task.connection, task.name, task.codec, entry.id)
    if exception.conflict and exception.unique:
        raise Conflict(
            f"{task.name}: job {id_text(exception.id)} has the same unique key, and the task takes no other"
            ' (on_conflict="refuse").'
        )
    if exception.conflict:
        raise Conflict(
            f"{task.name}: idempotency key {entry.idempotency_key!r} was used before with other arguments, by job"
            f" {id_text(exception.id)}."
        )
    how = {"duplicate": exception.duplicate, "replaced": exception.replaced}
    return Job(task.connection, task.name, task.codec, exception.id, exception.state, **how)
