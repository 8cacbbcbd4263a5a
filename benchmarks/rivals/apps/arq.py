"""arq."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import uvloop
from arq import ArqRedis, create_pool
from arq.connections import RedisSettings
from arq.worker import Function, func

from benchmarks.rivals import work

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
DAY_S = 86_400
SETTINGS = RedisSettings.from_dsn(work.url())
_redis: ArqRedis | None = None


async def opened() -> None:
    global _redis  # noqa: PLW0603 - one connection a producer
    _redis = await create_pool(SETTINGS)


def _open() -> ArqRedis:
    assert _redis is not None, "opened() comes first"
    return _redis


async def enqueue(kind: str, number: int) -> None:
    await _open().enqueue_job(kind, number)


async def waiting() -> int:
    return int(await _open().zcard("arq:queue"))


def _function(kind: str) -> Function:
    body = work.ASYNC[kind]

    async def run(_context: dict[Any, Any], number: int) -> Any:
        return await body(number)

    return func(run, name=kind, keep_result=DAY_S if kind == "result" else 0)


class WorkerSettings:
    """What `arq` starts."""

    functions: ClassVar = [_function(kind) for kind in work.ASYNC]
    redis_settings = SETTINGS
    max_jobs = 100
    poll_delay = 0.01
    log_results = False
