"""Jobs with durable steps, which pause between two of them until a test lets them go on."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.flow_rules import Concurrency
from penstock.tasks.retry import Retry

app = Penstock()
MARKS = Path(os.environ["MARKS"])
STEPS = 5
PAUSE_AFTER = 2


def mark(name: str) -> None:
    """Note that something happened in this process."""
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def is_let_go(name: str) -> bool:
    return (MARKS / f"{name}.go").exists()


def do(name: str, number: int) -> int:
    mark(f"{name} step {number}")
    return number * number


async def do_async(name: str, number: int) -> int:
    await asyncio.sleep(0)
    return do(name, number)


def walk_plainly(ctx: Context, name: str) -> list[int]:
    """Steps, with a pause after some of them."""
    found = []
    for number in range(STEPS):
        found.append(ctx.step(f"step {number}", do, name, number))
        if number == PAUSE_AFTER:
            mark(name)
            while not is_let_go(name):
                time.sleep(0.01)
    mark(f"end of {name}")
    return found


@app.task
def walk(ctx: Context, name: str) -> list[int]:
    return walk_plainly(ctx, name)


@app.task(executor="thread")
def walk_thread(ctx: Context, name: str) -> list[int]:
    return walk_plainly(ctx, name)


@app.task
async def walk_async(ctx: Context, name: str) -> list[int]:
    found = []
    for number in range(STEPS):
        found.append(await ctx.step(f"step {number}", do_async if number % 2 else do, name, number))
        if number == PAUSE_AFTER:
            mark(name)
            while not is_let_go(name):
                await asyncio.sleep(0.01)
    mark(f"end of {name}")
    return found


@app.task
def nap(ctx: Context, name: str, delay_s: float) -> int:
    ctx.step("before", do, name, 1)
    ctx.sleep(delay_s)
    return ctx.step("after", do, name, 2) + ctx.attempt


@app.task
async def nap_async(ctx: Context, name: str, delay_s: float) -> int:
    await ctx.step("before", do_async, name, 1)
    await ctx.sleep(delay_s)
    return int(await ctx.step("after", do_async, name, 2)) + ctx.attempt


@app.task(executor="thread")
def nap_thread(ctx: Context, name: str, delay_s: float) -> int:
    ctx.step("before", do, name, 1)
    ctx.sleep(delay_s)
    return ctx.step("after", do, name, 2) + ctx.attempt


@app.task(limits=[Concurrency(1)])
def approval(ctx: Context, name: str) -> list[object]:
    mark(name)
    return [ctx.wait_for("approved"), ctx.attempt]


@app.task
def who() -> int:
    return os.getpid()


@app.task(retry=Retry(max_attempts=10, base_s=0.0))
def cursor(ctx: Context, name: str, rows: int) -> int:
    """Goes through rows, and fails now and then."""
    first = ctx.restored or 0
    for row in range(first, rows):
        mark(f"{name} row {row}")
        ctx.checkpoint(row + 1)
        ctx.publish_value("rows", row + 1)
        if row % 7 == 6:
            raise ValueError("stumbled")
    return rows


@app.task
def forks(ctx: Context) -> str:
    """A process that it forks asks for a step too."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctx.step("child", int)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(read, 1_000).decode()
    assert ctx.step("parent", int) == 0
    return told


@app.task
async def blocked(ctx: Context, name: str) -> str:
    """A time limit in the middle of a step."""
    await ctx.step("first", do, name, 1)
    await ctx.step("second", asyncio.sleep, 3_600)
    return "never"
