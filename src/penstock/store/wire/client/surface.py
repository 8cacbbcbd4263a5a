"""The store contract as a client offers it: the calls of `penstock.ports.Store` that are one request each.

Both classes have the same calls, `StoreCalls` for threads and `AsyncStoreCalls` for an event loop. Enqueueing, leasing
and waiting are the clients' own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from penstock.model import job as m
from penstock.model import limits
from penstock.model.health import StoreHealth
from penstock.model.states import State
from penstock.store.wire import protocol
from penstock.store.wire.owner_statistics import OwnerStatistics
from penstock.store.wire.protocol import Call, Edit, Get, Move, Query, Reconcile, Stats, Where

Q = TypeVar("Q")
A = TypeVar("A")


class StoreCalls(ABC):
    """For threads."""

    @abstractmethod
    def ask(self, call: Call[Q, A], request: Q, *, wait_s: float = 0.0) -> A:
        """Send a request and wait for its answer; it may be parked at the owner for ``wait_s``."""

    def capabilities(self) -> m.Capabilities:
        """What this store guarantees."""
        return self.ask(protocol.CAPABILITIES, None)

    def register_tasks(self, tasks: Sequence[m.TaskRecord]) -> None:
        """Record tasks; the latest record of a name stands."""
        self.ask(protocol.REGISTER_TASKS, list(tasks))

    def tasks(self) -> list[m.TaskRecord]:
        """The recorded tasks, by name."""
        return self.ask(protocol.TASKS, None)

    def settle(self, outcomes: m.Outcomes) -> m.Settled:
        """Commit outcomes. Answers which fences did not become what was asked."""
        return self.ask(protocol.SETTLE, outcomes)

    def extend(self, extension: m.Extension) -> m.Extended:
        """Start the leases anew from now, note what has started."""
        return self.ask(protocol.EXTEND, extension)

    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """Release leases of ``holder`` that it does not list. Answers how many."""
        return self.ask(protocol.RECONCILE, Reconcile(holder, list(fences)))

    def tick(self) -> m.Ticked:
        """One bounded step of each chore. The owner ticks by itself; this is for tests."""
        return self.ask(protocol.TICK, None)

    def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[m.JobView | None]:
        """Jobs by id; None where there is no record."""
        return self.ask(protocol.GET, Get(list(ids), result, body))

    def query(self, where: m.Filter, *, cursor: str | None = None, limit: int = 100) -> m.Page:
        """Search, newest first, in pages."""
        return self.ask(protocol.QUERY, Query(where, cursor, limit))

    def stats(
        self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False
    ) -> m.StatsPage:
        """Counts by queue, in pages; or the busiest queues."""
        return self.ask(protocol.STATS, Stats(cursor, limit, busiest))

    def totals(self) -> m.Totals:
        """The counts of all queues together."""
        return self.ask(protocol.TOTALS, None)

    def health(self) -> StoreHealth:
        """What is wrong with the store and its owner."""
        return self.ask(protocol.STORE_HEALTH, None)

    def cancel(self, ids: Sequence[bytes]) -> list[State | None]:
        """Cancel. Answers each job's state afterwards; None: no record."""
        return self.ask(protocol.CANCEL, list(ids))

    def revive(self, ids: Sequence[bytes]) -> list[State | None]:
        """Retry by hand. Answers each job's state afterwards; None: no record."""
        return self.ask(protocol.REVIVE, list(ids))

    def move(self, ids: Sequence[bytes], queue: str) -> list[State | None]:
        """Put waiting jobs into another queue. Answers each job's state afterwards."""
        return self.ask(protocol.MOVE, Move(list(ids), queue))

    def delete(self, ids: Sequence[bytes]) -> list[bool]:
        """Throw away jobs that are not running. Answers, for each, whether there was one."""
        return self.ask(protocol.DELETE, list(ids))

    def edit(
        self, ids: Sequence[bytes], *, priority: int | None = None, run_at: float | None = None
    ) -> list[State | None]:
        """Change waiting jobs. Answers each job's state afterwards."""
        return self.ask(protocol.EDIT, Edit(list(ids), priority, run_at))

    def cancel_where(self, where: m.Filter, *, cursor: str | None = None) -> m.Step:
        """`cancel` in bounded steps over what matches."""
        return self.ask(protocol.CANCEL_WHERE, Where(where, cursor))

    def revive_where(self, where: m.Filter, *, cursor: str | None = None) -> m.Step:
        """`revive` in bounded steps over what matches."""
        return self.ask(protocol.REVIVE_WHERE, Where(where, cursor))

    def move_where(self, where: m.Filter, queue: str, *, cursor: str | None = None) -> m.Step:
        """`move` in bounded steps over what matches."""
        return self.ask(protocol.MOVE_WHERE, Where(where, cursor, queue))

    def delete_where(self, where: m.Filter, *, cursor: str | None = None) -> m.Step:
        """`delete` in bounded steps over what matches."""
        return self.ask(protocol.DELETE_WHERE, Where(where, cursor))

    def owner_statistics(self) -> OwnerStatistics:
        """What the owner has done since it started."""
        return self.ask(protocol.OWNER_STATISTICS, None)

    def ping(self) -> None:
        """Return when the owner has answered: the connection works."""
        self.ask(protocol.PING, None)


class AsyncStoreCalls(ABC):
    """For an event loop."""

    @abstractmethod
    async def ask(self, call: Call[Q, A], request: Q, *, wait_s: float = 0.0) -> A:
        """Send a request and wait for its answer; it may be parked at the owner for ``wait_s``."""

    async def capabilities(self) -> m.Capabilities:
        """What this store guarantees."""
        return await self.ask(protocol.CAPABILITIES, None)

    async def register_tasks(self, tasks: Sequence[m.TaskRecord]) -> None:
        """Record tasks; the latest record of a name stands."""
        await self.ask(protocol.REGISTER_TASKS, list(tasks))

    async def tasks(self) -> list[m.TaskRecord]:
        """The recorded tasks, by name."""
        return await self.ask(protocol.TASKS, None)

    async def settle(self, outcomes: m.Outcomes) -> m.Settled:
        """Commit outcomes. Answers which fences did not become what was asked."""
        return await self.ask(protocol.SETTLE, outcomes)

    async def extend(self, extension: m.Extension) -> m.Extended:
        """Start the leases anew from now, note what has started."""
        return await self.ask(protocol.EXTEND, extension)

    async def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """Release leases of ``holder`` that it does not list. Answers how many."""
        return await self.ask(protocol.RECONCILE, Reconcile(holder, list(fences)))

    async def tick(self) -> m.Ticked:
        """One bounded step of each chore. The owner ticks by itself; this is for tests."""
        return await self.ask(protocol.TICK, None)

    async def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[m.JobView | None]:
        """Jobs by id; None where there is no record."""
        return await self.ask(protocol.GET, Get(list(ids), result, body))

    async def query(self, where: m.Filter, *, cursor: str | None = None, limit: int = 100) -> m.Page:
        """Search, newest first, in pages."""
        return await self.ask(protocol.QUERY, Query(where, cursor, limit))

    async def stats(
        self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False
    ) -> m.StatsPage:
        """Counts by queue, in pages; or the busiest queues."""
        return await self.ask(protocol.STATS, Stats(cursor, limit, busiest))

    async def totals(self) -> m.Totals:
        """The counts of all queues together."""
        return await self.ask(protocol.TOTALS, None)

    async def health(self) -> StoreHealth:
        """What is wrong with the store and its owner."""
        return await self.ask(protocol.STORE_HEALTH, None)

    async def cancel(self, ids: Sequence[bytes]) -> list[State | None]:
        """Cancel. Answers each job's state afterwards; None: no record."""
        return await self.ask(protocol.CANCEL, list(ids))

    async def revive(self, ids: Sequence[bytes]) -> list[State | None]:
        """Retry by hand. Answers each job's state afterwards; None: no record."""
        return await self.ask(protocol.REVIVE, list(ids))

    async def move(self, ids: Sequence[bytes], queue: str) -> list[State | None]:
        """Put waiting jobs into another queue. Answers each job's state afterwards."""
        return await self.ask(protocol.MOVE, Move(list(ids), queue))

    async def delete(self, ids: Sequence[bytes]) -> list[bool]:
        """Throw away jobs that are not running. Answers, for each, whether there was one."""
        return await self.ask(protocol.DELETE, list(ids))

    async def edit(
        self, ids: Sequence[bytes], *, priority: int | None = None, run_at: float | None = None
    ) -> list[State | None]:
        """Change waiting jobs. Answers each job's state afterwards."""
        return await self.ask(protocol.EDIT, Edit(list(ids), priority, run_at))

    async def cancel_where(self, where: m.Filter, *, cursor: str | None = None) -> m.Step:
        """`cancel` in bounded steps over what matches."""
        return await self.ask(protocol.CANCEL_WHERE, Where(where, cursor))

    async def revive_where(self, where: m.Filter, *, cursor: str | None = None) -> m.Step:
        """`revive` in bounded steps over what matches."""
        return await self.ask(protocol.REVIVE_WHERE, Where(where, cursor))

    async def move_where(self, where: m.Filter, queue: str, *, cursor: str | None = None) -> m.Step:
        """`move` in bounded steps over what matches."""
        return await self.ask(protocol.MOVE_WHERE, Where(where, cursor, queue))

    async def delete_where(self, where: m.Filter, *, cursor: str | None = None) -> m.Step:
        """`delete` in bounded steps over what matches."""
        return await self.ask(protocol.DELETE_WHERE, Where(where, cursor))

    async def owner_statistics(self) -> OwnerStatistics:
        """What the owner has done since it started."""
        return await self.ask(protocol.OWNER_STATISTICS, None)

    async def ping(self) -> None:
        """Return when the owner has answered: the connection works."""
        await self.ask(protocol.PING, None)
