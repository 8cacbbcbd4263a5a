"""Penstock, as a subject beside the rivals: the same bodies, put in by the same producer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.rivals import work
from penstock import Penstock, Task
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


def opened() -> None:
    app.enqueue_many([])


def enqueue(kind: str, number: int) -> None:
    TASKS[kind].enqueue(number)


def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    task = TASKS[kind]
    app.enqueue_many([task.s(number) for number in numbers])


def waiting() -> int:
    client = Client.connect(work.url(), start_owner=False)
    return client.stats().queues["default"].ready
