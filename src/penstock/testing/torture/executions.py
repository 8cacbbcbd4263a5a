"""What jobs write down of themselves as they run, whatever they do besides."""

from __future__ import annotations

import os
import secrets
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock.tasks.context import Context
from penstock.testing.torture.records import Execution, RecordFile


class NotYetError(Exception):
    """What a task raises that will succeed later."""


@cache
def journal(log: str, pid: int) -> RecordFile:
    """The file that this process writes to."""
    return RecordFile(Path(log, str(pid)))


def begin(ctx: Context, log: str, token: str) -> str:
    """Write down that this body runs; answers the name of the execution."""
    nonce, pid = secrets.token_hex(8), os.getpid()
    execution = Execution(UUID(ctx.job_id).hex, token, ctx.task, ctx.attempt, fence_of(ctx), nonce, pid)
    journal(log, pid).write(execution)
    return nonce


def fence_of(ctx: Context) -> int:
    """The fence of the lease that this execution runs under. A job is not told; the auditor must know."""
    asks: Any = ctx._is_cancelled  # noqa: SLF001 - see above
    fence: int = asks.__self__.fence
    return fence


def span_s(token: str, bounds: tuple[float, float]) -> float:
    """How long a job takes: the same at every attempt."""
    low, high = bounds
    return low + (high - low) * (sum(token.encode()) % 97) / 96
