"""Handles of jobs, for whoever enqueued one or knows its id."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NoReturn, Self, TypeVar

from msgspec import Struct

from penstock.model.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    ResultExpired,
    ResultTimeout,
)
from penstock.model.ids import id_text
from penstock.model.job import JobError, JobView, Progress
from penstock.model.states import TERMINAL, State
from penstock.tasks.arguments.codec import Codec, decode_result
from penstock.tasks.arguments.step_values import published_value
from penstock.tasks.canvas.workflow import Workflow
from penstock.tasks.store_connection import StoreConnection, rounds

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job as it was when asked. Times are in UTC; None: not yet, or not known.

    Attributes:
        attempt: the attempt that runs, or ran last; 0 before the first.
        run_at: when it may start.
        progress: what it last said of itself.
        error: why its last attempt failed.
        cancel_requested: it runs, and has been asked to end.
        result_kept: there is a result to fetch.
        reason: why it is held back, such as ``2 of 2 running for tenant acme``. None: only others are in front of it.
        key: of a blocked job, what the reason counts for, such as ``acme``.
    """

    id: str
    task: str
    queue: str
    state: State
    priority: int
    attempt: int
    max_attempts: int
    created_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    progress: Progress | None
    error: JobError | None
    headers: dict[str, str]
    tags: tuple[str, ...]
    cancel_requested: bool
    result_kept: bool
    reason: str | None = None
    key: str | None = None


class Job(Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """A job that was accepted. Awaiting it gives its result. Made by enqueueing, or by `Penstock.job`.

    A handle is tied to its application's connection and cannot be pickled or sent. What travels is ``job.id``; the way
    back is ``app.job(id)``. It does not change, so a copy is itself.

    Attributes:
        task: its task's name.
        state: its state when it was accepted or looked up; None: it was a duplicate of a job whose record is gone.
            `status` asks anew.
        duplicate: it is a job that was there before, by its idempotency key or its unique key.
        replaced: that job has the arguments of this call now (`Unique` with ``on_conflict="replace"`` or
            ``"keep_time"``).
    """

    _connection: StoreConnection
    task: str
    _codec: Codec | None
    _id: bytes
    state: State | None = State.READY
    duplicate: bool = False
    replaced: bool = False

    @property
    def id(self) -> str:
        """The job's id in its text form."""
        return id_text(self._id)

    @property
    def durability(self) -> str:
        """What the acceptance has survived: ``disk``, ``replicated`` or ``memory``."""
        return self._connection.durability

    def result(self, timeout_s: float | None = None) -> R_co:
        """What the task returned, as soon as it has.

        Args:
            timeout_s: how long to wait; 0: look once; None: as long as it takes. On a store without processes (such as
                the in-memory one for tests) this always looks once.

        Raises:
            ResultTimeout: it has not ended by then.
            JobFailed: it is dead, with ``type``, ``message`` and ``traceback`` of its last error; its text also names
                the task and the job.
            JobCancelled: it was cancelled.
            JobExpired: it was not started in time.
            ResultExpired: it succeeded, but its result is not kept, or no longer.
            JobNotFound: there is no record of it (no longer, or it keeps none).

        Of a job that returned a call, this is what that comes to.
        """
        began = time.monotonic()
        for wait_s in rounds(timeout_s, parks=self._connection.parks):
            [view] = self._connection.wait([self._id], wait_s)
            if view is not None and view.became is not None:
                return self._workflow(view.became).result(_left_s(timeout_s, began))
            if view is None or view.state in TERMINAL:
                return self._outcome(view)
        raise self._late(timeout_s)

    async def result_async(self, timeout_s: float | None = None) -> R_co:
        """`result` for a coroutine."""
        store = await self._connection.async_store()
        began = time.monotonic()
        for wait_s in rounds(timeout_s, parks=self._connection.parks):
            [view] = await store.wait([self._id], wait_s=wait_s, result=True)
            if view is not None and view.became is not None:
                return await self._workflow(view.became).result_async(_left_s(timeout_s, began))
            if view is None or view.state in TERMINAL:
                return self._outcome(view)
        raise self._late(timeout_s)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.result_async().__await__()

    def status(self) -> JobStatus:
        """How it is now.

        Raises:
            JobNotFound: there is no record of it.
        """
        [view] = self._connection.store().get([self._id])
        return _status(self._found(view))

    async def status_async(self) -> JobStatus:
        """`status` for a coroutine."""
        store = await self._connection.async_store()
        [view] = await store.get([self._id])
        return _status(self._found(view))

    def published(self, name: str) -> Any:
        """The latest value that the job has published under this name (``ctx.publish_value``); None: none yet."""
        return published_value(self._connection.store().published(self._id, [name]), name)

    async def published_async(self, name: str) -> Any:
        """`published` for a coroutine."""
        store = await self._connection.async_store()
        return published_value(await store.published(self._id, [name]), name)

    def cancel(self) -> State:
        """Cancel it. Answers its state afterwards: cancelled when it waited, running when its function has been asked
        to end, its last state when it was too late.

        Raises:
            JobNotFound: there is no record of it.
        """
        [state] = self._connection.store().cancel([self._id])
        return self._found(state)

    async def cancel_async(self) -> State:
        """`cancel` for a coroutine."""
        store = await self._connection.async_store()
        [state] = await store.cancel([self._id])
        return self._found(state)

    def __repr__(self) -> str:
        return f"<Job {self.id} of {self.task}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a handle and cannot be pickled: send its id, and ask app.job(id) for a handle.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def _found(self, answer: T | None) -> T:
        if answer is None:
            raise JobNotFound(
                f"{self.task}: there is no record of job {self.id} (never accepted, or not kept any more: "
                "its time was up, or the disk was full)."
            )
        return answer

    def _late(self, timeout_s: float | None) -> ResultTimeout:
        waited = f"within {timeout_s} s" if self._connection.parks and timeout_s else "yet"
        return ResultTimeout(f"{self.task}: job {self.id} has not ended {waited}.")

    def _workflow(self, workflow: bytes) -> Workflow[R_co]:
        """What has taken the place of a job that returned a call."""
        returns = Any if self._codec is None else self._codec.parameters.returns
        return Workflow(self._connection, workflow, self.task, returns)

    def _outcome(self, view: JobView | None) -> R_co:
        """The result of a job that has ended."""
        found = self._found(view)
        which = f"{self.task}: job {self.id}"
        if found.state is State.DEAD:
            raise _failure(self, found)
        if found.state is State.CANCELLED:
            raise JobCancelled(f"{which} was cancelled.")
        if found.state is State.EXPIRED:
            raise JobExpired(f"{which} was not started before it expired.")
        if found.result is None:
            raise ResultExpired(f"{which} succeeded; its result is not kept, or no longer.")
        value: R_co
        if self._codec is None:
            value = decode_result(found.result, self.task)
        else:
            value = self._codec.decode_result(found.result)
        return value


def _left_s(timeout_s: float | None, began: float) -> float | None:
    """What is left of a time to wait that began then (monotonic seconds)."""
    return None if timeout_s is None else max(0.0, timeout_s - (time.monotonic() - began))


def _failure(job: Job[Any], view: JobView) -> JobFailed:
    error = view.error or JobError(type="Unknown", message="It left no error.")
    failed = JobFailed(
        error.message or error.type, error_type=error.type, traceback=error.traceback, job=f"{job.task} {job.id}"
    )
    failed.add_note(f"{job.task}: job {job.id} is dead after attempt {view.attempt} of {view.max_attempts}.")
    if error.traceback:
        failed.add_note(f"In the worker:\n{error.traceback.rstrip()}")
    return failed


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _status(view: JobView) -> JobStatus:
    return JobStatus(
        id=id_text(view.id),
        task=view.task,
        queue=view.queue,
        state=view.state,
        priority=view.priority,
        attempt=view.attempt,
        max_attempts=view.max_attempts,
        created_at=datetime.fromtimestamp(view.created_at, UTC),
        run_at=_moment(view.run_at),
        started_at=_moment(view.started_at),
        finished_at=_moment(view.finished_at),
        expires_at=_moment(view.expires_at),
        progress=view.progress,
        error=view.error,
        headers=view.headers or {},
        tags=tuple(view.tags or ()),
        cancel_requested=view.cancel_requested,
        result_kept=view.result_kept,
        reason=view.reason,
        key=view.key,
    )
