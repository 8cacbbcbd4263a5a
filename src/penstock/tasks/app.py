"""The application: its tasks, and where their jobs are kept."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, overload
from uuid import UUID
from weakref import ref

from penstock.model import limits
from penstock.model.errors import InvalidOption, JobNotFound, UnknownTask
from penstock.model.flow import QueueRecord
from penstock.model.flow_acceptance import names_in
from penstock.model.job import JobView
from penstock.model.source_cursors import SourceCursor
from penstock.ports import Store
from penstock.tasks import names, references
from penstock.tasks.app_schedules import AppSchedules
from penstock.tasks.app_topics import AppTopics
from penstock.tasks.app_workflows import AppWorkflows, parsed_id
from penstock.tasks.canvas.composition import Signature
from penstock.tasks.context import Context
from penstock.tasks.flow_rules import Fair, Limit, Retention, Unique, queue_record
from penstock.tasks.job_handle import Job
from penstock.tasks.retry import Retry
from penstock.tasks.sending import SignatureBatch
from penstock.tasks.store_connection import StoreConnection
from penstock.tasks.task import Lane, Task, TaskOptions

if TYPE_CHECKING:
    from penstock.tasks.type_hints import AsyncContextTask, AsyncTask, PlainContextTask, PlainTask

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator:
    """``@app.task`` and ``@app.task(queue="images", …)``."""

    def __init__(self, app: Penstock, name: str | None, options: TaskOptions) -> None:
        self._app = app
        self._name = name
        self._options = options

    # The overloads overlap on purpose, the narrower first: a coroutine function also returns something, and a context
    # is also a parameter.
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the first that fits holds
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> AsyncContextTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> PlainContextTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the first that fits holds
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...
    @overload
    def __call__(
        self,
        /,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int = 0,
        retry: Retry = ...,
        timeout_s: float | None = None,
        soft_timeout_s: float | None = None,
        expires_s: float | None = None,
        keep_result_s: float | None = None,
        keep_record_s: float = limits.KEEP_RECORD_S,
        executor: Lane | None = None,
        tags: Iterable[str] = (),
        unique: Unique | None = None,
        limits: Iterable[Limit] = (),
        fair: Fair | None = None,
        searchable: Iterable[str] = (),
        sensitive: Iterable[str] = (),
    ) -> TaskDecorator: ...

    def __call__(self, /, *function: Any, **options: Any) -> Any:
        """Make a task of a function.

        The function takes a `Context` first, or not at all. All else it takes is what a job of it is enqueued with.

        A ``name`` of None is ``module.function``. An ``executor`` is ``process`` or ``thread`` for a plain function (a
        thread cannot be ended from outside) and ``async`` for a coroutine function; None is ``process`` and ``async``.
        A ``keep_result_s`` of None is a day, or 0 when ``keep_record_s`` is 0. The other options are the attributes of
        `Task`.

        Raises:
            TypeError: there is no option of this name.
            InvalidOption: an option is outside what it may be, a parameter is of a type that cannot be sent, or there
                is a task of this name; ``field`` names what is to blame.
        """
        if not function:
            name = options.pop("name", None)
            _check_known(options)
            return TaskDecorator(self._app, name, TaskOptions(**options))
        if options or len(function) > 1:
            raise TypeError("Give options by name, and the function below: @app.task(queue=…).")
        return self._app.add(function[0], self._name, self._options)


class Penstock(AppTopics, AppWorkflows, AppSchedules):
    """An application: tasks, and the place where their jobs are kept. Making one opens nothing.

    Attributes:
        task: the decorator that makes tasks, with or without options.
        tasks: the tasks by name; read-only.
        queues: what `queue` has declared, by name; read-only.
    """

    def __init__(self, url: str | None = None, *, store: Store | None = None) -> None:
        """Args:
            url: a directory. None: ``PENSTOCK_URL``, else ``penstock-data``, looked up at the first use. A relative
                path begins where the process is now; it stays the same place when the process goes elsewhere.
            store: keep jobs in this store instead: `penstock.testing.memory.MemoryStore` lets tests enqueue and look
                at jobs without any process. It is not closed with the application.

        Raises:
            InvalidOption: ``url`` is not a directory's path.
        """
        super().__init__()
        self._connection = StoreConnection(url, store)
        self._connection.application = ref(self)
        self._tasks: dict[str, Task[..., Any]] = {}
        self.task = TaskDecorator(self, None, TaskOptions())
        self.tasks: Mapping[str, Task[..., Any]] = MappingProxyType(self._tasks)
        self._queues: dict[str, QueueRecord] = {}
        self._keyed_queues: dict[str, tuple[str, ...]] = {}
        self.queues: Mapping[str, QueueRecord] = MappingProxyType(self._queues)

    @property
    def url(self) -> str:
        """The directory in force, absolute."""
        return self._connection.url

    @property
    def client(self) -> Store:
        """The store, connected at the first use. For tools; most programs need only tasks and jobs.

        Raises:
            StoreUnavailable: it cannot be reached or opened.
        """
        return self._connection.store()

    def redirect(self, url: str) -> None:
        """Keep jobs in another directory from the next call on: how a worker's ``--url`` reaches the tasks it runs.

        Raises:
            InvalidOption: it is not a directory's path.
        """
        self._connection.redirect(url)

    def queue(
        self,
        name: str,
        *,
        limits: Iterable[Limit] = (),
        retention: Retention | None = None,
    ) -> None:
        """Declare what holds for all jobs of a queue. Workers record it in the store when they start; a change that an
        operator makes while they run wins over it. A queue that is not declared has no limits.

        Declare it beside the tasks, in the application that producers import too: whoever enqueues a job sends what
        the queue's limits need to know of it.

        Args:
            name: of the queue.
            limits: how many jobs of the queue are leased at a time, and how many in a time: `Concurrency` and `Rate`.
                They hold beside those of each task.
            retention: how much is kept of the queue's finished jobs. None: what holds for all queues.

        Raises:
            InvalidOption: an option is outside what it may be, or the queue is declared already; ``field`` names what
                is to blame.
        """
        record = queue_record(name, limits, retention)
        if record.name in self._queues:
            raise InvalidOption(
                f"The queue {record.name!r} is declared already: put all that holds for it into one app.queue().",
                field="name",
            )
        self._queues[record.name] = record
        names = names_in(record.limits)
        if names:
            self._keyed_queues[record.name] = names
            for task in self._tasks.values():
                task.note_queues()

    def get(self, name: str) -> Task[..., Any]:
        """The task of this name.

        Raises:
            UnknownTask: there is none; the message names the one that was probably meant.
        """
        task = self._tasks.get(name)
        if task is None:
            close = names.closest(name, self._tasks)
            rest = f"did you mean {close}?" if close else f"there are {len(self._tasks)} others."
            raise UnknownTask(f"There is no task {name!r}; {rest}")
        return task

    def enqueue_many(self, signatures: Iterable[Signature[R]], *, cursor: SourceCursor | None = None) -> list[Job[R]]:
        """Enqueue many jobs in one request and one transaction: all or none. ``app.enqueue_many([task.s(1)])``

        Args:
            cursor: the position of the source that the jobs were made from, behind what was read. It moves in the same
                transaction, also when nothing read became a job. None: they are from no source.

        Raises:
            InvalidOption: they are more than one request may hold.
            InvalidArguments: the arguments of one do not fit.
            BodyTooLarge: they are too large, one of them or together.
            Conflict: an idempotency key of one was used before with other arguments, or the task of one refuses
                (`Unique`) jobs like one that is there.
            StaleCursor: what was read has become jobs before, or another reader has taken the source over.
            StoreFull: there is no room.
            StoreUnavailable: the store cannot be reached.
        """
        batch = SignatureBatch(self._connection, signatures)
        if not batch.groups and cursor is None:
            return []
        return batch.jobs(self.client.enqueue(batch.groups, atomic=True, cursor=cursor))

    async def enqueue_many_async(
        self, signatures: Iterable[Signature[R]], *, cursor: SourceCursor | None = None
    ) -> list[Job[R]]:
        """`enqueue_many` for a coroutine."""
        batch = SignatureBatch(self._connection, signatures)
        if not batch.groups and cursor is None:
            return []
        store = await self._connection.async_store()
        return batch.jobs(await store.enqueue(batch.groups, atomic=True, cursor=cursor))

    def job(self, job_id: str | UUID) -> Job[Any]:
        """The handle of a job by its id. Its result has its task's type where the task is one of this application.

        Raises:
            JobNotFound: there is no record of it.
        """
        found = _job_id(job_id)
        [view] = self.client.get([found])
        return self._handle(job_id, view)

    async def job_async(self, job_id: str | UUID) -> Job[Any]:
        """`job` for a coroutine."""
        found = _job_id(job_id)
        store = await self._connection.async_store()
        [view] = await store.get([found])
        return self._handle(job_id, view)

    def close(self) -> None:
        """Close what was opened. A second close does nothing; the next use opens anew."""
        self._connection.close()

    async def close_async(self) -> None:
        """`close` for a coroutine. Not needed under `asyncio.run`, which ends what was opened in its loop."""
        await self._connection.close_async()

    def __enter__(self) -> Penstock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Penstock:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close_async()

    def __reduce__(self) -> tuple[Any, ...]:
        """An application is pickled as the place where it is found.

        Raises:
            pickle.PicklingError: it is no attribute of a module.
        """
        modules = [task.__module__ for task in self._tasks.values()]
        return references.found_at, references.place_in_any(self, modules)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<Penstock in {self._connection!r} with {len(self._tasks)} task{'' if len(self._tasks) == 1 else 's'}>"

    def _handle(self, job_id: str | UUID, view: JobView | None) -> Job[Any]:
        if view is None:
            raise JobNotFound(f"There is no record of job {job_id}.")
        task = self._tasks.get(view.task)
        return Job(self._connection, view.task, None if task is None else task.codec, view.id, view.state)

    def check_queues(self) -> None:
        """Pass when each queue counts by what at least one of its tasks has. Asked when a worker or a gate starts: when
        a queue is declared, its tasks may come later.

        Raises:
            InvalidOption: a limit of a queue counts by a name that none of its tasks has, so it would never hold.
        """
        for queue, keyed in self._keyed_queues.items():
            tasks = [task for task in self._tasks.values() if task.queue == queue]
            for name in keyed:
                if tasks and not any(task.texts.has(name) for task in tasks):
                    others = ", ".join(task.name for task in tasks)
                    raise InvalidOption(
                        f"app.queue({queue!r}) has a limit per {name!r}, and no task of that queue has such a parameter"
                        f" ({others}): name one that they have, or a header, such as 'header:{name}'.",
                        field="limits",
                    )

    def add(self, function: Callable[..., Any], name: str | None, options: TaskOptions) -> Task[..., Any]:
        """Make a task of a function; `task` is the typed way to do so.

        Raises:
            InvalidOption: it cannot be one, or there is one of this name.
        """
        task: Task[..., Any] = Task(self._connection, function, name, options, self._keyed_queues)
        if task.name in self._tasks or task.name in self._consumers:
            raise InvalidOption(f"There is a task {task.name!r} already: give one of them a name=.", field="name")
        self._tasks[task.name] = task
        return task


def _check_known(options: dict[str, Any]) -> None:
    """Raise TypeError for an option that tasks do not have."""
    known = ["name", *(field.name for field in fields(TaskOptions))]
    for option in options:
        if option not in known:
            close = names.closest(option, known)
            rest = f"did you mean {close}?" if close else f"it has {', '.join(known)}."
            raise TypeError(f"app.task() has no option {option!r}; {rest}")


def _job_id(text: str | UUID) -> bytes:
    found = parsed_id(text)
    if found is None:
        raise JobNotFound(f"{text!r} is not a job's id.")
    return found
