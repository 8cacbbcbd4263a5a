"""Tasks that kill their executor in one way or another, and harmless ones beside them. See `worker_app`."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from pathlib import Path

from penstock.tasks.app import Penstock

app = Penstock()
MARKS = Path(os.environ["MARKS"])


def mark(name: str) -> None:
    """Note that something happened in this process."""
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def is_let_go(name: str) -> bool:
    return (MARKS / f"{name}.go").exists()


def hold(name: str) -> str:
    mark(name)
    while not is_let_go(name):
        time.sleep(0.01)
    return "done"


@app.task
async def bystander(name: str) -> str:
    mark(name)
    while not is_let_go(name):
        await asyncio.sleep(0.01)
    return "done"


@app.task(executor="thread")
def bystander_thread(name: str) -> str:
    return hold(name)


@app.task(executor="process")
def bystander_process(name: str) -> str:
    return hold(name)


@app.task
async def exits() -> None:
    mark("poison")
    os._exit(1)


@app.task
async def exits_after_it_returned() -> None:
    mark("poison")
    asyncio.get_running_loop().call_soon(os._exit, 1)


@app.task(executor="thread")
def exits_in_a_thread() -> None:
    mark("poison")
    os._exit(1)


@app.task(executor="process")
def crashes() -> None:
    mark("poison")
    ctypes.string_at(0)


@app.task
async def leaves_a_bomb() -> str:
    """Takes along whoever marks "it" in this process."""
    threading.Thread(target=_strike, daemon=True).start()
    return "done"


def _strike() -> None:
    while str(os.getpid()) not in ((MARKS / "it").read_text().split() if (MARKS / "it").exists() else []):
        time.sleep(0.01)
    os._exit(1)


@app.task
async def exits_once() -> str:
    if (MARKS / "poison").exists():
        return "done"
    mark("poison")
    os._exit(1)
