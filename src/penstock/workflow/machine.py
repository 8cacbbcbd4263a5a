"""The machine of a workflow: what has happened goes in, decisions come out. (Skeleton: the calls that stores make.)"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.entry import JobGroup
from penstock.model.job_error import JobError
from penstock.model.workflow_plan import StepPlan, WorkflowPlan
from penstock.workflow.decisions import Decision
from penstock.workflow.rows import Rows


class Machine:
    """One workflow for one transaction, or a part of one.

    Tell it what has happened, any number of things, then call `decide`, which puts the rows that changed and answers
    what is to be done. Nothing may have changed these rows in between but this machine.
    """

    def __init__(self, rows: Rows, now: float) -> None: ...

    # --- from clients
    def begin(self) -> None:
        """The workflow was started: its rows (`new_rows`) are there. Called before its first members are added."""

    def place_members(self, step: int, count: int, first: int | None, *, by_member: bool = False) -> tuple[int, bool]:
        """So many new jobs become members of a group (those that are there already are not counted). Answers the place
        of the first, and whether they are to be held (else they are enqueued now). ``by_member``: they land with the
        success of a member, and the producer may have closed the group. Call it before that success is told.

        Raises:
            Conflict, InvalidOption.
        """
        raise NotImplementedError

    def close_group(self, step: int) -> None: ...
    def cancel(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def retry(self) -> None: ...

    # --- from jobs: members of one batch together. A job whose end was told is not told again.
    def job_succeeded(self, step: int, result_bytes: int) -> None: ...
    def job_failed(self, step: int, error: JobError) -> None:
        """Dead, or expired, or it could not be enqueued."""

    def job_cancelled(self, step: int) -> None:
        """By hand, or because the machine asked for it."""

    def members_ended(
        self, step: int, *, succeeded: int = 0, result_bytes: int = 0, failed: int = 0, cancelled: int = 0,
        error: JobError | None = None,
    ) -> None:
        """``error``: the first failure's."""

    def job_became(self, step: int, plan: WorkflowPlan, *, place: int | None = None) -> None:
        """It succeeded by returning a call. ``place``: it is a member of a group. Members of groups in the plan are
        added afterwards: numbers of the plan's steps are `first_new` on."""

    def compensation_ended(self, step: int, error: JobError | None) -> None: ...

    # --- from the store
    def members_started(self, step: int, count: int) -> None:
        """Of a group's held members, or of those that run again, so many were enqueued."""

    def alarm(self, step: int | None) -> None: ...
    def work(self, steps_max: int) -> None:
        """Go on with chores (`WorkflowRow.chores`)."""

    def decide(self) -> list[Decision]:
        raise NotImplementedError


def new_rows(plan: WorkflowPlan, now: float) -> object:
    """The rows of a workflow that starts."""
