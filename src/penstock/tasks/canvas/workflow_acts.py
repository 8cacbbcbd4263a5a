"""When what people ask of a workflow can be done, told alike by every door."""

from __future__ import annotations

from typing import Final

from penstock.model.errors import Conflict, WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.workflow_views import WorkflowState, WorkflowView

OVER: Final = frozenset({WorkflowState.SUCCEEDED, WorkflowState.FAILED, WorkflowState.CANCELLED})
"""States in which nothing more happens to a workflow by itself."""
RETRIED: Final = frozenset({WorkflowState.FAILED, WorkflowState.CANCELLED})
"""States from which it can be retried."""


def check_act(verb: str, view: WorkflowView) -> None:
    """Pass when a workflow can be cancelled, paused, resumed, retried or deleted (``verb``) as it is.

    Raises:
        Conflict: it cannot.
    """
    state = view.state
    if verb == "retry":
        if state not in RETRIED:
            raise Conflict(f"The workflow is {state.value}; only a failed or cancelled one can be retried.")
    elif verb == "delete":
        if state not in OVER:
            raise Conflict(f"The workflow is {state.value}; cancel it first, and delete it when it is over.")
    elif state in OVER and not (verb == "cancel" and state is WorkflowState.CANCELLED):
        raise Conflict(f"The workflow is over ({state.value}): there is nothing to {verb}.")


def no_workflow(workflow: bytes) -> WorkflowNotFound:
    """The error for an id that no workflow has."""
    return WorkflowNotFound(
        f"There is no record of a workflow {id_text(workflow)}: never accepted, or not kept any more."
    )
