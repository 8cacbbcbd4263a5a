"""The durable calls of a running job: steps that are done once, sleeps and events that outlive its process.

A function that uses them runs from its beginning each time it goes on; what was recorded is not done again. What is
behind the calls depends on where the function runs: `DurableCalls`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from penstock.tasks.names import check_seconds, refuse, shown
from penstock.tasks.retry import Retry


class DurableCalls(Protocol):
    """What answers the calls. In a coroutine function each but the last two gives something to await."""

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        retry: Retry | None,
    ) -> Any:
        """See `DurableContext.step`."""
        ...

    def sleep(self, delay_s: float) -> Any:
        """See `DurableContext.sleep`."""
        ...

    def wait_for(self, event: str, timeout_s: float | None) -> Any:
        """See `DurableContext.wait_for`."""
        ...

    def checkpoint(self, value: Any) -> Any:
        """See `DurableContext.checkpoint`."""
        ...

    def restored(self) -> Any:
        """See `DurableContext.restored`."""
        ...

    def publish_value(self, name: str, value: Any) -> None:
        """See `DurableContext.publish_value`."""
        ...


class DurableContext:
    """The part of `penstock.tasks.context.Context` that is about durable steps.

    In a coroutine function `step`, `sleep`, `wait_for` and `checkpoint` are awaited; in a plain function they return.
    One at a time is under way, and they are asked for in the same order in each run.
    """

    __slots__ = ("_durable",)

    _durable: Callable[[], DurableCalls]

    def step(
        self, name: str, function: Callable[..., Any], /, *args: Any, retry: Retry | None = None, **kwargs: Any
    ) -> Any:
        """Call a function once: ``total = ctx.step("charge", charge, order_id)``, in a coroutine function
        ``total = await ctx.step(…)``.

        What it returns is recorded, durably, before this returns. When the job runs again, because it was interrupted,
        failed later on, or slept, the function is not called again: this returns what was recorded. A function that is
        interrupted before that is called again, so let it be safe to repeat (``ctx.job_id`` makes a good key).

        What it raises reaches you as `StepFailed`, with the error as its cause. Catch that and go on, and the failure
        is recorded too. Let it through, and the attempt has failed; the next one calls the function again.

        Args:
            name: unique among the steps of the job's function, and the same each time.
            function: plain, or in a coroutine function also a coroutine function. Its return annotation says what the
                recorded value is read as; without one it has to be plain data.
            retry: when the step is tried again. The job is suspended meanwhile, which is no attempt at the job. None:
                it is not.

        Raises:
            StepFailed: the function raised.
            StepChanged: the job did something else here when it ran before, or the name is used twice. The job is dead.
            InvalidResult: what it returned cannot be recorded. The job is dead.
            InvalidOption: this is no name or no function, another durable call has not ended, or there are more than
                RECORDS_OF_JOB_MAX. The job is dead.
        """
        if not isinstance(name, str):
            refuse("name", f"is {shown(name)}: a step has a name, ctx.step('charge', charge, order_id)")
        if not callable(function):
            refuse("function", f"is {shown(function)}: give the function and its arguments, not what it returns")
        if retry is not None and not isinstance(retry, Retry):
            refuse("retry", f"is {shown(retry)}: give Retry(...)")
        return self._durable().step(name, function, args, kwargs, retry)

    def sleep(self, delay_s: float) -> Any:
        """Sleep for so many seconds, however long. The job is suspended: it holds no executor and no slot of a limit,
        and that is no attempt. Its time limit counts for each run by itself.

        This raises something that is no `Exception`, to leave the function; when the time has come the job runs from
        its beginning, and this returns. Whoever catches it and goes on has failed (`SuspensionCaught`).

        Raises:
            InvalidOption: this is no number of seconds, or more than DELAY_S_MAX.
            StepChanged: as `step`.
        """
        return self._durable().sleep(check_seconds("delay_s", delay_s))

    def wait_for(self, event: str, timeout_s: float | None = None) -> Any:
        """Wait until somebody signals an event to this job, or to the workflow that it is of: ``app.signal(job.id,
        "approved", {"by": "ann"})``. Answers its payload. The job is suspended, as by `sleep`.

        An event that was signalled before is there already. Each signal is for one wait.

        Args:
            event: its name.
            timeout_s: how long to wait; 0: only look. None: as long as it takes.

        Raises:
            EventTimeout: it has not come in time.
            InvalidOption: this is no name, or no number of seconds.
            StepChanged: as `step`.
        """
        if not isinstance(event, str):
            refuse("event", f"is {shown(event)}: an event has a name")
        limit_s = None if timeout_s is None else check_seconds("timeout_s", timeout_s)
        return self._durable().wait_for(event, limit_s)

    def checkpoint(self, value: Any) -> Any:
        """Keep a value for the next run of this job, durably, in place of the one before: how far it has come in a long
        input. It is plain data. The next run finds it in `restored`.

        Raises:
            InvalidResult: it cannot be kept.
        """
        return self._durable().checkpoint(value)

    @property
    def restored(self) -> Any:
        """What `checkpoint` has kept last, in an earlier run of this job or in this one; None: nothing."""
        return self._durable().restored()

    def publish_value(self, name: str, value: Any) -> None:
        """Show a value to whoever asks: ``job.published("progress")``. The latest of a name counts. It is plain data.

        Does not wait for anything, so a coroutine calls it as it is. It is durable soon, and when the job's function
        has ended.

        Raises:
            InvalidResult: it cannot be kept.
            InvalidOption: this is no name, or there are more than PUBLISHED_VALUES_MAX.
        """
        if not isinstance(name, str):
            refuse("name", f"is {shown(name)}: a value is published under a name")
        self._durable().publish_value(name, value)
