"""What a store keeps of a workflow, and how the machine reads and writes it.

Of the workflow and of each step there is a static part, written once, and a small one that changes. The machine takes
rows as it needs them and puts back those that it changed; it never goes through the whole graph at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

from msgspec import Struct

from penstock.model.job_error import JobError
from penstock.model.workflow_plan import StepPlan, WorkflowPlan
from penstock.model.workflow_views import StepState, WorkflowState

UNCOUNTED: Final = 1 << 40
"""`StepRow.unmet` of a step of a workflow that is retried, before its needs have been counted anew."""


class StepFacts(Struct, array_like=True, frozen=True):
    """The static part of a step.

    Attributes:
        dependents: the steps that need it, by number.
        last: of a group, the last step of the blocks that were its members from the beginning, which follow it at once;
            without any its own number.
        steps: where a block begins: how many steps are of this block and not of one inside it. Elsewhere 0.
    """

    plan: StepPlan
    dependents: list[int] = []
    last: int = 0
    steps: int = 0


class GroupRow(Struct, array_like=True):
    """What changes of a group.

    Attributes:
        total: how many members it will have had; None: that is not known yet.
        there: the members that are there, blocks included.
        held: those of them that were not handed out: jobs that the store keeps until the group starts.
        blocks: those of them that are blocks.
        succeeded, failed, cancelled: how many members have ended so, blocks included.
        blocks_succeeded: how many blocks have.
        open_until: the producer must have added to it by then, Unix seconds; None: nothing more is expected.
    """

    total: int | None = None
    there: int = 0
    held: int = 0
    blocks: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    blocks_succeeded: int = 0
    open_until: float | None = None

    @property
    def ended(self) -> int:
        """How many members have ended."""
        return self.succeeded + self.failed + self.cancelled


class BlockRow(Struct, array_like=True):
    """What changes of the block that begins with this step.

    Attributes:
        open: its steps may start.
        left: how many of its steps have not ended well.
        failed: one of them has failed, or was cancelled, and the owner has been told.
        values: the steps whose values are its own, each with the name that it has there.
    """

    open: bool = False
    left: int = 0
    failed: bool = False
    values: list[tuple[str | None, int]] = []


class StepRow(Struct, array_like=True):
    """The part of a step that changes.

    Attributes:
        unmet: for how many things it waits: steps that it needs, and that its block opens.
        job: the id of its job when it is not that of the plan, as in a fork.
        asked: its job, or its members, were told to end.
        stands_in: the first step of the block that is under way for it: its alternative, or what its job returned.
        value_from: the first step of the block whose value is its own; None: it has that of its job or members.
        value_bytes: what its value takes when it is handed over.
        undo_before: the step that is undone after this one; None: there is none.
        undone: its compensation has been started.
        inherited: it was taken over from the workflow that this one was forked from, and its value is there.
    """

    state: StepState = StepState.WAITING
    unmet: int = 0
    job: bytes | None = None
    asked: bool = False
    error: JobError | None = None
    stands_in: int | None = None
    value_from: int | None = None
    value_bytes: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    undo_before: int | None = None
    undone: bool = False
    inherited: bool = False
    group: GroupRow | None = None
    block: BlockRow | None = None


class ChoreKind(IntEnum):
    """What is left to be done with a range of steps."""

    CANCEL = 0
    """What waits is cancelled, what runs is asked to end."""
    SKIP = 1
    """What stood by and was not needed is skipped."""
    RELEASE = 2
    """What waits for nothing any more is started."""
    RESET = 3
    """For a retry: what has not ended well, or was undone, waits again."""
    COUNT = 4
    """For a retry: what waits has its needs counted anew, and starts if they are met."""


class Chore(Struct, array_like=True):
    """Work of the machine that is left for later: it goes through ``first`` to ``last``."""

    kind: ChoreKind
    first: int
    last: int


class WorkflowRow(Struct, array_like=True):
    """The part of a workflow that changes.

    Attributes:
        steps: how many there are, those that were appended included.
        counts: of the steps by state.
        members: of all groups together: how many are there, succeeded, failed, cancelled.
        jobs: of its steps and members: how many were handed out and have not ended.
        ending: what it will be when its jobs have ended, and what is to be undone was; None: it goes on.
        error: the first failure.
        chores: work that is left for later, in order. While there is some, the store calls `Machine.work` now and then.
        held_back: steps that are to start when it is resumed, as ranges.
        undo_first: the step that is undone first: the latest success that has a compensation.
        undoing: the step whose compensation runs.
    """

    state: WorkflowState = WorkflowState.RUNNING
    created_at: float = 0.0
    steps: int = 0
    counts: dict[StepState, int] = {}
    members: tuple[int, int, int, int] = (0, 0, 0, 0)
    jobs: int = 0
    result_bytes: int = 0
    paused: bool = False
    ending: WorkflowState | None = None
    error: JobError | None = None
    finished_at: float | None = None
    deadline_at: float | None = None
    forked_from: bytes | None = None
    undo_first: int | None = None
    undoing: int | None = None
    chores: list[Chore] = []
    held_back: list[tuple[int, int]] = []

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.finished_at is not None


class Rows(Protocol):
    """One workflow in a store, for as long as one transaction.

    What was put is what is read from then on. Whether a store keeps what it was given in its packed form or as it is,
    is its own affair: the machine takes each row once and puts it once.
    """

    @property
    def plan(self) -> WorkflowPlan:
        """The plan without its steps."""
        ...

    def workflow(self) -> WorkflowRow:
        """The workflow."""
        ...

    def put_workflow(self, row: WorkflowRow) -> None:
        """Keep the workflow."""
        ...

    def step(self, number: int) -> tuple[StepFacts, StepRow]:
        """One step. The machine asks for those only that are there."""
        ...

    def put_step(self, number: int, row: StepRow) -> None:
        """Keep a step."""
        ...

    def add_steps(self, first: int, steps: Sequence[tuple[StepFacts, StepRow]]) -> None:
        """Add steps, numbered on from ``first``, which is how many there are."""
        ...

    def put_block(self, group: int, place: int, first: int) -> None:
        """Keep that the member at this place of a group is the block that begins with step ``first``. There may be a job
        at the place, which has returned a call: the block takes its place."""
        ...

    def new_job_id(self) -> bytes:
        """An id for a job that has to be another one than in the plan."""
        ...
