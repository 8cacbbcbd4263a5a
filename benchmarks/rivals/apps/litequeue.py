"""LiteQueue: a queue without workers; the worker is a loop around ``pop`` and ``done``."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final

from litequeue import LiteQueue

from benchmarks.rivals import work

FULL: Final = "PENSTOCK_BENCHMARK_FULL"
"""The environment variable that asks for ``synchronous=FULL``."""
IDLE_S: Final = 0.001
BUSY_S: Final = 60.0

_queue = LiteQueue(work.url(), timeout=BUSY_S)
if os.environ.get(FULL):
    _queue.conn.execute("PRAGMA synchronous = FULL")


def enqueue(kind: str, number: int) -> None:
    _queue.put(f"{kind} {number}")


def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    with _queue.transaction():
        for number in numbers:
            _queue.put(f"{kind} {number}")


def waiting() -> int:
    return int(_queue.qsize())


def main() -> None:
    """A worker: one message at a time, looking again after a millisecond."""
    while True:
        message = _queue.pop()
        if message is None:
            time.sleep(IDLE_S)
            continue
        kind, number = message.data.split()
        work.PLAIN[kind](int(number))
        _queue.done(message.message_id)


if __name__ == "__main__":
    main()
