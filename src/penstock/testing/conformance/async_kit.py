"""Short ways to say what nearly every claim about a store for event loops needs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from penstock.model.ids import new_id
from penstock.model.job import LeaseBatch, LeaseRequest
from penstock.ports import AsyncStore
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import HOLDER, entry, group

LONG_S: Final = 60.0
"""Longer than any claim takes."""
SHORT_S: Final = 0.05
_CLAIM_S: Final = 30.0

Claim = Callable[[AsyncStore, VirtualClock], Awaitable[None]]


class AsyncStoreClaims(ABC):
    """What each part of the suite builds on."""

    @abstractmethod
    def open_async(self, clock: VirtualClock) -> AbstractAsyncContextManager[AsyncStore]:
        """A new, empty store for the running event loop. It takes its time from ``clock`` and does nothing by itself:
        the suite ticks it."""

    @abstractmethod
    def lose_answers(self, store: AsyncStore, count: int) -> None:
        """Lose the next ``count`` answers of this store on their way, and have those calls made again."""

    def tell(self, claim: Claim) -> None:
        """Try a claim on a new store. Whatever it did, the books balance afterwards."""

        async def tried() -> None:
            clock = VirtualClock()
            async with asyncio.timeout(_CLAIM_S), self.open_async(clock) as store:
                await claim(store, clock)
                assert (await store.totals()).counts.unaccounted() == 0

        asyncio.run(tried())


async def put(store: AsyncStore, *ids: bytes, **options: Any) -> list[bytes]:
    """Enqueue jobs without arguments; one when no id is given. Answers their ids."""
    entries = [entry(job_id=one) for one in ids or [new_id()]]
    await store.enqueue([group(*entries, **options)])
    return [one.id for one in entries]


def fences_of(batch: LeaseBatch) -> list[int]:
    """The fences of a lease."""
    return [batch.first_fence + place for place in range(len(batch.jobs))]


async def take(store: AsyncStore, limit: int = 10, holder: bytes = HOLDER) -> list[int]:
    """Lease. Answers the fences."""
    return fences_of(await store.lease(LeaseRequest(holder, limit)))


async def is_waiting(store: AsyncStore, waiting: asyncio.Future[Any]) -> bool:
    """Whether a call still waits after the store has done what it was asked before."""
    for _ in range(3):
        await store.capabilities()
    return not waiting.done()


async def let_pass(store: AsyncStore, clock: VirtualClock, waiting: asyncio.Future[Any]) -> Any:
    """Let time pass, the store's own too, until a call has waited long enough. Answers its answer."""
    while not waiting.done():
        clock.advance(SHORT_S)
        await store.capabilities()
        await asyncio.sleep(0)
    return await waiting
