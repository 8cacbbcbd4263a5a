"""``/stats`` and ``/ping`` of nsqd's HTTP API."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from penstock.http.messages import Answer
from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.health import StoreHealth
from penstock.nsq.door.memory import GarbagePauses, memory_statistics
from penstock.nsq.door.statistics import DoorCounts, gather
from penstock.nsq.door.statistics_text import statistics_text
from penstock.nsq.http_application import Request
from penstock.nsq.http_routes import ApiError, json_answer, plain_answer, text_answer
from penstock.nsq.loading import NSQ_VERSION, version_line
from penstock.ports import AsyncStore

__all__ = ["StatisticsRoutes", "health_text"]

_HEALTHY: Final = "OK"


class StatisticsRoutes:
    """What the two routes answer.

    Args:
        store: of the door.
        door: this.
    """

    def __init__(self, store: AsyncStore, door: DoorCounts) -> None:
        self._store = store
        self._door = door
        self._pauses = GarbagePauses()
        self._pauses.begin()

    async def ping(self, _request: Request) -> Answer:
        """``OK``, or 500 and why not."""
        health = await self._health()
        if health != _HEALTHY:
            raise ApiError(500, health)
        return text_answer(health)

    async def stats(self, request: Request) -> Answer:
        """Topics, channels and clients, as text or JSON."""
        query = request.query()
        include_clients, include_memory = query.flag("include_clients"), query.flag("include_mem")
        found = await gather(
            self._store,
            self._door,
            topic=query.get("topic") or "",
            channel=query.get("channel") or "",
            include_clients=include_clients,
        )
        health = await self._health()
        memory = memory_statistics(self._pauses) if include_memory else None
        if query.get("format") == "json":
            answer = {
                "version": NSQ_VERSION,
                "health": health,
                "start_time": int(self._door.started_at),
                "topics": found.topics,
                "memory": memory,
                "producers": found.producers,
            }
            return json_answer({name: value for name, value in answer.items() if name != "memory" or value})
        text = statistics_text(
            found,
            memory,
            version=version_line("nsqd"),
            health=health,
            started_at=self._door.started_at,
            now=time.time(),
        )
        return plain_answer(text)

    async def _health(self) -> str:
        try:
            async with asyncio.timeout(limits.NSQ_PING_S):
                return health_text(await self._store.health())
        except TimeoutError:
            return f"NOK - the store has not answered for {limits.NSQ_PING_S:g} s"
        except PenstockError as error:
            return f"NOK - {error.message}"


def health_text(health: StoreHealth) -> str:
    """``OK``, or why no message can be accepted."""
    if health.disk_full:
        return "NOK - the disk is full"
    failing = [fault for fault in health.faults if health.fails]
    return f"NOK - {failing[0].name} fails: {failing[0].message}" if failing else _HEALTHY
