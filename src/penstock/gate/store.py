"""The port through which the gate reaches a store: `penstock.ports.Store` as coroutines, as far as a gate needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model import limits
from penstock.model.health import StoreHealth
from penstock.model.job import Capabilities, EnqueueAnswer, JobGroup, JobView, StatsPage, TaskRecord, Totals
from penstock.model.states import State


class AsyncStore(Protocol):
    """See `penstock.ports.Store`. Any call may raise StoreUnavailable or StoreFull."""

    async def capabilities(self) -> Capabilities:
        """What this store guarantees."""
        ...

    async def tasks(self) -> list[TaskRecord]:
        """The recorded tasks."""
        ...

    async def enqueue(self, groups: Sequence[JobGroup], *, atomic: bool = False) -> EnqueueAnswer:
        """Accept jobs; callers at the same time share a request."""
        ...

    async def get(self, ids: Sequence[bytes], *, result: bool = False) -> list[JobView | None]:
        """Jobs by id."""
        ...

    async def wait(self, ids: Sequence[bytes], wait_s: float) -> list[JobView | None]:
        """`get`, once all of them have ended or the time is up."""
        ...

    async def cancel(self, ids: Sequence[bytes]) -> list[State | None]:
        """Cancel jobs."""
        ...

    async def stats(
        self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False
    ) -> StatsPage:
        """Counts by queue, in pages; or the busiest queues."""
        ...

    async def totals(self) -> Totals:
        """The counts of all queues together."""
        ...

    async def health(self) -> StoreHealth:
        """What is wrong with the store."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
