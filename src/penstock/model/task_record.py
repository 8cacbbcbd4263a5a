"""Tasks as workers record them. `penstock.model.job` hands this on: callers import it from there."""

from __future__ import annotations

from msgspec import Struct

from penstock.model import limits
from penstock.model.flow import TaskFlow
from penstock.model.numbers import Seconds, Whole


class TaskRecord(Struct, array_like=True, frozen=True):
    """A task as a worker recorded it, for gates without the application and for the owner's own decisions.

    ``schema`` describes the parameters for people (JSON); it validates nothing. ``flow``: what the task declares of
    limits, unique jobs, fairness and search; None: nothing.
    """

    name: str
    queue: str = "default"
    priority: Whole = 0
    max_attempts: Whole = limits.MAX_ATTEMPTS
    expires_s: Seconds | None = None
    keep_result_s: Seconds = limits.KEEP_RESULT_S
    keep_record_s: Seconds = limits.KEEP_RECORD_S
    tags: tuple[str, ...] = ()
    schema: str | None = None
    flow: TaskFlow | None = None
