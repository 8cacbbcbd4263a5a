"""RQ."""

from __future__ import annotations

from collections.abc import Sequence

from redis import Redis
from rq import Queue

from benchmarks.rivals import work

connection = Redis.from_url(work.url())
queue = Queue("default", connection=connection)


def _kept_s(kind: str) -> int:
    return 86_400 if kind == "result" else 0


def enqueue(kind: str, number: int) -> None:
    queue.enqueue(work.PLAIN[kind], number, result_ttl=_kept_s(kind))


def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    function, kept_s = work.PLAIN[kind], _kept_s(kind)
    queue.enqueue_many([Queue.prepare_data(function, (number,), result_ttl=kept_s) for number in numbers])


def waiting() -> int:
    return len(queue)
