"""PgQueuer, with asyncpg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

from benchmarks.rivals import work

_queries: Queries | None = None


async def _connected() -> Queries:
    return Queries(AsyncpgDriver(await asyncpg.connect(work.url())))


async def prepare() -> None:
    await (await _connected()).install()


async def opened() -> None:
    global _queries  # noqa: PLW0603 - one connection a producer
    _queries = await _connected()


def _open() -> Queries:
    assert _queries is not None, "opened() comes first"
    return _queries


async def enqueue(kind: str, number: int) -> None:
    await _open().enqueue(kind, str(number).encode())


async def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    count = len(numbers)
    await _open().enqueue([kind] * count, [str(number).encode() for number in numbers], [0] * count)


async def waiting() -> int:
    return sum(entry.count for entry in await _open().queue_size())


async def worker() -> PgQueuer:
    """With every kind of work registered."""
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(work.url())))
    for kind in work.ASYNC:
        _register(queuer, kind)
    return queuer


def _register(queuer: PgQueuer, kind: str) -> None:
    body = work.ASYNC[kind]

    @queuer.entrypoint(kind)
    async def run(job: Job) -> Any:
        assert job.payload is not None, "every job has a number"
        return await body(int(job.payload))


async def main() -> None:
    """A worker. Its command line does not start with this release of typer, and would not take uvloop."""
    await (await worker()).run(batch_size=100)


if __name__ == "__main__":
    uvloop.run(main())
