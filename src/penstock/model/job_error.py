"""Why a job failed.

`penstock.model.job` hands these on: callers import them from there.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

UNKNOWN_TASK: Final = "UnknownTask"
"""The `JobError.type` of a job whose task is not known where it was to run."""


class JobError(Struct, array_like=True, frozen=True):
    """Why a job failed. ``type`` is the exception's class name, or TimeLimitExceeded, WorkerLost, Expired, Corrupt,
    Unanswered."""

    type: str
    message: str
    traceback: str | None = None
