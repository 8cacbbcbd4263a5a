"""A task with options for some of its jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from penstock.tasks.canvas.composition import Signature
from penstock.tasks.canvas.groups import Group, chunked, mapped, starmapped
from penstock.tasks.job_handle import Job
from penstock.tasks.options import JobOptions
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.sending import send_one, send_one_async

P = ParamSpec("P")
R = TypeVar("R")


class TaskWithOptions(Generic[P, R]):
    """A task with options for the jobs enqueued through it."""

    __slots__ = ("_options", "_task")

    def __init__(self, task: SendableTask[R], options: JobOptions) -> None:
        self._task = task
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._task!r} with options>"

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`Task.enqueue` with these options.

        Raises:
            Conflict: the idempotency key was used before with other arguments, or the task refuses (`Unique`) jobs
                like one that is there.
        """
        return send_one(self._task, args, kwargs, self._options)

    async def enqueue_async(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`enqueue` for a coroutine."""
        return await send_one_async(self._task, args, kwargs, self._options)

    @overload
    def s(self, /) -> Signature[R]: ...
    @overload
    def s(self, /, *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
    def s(self, /, *args: Any, **kwargs: Any) -> Signature[R]:
        """`Task.s` with these options."""
        return Signature(self._task, args, kwargs, self._options)

    def partial(self, /, *args: Any, **kwargs: Any) -> Signature[R]:
        """`Task.partial` with these options."""
        return Signature(self._task, args, kwargs, self._options)

    def si(self, /, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """`Task.si` with these options."""
        return Signature(self._task, args, kwargs, self._options, immutable=True)

    def map(self, items: Iterable[Any], /) -> Group[R]:
        """`Task.map` with these options."""
        return mapped(self._task, items, self._options)

    def starmap(self, items: Iterable[Iterable[Any]], /) -> Group[R]:
        """`Task.starmap` with these options."""
        return starmapped(self._task, items, self._options)

    def chunks(self, items: Iterable[Iterable[Any]], n: int, /) -> Group[list[R]]:
        """`Task.chunks` with these options."""
        return chunked(self._task, items, n, self._options)
