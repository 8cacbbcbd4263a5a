"""What a store offers for workflows, as coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import (
    MembersAdded,
    ResultsPage,
    StepsPage,
    WorkflowsPage,
    WorkflowStarted,
    WorkflowState,
    WorkflowView,
)


class AsyncWorkflowStore(Protocol):
    """`WorkflowStore` for an event loop, and waiting for a workflow. A part of `AsyncStore`."""

    async def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members] = ()) -> WorkflowStarted:
        """See `WorkflowStore.start_workflow`."""
        ...

    async def add_members(
        self, workflow: bytes, members: Sequence[Members], *, close: Sequence[int] = ()
    ) -> MembersAdded:
        """See `WorkflowStore.add_members`."""
        ...

    async def workflow(self, workflow: bytes) -> WorkflowView | None:
        """See `WorkflowStore.workflow`."""
        ...

    async def workflows(
        self,
        *,
        state: WorkflowState | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> WorkflowsPage:
        """See `WorkflowStore.workflows`."""
        ...

    async def steps(self, workflow: bytes, *, cursor: str | None = None, limit: int = 100) -> StepsPage:
        """See `WorkflowStore.steps`."""
        ...

    async def results(self, workflow: bytes, step: int | None, *, first: int = 0, limit: int = 1_000) -> ResultsPage:
        """See `WorkflowStore.results`."""
        ...

    async def cancel_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `WorkflowStore.cancel_workflow`."""
        ...

    async def pause_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `WorkflowStore.pause_workflow`."""
        ...

    async def resume_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `WorkflowStore.resume_workflow`."""
        ...

    async def retry_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """See `WorkflowStore.retry_workflow`."""
        ...

    async def fork_workflow(self, workflow: bytes, step: int, new: bytes, *, by: str | None = None) -> WorkflowStarted:
        """See `WorkflowStore.fork_workflow`."""
        ...

    async def delete_workflow(self, workflow: bytes, *, by: str | None = None) -> bool:
        """See `WorkflowStore.delete_workflow`."""
        ...

    async def wait_workflow(self, workflow: bytes, *, wait_s: float) -> WorkflowView | None:
        """See `BlockingStore.wait_workflow`."""
        ...
