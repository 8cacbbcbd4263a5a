"""The part of an application that has to do with workflows: their handles, and events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import parse_id
from penstock.model.workflow_views import WorkflowView
from penstock.tasks.canvas.workflow import Workflow, event_payload
from penstock.tasks.store_connection import StoreConnection


class AppWorkflows:
    """What `penstock.tasks.app.Penstock` offers for workflows, and for jobs that wait for events."""

    _connection: StoreConnection

    def workflow(self, workflow_id: str | UUID) -> Workflow[Any]:
        """The handle of a workflow by its id.

        Raises:
            WorkflowNotFound: there is no record of it.
        """
        found = _workflow_id(workflow_id)
        return self._workflow_handle(workflow_id, self._connection.store().workflow(found))

    async def workflow_async(self, workflow_id: str | UUID) -> Workflow[Any]:
        """`workflow` for a coroutine."""
        found = _workflow_id(workflow_id)
        store = await self._connection.async_store()
        return self._workflow_handle(workflow_id, await store.workflow(found))

    def signal(self, workflow_id: str | UUID, event: str, payload: Any = None) -> bool:
        """Signal an event to a workflow, or to a lone job: ``app.signal(job.id, "approved", {"by": "ann"})``. The job
        that has waited for it longest (``ctx.wait_for``) runs on with the payload. If none waits it is kept for the
        first that will. It is durable when this returns.

        Args:
            workflow_id: of a workflow, or of a job that is of none.
            event: its name.
            payload: plain data.

        Returns:
            Whether a job waited for it.

        Raises:
            WorkflowNotFound: there is neither a workflow nor a lone job of this id, or it is over.
            InvalidOption: the event has no name, or a long one.
            InvalidResult: the payload cannot be sent.
            StoreFull: SIGNALS_KEPT_MAX events are kept that nobody has waited for.
            StoreUnavailable: the store cannot be reached.
        """
        data = event_payload(event, payload)
        return self._connection.store().signal(_workflow_id(workflow_id), event, data).delivered

    async def signal_async(self, workflow_id: str | UUID, event: str, payload: Any = None) -> bool:
        """`signal` for a coroutine."""
        data = event_payload(event, payload)
        store = await self._connection.async_store()
        return (await store.signal(_workflow_id(workflow_id), event, data)).delivered

    def _workflow_handle(self, workflow_id: str | UUID, view: WorkflowView | None) -> Workflow[Any]:
        if view is None:
            raise WorkflowNotFound(f"There is no record of workflow {workflow_id}.")
        return Workflow(self._connection, view.id, view.name)


def _workflow_id(text: str | UUID) -> bytes:
    found = parsed_id(text)
    if found is None:
        raise WorkflowNotFound(f"{text!r} is not a workflow's id.")
    return found


def parsed_id(text: str | UUID) -> bytes | None:
    """The 16 bytes of an id; None: it is none."""
    try:
        return text.bytes if isinstance(text, UUID) else parse_id(text)
    except (ValueError, AttributeError, TypeError):
        return None
