"""The rows of workflows and their steps in the file.

A step's row number is made of the number of its workflow and its own, so all steps of a workflow, and all their jobs by
the index on `job.step`, stand side by side, and are found without looking anything up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.ids import new_ids
from penstock.model.workflow_plan import WorkflowPlan
from penstock.model.workflow_views import WorkflowState
from penstock.store.sqlite.database import STATEMENTS, Database
from penstock.workflow.rows import StepFacts, StepRow, WorkflowRow, places_of
from penstock.workflow.values import Results

_encode: Final = msgspec.msgpack.Encoder().encode
_plan_of: Final = msgspec.msgpack.Decoder(WorkflowPlan).decode
_workflow_of: Final = msgspec.msgpack.Decoder(WorkflowRow).decode
_facts_of: Final = msgspec.msgpack.Decoder(StepFacts).decode
_step_of: Final = msgspec.msgpack.Decoder(StepRow).decode

_STEP_BITS: Final = 20
"""Of a step's row number: its own number. `limits.WORKFLOW_STEPS_MAX` is less."""
assert limits.WORKFLOW_STEPS_MAX < 1 << _STEP_BITS, "each step of a workflow has a row number"
COMPENSATION: Final = -1
"""The place of the job that undoes a step."""


def step_row(workflow: int, step: int) -> int:
    """The row of a step, by the number of its workflow and its own."""
    return workflow << _STEP_BITS | step


def workflow_of(row: int) -> int:
    """The number of a step's workflow."""
    return row >> _STEP_BITS


def step_of(row: int) -> int:
    """The number of a step in its workflow."""
    return row & ((1 << _STEP_BITS) - 1)


class StoredWorkflow:
    """One workflow for one transaction: the rows that the machine works with (`penstock.workflow.rows.Rows`), and the
    results that values are made of (`penstock.workflow.values.Results`).

    Args:
        number: of its row.
        id: its own.
        plan, standing: as they are in the row.
    """

    def __init__(self, database: Database, number: int, id: bytes, plan: bytes, standing: bytes) -> None:  # noqa: A002 - the name in the protocol of results
        self.database = database
        self.number = number
        self._id = id
        self._packed_plan = plan
        self._plan: WorkflowPlan | None = None
        self._row = _workflow_of(standing)
        self._steps: dict[int, tuple[StepFacts, StepRow]] = {}

    @property
    def id(self) -> bytes:
        """Its id."""
        return self._id

    @property
    def rows(self) -> StoredWorkflow:
        """Itself: its rows and its results are in one file."""
        return self

    # --- rows --------------------------------------------------------------------------------------------------------
    @property
    def plan(self) -> WorkflowPlan:
        """The plan without its steps."""
        if self._plan is None:
            self._plan = _plan_of(self._packed_plan)
        return self._plan

    def workflow(self) -> WorkflowRow:
        """What changes of the workflow."""
        return self._row

    def put_workflow(self, row: WorkflowRow) -> None:
        """Write what changes."""
        self._row = row
        self.database.run("save_workflow", row.state.value, _encode(row), self.number)

    def step(self, number: int) -> tuple[StepFacts, StepRow]:
        """One step: what does not change of it, and what does."""
        found = self._steps.get(number)
        if found is None:
            facts, standing = self.database.row("step", step_row(self.number, number)) or (b"", b"")
            found = self._steps[number] = read_step(facts, standing)
        return found

    def put_step(self, number: int, row: StepRow) -> None:
        """Write what changes of a step."""
        self._steps[number] = self.step(number)[0], row
        self.database.run("save_step", _encode(row), step_row(self.number, number))

    def add_steps(self, first: int, steps: Sequence[tuple[StepFacts, StepRow]]) -> None:
        """Make the rows of steps, numbered on from ``first``."""
        rows = [(step_row(self.number, number), *one) for number, one in enumerate(steps, first)]
        self.database.run_many("insert_step_facts", [(row, _encode(facts)) for row, facts, _ in rows])
        self.database.run_many("insert_step", [(row, _encode(standing)) for row, _, standing in rows])

    def put_block(self, group: int, place: int, first: int) -> None:
        """Note that the member at this place is the block that begins with step ``first``."""
        self.database.run("insert_member_block", step_row(self.number, group), place, first)

    def new_job_id(self) -> bytes:
        """An id for a job that has to be another one than in the plan."""
        return new_ids(1)[0]

    # --- results -----------------------------------------------------------------------------------------------------
    def result(self, step: int) -> bytes | None:
        """The stored result of the job of a step."""
        found: bytes | None = self.database.value("result_of_step", step_row(self.number, step))
        return found

    def members(self, step: int) -> Iterator[bytes | int | None]:
        """The members of a group by place, none left out (`penstock.workflow.values.Results.members`)."""
        return self.members_from(step, 0)

    def members_from(self, step: int, first: int) -> Iterator[bytes | int | None]:
        """As `members`, from this place on."""
        places, row = places_of(*self.step(step)), step_row(self.number, step)
        blocks = dict(self.database.rows("member_blocks", row))
        results = self.database.connection.execute(STATEMENTS["member_results"], (row, first))
        place = first
        for at, result in results:
            while place < at:
                yield blocks.get(place)
                place += 1
            yield blocks.get(place, result)
            place += 1
        while place < places:
            yield blocks.get(place)
            place += 1

    def origin(self) -> Results:
        """The results of the workflow that this one was forked from."""
        assert self._row.forked_from is not None, "it has steps that were taken over"
        found = find_workflow(self.database, self._row.forked_from)
        assert found is not None, "it is kept as long as its forks"
        return found


def read_step(facts: bytes, standing: bytes) -> tuple[StepFacts, StepRow]:
    """A step as it is packed in its rows."""
    return _facts_of(facts), _step_of(standing)


def find_workflow(database: Database, workflow: bytes) -> StoredWorkflow | None:
    """The workflow with this id, or None."""
    row = database.row("workflow_by_id", workflow)
    return None if row is None else StoredWorkflow(database, *row)


def workflow_at(database: Database, number: int) -> StoredWorkflow | None:
    """The workflow with this number, or None."""
    row = database.row("workflow_at", number)
    return None if row is None else StoredWorkflow(database, *row)


def insert_workflow(database: Database, plan: WorkflowPlan, origin: int | None) -> StoredWorkflow:
    """Make the row of a workflow that starts. Its steps are the machine's to add.

    Args:
        origin: the number of the one that it is forked from; None: it is not.
    """
    bare, standing = _encode(replace(plan, steps=[])), _encode(WorkflowRow())
    database.run("insert_workflow", plan.id, plan.name, WorkflowState.RUNNING.value, origin, bare, standing)
    return StoredWorkflow(database, database.connection.last_insert_rowid(), plan.id, bare, standing)
