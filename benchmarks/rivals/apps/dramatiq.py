"""Dramatiq on Redis."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.rivals import work

broker = RedisBroker(url=work.url())
if work.keeps_results():
    broker.add_middleware(Results(backend=RedisBackend(url=work.url()), store_results=True))
dramatiq.set_broker(broker)
ACTORS = {kind: dramatiq.actor(actor_name=kind)(function) for kind, function in work.PLAIN.items()}


def enqueue(kind: str, number: int) -> None:
    ACTORS[kind].send(number)


def waiting() -> int:
    return int(broker.client.llen("dramatiq:default"))
