"""How steps of a workflow start and end, and what follows for those around them.

Nothing here goes through the whole graph: a step that ends is looked at with what needs it, its block, and the step
that the block belongs to. What concerns a range of steps is left to chores.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial

from penstock.model import limits
from penstock.model.job_error import JobError
from penstock.model.wording import counted
from penstock.model.workflow_plan import Block, OnFailure
from penstock.model.workflow_views import StepState, WorkflowState
from penstock.workflow.decisions import CancelMembers, OpenMembers, StartJob
from penstock.workflow.rows import ChoreKind, StepFacts, StepRow, add_range
from penstock.workflow.rows_at_hand import RowsAtHand

_CANCELLED = JobError("JobCancelled", "It was cancelled.")


class Progress(RowsAtHand):
    """Steps start and end."""

    # --- a step starts -----------------------------------------------------------------------------------------------
    def meet(self, number: int) -> None:
        """One of the things that a step waits for has happened."""
        row = self.take(number)[1]
        row.unmet -= 1
        if row.unmet == 0 and row.state is StepState.WAITING:
            self.then(partial(self.release, number))

    def release(self, number: int, *, by_chore: bool = False) -> None:
        """A step waits for nothing any more. ``by_chore``: it is being handled by one already."""
        workflow = self.workflow
        facts, row = self.look(number)
        if workflow.ending is not None or row.state is not StepState.WAITING or not self.is_wanted(facts.plan.block):
            return
        if workflow.paused:
            add_range(workflow.held_back, number, number)
        elif by_chore or self.has_room():
            self._start(number)
        else:
            workflow.to_do(ChoreKind.RELEASE, number, number)

    def is_wanted(self, block: Block | None) -> bool:
        """Whether steps of a block may start: neither it nor anything around it is about to end."""
        while block is not None:
            if not self.is_open(block):
                return False
            block = self.look(block.owner)[0].plan.block
        return True

    def is_open(self, block: Block) -> bool:
        """Whether the owner of a block lets it go on."""
        facts, owner = self.look(block.owner)
        row = self.look(block.first)[1].block
        if row is None or row.failed or owner.asked or owner.state is not StepState.RUNNING:
            return False
        if owner.stands_in is not None:
            return owner.stands_in == block.first
        return owner.group is not None and block != facts.plan.alternative

    @abstractmethod
    def has_room(self) -> bool:
        """Whether one more step may be handled at once. It then counts as one that was."""

    def _start(self, number: int) -> None:
        facts, row = self.take(number)
        self.go(row, StepState.RUNNING)
        error = self._too_large(facts)
        if error is not None:
            self.fail(number, error)
        elif row.returned is not None:
            row.stands_in = row.returned
            self._open(row.returned)
        elif facts.plan.call is not None:
            self.workflow.jobs += 1
            self.decisions.append(StartJob(number, row.job or facts.plan.call.jobs[0].id))
        else:
            self._start_group(number, facts, row)

    def _start_group(self, number: int, facts: StepFacts, row: StepRow) -> None:
        group = self.take_group(number)
        if group.held:
            self.decisions.append(OpenMembers(number, again=row.again, anew=row.anew))
        if facts.last > number:
            self.workflow.to_do(ChoreKind.OPEN, number + 1, facts.last)
        self.to_appended(row, ChoreKind.OPEN)
        self.check_group(number)

    def to_appended(self, row: StepRow, kind: ChoreKind) -> None:
        """Do something with the blocks that jobs of this step have returned."""
        if row.returned is not None:
            block = self.look(row.returned)[0].plan.block
            assert block is not None, "a block begins there"
            self.workflow.to_do(kind, block.first, block.last)
        for first, last in () if row.group is None else row.group.grown:
            self.workflow.to_do(kind, first, last)

    def _open(self, first: int) -> None:
        """Let the steps of a block start."""
        facts, row = self.look(first)
        block = facts.plan.block
        assert block is not None, "a block begins there"
        self.workflow.to_do(ChoreKind.OPEN, block.first, block.last)
        if row.block is not None and row.block.has_succeeded:
            self.then(partial(self.block_succeeded, block))

    def _too_large(self, facts: StepFacts) -> JobError | None:
        """Why a step cannot be given what it takes; None: it can."""
        plan = facts.plan
        if not plan.takes:
            return None
        taken_bytes = sum(self.handed_bytes(take.step, streams=take.streams) for take in plan.takes)
        if plan.call is not None:
            taken_bytes += len(plan.call.jobs[0].body)
        if taken_bytes > limits.HANDED_BODY_BYTES_MAX:
            return JobError(
                "ResultTooLarge",
                f"What it is handed takes {taken_bytes} bytes; the limit (HANDED_BODY_BYTES_MAX) is"
                f" {limits.HANDED_BODY_BYTES_MAX}. Take `Results`, or hand over where the data is.",
            )
        members = 1 if plan.group is None else plan.group.total or 1
        if taken_bytes * members > limits.WORKFLOW_RESULT_BYTES_MAX:
            return JobError(
                "ResultTooLarge",
                f"{taken_bytes} bytes are handed to each of {members} members; all together may take"
                f" {limits.WORKFLOW_RESULT_BYTES_MAX} bytes (WORKFLOW_RESULT_BYTES_MAX).",
            )
        return None

    # --- a step ends well --------------------------------------------------------------------------------------------
    def succeed(self, number: int) -> None:
        """A step has its value."""
        facts, row = self.take(number)
        plan = facts.plan
        self.go(row, StepState.SUCCEEDED)
        row.stands_in = None
        row.asked = False
        self._close_group(row)
        if plan.compensation is not None:
            row.undo_before, self.workflow.undo_first = self.workflow.undo_first, number
        self.call(plan.on_success, number, again=row.again)
        self._skip_alternative(facts, row)
        if plan.block is not None:
            self._count_off(plan.block, number, facts)
        for dependent in facts.dependents:
            self.meet(dependent)

    @staticmethod
    def _close_group(row: StepRow) -> None:
        if row.group is not None:
            row.group.open_until = None

    def _skip_alternative(self, facts: StepFacts, row: StepRow) -> None:
        alternative = facts.plan.alternative
        if alternative is not None and row.value_from != alternative.first:
            self.workflow.to_do(ChoreKind.SKIP, alternative.first, alternative.last)

    def _count_off(self, block: Block, number: int, facts: StepFacts) -> None:
        """A step of a block has ended well."""
        row = self.take_block(block)
        row.left -= 1
        if facts.plan.into:
            row.values.append((facts.plan.part, number))
        if row.has_succeeded:
            self.then(partial(self.block_succeeded, block))

    def block_succeeded(self, block: Block) -> None:
        """All of a block has ended well, so it has its value."""
        owner = self.take(block.owner)[1]
        row = self.take_block(block)
        size_bytes = self.parts_bytes(row.values)
        if size_bytes > limits.HANDED_BODY_BYTES_MAX and len(row.values) > 1:
            row.failed = True
            self.block_failed(block, StepState.FAILED, self.parts_too_large(size_bytes))
            return
        self.call(self.look(block.first)[0].on_success, block.first, again=owner.again, is_block=True)
        if owner.stands_in == block.first:
            owner.value_from, owner.value_bytes = block.first, size_bytes
            self.succeed(block.owner)
        elif owner.group is not None:
            owner.group.blocks_bytes += size_bytes
            owner.group.blocks_succeeded += 1
            self.count_members(owner.group, succeeded=1)
            self.check_group(block.owner)

    @staticmethod
    def parts_too_large(size_bytes: int) -> JobError:
        """Why a value that is put together is none."""
        return JobError(
            "ResultTooLarge",
            f"Its parts take {size_bytes} bytes together; the limit (HANDED_BODY_BYTES_MAX) is"
            f" {limits.HANDED_BODY_BYTES_MAX}.",
        )

    # --- a step does not end well ------------------------------------------------------------------------------------
    def fail(self, number: int, error: JobError) -> None:
        """A step has failed: what stands in for it is tried."""
        facts, row = self.take(number)
        row.error = error
        alternative = facts.plan.alternative
        if (
            alternative is None
            or row.asked
            or self.workflow.ending is not None
            or row.stands_in == alternative.first
            or self.take_block(alternative).failed
        ):
            self.end_badly(number, StepState.FAILED)
            return
        self._close_group(row)
        if row.state is StepState.WAITING:
            self.go(row, StepState.RUNNING)
        row.stands_in = alternative.first
        self._open(alternative.first)

    def end_badly(self, number: int, state: StepState, *, swept: bool = False) -> None:
        """A step has failed for good, or was cancelled.

        Args:
            swept: all steps of its block, or of the workflow, are being cancelled.
        """
        facts, row = self.take(number)
        if row.has_ended:
            return
        waited = row.state is StepState.WAITING
        alternative = facts.plan.alternative
        is_unused = alternative is not None and row.stands_in != alternative.first
        self.go(row, state)
        row.stands_in = None
        self._close_group(row)
        if row.group is not None and waited:
            self.drop_held(number)
        if state is StepState.FAILED:
            self.call(facts.plan.on_error, number, row.error, again=row.again)
        if waited:
            self.to_appended(row, ChoreKind.CANCEL)
        if waited and facts.end > number and not swept:
            self.workflow.to_do(ChoreKind.CANCEL, number + 1, facts.end)
        elif alternative is not None and is_unused and not swept:
            self.workflow.to_do(ChoreKind.SKIP, alternative.first, alternative.last)
        error = row.error or _CANCELLED
        if facts.plan.block is not None:
            self._fail_block(facts.plan.block, state, error, swept=swept)
        elif state is StepState.FAILED:
            self._fail_at_top(facts.plan.name, error)
        if facts.plan.block is None and self.workflow.ending is None:
            for dependent in facts.dependents:
                self.then(partial(self.cancel_waiting, dependent))

    def cancel_waiting(self, number: int) -> None:
        """A step can never start."""
        if self.look(number)[1].state is StepState.WAITING:
            self.end_badly(number, StepState.CANCELLED)

    def _fail_block(self, block: Block, state: StepState, error: JobError, *, swept: bool) -> None:
        """A step of a block has not ended well: the first of them ends the block."""
        row = self.take_block(block)
        if row.failed:
            return
        row.failed = True
        if not swept:
            self.workflow.to_do(ChoreKind.CANCEL, block.first, block.last)
        self.then(partial(self.block_failed, block, state, error))

    def block_failed(self, block: Block, state: StepState, error: JobError) -> None:
        """A block will have no value. ``state``: that of its step."""
        facts, owner = self.take(block.owner)
        if state is StepState.FAILED:
            on_error = self.look(block.first)[0].on_error
            self.call(on_error, block.first, error, again=owner.again, is_block=True)
        if owner.stands_in == block.first:
            if owner.asked:
                self.end_badly(block.owner, StepState.CANCELLED)
            else:
                self.fail(block.owner, error)
        elif owner.group is not None and block != facts.plan.alternative:
            owner.group.error = owner.group.error or error
            is_failed = state is StepState.FAILED
            self.count_members(owner.group, failed=int(is_failed), cancelled=int(not is_failed))
            self.check_group(block.owner)

    def _fail_at_top(self, name: str, error: JobError) -> None:
        """A step at the top has failed for good."""
        why = f": {error.message}" if error.message else "."
        told = JobError(error.type, f"The step {name!r} failed{why}", error.traceback)
        stops = self._rows.plan.on_failure is OnFailure.STOP
        self.fail_workflow(told, stops=stops)

    def fail_workflow(self, error: JobError, *, stops: bool = True) -> None:
        """The workflow fails. ``stops``: what runs is cancelled, and what waits."""
        workflow = self.workflow
        workflow.error = workflow.error or error
        if stops:
            self.stop(WorkflowState.FAILED)

    def stop(self, ending: WorkflowState) -> None:
        """Let everything end. Of the work that was left, only what stood by remains."""
        workflow = self.workflow
        if workflow.ending is not None or workflow.is_over:
            return
        workflow.ending, workflow.state = ending, WorkflowState.STOPPING
        workflow.chores = [chore for chore in workflow.chores if chore.kind is ChoreKind.SKIP]
        workflow.held_back = []
        workflow.to_do(ChoreKind.CANCEL, 0, workflow.steps - 1)

    # --- groups ------------------------------------------------------------------------------------------------------
    def check_group(self, number: int) -> None:
        """End a group if its members allow it."""
        facts, row = self.look(number)
        group, plan = row.group, facts.plan.group
        if row.state is not StepState.RUNNING or group is None or plan is None or row.stands_in is not None:
            return
        if row.asked:
            if group.ended == group.there:
                self.end_badly(number, StepState.CANCELLED)
        elif group.bad > plan.failures_max and plan.on_failure is OnFailure.STOP:
            self._stop_members(number, facts, row)
            self.fail(number, self._members_failed(row))
        elif group.is_complete and group.ended == group.there:
            if group.bad > plan.failures_max:
                self.fail(number, self._members_failed(row))
            else:
                self.succeed(number)

    @staticmethod
    def _members_failed(row: StepRow) -> JobError:
        """Why a group has failed. Members that have not ended by now are told to; some may end well before they hear of
        it."""
        group = row.group
        assert group is not None, "it is a group"
        others = [
            f"{count} {'was' if count == 1 else 'were'} {what}"
            for count, what in ((group.cancelled, "cancelled"), (group.there - group.ended, "told to stop"))
            if count
        ]
        members, error = counted(group.there, "member"), group.error
        if error is None or not group.failed:
            return JobError(_CANCELLED.type, f"Of its {members} {' and '.join(others)}.")
        said = ", ".join([f"{group.failed} of its {members} failed", *others])
        return JobError(error.type, f"{said}; the first failure: {error.message}", error.traceback)

    def _stop_members(self, number: int, facts: StepFacts, row: StepRow) -> None:
        """Cancel all members of a group that have not ended."""
        group = row.group
        assert group is not None, "it is a group"
        self.drop_held(number)
        if group.jobs:
            self.decisions.append(CancelMembers(number))
        if facts.last > number:
            self.workflow.to_do(ChoreKind.CANCEL, number + 1, facts.last)
        self.to_appended(row, ChoreKind.CANCEL)

    def drop_held(self, number: int) -> None:
        """Members that are held will not be handed out: they count as cancelled. Neither will they if that was decided
        just now, and nothing has been done about it yet."""
        self.decisions = [one for one in self.decisions if not (isinstance(one, OpenMembers) and one.step == number)]
        group = self.take_group(number)
        self.count_members(group, cancelled=group.held)
        group.held = 0

    def abandon(self, number: int) -> None:
        """The producer of a group has not come back in time."""
        facts, row = self.take(number)
        group, plan = self.take_group(number), facts.plan.group
        assert plan is not None, "it is a group"
        group.open_until = None
        if plan.closes:
            group.total = group.there
            self.check_group(number)
            return
        self._stop_members(number, facts, row)
        self.fail(
            number,
            JobError(
                "GroupAbandoned",
                f"Nothing was added to the group for {plan.open_s:g} s, and it was not closed; it has {group.there}"
                " members.",
            ),
        )
