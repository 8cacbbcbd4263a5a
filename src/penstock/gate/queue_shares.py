"""How many new queues the clients of other machines may make: each has its share, so that none uses up the names.

A client names a queue with a job, and the store makes the queue if there is none. The store counts the queues that
each of its own clients makes, and to the store a gate is one client. So the gate counts for those behind it. It knows
which queues there are from the store's counts, which it reads again now and then.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from time import monotonic
from typing import Final

from penstock.gate.problems import Problem
from penstock.http.client_shares import Shares
from penstock.model import limits
from penstock.ports import AsyncStore

_AGAIN_S: Final = 1.0
"""How often at most the queues are read again because a share is used up."""


class QueueShares:
    """Decides whether a client may name a queue. One event loop's.

    Args:
        store: where the queues are.
        gates: how many gates of the node share the limit; each has an equal part.
    """

    def __init__(self, store: AsyncStore, gates: int = 1) -> None:
        self._store = store
        self._shares = Shares(limits.GATE_QUEUES_MAX // gates)
        self._known: set[str] = set()
        self._maker: dict[str, str] = {}
        self._read_at = -math.inf
        self._reading = asyncio.Lock()

    def knows(self, queue: str) -> bool:
        """Whether this queue is there, as far as the gate knows; then anybody may name it."""
        return queue in self._known

    async def admit(self, client: str, queues: Collection[str]) -> None:
        """Pass when a client of another machine may name these queues. New ones count for it from now on.

        Raises:
            Problem: ``invalid-option``: it has made its share of queues.
        """
        if self._count(client, queues, read_before=limits.GATE_QUEUES_READ_S):
            return
        await self._read(_AGAIN_S)
        if not self._count(client, queues):
            raise Problem(
                "invalid-option",
                f"A client may make {self._shares.most // 2} queues here, so that there are names left for others, and "
                "this one has made as many as it may. Use queues that are there, or let empty ones go.",
                field="queue",
            )

    def _count(self, client: str, queues: Collection[str], read_before: float = math.inf) -> bool:
        """Count the new ones among these queues for their client. False: there is no room for them, or it is too long
        ago that the gate has read which queues there are."""
        new = {queue for queue in queues if queue not in self._known}
        if new and (monotonic() - self._read_at > read_before or not self._shares.take(client, len(new))):
            return False
        self._known |= new
        self._maker.update(dict.fromkeys(new, client))
        return True

    async def _read(self, age_s: float) -> None:
        """Learn which queues there are, unless that is known since less than so many seconds."""
        async with self._reading:
            if monotonic() - self._read_at <= age_s:
                return
            there: set[str] = set()
            cursor: str | None = None
            while True:
                page = await self._store.stats(cursor=cursor, limit=limits.PAGE_QUEUES_MAX)
                there.update(page.queues)
                cursor = page.cursor
                if cursor is None:
                    break
            for queue in [queue for queue in self._maker if queue not in there]:
                # Removed since, or never made.
                self._shares.give_back(self._maker.pop(queue), 1)
            self._known = there
            self._read_at = monotonic()
