"""Honker: it has queues, claims and acknowledgments; the worker is a loop around them, as its documents show."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final

import honker
import uvloop

from benchmarks.rivals import work

BATCH: Final = 100
IDLE_S: Final = 5.0
DAY_S: Final = 86_400.0
_database = honker.open(work.url())
_queue = _database.queue("benchmark")


def enqueue(kind: str, number: int) -> None:
    _queue.enqueue([kind, number])


def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    with _database.transaction() as transaction:
        for number in numbers:
            _queue.enqueue([kind, number], tx=transaction)


def waiting() -> int:
    return int(_database.query("SELECT count(*) AS jobs FROM _honker_live")[0]["jobs"])


async def _run(job: Any) -> None:
    kind, number = job.payload
    answer = await work.ASYNC[kind](number)
    if work.keeps_results():
        _queue.save_result(job.id, answer, ttl=DAY_S)


async def main() -> None:
    """A worker: claims a batch, runs it at once, acknowledges it; wakes when the database changes."""
    me = f"worker-{os.getpid()}"
    changes = _database.update_events()
    while True:
        jobs = _queue.claim_batch(me, BATCH)
        if jobs:
            await asyncio.gather(*map(_run, jobs))
            _queue.ack_batch([job.id for job in jobs], me)
            continue
        try:
            await asyncio.wait_for(changes.__anext__(), IDLE_S)
        except TimeoutError:
            continue


if __name__ == "__main__":
    uvloop.run(main())
