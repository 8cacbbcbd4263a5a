"""From what a job's function did to the outcome that is settled. Pure: randomness is handed in.

Whatever a function raises, SystemExit and KeyboardInterrupt included, is a failure of that one job.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import TimeLimitExceeded
from penstock.model.job import UNKNOWN_TASK, Buried, JobError, Refused, Retried, Snoozed
from penstock.tasks.retry import Random, Retry, Snooze
from penstock.worker.messages import TaskSheet

Failure = Retried | Buried | Snoozed


class Retries(Protocol):
    """The part of a retry policy that decides over a failure: `penstock.tasks.retry.Retry` has it."""

    def decide(self, exception: BaseException, attempt: int, random: Random) -> float | None:
        """Seconds until the next attempt; None: the job is dead."""
        ...


def failure(
    retry: Retries, fence: int, attempt: int, started_at: float, exception: BaseException, random: Random
) -> Failure:
    """The outcome of an attempt that raised.

    Args:
        attempt: counted from 1.
        started_at: Unix seconds.
    """
    if isinstance(exception, Snooze):
        return Snoozed(fence, exception.delay_s)
    try:
        delay_s = retry.decide(exception, attempt, random)
    except Exception as broken:  # noqa: BLE001 - a subclass check of the user's own may raise anything
        exception, delay_s = broken, None
    error = _without_traceback(exception) if exception.__traceback__ is None else job_error(exception)
    return Buried(fence, error, started_at) if delay_s is None else Retried(fence, delay_s, error)


def hopeless(fence: int, started_at: float, exception: BaseException) -> Buried:
    """The outcome of an attempt whose result cannot be encoded. It is not repeated: that would end in the same way."""
    return Buried(fence, job_error(exception), started_at)


def unknown(name: str, fence: int) -> Refused:
    """The outcome of a job whose task is not known here. Another worker may know it."""
    return Refused(fence, JobError(UNKNOWN_TASK, f"No task named {name!r} is known to this worker."))


def unfit(fence: int, exception: BaseException) -> Refused:
    """The outcome of a job whose arguments do not fit its task here. They may fit a version that another worker has."""
    return Refused(fence, _without_traceback(exception))


def never_ran(fence: int, started_at: float, exception: BaseException) -> Buried:
    """The outcome of a job of which no line of the user's code has run, or none that is to blame. So the error has no
    traceback."""
    return Buried(fence, _without_traceback(exception), started_at)


def over_time(sheet: TaskSheet, fence: int, attempt: int, started_at: float, random: Random) -> Failure:
    """The outcome of an attempt that was over its time limit. The supervisor makes it: the executor was killed."""
    error = TimeLimitExceeded(f"{sheet.name} ran longer than its time limit of {sheet.timeout_s:g} s.")
    if not sheet.retries_timeout:
        return never_ran(fence, started_at, error)
    return failure(retry_of(sheet), fence, attempt, started_at, error, random)


def worker_lost(pid: int, status: int | None, tail: str, others: int = 0) -> JobError:
    """The error of a job that was lost with its executor.

    Args:
        status: how it exited, below 0 a signal. None: nobody saw it.
        tail: the last of what it printed.
        others: how many more jobs were lost with it.
    """
    if status is None:
        how = "is gone"
    elif status >= 0:
        how = f"exited with status {status}"
    else:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else "unknown"
        how = f"was killed by signal {-status} ({name})"
    company = f" and {others} more" if others else ""
    message = f"Executor {pid} {how} while it ran this job{company}."
    if tail:
        message += f" Its last output: {tail}"
    return JobError("WorkerLost", clean(message, limits.ERROR_MESSAGE_BYTES_MAX))


def retry_of(sheet: TaskSheet) -> Retry:
    """The retry policy that a sheet describes."""
    return Retry(
        max_attempts=sheet.max_attempts,
        backoff=sheet.backoff,  # type: ignore[arg-type]  # Retry checks it
        base_s=sheet.base_s,
        factor=sheet.factor,
        max_s=sheet.max_s,
        jitter=sheet.jitter,
    )


def job_error(exception: BaseException) -> JobError:
    """What is stored of an exception: type, message and traceback. It never raises, whatever the exception's own
    methods do."""
    error = _without_traceback(exception)
    trace = _guarded(lambda: "".join(traceback.format_exception(exception)), None)
    return error if trace is None else replace(error, traceback=clean(trace, limits.TRACEBACK_BYTES_MAX, tail=True))


def _without_traceback(exception: BaseException) -> JobError:
    """As `job_error`, without the traceback, which takes long to write."""
    kind = type(exception).__name__
    message = _guarded(lambda: str(exception), f"<{kind} whose text cannot be had>")
    return JobError(clean(kind, limits.ERROR_MESSAGE_BYTES_MAX), clean(message or "", limits.ERROR_MESSAGE_BYTES_MAX))


def _guarded(make: Callable[[], str], otherwise: str | None) -> str | None:
    try:
        made = make()
    except BaseException:  # noqa: BLE001 - it is the user's __str__ that runs here
        return otherwise
    return made if isinstance(made, str) else otherwise


def clean(text: str, bytes_max: int, *, tail: bool = False) -> str:
    """Text that can be encoded and is no longer than ``bytes_max`` in UTF-8: its beginning, or its ``tail``."""
    # Cut before encoding too: a message may have a hundred million characters.
    encoded = (text[-bytes_max:] if tail else text[:bytes_max]).encode("utf-8", "replace")
    if len(encoded) > bytes_max:
        encoded = encoded[-bytes_max:] if tail else encoded[:bytes_max]
    return encoded.decode("utf-8", "ignore")
