"""Docket, on Redis streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import uvloop
from docket import Docket, Worker

from benchmarks.rivals import work

KEPT = timedelta(days=1) if work.keeps_results() else timedelta(0)
CONCURRENCY = 50
"""Its pool has 100 connections, and a job takes more than one."""
CHECKED = timedelta(milliseconds=10)
_docket: Docket | None = None


def _made() -> Docket:
    docket = Docket(name="benchmark", url=work.url(), execution_ttl=KEPT)
    for kind, function in work.ASYNC.items():
        docket.register(function, names=[kind])
    return docket


async def opened() -> None:
    global _docket  # noqa: PLW0603 - one connection a producer
    _docket = await _made().__aenter__()


def _open() -> Docket:
    assert _docket is not None, "opened() comes first"
    return _docket


async def enqueue(kind: str, number: int) -> None:
    await _open().add(kind)(number)


async def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    docket = _open()
    await docket.add_many([docket.call(kind)(number) for number in numbers])


async def waiting() -> int:
    async with _open().redis() as redis:
        return int(await redis.xlen(_open().stream_key))


async def main() -> None:
    """A worker: its command line would not take uvloop."""
    async with _made() as docket, Worker(docket, concurrency=CONCURRENCY, minimum_check_interval=CHECKED) as worker:
        await worker.run_forever()


if __name__ == "__main__":
    uvloop.run(main())
