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
from penstock.model.workflow_plan import Callback, StepPlan, WorkflowPlan
from penstock.model.workflow_views import StepState, WorkflowState

UNCOUNTED: Final = 1 << 40
"""`StepRow.unmet` of a step of a workflow that is retried, before its needs have been counted anew."""


class StepFacts(Struct, array_like=True, frozen=True):
    """The static part of a step.

    Attributes:
        dependents: the steps that need it, by number.
        last: of a group, the last step of the blocks that were its members from the beginning, which follow it at once;
            without any its own number.
        end: the last step of all its blocks that were planned, those inside them included; without any its own number.
        steps: where a block begins: how many steps are of this block and not of one inside it. Elsewhere 0.
        gated: it needs no other step of its block, so it may start when the block is opened.
        on_success, on_error: where a block begins that a job returned: callbacks of it as a whole.
    """

    plan: StepPlan
    dependents: list[int] = []
    last: int = 0
    end: int = 0
    steps: int = 0
    gated: bool = False
    on_success: list[Callback] = []
    on_error: list[Callback] = []


class GroupRow(Struct, array_like=True):
    """What changes of a group.

    Attributes:
        total: how many members it will have had; None: that is not known yet.
        there: the members that are there, blocks included.
        next: the place after the last of them.
        held: those of them that are not handed out: jobs that the store keeps until the group starts, and in a retry
            those that are to run again.
        blocks: those of them that are blocks.
        succeeded, failed, cancelled: how many members have ended so, blocks included.
        blocks_succeeded: how many blocks have.
        jobs_bytes, blocks_bytes: what their values take.
        error: of the first that failed.
        open_until: the producer must have added to it by then, Unix seconds; None: nothing more is expected.
        alarm: when the store will ask about that; None: it will not.
        grown: the blocks that jobs of it have returned, as ranges of steps.
        from_source: in a fork: the members at places below this are those of the workflow that it was forked from.
    """

    total: int | None = None
    there: int = 0
    next: int = 0
    held: int = 0
    blocks: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    blocks_succeeded: int = 0
    jobs_bytes: int = 0
    blocks_bytes: int = 0
    error: JobError | None = None
    open_until: float | None = None
    alarm: float | None = None
    grown: list[tuple[int, int]] = []
    from_source: int = 0

    @property
    def bad(self) -> int:
        """How many members have not ended well."""
        return self.failed + self.cancelled

    @property
    def ended(self) -> int:
        """How many members have ended."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def jobs(self) -> int:
        """How many members are jobs."""
        return self.there - self.blocks

    @property
    def jobs_succeeded(self) -> int:
        """How many of these have succeeded."""
        return self.succeeded - self.blocks_succeeded

    @property
    def is_complete(self) -> bool:
        """Whether all members are there that it will have."""
        return self.there == self.total


class BlockRow(Struct, array_like=True):
    """What changes of the block that begins with this step.

    Attributes:
        left: how many of its steps have not ended well.
        failed: one of them has failed, or was cancelled, and the owner has been told.
        values: the steps whose values are its own, each with the name that it has there.
    """

    left: int = 0
    failed: bool = False
    values: list[tuple[str | None, int]] = []

    @property
    def has_succeeded(self) -> bool:
        """Whether all its steps have ended well."""
        return self.left == 0 and not self.failed


class StepRow(Struct, array_like=True):
    """The part of a step that changes.

    Attributes:
        unmet: for how many things it waits: steps that it needs, and that its block is opened.
        gated: it waits for its block to be opened. Steps that wait for others of the block need not.
        job: the id of its job when it is not that of the plan, as in a fork.
        asked: its job, or its members, were told to end.
        error: why it failed; kept while another block stands in for it.
        stands_in: the first step of the block that is under way for it: its alternative, or what its job returned.
        returned: the first step of the block that its job returned.
        value_from: the first step of the block whose value is its own; None: it has that of its job or members.
        value_bytes: what its value takes, if it is not that of members.
        undo_before: the step that is undone after this one; None: there is none.
        undone: its compensation has been started.
        redo: in a retry it waits again although it succeeded: something inside of it was undone.
        anew: in a retry all inside of it runs again, whatever it came to.
        again: it has been retried.
        inherited: it was taken over from the workflow that this one was forked from, and its value is there.
        dropped: what it was appended for, in the workflow that this one was forked from, runs anew: it never will.
    """

    state: StepState = StepState.WAITING
    unmet: int = 0
    gated: bool = False
    job: bytes | None = None
    asked: bool = False
    error: JobError | None = None
    stands_in: int | None = None
    returned: int | None = None
    value_from: int | None = None
    value_bytes: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    undo_before: int | None = None
    undone: bool = False
    redo: bool = False
    anew: bool = False
    again: bool = False
    inherited: bool = False
    dropped: bool = False
    group: GroupRow | None = None
    block: BlockRow | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.state not in {StepState.WAITING, StepState.RUNNING}

    @property
    def is_closing(self) -> bool:
        """Whether it has ended or is to end, or another block stands in for it: its own members do not go on."""
        return self.has_ended or self.asked or self.stands_in is not None


def places_of(facts: StepFacts, row: StepRow) -> int:
    """How many places a group has up to its last member, those of members included that have not come yet."""
    group, plan = row.group, facts.plan.group
    if group is None or plan is None:
        return 0
    # Those that members add to a group stand behind all that were announced.
    added_behind = 0 if plan.total is None or group.total is None or group.total == plan.total else group.total
    return max(group.there, group.next, added_behind)


class ChoreKind(IntEnum):
    """What is left to be done with a range of steps."""

    OPEN = 0
    """Blocks are opened, one after the other: what needs nothing in them starts."""
    RELEASE = 1
    """What waits for nothing any more is started."""
    CANCEL = 2
    """What waits is cancelled, what runs is asked to end."""
    SKIP = 3
    """What stood by and was not needed is skipped."""
    RESET = 4
    """For a retry: what has not ended well, or was undone, waits again."""
    COUNT = 5
    """For a retry: what waits has its needs counted anew, and starts if they are met."""


class Chore(Struct, array_like=True, frozen=True):
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
        chores: work that is left for later, in order. While there is some the store drives the machine now and then.
        held_back: steps that are to start when it is resumed, as ranges.
        undo_first: the step that is undone first: the latest success that has a compensation.
        undoing: the step whose compensation runs.
        retries: how often it was retried.
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
    retries: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.finished_at is not None

    @property
    def starts_nothing(self) -> bool:
        """Whether it is paused, and goes on: nothing of it is handed out until it is resumed."""
        return self.paused and self.ending is None and not self.is_over

    def to_do(self, kind: ChoreKind, first: int, last: int) -> None:
        """Leave work for later: after what was left before."""
        if self.chores:
            before = self.chores[-1]
            if before.kind is kind and before.last + 1 == first and kind is not ChoreKind.OPEN:
                self.chores[-1] = Chore(kind, before.first, last)
                return
        self.chores.append(Chore(kind, first, last))


def add_range(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    """Add steps to a list of ranges, to the last of them if they follow it."""
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))


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
        """Keep that the member at this place of a group is the block that begins with step ``first``. There may be a
        job at the place, which has returned a call: the block takes its place."""
        ...

    def new_job_id(self) -> bytes:
        """An id for a job that has to be another one than in the plan."""
        ...
