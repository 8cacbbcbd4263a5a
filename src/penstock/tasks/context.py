"""What a running job knows of itself and may say."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import cache
from numbers import Real
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import id_text, new_id
from penstock.model.job import Progress
from penstock.tasks.durable_context import DurableCalls, DurableContext

_LOGGER = logging.getLogger("penstock.task")


def _unheard(progress: Progress) -> None:
    """Nobody follows a job that is called by hand."""


def _never() -> bool:
    return False


@runtime_checkable
class TaskCall(Protocol):
    """A call of a task that has not been made: `penstock.tasks.canvas.composition.Signature`, which knows of contexts
    and so cannot be known here."""

    @property
    def task(self) -> Any: ...  # noqa: D102 - as in Signature
    @property
    def args(self) -> tuple[Any, ...]: ...  # noqa: D102 - as in Signature
    @property
    def kwargs(self) -> dict[str, Any]: ...  # noqa: D102 - as in Signature
    @property
    def job_options(self) -> Any: ...  # noqa: D102 - as in Signature


@runtime_checkable
class Composition(Protocol):
    """Calls put together: `penstock.tasks.canvas.composition.Canvas`, which cannot be known here either."""

    def build(self) -> Any:
        """Check all of it."""
        ...

    def described(self) -> str:
        """What it is of, in a few words."""
        ...


def _checked_only(call: TaskCall | Composition) -> bytes:
    """A job that is called by hand enqueues nothing, but what it asks for must be right all the same."""
    if isinstance(call, TaskCall):
        call.task.codec.encode(call.args, call.kwargs)
    else:
        call.build()
    return new_id()


def _nothing(*_: Any) -> None:
    """Nobody asks."""


class Context(DurableContext):
    """The job that runs, as its own function sees it: the first argument of a task that asks for it.

    Attributes:
        task: the task's name.
        queue: the queue it was taken from.
        attempt: which attempt this is, counted from 1.
        max_attempts: after how many the job is dead.
        deadline: Unix seconds at which the time limit ends the job. None: it has no limit.
        headers: what the producer sent along; read only by convention.
    """

    __slots__ = (
        "_add_member",
        "_enqueue",
        "_is_cancelled",
        "_job_id",
        "_logger",
        "_report_progress",
        "attempt",
        "deadline",
        "headers",
        "max_attempts",
        "queue",
        "task",
    )

    def __init__(
        self,
        *,
        job_id: bytes,
        task: str,
        queue: str,
        attempt: int,
        max_attempts: int,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
        report_progress: Callable[[Progress], None] = _unheard,
        is_cancelled: Callable[[], bool] = _never,
        enqueue: Callable[[TaskCall | Composition], bytes] = _checked_only,
        add_member: Callable[[TaskCall], bytes] = _checked_only,
        durable: Callable[[], DurableCalls] | None = None,
    ) -> None:
        """Made by the executor; to call a task by hand use `local`.

        ``job_id`` has 16 bytes. ``report_progress`` takes what the job says of its progress, ``is_cancelled`` says
        whether somebody has asked for the job not to finish. ``enqueue`` keeps a call, or a canvas, until the job
        succeeds, and answers the id that it will have; ``add_member`` does so for a call that joins the group that the
        job is in. All are called from whichever thread the job calls. ``durable`` gives what answers the durable calls;
        None: they are made here and now.
        """
        self._durable = _local_steps() if durable is None else durable
        self._job_id = job_id
        self.task = task
        self.queue = queue
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.deadline = deadline
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self._report_progress = report_progress
        self._is_cancelled = is_cancelled
        self._enqueue = enqueue
        self._add_member = add_member
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @classmethod
    def local(
        cls,
        *,
        task: str = "local",
        queue: str = "default",
        attempt: int = 1,
        max_attempts: int = 1,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
        report_progress: Callable[[Progress], None] = _unheard,
        is_cancelled: Callable[[], bool] = _never,
        enqueue: Callable[[TaskCall | Composition], bytes] = _checked_only,
        add_member: Callable[[TaskCall], bytes] = _checked_only,
        events: Mapping[str, Any] | None = None,
        restored: Any = None,
        on_sleep: Callable[[float], object] = _nothing,
        on_publish: Callable[[str, Any], object] = _nothing,
    ) -> Context:
        """A context of no job, to call a task here and now: ``thumbnail(Context.local(), "cat.png")``.

        What the task enqueues is checked and goes nowhere; give ``enqueue`` to see it. It answers an id of 16 bytes.

        Durable steps are called, and nothing is recorded. Nothing waits: ``ctx.sleep`` calls ``on_sleep`` with the
        seconds, and goes on; ``ctx.wait_for`` answers what ``events`` has for the event, else it has timed out, or,
        where it has no limit, raises InvalidOption. ``restored`` is what ``ctx.restored`` is, and ``on_publish`` is
        called with the name and the value of what is published.
        """
        return cls(
            job_id=new_id(),
            task=task,
            queue=queue,
            attempt=attempt,
            max_attempts=max_attempts,
            deadline=deadline,
            headers=headers,
            report_progress=report_progress,
            is_cancelled=is_cancelled,
            enqueue=enqueue,
            add_member=add_member,
            durable=_local_steps(events or {}, restored, on_sleep, on_publish),
        )

    @property
    def job_id(self) -> str:
        """The job's id in its text form. The same at every attempt: a key for what must happen once."""
        return id_text(self._job_id)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry ``job_id``, ``task`` and ``attempt``, and whose lines begin with them."""
        if self._logger is None:
            self._logger = _JobLogger(_LOGGER, {"job_id": self.job_id, "task": self.task, "attempt": self.attempt})
        return self._logger

    def cancelled(self) -> bool:
        """Whether somebody has asked for this job not to finish. Long loops ask now and then, and return or raise."""
        return self._is_cancelled()

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far the job is: ``done`` of ``total`` (None: unknown), with a short ``note``. Only the last one
        counts; reports are sent on in batches, so call it as often as you like.

        Of a note over PROGRESS_NOTE_BYTES_MAX the beginning is kept.

        Raises:
            InvalidOption: ``done`` or ``total`` is not a finite number, or ``note`` is not text.
        """
        total = None if total is None else _finite("total", total)
        self._report_progress(Progress(_finite("done", done), total, None if note is None else _cut(note)))

    def enqueue(self, call: TaskCall | Composition) -> str:
        """Enqueue another job, or a workflow, together with this one's success: ``ctx.enqueue(task.s(1))``,
        ``ctx.enqueue(chain(…))``.

        The call is checked now, and its options (``task.options(…).s(1)``) apply. The job lands in the very transaction
        that commits this job's outcome. So it lands once, however often this job runs, and not at all when this attempt
        fails, snoozes, is cancelled or is lost. A delay counts from then on. To enqueue something at once, whatever
        becomes of this job, use ``task.enqueue(1)``.

        Does not wait for anything, so a coroutine calls it as it is.

        Returns:
            The id that the new job, or workflow, will have. Nothing is known under it before this job has succeeded,
            nor after, when the idempotency key of the call was used before.

        Raises:
            InvalidOption: it is no call of a task of this application, this attempt has ended, this is a process that
                the job has forked, or they are more than CHILDREN_MAX.
            InvalidArguments: the arguments do not fit the task, or cannot be sent.
            BodyTooLarge: its arguments are over the limit, or all that this job enqueues are over CHILDREN_BYTES_MAX.
        """
        if not isinstance(call, (TaskCall, Composition)):
            raise InvalidOption(
                f"ctx.enqueue takes a call of a task, such as ctx.enqueue(task.s(1)), not {type(call).__name__}.",
                field="call",
            )
        return id_text(self._enqueue(call))

    def add_members(self, *calls: TaskCall) -> list[str]:
        """Add members to the group that this job is in, together with its success: ``ctx.add_members(visit.s(url))``.

        The group's value has theirs after those of its first members, and what follows it waits for them too. Otherwise
        as `enqueue`.

        Returns:
            The ids that their jobs will have.

        Raises:
            InvalidOption: the job is of no workflow, one is no plain call of a task of this application, this attempt
                has ended, or they are more than CHILDREN_MAX.
            InvalidArguments, BodyTooLarge: as `enqueue`.
        """
        for call in calls:
            if not isinstance(call, TaskCall):
                raise InvalidOption(
                    f"ctx.add_members takes calls of tasks, such as task.s(1), not {type(call).__name__}.", field="call"
                )
        return [id_text(self._add_member(call)) for call in calls]

    def __repr__(self) -> str:
        return f"<Context of {self.task} job {self.job_id}, attempt {self.attempt} of {self.max_attempts}>"


def _local_steps(
    events: Mapping[str, Any] = MappingProxyType({}),
    restored: Any = None,
    on_sleep: Callable[[float], object] = _nothing,
    on_publish: Callable[[str, Any], object] = _nothing,
) -> Callable[[], DurableCalls]:
    """What answers the durable calls of a function that is called by hand."""

    @cache
    def made() -> DurableCalls:
        # Most functions make none, and a producer need not load it.
        from penstock.tasks.local_steps import LocalSteps

        return LocalSteps(events, restored, on_sleep, on_publish)

    return made


def _finite(field: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidOption(f"{field} must be a finite number, not {type(value).__name__}.", field=field)
    return number


def _cut(note: Any) -> str:
    """Text that can be encoded, however odd, and is short."""
    if not isinstance(note, str):
        raise InvalidOption(f"note must be text, not {type(note).__name__}.", field="note")
    bytes_max = limits.PROGRESS_NOTE_BYTES_MAX
    return note[:bytes_max].encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore")


class _JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts the job in front of each line."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        extra: Any = self.extra
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"{extra['task']} {extra['job_id']}: {msg}", kwargs
