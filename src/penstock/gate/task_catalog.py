"""The tasks a gate knows: the application's, checked against their signatures, or the names a store has recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from penstock.gate.argument_checks import Check, CheckKwargs, by_name, check_shape, placing
from penstock.model import limits
from penstock.model.errors import InvalidArguments, UnknownTask
from penstock.model.flow import QueueRecord, TaskFlow, UniqueRule
from penstock.model.flow_acceptance import names_in
from penstock.model.job import TaskRecord
from penstock.tasks.arguments.recorded_signature import RecordedSignature
from penstock.tasks.job_texts import KeyedQueues, TaskTexts
from penstock.tasks.task import Task

_NEVER: Final = float("-inf")
Identity = Callable[[bytes], tuple[int, int]]
"""See `penstock.tasks.arguments.codec.Codec.identity`."""


class KnownTask:
    """What the gate needs of a task: its defaults, and how its arguments are checked.

    Attributes:
        identity: what an idempotency key compares the call in a checked body by; may raise InvalidArguments.
        check_kwargs: the short way, of the usual call. None: there is none.
        texts: what is told of the arguments of its jobs; None: nothing, in whichever queue they are.
    """

    __slots__ = ("check", "check_kwargs", "expires_s", "identity", "name", "priority", "queue", "tags", "texts")

    def __init__(
        self,
        record: TaskRecord,
        check: Check,
        identity: Identity,
        check_kwargs: CheckKwargs | None = None,
        texts: TaskTexts | None = None,
    ) -> None:
        self.name = record.name
        self.queue = record.queue
        self.priority = record.priority
        self.expires_s = record.expires_s
        self.tags = list(record.tags) or None
        self.check = check
        self.identity = identity
        self.check_kwargs = check_kwargs
        self.texts = None if texts is None or texts.is_idle else texts

    @property
    def unique(self) -> UniqueRule | None:
        """The rule by which its jobs are unique; None: they are not."""
        return None if self.texts is None else self.texts.unique


class Catalog(Protocol):
    """Finds tasks by name."""

    def get(self, name: str) -> KnownTask | None:
        """The task, None when it is not known now; never waits."""
        ...

    async def find(self, name: str) -> KnownTask:
        """The task, asking whoever may know more.

        Raises:
            UnknownTask: nobody knows it.
        """
        ...


class AppCatalog:
    """The tasks of one application; they do not change."""

    def __init__(self, tasks: Iterable[KnownTask]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self.get = self._tasks.get

    async def find(self, name: str) -> KnownTask:
        """The task.

        Raises:
            UnknownTask: the application has no such task.
        """
        found = self.get(name)
        if found is None:
            raise UnknownTask(f"The application has no task `{name}`.")
        return found


class StoreCatalog:
    """The tasks that workers have recorded in the store, and what jobs tell for the limits of queues.

    Args:
        fetch: asks the store for its tasks.
        fetch_queues: asks it for the queues that applications declare.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[list[TaskRecord]]],
        fetch_queues: Callable[[], Awaitable[list[QueueRecord]]],
    ) -> None:
        self._fetch = fetch
        self._fetch_queues = fetch_queues
        self._tasks: dict[str, KnownTask] = {}
        self._records: dict[str, TaskRecord] = {}
        self._queues: KeyedQueues = {}
        self._refreshed_at = _NEVER
        self._lock = asyncio.Lock()

    def get(self, name: str) -> KnownTask | None:
        """The task as it was last seen; None when it was not, or when it is time to look again."""
        if monotonic() - self._refreshed_at > limits.GATE_CATALOG_S:
            return None
        return self._tasks.get(name)

    async def find(self, name: str) -> KnownTask:
        """The task, after asking the store when it was not asked a moment ago.

        Raises:
            UnknownTask: no worker has recorded it.
        """
        async with self._lock:
            if name not in self._tasks or self.get(name) is None:
                await self._refresh()
        found = self._tasks.get(name)
        if found is None:
            raise UnknownTask(f"No worker has recorded a task `{name}`, and this gate has no application to look in.")
        return found

    async def _refresh(self) -> None:
        now = monotonic()
        if now - self._refreshed_at < limits.GATE_CATALOG_S:
            return
        records = {record.name: record for record in await self._fetch()}
        queues = _keyed(await self._fetch_queues())
        # What has not changed is kept, with what was computed for it.
        kept = self._tasks if queues == self._queues else {}
        self._tasks = {
            name: kept[name] if name in kept and self._records[name] == record else _recorded(record, queues)
            for name, record in records.items()
        }
        self._records, self._queues, self._refreshed_at = records, queues, now


def recorded_tasks(records: Iterable[TaskRecord], queues: Iterable[QueueRecord]) -> dict[str, KnownTask]:
    """The tasks that workers have recorded, by name. The shape of arguments is checked; the worker does the rest."""
    keyed = _keyed(queues)
    return {record.name: _recorded(record, keyed) for record in records}


def _keyed(queues: Iterable[QueueRecord]) -> KeyedQueues:
    return {queue.name: names for queue in queues if (names := names_in(queue.limits))}


def app_catalog(tasks: Iterable[Task[..., Any]]) -> AppCatalog:
    """The catalog of an application's tasks.

    Raises:
        InvalidOption: a task cannot be described: an annotation cannot be resolved.
    """
    return AppCatalog(_known(task) for task in tasks)


def _known(task: Task[..., Any]) -> KnownTask:
    check_kwargs = by_name(task)
    return KnownTask(task.record(), placing(task, check_kwargs), task.codec.identity, check_kwargs, task.texts)


def _recorded(record: TaskRecord, queues: KeyedQueues) -> KnownTask:
    """A task as far as what a worker recorded tells."""
    signature = RecordedSignature(record.name, record.schema)
    flow = record.flow or TaskFlow()
    texts = TaskTexts(partial(signature.texts, flow), partial(signature.whole_text, flow), flow, queues)
    return KnownTask(record, check_shape, _identity_of(record, signature), texts=texts)


def _identity_of(record: TaskRecord, signature: RecordedSignature) -> Identity:
    """As `Codec.identity`, as far as what a worker recorded tells."""

    def identity(body: bytes) -> tuple[int, int]:
        try:
            return signature.identity(body)
        except Exception as error:
            raise InvalidArguments(f"{record.name}: its arguments cannot be read: {error}", field="args") from error

    return identity
