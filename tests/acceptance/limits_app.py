"""Jobs under limits, which note who runs beside them, and end when a test lets them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock import Concurrency, Penstock

app = Penstock()
MARKS = Path(os.environ.get("MARKS", "marks"))
app.queue("narrow", limits=[Concurrency(3)])


@contextmanager
def running(group: str) -> Iterator[None]:
    """Note how many jobs of a group run at the same time as this one, this one counted."""
    place = MARKS / f"running {group}"
    place.mkdir(exist_ok=True)
    own = place / f"{os.getpid()} {time.monotonic_ns()}"
    own.touch()
    with (MARKS / f"beside {group}").open("a") as file:
        file.write(f"{len(list(place.iterdir()))}\n")
    yield
    own.unlink()


def is_held(group: str) -> bool:
    return (MARKS / f"{group}.hold").exists()


@app.task(limits=[Concurrency(2, per="tenant")])
async def serve(tenant: str, number: int) -> int:
    with running(tenant):
        while is_held(tenant):
            await asyncio.sleep(0.01)
    return number


@app.task(limits=[Concurrency(2, per="tenant")])
def serve_plain(tenant: str, number: int) -> int:
    with running(tenant):
        while is_held(tenant):
            time.sleep(0.01)
    return number


@app.task(queue="narrow")
async def squeeze(number: int) -> int:
    with running("narrow"):
        while is_held("narrow"):
            await asyncio.sleep(0.01)
    return number
