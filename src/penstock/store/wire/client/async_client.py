"""The client for an event loop: the calls of a store as coroutines, over `async_exchange`.

Gates, supervisors and programs that are asynchronous themselves use it. Most calls are made from the table of calls
(`surface`). Here are those that do more than to send one request: enqueueing, leasing, settling, waiting.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from penstock.model import job as m
from penstock.model import limits
from penstock.model.source_cursors import SourceCursor
from penstock.model.workflow_views import WorkflowView
from penstock.store.directory import StoreDirectory
from penstock.store.wire import protocol
from penstock.store.wire.calls import Call
from penstock.store.wire.client.async_exchange import AsyncExchange
from penstock.store.wire.client.reach import Dial, Reach
from penstock.store.wire.client.sharing import Sharing
from penstock.store.wire.client.surface import have_ended, parts_of

_Enqueue: Final = protocol.ENQUEUE.shape
_Lease: Final = protocol.LEASE.shape
_Wait: Final = protocol.WAIT.shape
_WaitWorkflow: Final = protocol.WAIT_WORKFLOW.shape
_Settle: Final = protocol.SETTLE.shape


class AsyncClient(AsyncExchange):
    """A store behind an owner, for one event loop: `penstock.ports.AsyncStore`.

    Args:
        dial: makes connections; called in a thread.
        reach_s: how long a request may go without an owner, beyond the wait it asks for; then StoreUnavailable.
        role: what this process is, for people.
        held: the fences that the user of this client holds. Asked after every reconnect, before anything else is sent;
            leases of this client that it does not list are released, because their answers were lost.
        holders: the front of the names of holders that this client leases for, if they are many
            (`penstock.model.deliveries.door_holders`). All leases of theirs are reconciled at once then.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
        held: Callable[[], list[int]] | None = None,
        holders: bytes | None = None,
    ) -> None:
        super().__init__(dial, reach_s=reach_s, role=role, held=held, holders=holders)
        self._sharing = Sharing(self)

    @classmethod
    async def connect(
        cls,
        directory: str | os.PathLike[str],
        *,
        start_owner: bool = True,
        held: Callable[[], list[int]] | None = None,
        holders: bytes | None = None,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
    ) -> AsyncClient:
        """A client of the owner of ``directory``, connected.

        Raises:
            StoreUnavailable: no owner within ``reach_s``, or none can be, for the reason told.
        """
        reach = Reach(StoreDirectory(directory), start_owner=start_owner)
        client = cls(reach, reach_s=reach_s, role=role, held=held, holders=holders)
        try:
            await client.capabilities()
        except BaseException:
            await client.close()
            raise
        return client

    async def enqueue(
        self, groups: Sequence[m.JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> m.EnqueueAnswer:
        """Accept jobs: durable when this returns. Callers at the same time share a request, unless it is ``atomic`` or
        has a ``cursor``."""
        if atomic or cursor is not None:
            answer: m.EnqueueAnswer = await self.ask(protocol.ENQUEUE, _Enqueue(groups, atomic, cursor))
            return answer
        return await self._sharing.enqueue(groups)

    async def lease(self, request: m.LeaseRequest, wait_s: float = 0.0) -> m.LeaseBatch:
        """Take ready jobs; wait up to ``wait_s`` for some."""
        batch: m.LeaseBatch = await self._lease(protocol.LEASE, request, wait_s)
        return batch

    async def lease_packed(self, request: m.LeaseRequest, wait_s: float = 0.0) -> m.PackedBatch:
        """`lease`, with each job as the bytes that it travels as."""
        batch: m.PackedBatch = await self._lease(protocol.LEASE_PACKED, request, wait_s)
        return batch

    async def _lease(self, call: Call, request: m.LeaseRequest, wait_s: float) -> Any:
        self._delivered.asked(request.holder)
        for part_s in parts_of(wait_s):
            batch = await self.ask(call, _Lease(request, part_s), wait_s=part_s)
            if batch.jobs or batch.more:
                break
        return batch

    async def settle(self, outcomes: m.Outcomes) -> m.Settled:
        """Commit outcomes. Answers which fences did not become what was asked."""
        with self._delivered.settling(outcomes):
            settled: m.Settled = await self.ask(protocol.SETTLE, _Settle(outcomes))
            return settled

    async def wait(self, ids: Sequence[bytes], wait_s: float, *, result: bool = False) -> list[m.JobView | None]:
        """The jobs as soon as all have ended or are gone, or as they are after ``wait_s``."""
        for part_s in parts_of(wait_s):
            views: list[m.JobView | None] = await self.ask(protocol.WAIT, _Wait(ids, part_s, result), wait_s=part_s)
            if have_ended(views):
                break
        return views

    async def wait_workflow(self, workflow: bytes, wait_s: float) -> WorkflowView | None:
        """The workflow as soon as it is over, or as it is after ``wait_s``."""
        for part_s in parts_of(wait_s):
            query = _WaitWorkflow(workflow, part_s)
            view: WorkflowView | None = await self.ask(protocol.WAIT_WORKFLOW, query, wait_s=part_s)
            if view is None or view.finished_at is not None:
                break
        return view

    async def close(self) -> None:
        """Let go of the connection; requests in flight raise StoreUnavailable. A second call does nothing."""
        await super().close()
        await asyncio.gather(*self._sharing.tasks, return_exceptions=True)
