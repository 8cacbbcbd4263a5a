"""Oban."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import uvloop
from oban import Oban, Record, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

from benchmarks.rivals import work

MODULE: Final = "benchmarks.rivals.apps.oban"
"""Jobs name their worker by it; run as a program, this module goes by another name."""
QUEUE: Final = "benchmark"
CONCURRENCY: Final = 100
_oban: Oban | None = None


def _worker(kind: str) -> Any:
    body = work.ASYNC[kind]

    async def process(_self: Any, job: Any) -> Any:
        answer = await body(job.args["number"])
        return answer if answer is None else Record(answer)

    return worker(queue=QUEUE)(type(kind.capitalize(), (), {"process": process, "__module__": MODULE}))


WORKERS = {kind: _worker(kind) for kind in work.ASYNC}


async def _pool() -> AsyncConnectionPool[Any]:
    pool: AsyncConnectionPool[Any] = await Oban.create_pool(dsn=work.url())
    return pool


async def prepare() -> None:
    pool = await _pool()
    await install(pool)
    await pool.close()


async def opened() -> None:
    global _oban  # noqa: PLW0603 - one client a producer
    _oban = Oban(pool=await _pool())


def _open() -> Oban:
    assert _oban is not None, "opened() comes first"
    return _oban


async def enqueue(kind: str, number: int) -> None:
    await _open().enqueue(WORKERS[kind].new({"number": number}))


async def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    made = WORKERS[kind].new
    await _open().enqueue_many([made({"number": number}) for number in numbers])


async def waiting() -> int:
    pool = await _pool()
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM oban_jobs WHERE state = 'available'")
        row: Any = await cursor.fetchone()
    await pool.close()
    return int(row[0])


async def main() -> None:
    """A worker, as ``oban start`` would run it, with these workers imported."""
    async with Oban(pool=await _pool(), queues={QUEUE: CONCURRENCY}):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(import_module(MODULE).main())
