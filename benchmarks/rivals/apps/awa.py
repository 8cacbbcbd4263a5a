"""Awa: a core in Rust, PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from typing import Any, Final

import uvloop
from awa import AsyncClient

from benchmarks.rivals import work

QUEUE: Final = "benchmark"
CONCURRENCY: Final = 100


@dataclass
class Numbered:
    """The arguments of every job."""

    number: int


ARGUMENTS: Final[dict[str, Any]] = {
    kind: make_dataclass(kind.capitalize(), [], bases=(Numbered,)) for kind in work.ASYNC
}
_client: AsyncClient | None = None


def _open() -> AsyncClient:
    global _client  # noqa: PLW0603 - one pool a process
    if _client is None:
        _client = AsyncClient(work.url())
    return _client


async def prepare() -> None:
    await _open().migrate()
    await _open().install_queue_storage()  # COPY asks for it before the first worker has started


async def enqueue(kind: str, number: int) -> None:
    await _open().insert(ARGUMENTS[kind](number), kind=kind, queue=QUEUE)


async def enqueue_many(kind: str, numbers: Sequence[int]) -> None:
    made = ARGUMENTS[kind]
    await _open().enqueue_many_copy([made(number) for number in numbers], kind=kind, queue=QUEUE)


async def waiting() -> int:
    return sum(entry.available for entry in await _open().queue_stats() if entry.queue == QUEUE)


def _register(client: AsyncClient, kind: str) -> None:
    body = work.ASYNC[kind]

    async def run(job: Any) -> None:
        await body(job.args.number)

    client.task(ARGUMENTS[kind], kind=kind, queue=QUEUE)(run)


async def main() -> None:
    """A worker."""
    client = _open()
    for kind in work.ASYNC:
        _register(client, kind)
    await client.start([(QUEUE, CONCURRENCY)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
