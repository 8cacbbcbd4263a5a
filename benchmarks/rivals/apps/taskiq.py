"""taskiq on Redis streams, which are acknowledged."""

from __future__ import annotations

from redis.asyncio import Redis
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.rivals import work

broker = RedisStreamBroker(url=work.url())
if work.keeps_results():
    broker = broker.with_result_backend(RedisAsyncResultBackend(redis_url=work.url(), result_ex_time=86_400))
TASKS = {kind: broker.task(task_name=kind)(function) for kind, function in work.ASYNC.items()}


async def opened() -> None:
    await broker.startup()


async def enqueue(kind: str, number: int) -> None:
    await TASKS[kind].kiq(number)


async def waiting() -> int:
    return int(await Redis.from_url(work.url()).xlen("taskiq"))
