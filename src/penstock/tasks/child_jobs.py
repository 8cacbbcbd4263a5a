"""The jobs and workflows that a running job asks for. They land with its success: all of them, or none."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.flow_texts import told_bytes
from penstock.model.job import JobEntry, JobGroup, Outcomes
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.tasks.canvas.composition import Canvas, Signature
from penstock.tasks.context import Composition, TaskCall
from penstock.tasks.entries import alike, check_same, entry_of, group_of
from penstock.tasks.store_connection import StoreConnection

_ENTRY_BYTES = 128
"""What a child takes on the wire besides its arguments and its idempotency key, at most."""
_GROUP_BYTES = 512
"""What the children of one kind share, besides headers and tags, at most: names, times, a priority."""

Landing = tuple[WorkflowPlan, list[Members]]
"""A workflow as it is started."""


class Children:
    """What one attempt at a job has asked to be enqueued.

    `penstock.tasks.context.Context.enqueue` adds to it. When the attempt has succeeded, its executor lets them `land`
    with the outcome; otherwise nobody does, and they are forgotten.

    The limits are checked without a lock. Threads of one job that add at the same moment can exceed them by what each
    of them adds, which is harmless: a settlement has room for more.

    Attributes:
        groups: the children, those that are alike together, as `penstock.model.job.Outcomes.children` has them.
        members: jobs that become members of the group that the job is in, in order.
        workflows: those that are started.
        expansion: what takes the job's place; None: it has a value.
        count: how many jobs and steps they are.
        size_bytes: what they take on the wire, at most.
    """

    __slots__ = ("_connection", "_groups", "count", "expansion", "members", "size_bytes", "workflows")

    def __init__(self, connection: StoreConnection) -> None:
        """``connection``: of the application whose task runs. Children are jobs of the same one."""
        self._connection = connection
        self._groups: dict[Any, JobGroup] = {}
        self.members: list[JobGroup] = []
        self.workflows: list[Landing] = []
        self.expansion: Landing | None = None
        self.count = 0
        self.size_bytes = 0

    @property
    def groups(self) -> list[JobGroup]:
        """See above."""
        return [group for group in self._groups.values() if group.jobs]

    def add(self, call: TaskCall | Composition) -> bytes:
        """Check and encode one call, or a canvas, which becomes a workflow. Answers the id that it will have.

        Raises:
            InvalidOption: it is of a task of another application, or they are too many.
            InvalidArguments: its arguments do not fit.
            BodyTooLarge: its arguments are over the limit for one job, or all children's together are.
        """
        if isinstance(call, Canvas) and not call.is_bare:
            landing = self._built(call, inside=False)
            self.workflows.append(landing)
            return landing[0].id
        assert isinstance(call, TaskCall), "the context has looked"
        self._check_room(call.task.name, 1)
        entry, options = self._entry(call), call.job_options
        group = alike(self._groups, call.task, options)
        self._take(call.task.name, entry, group)
        group.jobs.append(entry)
        return entry.id

    def add_member(self, call: TaskCall) -> bytes:
        """The same for a call that becomes a member of the group that the job is in."""
        if not isinstance(call, Signature) or not call.is_bare or call.each:
            raise InvalidOption(
                "ctx.add_members takes plain calls of tasks, such as task.s(1). Let a task return what is more than a"
                " call: that takes the place of its value.",
                field="call",
            )
        if call.job_options is not None and call.job_options.idempotency_key is not None:
            raise InvalidOption(f"{call.task.name}: a member of a group has no idempotency key.", field="call")
        self._check_room(call.task.name, 1)
        entry = self._entry(call)
        group = group_of(call.task, [], call.job_options)
        last = self.members[-1] if self.members else None
        # Their order is that of the results, so only neighbours that are alike are put together.
        if last is not None and msgspec.structs.replace(last, jobs=[]) == group:
            group = last
        self._take(call.task.name, entry, group)
        if group is not last:
            self.members.append(group)
        group.jobs.append(entry)
        return entry.id

    def expand(self, canvas: Canvas[Any], *, inside: bool) -> None:
        """Let a canvas, which the job has returned, take the place of its value. ``inside``: the job is of a workflow.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: as `add`.
        """
        self.expansion = self._built(canvas, inside=inside)

    def land(self, outcomes: Outcomes, fence: int) -> None:
        """Let them land with the success of this fence."""
        groups = self.groups
        if groups:
            outcomes.children.append((fence, groups))
        if self.members:
            outcomes.members.append((fence, self.members))
        outcomes.workflows.extend((fence, *landing) for landing in self.workflows)
        if self.expansion is not None:
            outcomes.expansions.append((fence, *self.expansion))

    def _built(self, canvas: Canvas[Any], *, inside: bool) -> Landing:
        if canvas.connection() is not self._connection:
            raise InvalidOption(f"{canvas.described()} has tasks of another application.", field="call")
        name = canvas.described()
        self._check_room(name, 1)
        built = canvas.build(inside=inside, jobs_max=limits.CHILDREN_MAX - self.count)
        jobs = built.jobs()
        if built.streams:
            raise InvalidOption(
                f"{name}: a job enqueues at most {limits.CHILDREN_MAX} jobs with its outcome (CHILDREN_MAX), and no"
                " group that grows. Enqueue what is larger by canvas.enqueue().",
                field="call",
            )
        self._check_room(name, jobs)
        size_bytes = len(msgspec.msgpack.encode((built.plan, built.members)))
        self._check_bytes(name, size_bytes)
        self.count += jobs
        self.size_bytes += size_bytes
        return built.plan, built.members

    def _entry(self, call: TaskCall) -> JobEntry:
        check_same(self._connection, call.task)
        return entry_of(call.task, call.args, call.kwargs, call.job_options)

    def _take(self, name: str, entry: JobEntry, group: JobGroup) -> None:
        size_bytes = _size_bytes(entry) if group.jobs else _size_bytes(entry) + _shared_bytes(group)
        self._check_bytes(name, size_bytes)
        self.count += 1
        self.size_bytes += size_bytes

    def _check_room(self, name: str, jobs: int) -> None:
        if self.count + jobs > limits.CHILDREN_MAX:
            raise InvalidOption(
                f"{name}: a job enqueues at most {limits.CHILDREN_MAX} others with its outcome (CHILDREN_MAX): let each"
                " of them enqueue a part.",
                field="call",
            )

    def _check_bytes(self, name: str, size_bytes: int) -> None:
        if self.size_bytes + size_bytes > limits.CHILDREN_BYTES_MAX and self.count:
            raise BodyTooLarge(
                f"{name}: with this job, those that are enqueued with one outcome would have"
                f" {self.size_bytes + size_bytes} bytes; the limit (CHILDREN_BYTES_MAX) is"
                f" {limits.CHILDREN_BYTES_MAX}. Pass on where the data is, not the data."
            )


def _size_bytes(entry: JobEntry) -> int:
    key = entry.idempotency_key
    told = told_bytes(entry.values) + told_bytes(entry.searchable)
    return _ENTRY_BYTES + len(entry.body) + (0 if key is None else len(key.encode())) + told


def _shared_bytes(group: JobGroup) -> int:
    headers = group.headers or {}
    tags = group.tags or []
    texts = [*headers.keys(), *headers.values(), *tags]
    return _GROUP_BYTES + sum(len(text.encode()) for text in texts)
