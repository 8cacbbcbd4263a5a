"""Huey, on SQLite or on Redis, whichever the URL names."""

from __future__ import annotations

from huey import RedisHuey, SqliteHuey

from benchmarks.rivals import work

_url = work.url()
huey = (
    RedisHuey("benchmark", url=_url, results=work.keeps_results())
    if _url.startswith("redis:")
    else SqliteHuey("benchmark", filename=_url, results=work.keeps_results())
)
TASKS = {kind: huey.task(name=kind)(function) for kind, function in work.PLAIN.items()}


def enqueue(kind: str, number: int) -> None:
    TASKS[kind](number)


def waiting() -> int:
    return int(huey.pending_count())
