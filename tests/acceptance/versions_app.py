"""Two applications on one directory: an older and a newer version of a task, and tasks that only one of them has."""

from __future__ import annotations

import os
import time
from pathlib import Path

from penstock.tasks.app import Penstock
from penstock.tasks.retry import Retry

old, new = Penstock(), Penstock()
MARKS = Path(os.environ["MARKS"])
TWICE = Retry(max_attempts=2, base_s=0.01)


def hold(name: str) -> None:
    """Wait until the test lets go by making ``NAME.go``; ``NAME`` says that it waits."""
    (MARKS / name).write_text(f"{os.getpid()}\n")
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.01)


for app, names in ((old, "old"), (new, "new")):

    @app.task(name=f"{names}.plain", retry=TWICE)
    def plain(number: int, at: str = names) -> str:
        return f"{at} {number}"

    @app.task(name=f"{names}.coroutine", retry=TWICE)
    async def coroutine(number: int, at: str = names) -> str:
        return f"{at} {number}"

    @app.task(name=f"{names}.thread", retry=TWICE, executor="thread")
    def thread(number: int, at: str = names) -> str:
        return f"{at} {number}"


@old.task(name="old.stumble", retry=TWICE)
def stumble(name: str) -> str:
    mark = MARKS / name
    if not mark.exists():
        mark.touch()
        raise ValueError("the first time")
    return "ran"


@old.task(name="shop.paint", retry=TWICE)
def old_paint(number: int) -> str:
    return f"old {number}"


@new.task(name="shop.paint", retry=TWICE)
def new_paint(number: int, colour: str = "white") -> str:
    return f"new {number} {colour}"


@new.task(name="new.hold")
def new_hold(name: str) -> None:
    hold(name)


@new.task(name="new.note")
def note(name: str) -> None:
    (MARKS / name).touch()
