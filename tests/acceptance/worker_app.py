"""Tasks for the acceptance tests of the worker. What they did is read from the directory in MARKS."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import os
import signal
import time
from pathlib import Path

from penstock.model import limits
from penstock.model.errors import SoftTimeLimitExceeded
from penstock.model.job import Progress
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry, Snooze

app = Penstock()
FORGET = {"keep_result_s": 0, "keep_record_s": 0}
ONCE = Retry(max_attempts=1)
MARKS = Path(os.environ["MARKS"])
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")


def mark(name: str) -> None:
    """Note that something happened in this process."""
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def hold(name: str) -> None:
    """Mark, then wait until the test lets go by making ``NAME.go``."""
    mark(name)
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.01)


@app.task(**FORGET)
def noop() -> None:
    pass


@app.task(**FORGET)
async def noop_async() -> None:
    pass


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def held(name: str) -> str:
    hold(name)
    return "done"


@app.task
async def held_async(name: str) -> str:
    mark(name)
    while not (MARKS / f"{name}.go").exists():
        await asyncio.sleep(0.01)
    return "done"


@app.task
async def half_done(ctx: Context, name: str) -> str:
    ctx.progress(1, 2, "half")
    return await held_async(name)


@app.task(executor="thread")
def half_done_thread(ctx: Context, name: str) -> str:
    ctx.progress(1, 2, "half")
    mark(name)
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.01)
    return "done"


@app.task(executor="thread")
def held_thread(name: str) -> str:
    hold(name)
    return "done"


@app.task
def killer(name: str) -> None:
    mark(name)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def segfault() -> None:
    print("last words", flush=True)
    ctypes.string_at(0)


@app.task(timeout_s=0.3, retry=ONCE)
def endless() -> None:
    mark("endless")
    while True:
        pass


@app.task(timeout_s=0.3, retry=Retry(max_attempts=2, base_s=0.0))
def endless_twice() -> None:
    mark("endless_twice")
    time.sleep(600)


@app.task(timeout_s=0.3, retry=ONCE)
async def endless_async() -> None:
    try:
        await asyncio.sleep(600)
    finally:
        mark("cleaned up")


@app.task(timeout_s=0.3, retry=ONCE)
async def blocking_async() -> None:
    time.sleep(600)


@app.task(timeout_s=0.3, retry=ONCE, executor="thread")
def endless_thread() -> None:
    while True:
        time.sleep(0.01)


@app.task(soft_timeout_s=0.2)
def soft() -> str:
    try:
        time.sleep(600)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@app.task(soft_timeout_s=0.2)
async def soft_async() -> str:
    try:
        await asyncio.sleep(600)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@app.task(soft_timeout_s=0.2, executor="thread")
def soft_thread() -> str:
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task
def attentive(ctx: Context) -> None:
    mark("attentive")
    while not ctx.cancelled():
        time.sleep(0.01)


@app.task
def deaf() -> None:
    mark("deaf")
    while True:
        time.sleep(0.01)


@app.task
async def set_variable() -> str:
    seen = variable.get()
    variable.set("dirty")
    await asyncio.sleep(0)
    return seen


@app.task
def set_variable_plain() -> str:
    seen = variable.get()
    variable.set("dirty")
    return seen


@app.task(retry=ONCE)
def exits() -> None:
    raise SystemExit("no")


class Weird(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@app.task(retry=ONCE)
def weird() -> None:
    raise Weird


@app.task
def odd() -> object:
    return object()


@app.task(retry=Retry(max_attempts=3, base_s=0.01))
def flaky(ctx: Context) -> int:
    if ctx.attempt < 3:
        raise ValueError("not yet")
    return ctx.attempt


@app.task
def snoozer(ctx: Context) -> int:
    if not (MARKS / "snoozed").exists():
        mark("snoozed")
        raise Snooze(0.01)
    return ctx.attempt


@app.task
async def cancels_itself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return "done"


@app.task
def context(ctx: Context) -> list[str]:
    ctx.progress(1, 2, "half")
    return [ctx.task, ctx.queue, str(ctx.attempt), ctx.headers.get("who", "")]


@app.task
def noted(ctx: Context) -> str:
    ctx.progress(1, 2, "\ud800" + "x" * 100_000_000)
    return "done"


@app.task(retry=ONCE)
def unreportable(ctx: Context) -> None:
    mark("unreportable")
    # What `progress` does not let pass: it stands for anything that cannot be sent.
    ctx._report_progress(Progress(1.0, None, "\ud800"))
    time.sleep(600)


arrived: list[asyncio.Future[None]] = []


@app.task
async def large(count: int) -> bytes:
    """The largest result there is, from so many in one turn of the loop."""
    mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    arrived.append(mine)
    if len(arrived) == count:
        for one in arrived:
            one.set_result(None)
    await mine
    return b"x" * (limits.RESULT_BYTES_MAX - 64)
