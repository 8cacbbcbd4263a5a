"""Jobs that enqueue others with their outcome, and end when a test lets them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry

app = Penstock()
MARKS = Path(os.environ["MARKS"])
CHILDREN = 3


def mark(name: str) -> int:
    """Note that something happened in this process. Answers how often it has happened."""
    path = MARKS / name
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(path.read_text().split())


def is_let_go(name: str) -> bool:
    return (MARKS / f"{name}.go").exists()


@app.task(queue="children")
def child(parent: str, number: int) -> int:
    mark(f"children of {parent}")
    return number


def bear(ctx: Context, name: str) -> list[str]:
    """Enqueue others with the outcome. Answers their ids."""
    return [ctx.enqueue(child.s(name, number)) for number in range(CHILDREN)]


@app.task
def parent(ctx: Context, name: str) -> list[str]:
    ids = bear(ctx, name)
    mark(name)
    while not is_let_go(name):
        time.sleep(0.01)
    mark(f"end of {name}")
    return ids


@app.task
async def parent_async(ctx: Context, name: str) -> list[str]:
    ids = bear(ctx, name)
    mark(name)
    while not is_let_go(name):
        await asyncio.sleep(0.01)
    mark(f"end of {name}")
    return ids


@app.task(executor="thread")
def parent_thread(ctx: Context, name: str) -> list[str]:
    return parent.function(ctx, name)


@app.task
def dies_first(ctx: Context, name: str) -> list[str]:
    """Its executor is gone after the last line of its body, the first time."""
    ids = bear(ctx, name)
    if mark(name) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ids


@app.task(retry=Retry(max_attempts=3, base_s=0.01))
def fails(ctx: Context, name: str, times: int) -> list[str]:
    ids = bear(ctx, name)
    if mark(name) <= times:
        raise ValueError(name)
    return ids


@app.task(keep_record_s=0, keep_result_s=0)
def forgotten(ctx: Context, name: str) -> None:
    bear(ctx, name)
