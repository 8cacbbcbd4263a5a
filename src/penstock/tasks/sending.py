"""How calls of tasks become jobs in the store: they are sent, and the store's answer is turned into handles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar
from zlib import crc32

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, Conflict, InvalidOption, PenstockError
from penstock.model.ids import id_text, new_id, new_ids
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobGroup
from penstock.tasks.canvas.composition import Signature
from penstock.tasks.entries import alike, check_same, entries_of, entry_of, group_of
from penstock.tasks.job_handle import Job
from penstock.tasks.options import JobOptions
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.store_connection import StoreConnection

R = TypeVar("R")


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
            InvalidOption: they are too many, or one is of a task of another application, or has callbacks.
            InvalidArguments: the arguments of one do not fit; a note says which call it was.
            BodyTooLarge: they are too large, one of them or together.
        """
        calls: Sequence[Signature[Any]] = list(islice(signatures, limits.BATCH_JOBS_MAX + 1))
        if len(calls) > limits.BATCH_JOBS_MAX:
            raise InvalidOption(
                f"More than {limits.BATCH_JOBS_MAX} jobs at once (BATCH_JOBS_MAX): send them in parts.",
                field="signatures",
            )
        for call in calls:
            if not isinstance(call, Signature):
                raise InvalidOption(
                    f"{call!r} is no call of a task, such as task.s(1). A canvas is enqueued by itself:"
                    " canvas.enqueue().",
                    field="signatures",
                )
            if call.links is not None or call.whole is not None or call.each:
                raise InvalidOption(
                    f"{call!r} has callbacks or options of a workflow, which plain jobs do not have: use"
                    " call.enqueue().",
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
            task, options = calls[start].task, calls[start].job_options
            check_same(connection, task)
            behind = start + 1
            while behind < len(calls) and calls[behind].task is task and calls[behind].job_options is options:
                behind += 1
            bodies: list[bytes] = []
            try:
                entries, taken_bytes = entries_of(task, options, calls[start:behind], ids[start:behind], bodies)
            except PenstockError as error:
                index = min(start + len(bodies), behind - 1)
                error.add_note(f"This was call {index} of {len(calls)}, counted from 0; nothing was enqueued.")
                raise
            size_bytes += taken_bytes
            alike(groups, task, options).jobs.extend(entries)
            start = behind
        if size_bytes > limits.REQUEST_BYTES_MAX:
            raise BodyTooLarge(
                f"{size_bytes} bytes of arguments at once; the limit (REQUEST_BYTES_MAX) is"
                f" {limits.REQUEST_BYTES_MAX}: send them in parts."
            )
        return list(groups.values())


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
