"""The application under the hammer. Each body tells `benchmarks.bodies` that it ran.

"Off" is neither a result nor a record kept: what the figures of most systems are. "Result" and "record" keep one or
the other as long as a day, which is Penstock's default for both.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import bodies
from penstock import Concurrency, Context, Fair, Penstock, Results, Task, Unique

DAY_S = 86_400.0
DURABLE_STEPS = 10

app = Penstock()


@app.task(name="bench.async_off", keep_result_s=0, keep_record_s=0)
async def async_off(number: int) -> None:  # noqa: ARG001 - a payload
    bodies.ran()


@app.task(name="bench.plain_off", keep_result_s=0, keep_record_s=0)
def plain_off(number: int) -> None:  # noqa: ARG001 - a payload
    bodies.ran()


@app.task(name="bench.async_result", keep_result_s=DAY_S, keep_record_s=0)
async def async_result(number: int) -> int:
    bodies.ran()
    return number


@app.task(name="bench.async_record", keep_result_s=0, keep_record_s=DAY_S)
async def async_record(number: int) -> int:
    bodies.ran()
    return number


@app.task(name="bench.async_default")
async def async_default(number: int) -> int:
    bodies.ran()
    return number


@app.task(name="bench.noted", keep_result_s=0, keep_record_s=0)
async def noted(sent_ns: int) -> None:
    bodies.note(time.monotonic_ns() - sent_ns)


@app.task(name="bench.lingering", keep_result_s=0, keep_record_s=0)
def lingering(number: int) -> None:
    """The first run stays until it is killed; the next one ends at once."""
    stage = bodies.Stage(Path(os.environ[bodies.VARIABLE]))
    if stage.enter(number) == 0:
        threading.Event().wait()
    bodies.ran()


@app.task(name="bench.webhook", keep_result_s=0, keep_record_s=0)
async def webhook(payload: dict[str, Any]) -> None:  # noqa: ARG001 - a payload
    bodies.ran()


@app.task(
    name="bench.everything",
    limits=[Concurrency(10, per="key")],
    fair=Fair("tenant"),
    unique=Unique("number"),
    tags=("bench", "flow"),
    keep_result_s=DAY_S,
)
async def everything(number: int, key: str, tenant: str) -> int:  # noqa: ARG001 - what rules go by
    bodies.ran()
    return number


# --- workflows --------------------------------------------------------------------------------------------------------
@app.task(name="bench.gathered", keep_result_s=DAY_S, keep_record_s=0)
async def gathered(numbers: Results[int]) -> int:
    """The callback of a chord: its body counts from its start, and then reads all results."""
    bodies.ran()
    total = 0
    async for number in numbers:
        total += number
    return total


@app.task(name="bench.link", keep_result_s=DAY_S, keep_record_s=0)
async def link(number: int) -> int:
    """A step of a chain."""
    bodies.ran()
    return number + 1


@app.task(name="bench.durable", keep_result_s=0, keep_record_s=0)
async def durable(ctx: Context, number: int) -> None:
    """A function of ten durable steps."""
    for place in range(DURABLE_STEPS):
        number = await ctx.step(f"step {place}", _add_one, number)
    bodies.ran()


@app.task(name="bench.punctual", keep_result_s=0, keep_record_s=0)
async def punctual(due_ns: int) -> None:
    """Notes how long after its time, in Unix nanoseconds, it runs."""
    bodies.note(time.time_ns() - due_ns)


def _add_one(number: int) -> int:
    return number + 1


NO_OPS: dict[str, Task[[int], Any]] = {
    "async": async_off,
    "plain": plain_off,
    "result": async_result,
    "record": async_record,
    "default": async_default,
    "durable": durable,
}
