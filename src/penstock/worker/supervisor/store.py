"""What a supervisor asks of a store: the calls of `penstock.ports.Store` that it needs, as coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Raw, Struct

from penstock.model.job import Extended, Extension, LeaseRequest, Outcomes, Settled, TaskRecord


class RawBatch(Struct, array_like=True, frozen=True):
    """A `penstock.model.job.LeaseBatch` whose jobs nobody has looked at: they are relayed to who runs them."""

    first_fence: int
    tasks: list[str]
    task_of: bytes
    jobs: list[Raw]
    alone: list[int] = []


class LeaseStore(Protocol):
    """`penstock.store.wire.client.async_client.AsyncClient`, or anything that behaves so.

    After a reconnect it reports the fences that the supervisor holds before it repeats what was not answered.
    """

    async def register_tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """Record tasks; the latest record of a name stands."""
        ...

    async def lease(self, request: LeaseRequest, wait_s: float = 0.0, *, decode_as: type[RawBatch]) -> RawBatch:
        """Take ready jobs, waiting for some up to ``wait_s``."""
        ...

    async def extend(self, extension: Extension) -> Extended:
        """Hold on to leases; say what has started."""
        ...

    async def settle(self, outcomes: Outcomes) -> Settled:
        """Commit outcomes. Answers which fences did not become what was asked."""
        ...

    async def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """Release leases of ``holder`` that it does not list."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
