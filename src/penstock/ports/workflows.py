"""What a store offers for workflows. Each call is one atomic step.

It is a part of the contract of a store (`penstock.ports.Store`). What a plan means: `penstock.model.workflow_plan`;
what follows from what: `penstock.workflow`.
"""

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
from penstock.ports.effects import reads


class WorkflowStore(Protocol):
    """The calls about workflows."""

    def start_workflow(self, plan: WorkflowPlan, members: Sequence[Members] = ()) -> WorkflowStarted:
        """Accept a workflow with (the first of) the bare members of its groups: durable when this returns. Steps and
        members that wait for nothing are ready.

        Raises:
            InvalidOption: the plan is not sound (`penstock.workflow`), an option is outside what it may be, or it has
                too many steps.
            BodyTooLarge: a body, or the number of jobs in the call is.
            QueueDraining: a queue or task among these takes no new jobs; nothing was accepted.
        """
        ...

    def add_members(self, workflow: bytes, members: Sequence[Members], *, close: Sequence[int] = ()) -> MembersAdded:
        """Add bare members to open groups, and then close the groups ``close``. Those that are there are not added
        again.

        Raises:
            WorkflowNotFound: there is no such workflow.
            Conflict: the group is closed, or has ended.
            InvalidOption, BodyTooLarge, QueueDraining: as `start_workflow`.
        """
        ...

    @reads
    def workflow(self, workflow: bytes) -> WorkflowView | None:
        """One workflow; None: there is none of this id (any more)."""
        ...

    @reads
    def workflows(
        self,
        *,
        state: WorkflowState | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> WorkflowsPage:
        """Workflows, newest first, in pages; a page may be short, and its cursor goes on."""
        ...

    @reads
    def steps(self, workflow: bytes, *, cursor: str | None = None, limit: int = 100) -> StepsPage:
        """The steps of a workflow, by number, in pages. Raises WorkflowNotFound."""
        ...

    @reads
    def results(self, workflow: bytes, step: int | None, *, first: int = 0, limit: int = 1_000) -> ResultsPage:
        """Results of a step, in pages that have a bounded size: of a group those of its members, of a job its own one.
        ``step`` None: the workflow's own result, as one.

        Raises:
            WorkflowNotFound: there is no such workflow, or step.
        """
        ...

    def cancel_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Cancel all of it. Answers its state afterwards; None: there is none."""
        ...

    def pause_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Let no step of it start until `resume_workflow`. What was handed out goes on."""
        ...

    def resume_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Let steps start again."""
        ...

    def retry_workflow(self, workflow: bytes, *, by: str | None = None) -> WorkflowState | None:
        """Let a failed or cancelled workflow go on: what failed, was cancelled or was undone runs again, what
        succeeded stands. Others are left alone."""
        ...

    def fork_workflow(self, workflow: bytes, step: int, new: bytes, *, by: str | None = None) -> WorkflowStarted:
        """Start the workflow ``new`` (16 bytes), a copy in which this step, and all that needs it, runs anew, and what
        else succeeded stands.

        Raises:
            WorkflowNotFound: there is no such workflow, or step.
            Conflict: a step that it needs has not succeeded, or one that would stand may still be undone.
        """
        ...

    def delete_workflow(self, workflow: bytes, *, by: str | None = None) -> bool:
        """Throw away the record of a workflow that is over, with those of its jobs. Answers whether it was one."""
        ...
