"""The rows of a workflow that the machine works on: taken when they are first needed, put back once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from penstock.model.job_error import JobError
from penstock.model.workflow_plan import Block, Callback
from penstock.model.workflow_views import StepState
from penstock.workflow.decisions import Call, Decision, SetAlarm
from penstock.workflow.hand_over import REFERENCE_BYTES
from penstock.workflow.rows import BlockRow, GroupRow, Rows, StepFacts, StepRow, WorkflowRow
from penstock.workflow.values import is_large


class RowsAtHand:
    """What the machine knows of one workflow.

    Attributes:
        now: Unix seconds.
        decisions: what was decided so far.
    """

    def __init__(self, rows: Rows, now: float) -> None:
        self._rows = rows
        self.now = now
        self.decisions: list[Decision] = []
        self._steps: dict[int, tuple[StepFacts, StepRow]] = {}
        self._changed: set[int] = set()
        self._workflow: WorkflowRow | None = None
        self._events: deque[Callable[[], None]] = deque()

    # --- rows --------------------------------------------------------------------------------------------------------
    @property
    def workflow(self) -> WorkflowRow:
        """The workflow's row."""
        if self._workflow is None:
            self._workflow = self._rows.workflow()
        return self._workflow

    def look(self, number: int) -> tuple[StepFacts, StepRow]:
        """A step, to be read."""
        found = self._steps.get(number)
        if found is None:
            found = self._steps[number] = self._rows.step(number)
        return found

    def take(self, number: int) -> tuple[StepFacts, StepRow]:
        """A step, to be changed."""
        self._changed.add(number)
        return self.look(number)

    def take_group(self, number: int) -> GroupRow:
        """What changes of a group."""
        group = self.take(number)[1].group
        assert group is not None, f"step {number} is a group"
        return group

    def take_block(self, block: Block) -> BlockRow:
        """What changes of a block."""
        row = self.take(block.first)[1].block
        assert row is not None, f"a block begins with step {block.first}"
        return row

    def put_back(self) -> None:
        """Put back what was changed."""
        for number in sorted(self._changed):
            self._rows.put_step(number, self._steps[number][1])
        self._rows.put_workflow(self.workflow)
        self._changed.clear()

    # --- what follows ------------------------------------------------------------------------------------------------
    def then(self, event: Callable[[], None]) -> None:
        """Let something follow, when what is being done has been done."""
        self._events.append(event)

    def settle(self) -> None:
        """Do all that follows."""
        while self._events:
            self._events.popleft()()

    # --- small changes -----------------------------------------------------------------------------------------------
    def go(self, row: StepRow, state: StepState) -> None:
        """Put a step into another state."""
        counts = self.workflow.counts
        counts[row.state] -= 1
        counts[state] = counts.get(state, 0) + 1
        row.state = state
        if state is StepState.RUNNING:
            row.started_at = self.now
        elif state is not StepState.WAITING:
            row.finished_at = self.now

    def count_members(
        self, group: GroupRow, there: int = 0, succeeded: int = 0, failed: int = 0, cancelled: int = 0
    ) -> None:
        """Count members of a group, and so of the workflow."""
        group.there += there
        group.succeeded += succeeded
        group.failed += failed
        group.cancelled += cancelled
        before = self.workflow.members
        self.workflow.members = (
            before[0] + there,
            before[1] + succeeded,
            before[2] + failed,
            before[3] + cancelled,
        )

    def call(
        self,
        callbacks: list[Callback],
        step: int | None,
        error: JobError | None = None,
        *,
        again: bool = False,
        is_block: bool = False,
    ) -> None:
        """Decide that callbacks are called. ``again``: they may have been before."""
        for callback in callbacks:
            job = self.job_id(callback.call.jobs[0].id, again=again)
            self.decisions.append(Call(callback, job, step, error, is_block=is_block))

    def job_id(self, planned: bytes, *, again: bool) -> bytes:
        """An id for a job that is not known by it: the planned one, or another if that may be in use."""
        return self._rows.new_job_id() if again or self.workflow.forked_from is not None else planned

    def set_alarms(self) -> None:
        """Decide when groups that were changed are looked at again."""
        for number in sorted(self._changed):
            group = self._steps[number][1].group
            if group is None:
                continue
            if group.open_until is None and group.alarm is not None:
                group.alarm = None
                self.decisions.append(SetAlarm(number, None))
            elif group.open_until is not None and group.alarm is None:
                group.alarm = group.open_until
                self.decisions.append(SetAlarm(number, group.open_until))

    # --- sizes -------------------------------------------------------------------------------------------------------
    def handed_bytes(self, number: int, *, streams: bool = False) -> int:
        """What the value of a step takes when it is handed over."""
        row = self.look(number)[1]
        if row.group is None or row.value_from is not None:
            return row.value_bytes
        size_bytes = row.group.jobs_bytes + row.group.blocks_bytes
        return REFERENCE_BYTES if streams or is_large(row.group.there, size_bytes) else size_bytes

    def parts_bytes(self, parts: list[tuple[str | None, int]]) -> int:
        """What a value that is put together takes."""
        return 1 + sum(self.handed_bytes(number) + 5 + len((name or "").encode()) for name, number in parts)
