"""Workflows and their steps as they are now, for people and programs that ask."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.model.job_error import JobError


class WorkflowState(StrEnum):
    """Where a workflow is. The last three are ends."""

    RUNNING = "running"
    STOPPING = "stopping"
    """It is going to fail or to be cancelled, as soon as none of its jobs runs any more."""
    COMPENSATING = "compensating"
    """What had succeeded is undone."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """Where a step is."""

    WAITING = "waiting"
    """For other steps; or it stands by."""
    RUNNING = "running"
    """Its job, or some of its members, have been handed out and have not all ended."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """It stood by and was not needed."""


class WorkflowStarted(Struct, array_like=True, frozen=True):
    """The answer to a start.

    Attributes:
        id: of the workflow; with ``duplicate`` that of the first one.
        duplicate: nothing was added: the id, or the key with the same identity, was used before.
        conflict: nothing was added: the key was used for another workflow.
    """

    id: bytes
    duplicate: bool = False
    conflict: bool = False


class MembersAdded(Struct, array_like=True, frozen=True):
    """Attributes:
    added: how many are members now that were not.
    total: how many members the group has.
    """

    added: int
    total: int


class WorkflowView(Struct, array_like=True, frozen=True):
    """A workflow.

    Attributes:
        paused: no step starts until it is resumed.
        error: of one that fails or has failed, the first failure; its ``message`` names the step.
        steps: how many there are by state.
        members: of all groups together: how many are there, succeeded, failed, cancelled.
        result_bytes: what the results of its steps and members take together.
        forked_from: the workflow that it repeats the beginning of; None: none.
        keep_until: when its record goes; None: it is not over.
    """

    id: bytes
    name: str
    state: WorkflowState
    created_at: float
    finished_at: float | None = None
    deadline_at: float | None = None
    paused: bool = False
    error: JobError | None = None
    steps: dict[str, int] = {}
    members: tuple[int, int, int, int] = (0, 0, 0, 0)
    result_bytes: int = 0
    forked_from: bytes | None = None
    keep_until: float | None = None


class StepView(Struct, array_like=True, frozen=True):
    """A step.

    Attributes:
        kind: ``job`` or ``group``.
        job: the id of its job, once there is one.
        needs: the numbers of the steps that it waits for, those that have ended included.
        total: of a group: how many members it has; None: it is open. Of a job None.
        members: of a group: how many are there, succeeded, failed, cancelled.
        reason: why it waits, in words; None: it does not.
        owner: the number of the step that it stands inside of: a group of which it is (a part of) a member, a step that
            it stands in for, or one that returned the call that it came of. None: it is at the top.
    """

    number: int
    name: str
    kind: str
    task: str | None
    state: StepState
    job: bytes | None = None
    needs: list[int] = []
    total: int | None = None
    members: tuple[int, int, int, int] | None = None
    started_at: float | None = None
    finished_at: float | None = None
    error: JobError | None = None
    reason: str | None = None
    owner: int | None = None


class WorkflowsPage(Struct, array_like=True, frozen=True):
    """Workflows, newest first. ``cursor`` asks for the next page; None: there is none."""

    workflows: list[WorkflowView]
    cursor: str | None = None


class StepsPage(Struct, array_like=True, frozen=True):
    """Steps, by number. ``cursor`` asks for the next page; None: there is none."""

    steps: list[StepView]
    cursor: str | None = None


class ResultsPage(Struct, array_like=True, frozen=True):
    """Results of the members of a group in the order of their places, or the one value of a job.

    Attributes:
        results: each encoded, format byte first; None: that member failed, or has not ended.
        first: the place of the first of them.
        cursor: the place to go on at; None: these are the last.
        total: how many members the group has now; of a job 1.
    """

    results: list[bytes | None]
    first: int = 0
    cursor: int | None = None
    total: int = 0
