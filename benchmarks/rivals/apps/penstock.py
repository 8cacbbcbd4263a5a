"""Penstock, as a subject beside the rivals: the same bodies, put in by the same producer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.rivals import work
from penstock import Context, Penstock, Task
from penstock import chain as penstock_chain
from penstock import chord as penstock_chord
from penstock.store.wire.client.blocking import Client

DAY_S = 86_400.0

app = Penstock()
PROCESSES = ("compute", "lingering", "counted")
"""What computes or blocks is a plain function; the rest are coroutine functions."""


def _task(kind: str) -> Task[[int], Any]:
    function: Any = work.PLAIN[kind] if kind in PROCESSES else work.ASYNC[kind]
    kept_s = DAY_S if kind == "result" else 0
    task: Task[[int], Any] = app.task(name=f"bench.{kind}", keep_result_s=kept_s, keep_record_s=0)(function)
    return task


TASKS = {kind: _task(kind) for kind in work.PLAIN}


@app.task(name="bench.steps", keep_result_s=0, keep_record_s=0)
async def steps(ctx: Context, number: int) -> None:
    reached = number
    for place in range(work.STEPS):
        reached = await ctx.step(f"step {place}", work.step, reached)
    work.walked(number, reached)


TASKS["steps"] = steps
GATHERED = app.task(name="bench.gathered", keep_result_s=DAY_S, keep_record_s=0)(work.gathered_async)
LINK = app.task(name="bench.link", keep_result_s=DAY_S, keep_record_s=0)(work.link_async)


def opened() -> None:
    app.enqueue_many([])


def enqueue(kind: str, number: int) -> None:
    TASKS[kind].enqueue(number)


def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    task = TASKS[kind]
    app.enqueue_many([task.s(number) for number in numbers])


def chord(members: int) -> None:
    penstock_chord([TASKS["result"].s(number) for number in range(members)], GATHERED.s()).enqueue()


def chain(steps: int) -> None:
    penstock_chain(LINK.s(0), *(LINK.s() for _ in range(steps - 1))).enqueue()


def waiting() -> int:
    client = Client.connect(work.url(), start_owner=False)
    return client.stats().queues["default"].ready
