"""One run of a job that makes durable calls: `penstock.tasks.replay` decides what is to be done, and this does it.

The calls are written once, as generators that hand out what has to be waited for: a call of the user's function, or a
record in the store. `penstock.worker.executor.blocking_run` does that in the thread of a plain function,
`penstock.worker.executor.async_run` awaits it on the event loop.

A job leaves its function in the middle by `RunOver`, which is no `Exception`. What its attempt comes to then is noted
here and not in what was raised, so it counts whatever the function makes of that.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple

from penstock.model.durable_steps import History, JobRecords, Record, Recorded
from penstock.model.errors import (
    EventTimeout,
    InvalidOption,
    InvalidResult,
    PenstockError,
    StepFailed,
    StoreFull,
    StoreUnavailable,
    SuspensionCaught,
    TimeLimitExceeded,
)
from penstock.model.job import Buried, Snoozed, Suspended
from penstock.model.step_history import check_name, check_published
from penstock.tasks.arguments.step_values import UNTYPED, values_of
from penstock.tasks.replay import Replay, Todo
from penstock.tasks.retry import Retry, Snooze
from penstock.tasks.store_connection import StoreConnection
from penstock.worker.executor import after_fork
from penstock.worker.executor.returned_values import NothingRan
from penstock.worker.outcomes import hopeless, job_error

STORE_AGAIN_S: Final = 5.0
"""A job that could not record what it has done, because the store was not there or full, runs again after this time."""
PUBLISH_S: Final = 0.05
"""Published values are sent this long after the first of them, together."""
_RANDOM: Final = random.Random()
_PASSED_ON: Final = (Snooze, TimeLimitExceeded)
"""What a step raises that is not its own failure: it is meant for the whole job."""


class RunOver(BaseException):
    """The run ends here. Raised through the job's function; nobody else is to catch it."""


class Call(NamedTuple):
    """The user's function is to be called."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Write(NamedTuple):
    """Something is to be recorded. Answers what stands at these places already."""

    records: list[Record]
    checkpoint: bytes | None = None


Steps = Generator[Call | Write, Any, Any]
"""One durable call, from its beginning to its end."""


class DurableRun(ABC):
    """What both kinds of lane share.

    Attributes:
        ended: the attempt is over: nothing may be recorded any more.
    """

    def __init__(self, connection: StoreConnection, job: bytes, fence: int) -> None:
        self._connection = connection
        self._job = job
        self._fence = fence
        self._replay = Replay()
        self._restored: Any = None
        self._pending: dict[str, bytes] = {}
        self._names: set[str] = set()
        self._asked = 0
        self._suspended: Suspended | None = None
        self._gone = False
        self._snoozed = False
        self.ended = False

    @abstractmethod
    def load(self) -> Any:
        """Read the job's history, before its function runs. In a coroutine function to be awaited.

        Raises:
            RunOver: it cannot be read now.
        """

    @abstractmethod
    def finish(self) -> Any:
        """The function has ended: send what was published, before the outcome. In a coroutine function to be
        awaited."""

    # --- what the function asks for ----------------------------------------------------------------------------------
    def _step(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        retry: Retry | None,
    ) -> Steps:
        self._check_open()
        todo = self._replay.step(name)
        values, what = values_of(function), f"step {name!r}"
        if todo.ended is not None:
            return self._replayed(todo.ended, lambda data: values.decode(data, what))
        if todo.waits is not None:
            raise self._suspend(Suspended(self._fence, todo.waits))
        try:
            value = yield Call(name, function, args, kwargs)
        except _PASSED_ON:
            self._replay.left()
            raise
        except NothingRan as error:
            raise self._break(error.cause) from None
        except Exception as error:
            raise self._failed(todo, error, retry) from error
        except BaseException:
            self._replay.left()
            raise
        try:
            data, value = values.recorded(value, what)
        except InvalidResult as error:
            raise self._break(error) from error.__cause__
        yield Write([self._replay.returned(todo, data)])
        return value

    def _replayed(self, record: Record, decode: Callable[[bytes], Any]) -> Any:
        """What an earlier run has recorded."""
        if record.error is not None:
            error = record.error
            raise StepFailed(error.message, error_type=error.type, traceback=error.traceback)
        try:
            return None if record.value is None else decode(record.value)
        except InvalidResult as error:
            raise self._break(error) from error.__cause__

    def _failed(self, todo: Todo, error: Exception, retry: Retry | None) -> BaseException:
        """What is raised when a step has raised."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("penstock.worker"):
            trace = trace.tb_next
        told = job_error(error.with_traceback(trace))
        delay_s = None if retry is None else retry.decide(error, todo.tries + 1, _RANDOM)
        if delay_s is not None:
            return self._suspend(Suspended(self._fence, self._replay.failed_once(todo, told), delay_s=delay_s))
        self._replay.failed(todo, told)
        return StepFailed(told.message, error_type=told.type, traceback=told.traceback)

    def _sleep(self, delay_s: float) -> Steps:
        self._check_open()
        todo = self._replay.sleep()
        if todo.ended is not None:
            return None
        assert todo.waits is not None, "who has not slept sleeps"
        raise self._suspend(Suspended(self._fence, todo.waits, delay_s=delay_s))
        yield  # so that this is one of `Steps`

    def _wait_for(self, event: str, timeout_s: float | None) -> Steps:
        self._check_open()
        todo = self._replay.event(event)
        if todo.ended is None:
            assert todo.waits is not None, "who has no event waits"
            raise self._suspend(Suspended(self._fence, todo.waits, delay_s=timeout_s))
        if todo.ended.timed_out:
            raise EventTimeout(f"The event {event!r} has not come in time.")
        return self._replayed(todo.ended, lambda data: UNTYPED.decode(data, f"event {event!r}"))
        yield  # so that this is one of `Steps`

    def _checkpoint(self, value: Any) -> Steps:
        self._check_open()
        try:
            data, kept = UNTYPED.recorded(value, "a checkpoint")
        except InvalidResult as error:
            raise self._break(error) from error.__cause__
        yield Write([], data)
        self._restored = kept

    def restored(self) -> Any:
        """The last checkpoint; None: there is none."""
        return self._restored

    def _published(self, name: str, value: Any) -> None:
        """Note a value that is to be sent."""
        self._check_open()
        check_name(name, "a published value")
        check_published(len(self._names | {name}))
        data, _ = UNTYPED.recorded(value, f"the published value {name!r}")
        self._names.add(name)
        self._pending[name] = data

    def _check_open(self) -> None:
        if self.ended:
            raise InvalidOption(
                "This attempt has ended: a job records before it returns, and not from a thread that it leaves behind.",
                field="name",
            )
        if after_fork.is_child:
            raise InvalidOption(
                "A process that a job has forked records nothing: let the job itself call ctx.step and the like.",
                field="name",
            )
        if self._gone or self._snoozed or self._suspended is not None:
            raise RunOver

    # --- ways in which the run ends ----------------------------------------------------------------------------------
    def _suspend(self, suspended: Suspended) -> RunOver:
        self._suspended = Suspended(
            self._fence, suspended.record, [*self._replay.before], None if suspended.record.until else suspended.delay_s
        )
        return RunOver("The job is suspended.")

    def _break(self, error: Exception) -> Exception:
        """The job cannot go on, whatever its function makes of this."""
        self._replay.broken = self._replay.broken or error
        return error

    def outcome(self, started_at: float, error: BaseException | None) -> Suspended | Snoozed | Buried | None:
        """What the attempt comes to when the function has raised ``error``, or has returned (None). None: what it would
        come to without durable calls."""
        if self._gone:
            # The store has given the job to another by now, and makes nothing of this.
            return Snoozed(self._fence, 0.0)
        if self._snoozed:
            return Snoozed(self._fence, STORE_AGAIN_S)
        if self._replay.broken is None and self._suspended is not None:
            return self._suspended if _is_run_over(error) else hopeless(self._fence, started_at, _caught(error))
        if self._replay.broken is None and error is None:
            try:
                self._replay.check_end(is_awaited=not self._asked)
            except PenstockError as changed:
                return hopeless(self._fence, started_at, changed)
        return None if self._replay.broken is None else hopeless(self._fence, started_at, self._replay.broken)

    # --- the store ---------------------------------------------------------------------------------------------------
    def _publication(self) -> JobRecords:
        """What has been published and not sent."""
        return JobRecords(self._fence, self._job, published={**self._pending})

    def _records(self, write: Write) -> JobRecords:
        return JobRecords(
            self._fence, self._job, [*self._replay.before, *write.records], write.checkpoint, {**self._pending}
        )

    def _recorded(self, sent: JobRecords, write: Write, answer: Recorded) -> None:
        """The store has answered."""
        if not answer.held:
            self._gone = True
            raise RunOver("The lease of this job has ended.")
        self._replay.recorded(len(sent.records) - len(write.records))
        self._sent(sent)

    def _sent(self, sent: JobRecords) -> None:
        """These values are published."""
        for name, value in sent.published.items():
            if self._pending.get(name) is value:
                del self._pending[name]

    def _store_failed(self, error: PenstockError) -> BaseException:
        """The store has not recorded something."""
        if isinstance(error, (StoreUnavailable, StoreFull)):
            self._snoozed = True
            return RunOver(error.message)
        return self._break(error)

    def _loaded(self, pages: list[History]) -> None:
        """The job's history has been read."""
        self._replay = Replay([record for page in pages for record in page.records], pages[0].now)
        kept = pages[0].checkpoint
        self._restored = None if kept is None else UNTYPED.decode(kept, "a checkpoint")


def _is_run_over(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_run_over, error.exceptions))
    return isinstance(error, RunOver)


def _caught(error: BaseException | None) -> SuspensionCaught:
    told = SuspensionCaught(
        "The function caught what suspends it (ctx.sleep, ctx.wait_for, a step that is tried again), and went on: catch"
        " Exception, not BaseException, and use no return in a finally."
    )
    told.__cause__ = error
    return told


def cause_of(error: BaseException) -> BaseException:
    """What the attempt has failed of: of a step that failed in this run, what it raised."""
    return error.__cause__ if isinstance(error, StepFailed) and error.__cause__ is not None else error
