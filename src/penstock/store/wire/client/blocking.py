"""The client for threads: the calls of a store, over `exchange`.

Programs without an event loop use it. Most calls are made from the table of calls (`surface`). Here are those that do
more than to send one request, and enqueueing, which is called so often that it goes no way round.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from penstock.model import job as m
from penstock.model import limits
from penstock.model.source_cursors import SourceCursor
from penstock.model.workflow_views import WorkflowView
from penstock.store.directory import StoreDirectory
from penstock.store.wire import protocol
from penstock.store.wire.client.exchange import Exchange
from penstock.store.wire.client.reach import Reach
from penstock.store.wire.client.surface import have_ended, parts_of

_Enqueue: Final = protocol.ENQUEUE.shape
_Lease: Final = protocol.LEASE.shape
_Wait: Final = protocol.WAIT.shape
_WaitWorkflow: Final = protocol.WAIT_WORKFLOW.shape


class Client(Exchange):
    """A store behind an owner, for threads: `penstock.ports.BlockingStore`. Survives the owner's death and a fork.

    Args:
        dial: makes connections.
        reach_s: how long a request may go without an owner, beyond the wait it asks for; then StoreUnavailable.
        role: what this process is, for people.
    """

    @classmethod
    def connect(
        cls,
        directory: str | os.PathLike[str],
        *,
        start_owner: bool = True,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
    ) -> Client:
        """A client of the owner of ``directory``, connected.

        Raises:
            StoreUnavailable: no owner within ``reach_s``, or none can be, for the reason told.
        """
        client = cls(Reach(StoreDirectory(directory), start_owner=start_owner), reach_s=reach_s, role=role)
        client.capabilities()
        return client

    def enqueue(
        self, groups: Sequence[m.JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> m.EnqueueAnswer:
        """Accept jobs: durable when this returns."""
        answer: m.EnqueueAnswer = self.ask(protocol.ENQUEUE, _Enqueue(groups, atomic, cursor))
        return answer

    def lease(self, request: m.LeaseRequest, wait_s: float = 0.0) -> m.LeaseBatch:
        """Take ready jobs; wait up to ``wait_s`` for some."""
        for part_s in parts_of(wait_s):
            batch: m.LeaseBatch = self.ask(protocol.LEASE, _Lease(request, part_s), wait_s=part_s)
            if batch.jobs or batch.more:
                break
        return batch

    def wait(self, ids: Sequence[bytes], wait_s: float, *, result: bool = False) -> list[m.JobView | None]:
        """The jobs as soon as all have ended or are gone, or as they are after ``wait_s``."""
        for part_s in parts_of(wait_s):
            views: list[m.JobView | None] = self.ask(protocol.WAIT, _Wait(ids, part_s, result), wait_s=part_s)
            if have_ended(views):
                break
        return views

    def wait_workflow(self, workflow: bytes, wait_s: float) -> WorkflowView | None:
        """The workflow as soon as it is over, or as it is after ``wait_s``."""
        for part_s in parts_of(wait_s):
            query = _WaitWorkflow(workflow, part_s)
            view: WorkflowView | None = self.ask(protocol.WAIT_WORKFLOW, query, wait_s=part_s)
            if view is None or view.finished_at is not None:
                break
        return view
