"""Celery, prefork, on Redis."""

from __future__ import annotations

import os
from typing import Final

from celery import Celery
from celery import chain as celery_chain
from celery import chord as celery_chord
from redis import Redis

from benchmarks.rivals import work

LATE: Final = "PENSTOCK_BENCHMARK_LATE"
"""The environment variable that asks for acknowledgment after the job."""

_late = bool(os.environ.get(LATE))
app = Celery("benchmark", broker=work.url(), backend=work.url() if work.keeps_results() else None)
app.conf.update(
    task_ignore_result=not work.keeps_results(),
    task_acks_late=_late,
    task_reject_on_worker_lost=_late,
    # The optimizing guide: 50 to 150 for many short jobs. As shipped where jobs are killed.
    worker_prefetch_multiplier=4 if os.environ.get(work.KIND) == "lingering" else 128,
    broker_connection_retry_on_startup=True,
)
TASKS = {kind: app.task(name=kind)(function) for kind, function in work.PLAIN.items()}
GATHERED = app.task(name="gathered")(work.gathered)
LINK = app.task(name="link")(work.link)
_results: list[object] = []
"""Held, as by whoever waits for them: it unsubscribes from one that is let go."""


def enqueue(kind: str, number: int) -> None:
    TASKS[kind].delay(number)


def chord(members: int) -> None:
    _results.append(celery_chord([TASKS["result"].s(number) for number in range(members)])(GATHERED.s()))


def chain(steps: int) -> None:
    _results.append(celery_chain(LINK.s(0), *(LINK.s() for _ in range(steps - 1))).delay())


def waiting() -> int:
    return int(Redis.from_url(work.url()).llen("celery"))
