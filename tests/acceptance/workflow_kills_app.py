"""Tasks that note each of their edges in a journal, and stop there while a test holds them.

A name such as ``chord.b`` says whose the edge is: of the call ``b`` of the sample ``chord``. What a call returns is its
name, a token that no other execution has, and what it was given: ``chord.b#5f3a(chord.a#77d0())``. So whoever is given
two outcomes of one call can be told.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from penstock import Context, Group, Penstock, Retry, chain, group

app = Penstock()
MARKS = Path(os.environ.get("MARKS", "."))
ONCE = Retry(max_attempts=1)
LOOK_S = 0.005


def note(run: str, name: str, what: str, job: str = "", value: object = None) -> None:
    """One line of the journal of a sample, whole or not at all, there whoever is killed next."""
    line = json.dumps([what, name, job, os.getpid(), value]).encode() + b"\n"
    descriptor = os.open(MARKS / f"{run}.{name.partition('.')[0]}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def hold_of(run: str, edge: str) -> Path:
    """While this file is there, whoever comes to the edge waits."""
    return MARKS / f"{run} {edge}.hold"


def phase_of(run: str, name: str) -> Path:
    """This file is there when a workflow has been retried, or forked."""
    return MARKS / f"{run} {name.partition('.')[0]}.again"


def here(run: str, name: str) -> str:
    """A call by its name; by another one when it runs in a workflow that was retried, or in a fork."""
    return f"{name}-again" if phase_of(run, name).exists() else name


def has_come(run: str, name: str, what: str) -> bool:
    """Whether this stands in the journal."""
    path = MARKS / f"{run}.{name.partition('.')[0]}"
    return path.exists() and any(json.loads(line)[:2] == [what, name] for line in path.read_bytes().splitlines())


async def edge(run: str, name: str, what: str, job: str, value: object = None) -> None:
    """An edge of a coroutine function."""
    note(run, name, what, job, value)
    hold = hold_of(run, f"{name} {what}")
    if hold.exists():
        note(run, name, "held", job, what)
        while hold.exists():
            await asyncio.sleep(LOOK_S)
        note(run, name, "let go", job, what)


def plain_edge(run: str, name: str, what: str, job: str, value: object = None) -> None:
    """An edge of a plain function."""
    note(run, name, what, job, value)
    hold = hold_of(run, f"{name} {what}")
    if hold.exists():
        note(run, name, "held", job, what)
        while hold.exists():
            time.sleep(LOOK_S)
        note(run, name, "let go", job, what)


def shown(value: object) -> str:
    """What a call was given, as it is part of what it returns."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return str(value)


def outcome(name: str, given: tuple[object, ...]) -> str:
    return f"{name}#{os.urandom(4).hex()}({','.join(map(shown, given))})"


# --- bodies that succeed ----------------------------------------------------------------------------------------------


@app.task
async def work(ctx: Context, run: str, name: str, *given: Any) -> str:
    name = here(run, name)
    await edge(run, name, "begin", ctx.job_id, shown(list(given)))
    value = outcome(name, given)
    await edge(run, name, "end", ctx.job_id)
    return value


@app.task
def plain(ctx: Context, run: str, name: str, *given: Any) -> str:
    """The same in an executor's main thread."""
    plain_edge(run, name, "begin", ctx.job_id, shown(list(given)))
    value = outcome(name, given)
    plain_edge(run, name, "end", ctx.job_id)
    return value


@app.task(executor="thread")
def threaded(ctx: Context, run: str, name: str, *given: Any) -> str:
    """The same in a thread."""
    return plain.function(ctx, run, name, *given)


@app.task
async def single(ctx: Context, run_and_name: str) -> str:
    """`work` with one argument, for `map`."""
    return await work.function(ctx, *run_and_name.split())


@app.task
async def undo(ctx: Context, run: str, name: str, given: str) -> str:
    """A compensation."""
    return await work.function(ctx, run, name, given)


@app.task
async def callback(ctx: Context, run: str, name: str, *given: Any) -> str:
    return await work.function(ctx, run, name, *given)


@app.task
async def told(ctx: Context, error: dict[str, str | None], run: str, name: str) -> str:
    """A callback for errors."""
    return await work.function(ctx, run, name, f"{error['type']}: {error['message']}")


@app.task
async def returns(ctx: Context, run: str, name: str) -> str | Group[str]:
    """What it returns takes its place."""
    await work.function(ctx, run, name)
    call = work.options(queue=ctx.queue)
    return group(call.partial(run, f"{name}{number}") for number in range(2))


@app.task
async def grow(ctx: Context, run: str, name: str, depth: int) -> str:
    """Its group has further members when it has succeeded."""
    if depth > 0:
        ctx.add_members(*(grow.options(queue=ctx.queue).s(run, f"{name}{number}", depth - 1) for number in range(2)))
    return await work.function(ctx, run, name)


@app.task
async def bears(ctx: Context, run: str, name: str) -> str:
    """With its success a job and a workflow are started."""
    call = work.options(queue=ctx.queue)
    ctx.enqueue(call.partial(run, f"{name}-job"))
    ctx.enqueue(chain(call.partial(run, f"{name}-first"), call.partial(run, f"{name}-second")))
    return await work.function(ctx, run, name)


# --- bodies that do not -----------------------------------------------------------------------------------------------


@app.task(retry=ONCE)
async def fail(ctx: Context, run: str, name: str, *given: Any, after: str | None = None) -> str:
    """Fails. ``after``: not before this other call has begun."""
    await edge(run, name, "begin", ctx.job_id, shown(list(given)))
    while after is not None and not has_come(run, after, "begin"):
        await asyncio.sleep(LOOK_S)
    await edge(run, name, "end", ctx.job_id)
    raise ValueError(f"{name} was asked to fail")


@app.task
async def stay(ctx: Context, run: str, name: str, *given: Any) -> str:
    """Goes on until it is cancelled."""
    await edge(run, name, "begin", ctx.job_id, shown(list(given)))
    await asyncio.sleep(3_600)
    return "never"


@app.task(retry=Retry(max_attempts=3, base_s=0.01, jitter=False))
async def tries(ctx: Context, run: str, name: str) -> str:
    """Succeeds at its third attempt. An attempt that was interrupted does not count."""
    await edge(run, name, f"begin {ctx.attempt}", ctx.job_id)
    value = outcome(name, (ctx.attempt,))
    await edge(run, name, f"end {ctx.attempt}", ctx.job_id)
    if ctx.attempt < 3:
        raise ConnectionError(f"{name} has no luck at attempt {ctx.attempt}")
    return value


@app.task(retry=ONCE)
async def mend(ctx: Context, run: str, name: str, given: str) -> str:
    """Fails until the workflow is retried."""
    name = here(run, name)
    await edge(run, name, "begin", ctx.job_id, given)
    value = outcome(name, (given,))
    await edge(run, name, "end", ctx.job_id)
    if not phase_of(run, name).exists():
        raise ValueError(f"{name} has not been mended")
    return value


# --- durable steps ----------------------------------------------------------------------------------------------------
ROWS = 2


async def do(run: str, name: str, job: str) -> str:
    """A step. Nobody may see two values of it once one was recorded."""
    await edge(run, name, "called", job)
    value = outcome(name, ())
    await edge(run, name, "done", job)
    return value


def do_plainly(run: str, name: str, job: str) -> str:
    plain_edge(run, name, "called", job)
    value = outcome(name, ())
    plain_edge(run, name, "done", job)
    return value


@app.task
async def stepwise(ctx: Context, run: str, name: str) -> str:
    """All that a coroutine can ask for that outlives its process."""
    job = ctx.job_id
    await edge(run, name, "begin", job)
    one = await ctx.step("one", do, run, f"{name}-one", job)
    await edge(run, f"{name}-one", "recorded", job, one)
    await ctx.sleep(0.1)
    await edge(run, name, "slept", job)
    early = await ctx.wait_for("early")
    await edge(run, name, "early", job, early)
    for row in range(ctx.restored or 0, ROWS):
        await edge(run, f"{name}-row{row}", "called", job)
        await ctx.checkpoint(row + 1)
        await edge(run, f"{name}-row{row}", "recorded", job, row)
    late = await ctx.wait_for("late")
    await edge(run, name, "late", job, late)
    two = await ctx.step("two", do, run, f"{name}-two", job)
    await edge(run, f"{name}-two", "recorded", job, two)
    value = outcome(name, (one, early, late, two))
    await edge(run, name, "end", job)
    return value


@app.task(executor="thread")
def stepwise_plain(ctx: Context, run: str, name: str) -> str:
    """Steps of a plain function."""
    job = ctx.job_id
    plain_edge(run, name, "begin", job)
    one = ctx.step("one", do_plainly, run, f"{name}-one", job)
    plain_edge(run, f"{name}-one", "recorded", job, one)
    ctx.sleep(0.1)
    plain_edge(run, name, "slept", job)
    two = ctx.step("two", do_plainly, run, f"{name}-two", job)
    plain_edge(run, f"{name}-two", "recorded", job, two)
    value = outcome(name, (one, two))
    plain_edge(run, name, "end", job)
    return value
