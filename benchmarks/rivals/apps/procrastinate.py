"""Procrastinate."""

from __future__ import annotations

from collections.abc import Sequence

import uvloop
from procrastinate import App, PsycopgConnector

from benchmarks.rivals import work

app = App(connector=PsycopgConnector(conninfo=work.url()))
TASKS = {kind: app.task(name=kind)(function) for kind, function in work.ASYNC.items()}


async def prepare() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def opened() -> None:
    await app.open_async()


async def enqueue(kind: str, number: int) -> None:
    await TASKS[kind].defer_async(number=number)


async def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    await TASKS[kind].batch_defer_async(*({"number": number} for number in numbers))


async def waiting() -> int:
    return len(list(await app.job_manager.list_jobs_async(status="todo")))


async def main() -> None:
    """A worker: its command line would not take uvloop."""
    async with app.open_async():
        await app.run_worker_async(concurrency=100, delete_jobs="successful")


if __name__ == "__main__":
    uvloop.run(main())
