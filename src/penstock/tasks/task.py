"""A task: a function, how its jobs are run, and the ways to enqueue one.

Producers use: calling the task, `Task.enqueue`, `Task.enqueue_async`, `Task.options`, `Task.s`.

Executors use:

* ``name``, ``function``, ``takes_context`` (pass a `Context` first), ``is_async``, ``lane``;
* ``decode(body) -> (args, kwargs)``: raises InvalidArguments when the body does not fit (never worth a retry);
* ``function(*args, **kwargs)``, or ``function(context, *args, **kwargs)``;
* ``encode_result(value)``: raises InvalidResult or ResultTooLarge (never worth a retry);
* ``retry.decide(exception, attempt, random) -> seconds | None``; a `Snooze` raised is not an attempt;
* ``timeout_s``, ``soft_timeout_s``, ``expires_s``, ``keep_result_s``, ``keep_record_s``;
* ``record()``: what a worker records in the store; it also resolves annotations, so a mistake shows at start.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar, overload

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.job import TaskRecord
from penstock.tasks import names, references
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.canvas.composition import Signature
from penstock.tasks.canvas.groups import Group, chunked, mapped, starmapped
from penstock.tasks.declared_flow import check_names, checked_names, declared_flow
from penstock.tasks.flow_rules import Fair, Limit, Unique, checked_limits, rules_of
from penstock.tasks.job_handle import Job
from penstock.tasks.job_texts import KeyedQueues, TaskTexts
from penstock.tasks.options import JobOptions
from penstock.tasks.retry import Retry
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.sending import send_one, send_one_async
from penstock.tasks.store_connection import StoreConnection
from penstock.tasks.task_with_options import TaskWithOptions

P = ParamSpec("P")
R = TypeVar("R")

Lane = Literal["async", "process", "thread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How the jobs of a task are run, checked. The fields are those of `Task`.

    Attributes:
        keep_result_s: None: a day, or with ``keep_record_s`` 0 not at all. `kept_result_s` is what that comes to.
    """

    queue: str = "default"
    priority: int = 0
    retry: Retry = field(default_factory=Retry)
    timeout_s: float | None = None
    soft_timeout_s: float | None = None
    expires_s: float | None = None
    keep_result_s: float | None = None
    keep_record_s: float = limits.KEEP_RECORD_S
    executor: Lane | None = None
    tags: tuple[str, ...] = ()
    unique: Unique | None = None
    limits: tuple[Limit, ...] = ()
    fair: Fair | None = None
    searchable: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names.check_queue(self.queue)
        names.check_priority(self.priority)
        if not isinstance(self.retry, Retry):
            names.refuse("retry", f"is {names.shown(self.retry)}: give Retry(...)")
        for name in ("timeout_s", "soft_timeout_s", "expires_s"):
            value = getattr(self, name)
            if value is not None:
                names.check_seconds(name, value, zero=False)
        if self.keep_result_s is not None:
            names.check_seconds("keep_result_s", self.keep_result_s)
        names.check_seconds("keep_record_s", self.keep_record_s)
        if self.timeout_s is not None and self.soft_timeout_s is not None and self.soft_timeout_s >= self.timeout_s:
            names.refuse("soft_timeout_s", f"is {self.soft_timeout_s}: it must be less than timeout_s")
        if self.executor not in (None, "async", "process", "thread"):
            names.refuse("executor", f"is {names.shown(self.executor)}: use async, process or thread")
        object.__setattr__(self, "tags", names.check_tags(self.tags))
        if self.unique is not None and not isinstance(self.unique, Unique):
            names.refuse("unique", f'is {names.shown(self.unique)}: give Unique("order_id"), or Unique() for all')
        if self.fair is not None and not isinstance(self.fair, Fair):
            names.refuse("fair", f'is {names.shown(self.fair)}: give Fair("tenant")')
        object.__setattr__(self, "limits", checked_limits(self.limits))
        for name in ("searchable", "sensitive"):
            object.__setattr__(self, name, checked_names(name, getattr(self, name)))

    @property
    def kept_result_s(self) -> float:
        """How long a result is kept: as asked, else no longer than there is a history to keep it in."""
        if self.keep_result_s is not None:
            return float(self.keep_result_s)
        return limits.KEEP_RESULT_S if self.keep_record_s else 0.0


class Task(SendableTask[R], Generic[P, R]):
    """A function that can be enqueued. Made by `Penstock.task`; never by hand.

    ``P`` are the parameters without a leading `Context`; ``R`` is what the job returns, for plain and coroutine
    functions alike.

    Attributes:
        function: what was decorated.
        is_async: it runs in the async lane: it is a coroutine function, or ``executor="async"`` was asked for and there
            is one behind its decorators.
        lane: where it runs: ``async`` (many at a time on an event loop), ``process`` (one at a time in an executor's
            main thread) or ``thread``.
        retry: when a job that raised runs again.
        timeout_s: after this long a running job is ended, with its executor if need be. None: never.
        soft_timeout_s: after this long it is asked to end. None: never.
        keep_result_s: how long a result can be fetched. 0: it is not kept. Asked for as None (which is the default):
            a day, or 0 when ``keep_record_s`` is 0; here it is the number that came of it.
        keep_record_s: how long a finished job can be looked up; a day by default. 0: history off, counters stay. A
            result that is asked for all the same (``keep_result_s`` above 0) keeps its job for as long.
        unique: of its jobs with the same arguments, or some of them, there is one at a time. None: any number.
        limits: how many of its jobs are leased at a time, and how many in a time: `Concurrency` and `Rate`. They hold
            beside those of the queue.
        fair: tenants take turns within the queue. None: first come, first served.
        searchable: names of arguments that jobs are found by (``penstock jobs --arg order_id=7``).
        flow: what these come to; None: there is nothing.

    ``name``, ``queue``, ``priority``, ``expires_s``, ``tags`` and ``sensitive`` are those of `SendableTask`.
    """

    def __init__(
        self,
        connection: StoreConnection,
        function: Callable[..., Any],
        name: str | None,
        options: TaskOptions,
        queues: KeyedQueues,
    ) -> None:
        """Raises InvalidOption when the function cannot be a task."""
        if not inspect.isfunction(function):
            names.refuse(
                "function", f"is {names.shown(function)}: a task is a function; write one with def that calls it"
            )
        self.name = names.check_task_name(names.default_task_name(function) if name is None else name)
        self.function: Callable[..., Any] = function
        self.lane: Lane = _lane(self.name, function, options.executor)
        self.is_async = self.lane == "async"
        self.queue = options.queue
        self.priority = options.priority
        self.retry = options.retry
        self.timeout_s = options.timeout_s
        self.soft_timeout_s = options.soft_timeout_s
        self.expires_s = options.expires_s
        self.keep_result_s = options.kept_result_s
        self.keep_record_s = float(options.keep_record_s)
        self.tags = options.tags
        self.tag_list = list(options.tags) or None
        self.codec = _codec(self.name, function, options.sensitive)
        self.unique = options.unique
        self.limits = options.limits
        self.fair = options.fair
        self.searchable = options.searchable
        self.sensitive = options.sensitive
        self.flow = declared_flow(
            self.name,
            limits=rules_of(options.limits),
            unique=None if options.unique is None else options.unique.rule(),
            fair=None if options.fair is None else options.fair.rule(),
            searchable=options.searchable,
            sensitive=options.sensitive,
        )
        if self.flow is not None and self.codec.is_resolved:
            check_names(self.name, self.flow, self.codec)
        self.texts = TaskTexts(partial(self.codec.texts, "limits"), self.codec.whole_text, self.flow, queues)
        self.note_queues()
        self.connection = connection
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__wrapped__ = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now; a task that takes a context wants one first (`Context.local`)."""
        return self.function(*args, **kwargs)

    @property
    def takes_context(self) -> bool:
        """Whether the function wants a `Context` as its first argument."""
        return self.codec.takes_context

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue one job; it is durable when this returns.

        Raises:
            InvalidArguments: the arguments do not fit the function, or cannot be sent; ``field`` names the one.
            Conflict: the task refuses (`Unique`) jobs like one that is there.
            StoreFull: there is no room.
            StoreUnavailable: the store cannot be reached.
        """
        return send_one(self, args, kwargs)

    async def enqueue_async(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`enqueue` for a coroutine: it does not hold up the event loop."""
        return await send_one_async(self, args, kwargs)

    def options(
        self,
        *,
        delay_s: float | None = None,
        run_at: datetime | float | None = None,
        priority: int | None = None,
        queue: str | None = None,
        expires_s: float | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Iterable[str] | None = None,
    ) -> TaskWithOptions[P, R]:
        """The task with options for the jobs enqueued through what is returned. None: as the task has it.

        Args:
            delay_s: not before this many seconds from now. Not together with ``run_at``.
            run_at: not before this time: an aware datetime, or Unix seconds.
            priority: −100 to 100, higher first.
            queue: where the job goes.
            expires_s: not started within this many seconds: dropped as expired.
            idempotency_key: within a day, a second job of this task with the same key and arguments is the first one
                again (`Job.duplicate`); with other arguments it is a Conflict.
            headers: strings that travel with the job, see `Context.headers`.
            tags: words to find the job by, besides the task's own.

        Raises:
            InvalidOption: one is outside what it may be; ``field`` names it.
        """
        found = JobOptions.checked(
            delay_s=delay_s,
            run_at=run_at,
            priority=priority,
            queue=queue,
            expires_s=expires_s,
            idempotency_key=idempotency_key,
            headers=headers,
            tags=tags,
            task_tags=self.tags,
        )
        return TaskWithOptions(self, found)

    @overload
    def s(self, /) -> Signature[R]: ...
    @overload
    def s(self, /, *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
    def s(self, /, *args: Any, **kwargs: Any) -> Signature[R]:
        """The task with its arguments, to be enqueued later or with others; checked when it is enqueued.

        In a chain, a chord or a dag the values of the steps before are given to it after its own positional arguments,
        so those that are handed over are left out here. For type checkers: all of them (``publish.s()``), or see
        `partial`.
        """
        return Signature(self, args, kwargs)

    def partial(self, /, *args: Any, **kwargs: Any) -> Signature[R]:
        """`s` with some of the arguments, for type checkers, which cannot know what is handed over: ``resize.partial(
        400)``. When it runs it is the same."""
        return Signature(self, args, kwargs)

    def si(self, /, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """`s`, immutable: it waits for the steps before it and takes none of their values."""
        return Signature(self, args, kwargs, immutable=True)

    def map(self, items: Iterable[Any], /) -> Group[R]:
        """A group with a call for each item: ``thumbnail.map(paths)`` is ``group(thumbnail.s(path) for path in
        paths)``."""
        return mapped(self, items)

    def starmap(self, items: Iterable[Iterable[Any]], /) -> Group[R]:
        """A group with a call for each list of positional arguments: ``add.starmap([(1, 2), (3, 4)])``."""
        return starmapped(self, items)

    def chunks(self, items: Iterable[Iterable[Any]], n: int, /) -> Group[list[R]]:
        """A group with a job for every ``n`` lists of positional arguments. Each job makes its calls one after the
        other, and its value is the list of what they returned; when one raises, the job has failed, and a retry makes
        all of its calls again. For calls so short that a job of their own costs more than they do.

        Chunks take no values of steps before them.

        Raises:
            InvalidOption: ``n`` is less than 1.
        """
        return chunked(self, items, n)

    def decode(self, body: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in a job's body, as their annotated types, without a context.

        Raises:
            InvalidArguments: they do not fit this function.
        """
        return self.codec.decode(body)

    def encode_result(self, value: Any) -> bytes:
        """What is stored for a returned value, format byte first.

        Raises:
            InvalidResult: it is of a type that cannot be stored.
            ResultTooLarge: it is over the limit.
        """
        return self.codec.encode_result(value)

    def record(self) -> TaskRecord:
        """What a worker records of this task.

        Raises:
            InvalidOption: an annotation of the function cannot be resolved, or cannot be sent; or a name in an option
                is of no parameter, which could not be told before.
        """
        flow = self.flow
        if flow is not None:
            check_names(self.name, flow, self.codec)
            flow = replace(flow, parameters=self.codec.default_texts())
        return TaskRecord(
            name=self.name,
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.retry.max_attempts,
            expires_s=self.expires_s,
            keep_result_s=self.keep_result_s,
            keep_record_s=self.keep_record_s,
            tags=self.tags,
            schema=self.codec.schema(),
            flow=flow,
        )

    def note_queues(self) -> None:
        """To be called when the application has declared a queue."""
        self.is_plain = not self.texts.needs(self.queue)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A task is pickled as the place where it is found: ``pool.map(task, …)`` works as it does for its function.

        Raises:
            pickle.PicklingError: it is neither an attribute of its function's module nor of an application that is one.
        """
        place = references.place_of(self, self.__module__, self.__qualname__)
        if place is not None:
            return references.found_at, place
        application = self.connection.application and self.connection.application()
        sought = self if application is None else application
        return references.task_of, (*references.place_in_any(sought, [self.__module__]), self.name)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


def _codec(name: str, function: Callable[..., Any], sensitive: tuple[str, ...]) -> Codec:
    if not sensitive:
        return Codec(name, function)
    from penstock.tasks.arguments.sensitive import QuietCodec

    return QuietCodec(name, function, sensitive)


def _lane(name: str, function: Callable[..., Any], executor: Lane | None) -> Lane:
    """Where the function runs."""
    is_async = inspect.iscoroutinefunction(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        names.refuse("function", f"{name} is a generator: a task returns one value")
    if is_async and executor not in (None, "async"):
        names.refuse(
            "executor", f"is {names.shown(executor)}, but {name} is a coroutine function: it runs on an event loop"
        )
    if not is_async and executor == "async" and not inspect.iscoroutinefunction(inspect.unwrap(function)):
        names.refuse("executor", f"is 'async', but {name} is a plain function: it would hold up the event loop")
    return executor or ("async" if is_async else "process")
