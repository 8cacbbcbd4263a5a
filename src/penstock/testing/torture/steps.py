"""Durable steps as a part of the load: what a job with steps does, and what it writes down of each.

Each call of a step's function makes a value that no other call makes, and writes it down. What the step then comes to
is written down as well, by every run of the job that learns of it: so the audit sees a step that is done again although
it was recorded, and a run that is given what another call has made.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import Final, NamedTuple
from uuid import UUID

from penstock.model.errors import StepFailed
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry
from penstock.testing.torture.executions import NotYetError, fence_of, journal, span_s
from penstock.testing.torture.records import StepBegun, StepKept

FIRST: Final = "first"
REFUSED: Final = "refused"
LAST: Final = "last"
NAMES: Final = (FIRST, REFUSED, LAST)
"""The steps of a job, in the order in which it makes them."""
_SLEEP_S: Final = (0.05, 0.5)
_STUMBLES: Final = 3
"""One of so many calls of the last step fails, and is tried again."""
_AGAIN: Final = Retry(max_attempts=100, base_s=0.05, max_s=0.1)


class RefusedError(Exception):
    """What a step raises that is never done; the job catches it."""


class Run(NamedTuple):
    """One run of a job.

    Attributes:
        job: its id, in hexadecimal.
        fence: of the lease that it runs under.
    """

    log: str
    job: str
    fence: int

    def call(self, name: str) -> str:
        """A step's function is called. Answers the value that this call makes."""
        value = secrets.token_hex(8)
        journal(self.log, os.getpid()).write(StepBegun(self.job, name, self.fence, value))
        return value

    def keep(self, name: str, value: str) -> str:
        """A step is known to be recorded, and came to this."""
        journal(self.log, os.getpid()).write(StepKept(self.job, name, self.fence, value))
        return value


def _do(run: Run, name: str) -> str:
    return run.call(name)


async def _do_async(run: Run, name: str) -> str:
    await asyncio.sleep(0)
    return run.call(name)


def _refuse(run: Run, name: str) -> str:
    raise RefusedError(run.call(name))


def _stumble(run: Run, name: str) -> str:
    value = run.call(name)
    if int(value, 16) % _STUMBLES == 0:
        raise NotYetError(value)
    return value


def walk(ctx: Context, log: str, token: str) -> list[str]:
    """A step, one whose failure is caught, a sleep, and a step that is tried until it succeeds. Answers what they came
    to."""
    run, refused = _run(ctx, log), ""
    first = run.keep(FIRST, ctx.step(FIRST, _do, run, FIRST))
    try:
        ctx.step(REFUSED, _refuse, run, REFUSED)
    except StepFailed as failed:
        refused = failed.message
    ctx.sleep(span_s(token, _SLEEP_S))
    # The failure that was caught is recorded with what comes next.
    run.keep(REFUSED, refused)
    return [first, refused, run.keep(LAST, ctx.step(LAST, _stumble, run, LAST, retry=_AGAIN))]


async def walk_async(ctx: Context, log: str, token: str) -> list[str]:
    """As `walk`, in a coroutine."""
    run, refused = _run(ctx, log), ""
    first = run.keep(FIRST, await ctx.step(FIRST, _do_async, run, FIRST))
    try:
        await ctx.step(REFUSED, _refuse, run, REFUSED)
    except StepFailed as failed:
        refused = failed.message
    await ctx.sleep(span_s(token, _SLEEP_S))
    run.keep(REFUSED, refused)
    return [first, refused, run.keep(LAST, await ctx.step(LAST, _stumble, run, LAST, retry=_AGAIN))]


def _run(ctx: Context, log: str) -> Run:
    return Run(log, UUID(ctx.job_id).hex, fence_of(ctx))
