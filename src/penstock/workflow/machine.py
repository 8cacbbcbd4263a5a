"""The machine of a workflow: what has happened goes in, decisions come out. No I/O, no clock.

A transition touches a step, what needs it and what it belongs to, never the whole graph; the end of a member of a group
changes counts alone. What concerns many steps is left in the workflow's row and done a bounded part at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.job_error import JobError
from penstock.model.workflow_plan import WorkflowPlan
from penstock.model.workflow_views import StepState, WorkflowState
from penstock.workflow.checks import check_plan
from penstock.workflow.decisions import Compensate, Decision, Over, SetAlarm
from penstock.workflow.layout import appended, facts_of
from penstock.workflow.membership import Membership
from penstock.workflow.rows import (
    BlockRow,
    ChoreKind,
    GroupRow,
    StepFacts,
    StepRow,
    WorkflowRow,
    add_range,
)


class Machine(Membership):
    """One workflow for one transaction, or a part of one.

    Tell it what has happened, any number of things, then call `decide`: it puts the rows that changed and answers what
    is to be done. Between two of them, nothing but this machine may change these rows. To go on with the work that was
    left (`WorkflowRow.chores`), call `decide` and nothing else.

    Args:
        now: Unix seconds by the store's clock.
        steps_max: about as many steps are handled at once, beside those that something was told of.
    """

    # --- from clients ------------------------------------------------------------------------------------------------
    def begin(self, plan: WorkflowPlan) -> None:
        """A workflow with a plan that passed `check_plan` starts; nothing of it but the plan without its steps has been
        kept. Its first members are placed afterwards."""
        deadline_at = None if plan.deadline_s is None else self.now + plan.deadline_s
        self._workflow = WorkflowRow(created_at=self.now, deadline_at=deadline_at)
        self._set_deadline()
        self._release_heads(self._add_steps(facts_of(plan.steps), 0))

    def begin_with(self, workflow: WorkflowRow, steps: list[tuple[StepFacts, StepRow]]) -> None:
        """A workflow that was forked starts, with the rows of `penstock.workflow.forking.fork`."""
        self._workflow = workflow
        for owner, place, number in _block_members(steps, 0):
            self._rows.put_block(owner, place, number)
        for facts, row in steps:
            if row.group is not None and facts.plan.group is not None and row.state is StepState.WAITING:
                # Whoever fills the source knows nothing of the fork, whose group is abandoned in its time.
                self.expect_more(row.group, facts.plan.group.open_s)
        self._put_new(steps, 0)
        self._set_deadline()
        self._release_heads([row for _, row in steps])

    def _release_heads(self, rows: list[StepRow]) -> None:
        """Let what waits for nothing start."""
        for number, row in enumerate(rows):
            if row.unmet == 0 and row.state is StepState.WAITING:
                self.workflow.to_do(ChoreKind.RELEASE, number, number)

    def cancel(self) -> None:
        """Somebody wants all of it to end."""
        self.stop(WorkflowState.CANCELLED)

    def pause(self) -> None:
        """No step starts until it is resumed."""
        if self.workflow.ending is None and not self.workflow.is_over:
            self.workflow.paused = True

    def resume(self) -> None:
        """Steps start again."""
        workflow = self.workflow
        workflow.paused = False
        for first, last in workflow.held_back:
            workflow.to_do(ChoreKind.RELEASE, first, last)
        workflow.held_back = []

    def retry(self) -> bool:
        """A workflow that has failed or was cancelled goes on. Answers whether it was one."""
        workflow = self.workflow
        if workflow.state not in {WorkflowState.FAILED, WorkflowState.CANCELLED}:
            return False
        workflow.state, workflow.retries = WorkflowState.RUNNING, workflow.retries + 1
        workflow.ending = workflow.error = workflow.finished_at = workflow.undo_first = None
        workflow.paused = False
        deadline_s = self._rows.plan.deadline_s
        workflow.deadline_at = None if deadline_s is None else self.now + deadline_s
        self._set_deadline()
        workflow.to_do(ChoreKind.RESET, 0, workflow.steps - 1)
        workflow.to_do(ChoreKind.COUNT, 0, workflow.steps - 1)
        return True

    # --- from jobs ---------------------------------------------------------------------------------------------------
    def job_succeeded(self, number: int, result_bytes: int) -> None:
        """The job of a step returned. ``result_bytes``: what is kept of that."""
        row = self.take(number)[1]
        self.workflow.jobs -= 1
        row.value_bytes = max(result_bytes, 1)
        self.count_results(result_bytes)
        self.succeed(number)

    def job_failed(self, number: int, error: JobError) -> None:
        """The job of a step is dead, or expired, or could not be enqueued."""
        self.workflow.jobs -= 1
        self.fail(number, error)

    def job_cancelled(self, number: int) -> None:
        """The job of a step was cancelled: because the machine decided it, or by hand, which is a failure."""
        self.workflow.jobs -= 1
        if self.look(number)[1].asked:
            self.end_badly(number, StepState.CANCELLED, swept=True)
        else:
            self.fail(number, JobError("JobCancelled", "Its job was cancelled."))

    def takes_call(self, number: int) -> bool:
        """Whether a call that the job of this step returns, or that of a member of it, takes its place now. If not, all
        is about to end, and the job is cancelled."""
        row = self.look(number)[1]
        return self.workflow.ending is None and not row.is_closing

    def job_became(self, number: int, plan: WorkflowPlan, place: int | None = None) -> int | JobError | None:
        """The job of a step, or of a member of a group, has returned a call, which takes its place.

        Args:
            place: of the member; None: it is the job of the step.

        Returns:
            What is to be added to the numbers of the plan's steps, in `Members` that came with it. An error: the plan
            is not sound, and so the job is dead with this error and has not succeeded. None: all is about to end, and
            so the job was cancelled.
        """
        self.workflow.jobs -= 1
        if not self.takes_call(number):
            self._became_nothing(number, place, None)
            return None
        try:
            check_plan(plan, self.now, there=self.workflow.steps)
        except PenstockError as error:
            reason = JobError(type(error).__name__, error.message)
            self._became_nothing(number, place, reason)
            return reason
        first = self.workflow.steps
        facts = facts_of(appended(plan, first, number, place or 0), first)
        facts[0] = replace(facts[0], on_success=plan.on_success, on_error=plan.on_error)
        self._add_steps(facts, first)
        row = self.take(number)[1]
        last = first + len(facts) - 1
        if place is None:
            row.returned = row.stands_in = first
        else:
            group = self.take_group(number)
            group.blocks += 1
            add_range(group.grown, first, last)
            self._rows.put_block(number, place, first)
        self.workflow.to_do(ChoreKind.OPEN, first, last)
        return first

    def _became_nothing(self, number: int, place: int | None, error: JobError | None) -> None:
        if place is None:
            if error is None:
                self.end_badly(number, StepState.CANCELLED, swept=True)
            else:
                self.fail(number, error)
            return
        group = self.take_group(number)
        group.error = group.error or error
        group.jobs_bytes += 1
        self.count_members(group, failed=int(error is not None), cancelled=int(error is None))
        self.check_group(number)

    def compensation_ended(self, error: JobError | None) -> None:
        """The compensation that was decided on last has ended. ``error``: it has failed; None: it has not."""
        workflow = self.workflow
        number = workflow.undoing
        if number is None:
            return
        workflow.undoing = None
        if error is not None:
            name = self.look(number)[0].plan.name
            said = f"The compensation of the step {name!r} failed: {error.message}"
            before = workflow.error
            workflow.ending = WorkflowState.FAILED
            workflow.error = (
                JobError("CompensationFailed", said, error.traceback)
                if before is None
                else JobError(before.type, f"{before.message} {said}", before.traceback)
            )

    # --- from the store ----------------------------------------------------------------------------------------------
    def alarm(self, number: int | None) -> None:
        """The time of a `SetAlarm` has come."""
        if number is None:
            self._check_deadline()
            return
        group = self.take_group(number)
        group.alarm = None
        if group.open_until is not None and group.open_until <= self.now:
            self.abandon(number)

    def _check_deadline(self) -> None:
        workflow = self.workflow
        if workflow.deadline_at is None or workflow.ending is not None or workflow.is_over:
            return
        if workflow.deadline_at > self.now:
            self._set_deadline()
            return
        self.fail_workflow(
            JobError("DeadlineExceeded", f"It was not over within {self._rows.plan.deadline_s:g} s of its start.")
        )

    def _set_deadline(self) -> None:
        if self.workflow.deadline_at is not None:
            self.decisions.append(SetAlarm(None, self.workflow.deadline_at))

    # --- decisions ---------------------------------------------------------------------------------------------------
    def decide(self) -> list[Decision]:
        """Put back what has changed. Answers what is to be done, in this order."""
        self.go_on()
        self._end()
        self.set_alarms()
        self.put_back()
        decisions, self.decisions = self.decisions, []
        return decisions

    def _end(self) -> None:
        """End the workflow, or undo the next of its steps, when nothing of it runs any more."""
        workflow = self.workflow
        waiting = workflow.counts.get(StepState.WAITING, 0) + workflow.counts.get(StepState.RUNNING, 0)
        if workflow.is_over or waiting or workflow.jobs or workflow.chores or workflow.undoing is not None:
            return
        if workflow.ending is None and workflow.error is None:
            self._check_result()
        ending = workflow.ending or (WorkflowState.FAILED if workflow.error else WorkflowState.SUCCEEDED)
        workflow.ending = ending
        if ending is not WorkflowState.SUCCEEDED and workflow.undo_first is not None:
            self._undo(workflow.undo_first)
            return
        workflow.state, workflow.finished_at = ending, self.now
        plan, again = self._rows.plan, workflow.retries > 0
        if ending is WorkflowState.SUCCEEDED:
            self.call(plan.on_success, None, again=again)
        elif ending is WorkflowState.FAILED:
            self.call(plan.on_error, None, workflow.error, again=again)
        if workflow.deadline_at is not None:
            self.decisions.append(SetAlarm(None, None))
        self.decisions.append(Over(ending))

    def _check_result(self) -> None:
        outputs = [(output.name, output.step) for output in self._rows.plan.outputs]
        size_bytes = self.parts_bytes(outputs)
        if len(outputs) > 1 and size_bytes > limits.HANDED_BODY_BYTES_MAX:
            self.workflow.error = self.parts_too_large(size_bytes)

    def _undo(self, number: int) -> None:
        facts, row = self.take(number)
        callback = facts.plan.compensation
        assert callback is not None, "only steps that have one are undone"
        self.workflow.state = WorkflowState.COMPENSATING
        self.workflow.undoing, self.workflow.undo_first = number, row.undo_before
        row.undone = True
        block = facts.plan.block
        while block is not None:
            owner_facts, owner = self.take(block.owner)
            owner.redo = True
            block = owner_facts.plan.block
        self.decisions.append(Compensate(number, self.job_id(callback.call.jobs[0].id, again=row.again)))

    # --- new steps ---------------------------------------------------------------------------------------------------
    def _add_steps(self, facts: list[StepFacts], first: int) -> list[StepRow]:
        """Add steps that have not started. Answers their rows."""
        workflow = self.workflow
        workflow.steps = first + len(facts)
        workflow.counts[StepState.WAITING] = workflow.counts.get(StepState.WAITING, 0) + len(facts)
        steps = [(one, new_row(one)) for one in facts]
        for owner, place, number in _block_members(steps, first):
            group = steps[owner - first][1].group
            assert group is not None, "only groups have members"
            group.blocks += 1
            group.next = place + 1
            self.count_members(group, there=1)
            self._rows.put_block(owner, place, number)
        for one, row in steps:
            if row.group is not None and one.plan.group is not None:
                self.expect_more(row.group, one.plan.group.open_s)
        self._put_new(steps, first)
        return [row for _, row in steps]

    def _put_new(self, steps: list[tuple[StepFacts, StepRow]], first: int) -> None:
        """Keep new steps. Groups may need alarms."""
        self._rows.add_steps(first, steps)
        for number, pair in enumerate(steps, first):
            if pair[1].group is not None:
                self._steps[number] = pair
                self._changed.add(number)


def _block_members(steps: list[tuple[StepFacts, StepRow]], first: int) -> Iterator[tuple[int, int, int]]:
    """The blocks among these steps, numbered on from ``first``, that are members of a group among them: the group, the
    place, and the step that the block begins with."""
    for number, (facts, begin) in enumerate(steps, first):
        block = facts.plan.block
        if block is not None and block.first == number and block.owner >= first and not begin.dropped:
            owner, row = steps[block.owner - first]
            if row.group is not None and block != owner.plan.alternative:
                yield block.owner, block.place, number


def new_row(facts: StepFacts) -> StepRow:
    """The row of a step that has not started."""
    plan = facts.plan
    row = StepRow(unmet=len(plan.needs()) + facts.gated, gated=facts.gated)
    if facts.steps:
        row.block = BlockRow(left=facts.steps)
    if plan.group is not None:
        row.group = GroupRow(total=plan.group.total)
    return row
