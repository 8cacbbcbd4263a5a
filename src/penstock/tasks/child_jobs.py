"""The jobs that a running job asks for. They land with its success: all of them, or none."""

from __future__ import annotations

from typing import Any

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.flow_texts import told_bytes
from penstock.model.job import JobEntry, JobGroup
from penstock.tasks.context import TaskCall
from penstock.tasks.sending import alike, check_same, entry_of
from penstock.tasks.store_connection import StoreConnection

_ENTRY_BYTES = 128
"""What a child takes on the wire besides its arguments and its idempotency key, at most."""
_GROUP_BYTES = 512
"""What the children of one kind share, besides headers and tags, at most: names, times, a priority."""


class Children:
    """What one attempt at a job has asked to be enqueued.

    `penstock.tasks.context.Context.enqueue` adds to it. When the attempt has succeeded, its executor takes `groups` and
    reports them with the outcome; otherwise nobody does, and they are forgotten.

    The limits are checked without a lock. Threads of one job that add at the same moment can exceed them by what each
    of them adds, which is harmless: a settlement has room for more.

    Attributes:
        groups: the children, those that are alike together, as `penstock.model.job.Outcomes.children` has them.
        count: how many they are.
        size_bytes: what they take on the wire, at most.
    """

    __slots__ = ("_connection", "_groups", "count", "size_bytes")

    def __init__(self, connection: StoreConnection) -> None:
        """``connection``: of the application whose task runs. Children are jobs of the same one."""
        self._connection = connection
        self._groups: dict[Any, JobGroup] = {}
        self.count = 0
        self.size_bytes = 0

    @property
    def groups(self) -> list[JobGroup]:
        """See above."""
        return [group for group in self._groups.values() if group.jobs]

    def add(self, call: TaskCall) -> bytes:
        """Check and encode one call. Answers the id that its job will have.

        Raises:
            InvalidOption: it is of a task of another application, or they are too many.
            InvalidArguments: its arguments do not fit.
            BodyTooLarge: its arguments are over the limit for one job, or all children's together are.
        """
        task, options = call.task, call.options
        check_same(self._connection, task)
        if self.count >= limits.CHILDREN_MAX:
            raise InvalidOption(
                f"A job enqueues at most {limits.CHILDREN_MAX} others with its outcome (CHILDREN_MAX): let each of them"
                " enqueue a part.",
                field="call",
            )
        entry = entry_of(task, call.args, call.kwargs, options)
        group = alike(self._groups, task, options)
        size_bytes = _size_bytes(entry) if group.jobs else _size_bytes(entry) + _shared_bytes(group)
        if self.size_bytes + size_bytes > limits.CHILDREN_BYTES_MAX and self.count:
            raise BodyTooLarge(
                f"{task.name}: with this job, those that are enqueued with one outcome would have"
                f" {self.size_bytes + size_bytes} bytes; the limit (CHILDREN_BYTES_MAX) is"
                f" {limits.CHILDREN_BYTES_MAX}. Pass on where the data is, not the data."
            )
        group.jobs.append(entry)
        self.count += 1
        self.size_bytes += size_bytes
        return entry.id


def _size_bytes(entry: JobEntry) -> int:
    key = entry.idempotency_key
    told = told_bytes(entry.values) + told_bytes(entry.searchable)
    return _ENTRY_BYTES + len(entry.body) + (0 if key is None else len(key.encode())) + told


def _shared_bytes(group: JobGroup) -> int:
    headers = group.headers or {}
    tags = group.tags or []
    texts = [*headers.keys(), *headers.values(), *tags]
    return _GROUP_BYTES + sum(len(text.encode()) for text in texts)
