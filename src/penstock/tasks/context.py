"""What a running job knows of itself and may say."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import id_text, new_id
from penstock.model.job import Progress

_LOGGER = logging.getLogger("penstock.task")


def _unheard(progress: Progress) -> None:
    """Nobody follows a job that is called by hand."""


def _never() -> bool:
    return False


class Context:
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
    ) -> None:
        """Made by the executor; to call a task by hand use `local`.

        ``job_id`` has 16 bytes. ``report_progress`` takes what the job says of its progress and ``is_cancelled`` says
        whether somebody has asked for the job not to finish; both are called from the job's own thread.
        """
        self._job_id = job_id
        self.task = task
        self.queue = queue
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.deadline = deadline
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self._report_progress = report_progress
        self._is_cancelled = is_cancelled
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
    ) -> Context:
        """A context of no job, to call a task here and now: ``thumbnail(Context.local(), "cat.png")``."""
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

    def __repr__(self) -> str:
        return f"<Context of {self.task} job {self.job_id}, attempt {self.attempt} of {self.max_attempts}>"


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
