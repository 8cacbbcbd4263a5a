"""How a workflow that has failed, or was cancelled, goes on: what failed, was cancelled or was undone runs again, what
succeeded stands.

Two ways through all steps, in the order of their numbers, so that the owner of a block comes before its steps. The
first (RESET) lets steps wait again. The second (COUNT) counts what each of them waits for, and starts those that wait
for nothing.
"""

from __future__ import annotations

from penstock.model.workflow_plan import Block
from penstock.model.workflow_views import StepState
from penstock.workflow.chores import Chores
from penstock.workflow.rows import UNCOUNTED, BlockRow, GroupRow, StepFacts, StepRow


class Retrying(Chores):
    """Chores of a retry."""

    def reset_step(self, number: int) -> None:
        """Let a step wait again, unless it stands."""
        facts, row = self.look(number)
        block = facts.plan.block
        if row.dropped:
            return
        if block is not None:
            owner = self.look(block.owner)[1]
            if owner.state is not StepState.WAITING:
                return
            facts, row = self.take(number)
            if number == block.first:
                row.block = BlockRow(left=facts.steps)
            row.anew = owner.anew
        runs_anew = row.undone or (block is not None and row.anew)
        if row.state is StepState.SUCCEEDED and not runs_anew and not row.redo:
            if block is not None:
                self._stands(block, number, facts)
            return
        row = self.take(number)[1]
        self._wait_again(row, anew=runs_anew)

    def _stands(self, block: Block, number: int, facts: StepFacts) -> None:
        """A step of a block that waits again has its value."""
        row = self.take_block(block)
        row.left -= 1
        if facts.plan.into:
            row.values.append((facts.plan.part, number))
        owner_facts, owner = self.take(block.owner)
        if row.has_succeeded and owner.group is not None and block != owner_facts.plan.alternative:
            owner.group.blocks_succeeded += 1
            owner.group.blocks_bytes += self.parts_bytes(row.values)
            self.count_members(owner.group, succeeded=1)

    def _wait_again(self, row: StepRow, *, anew: bool) -> None:
        if row.state is StepState.SUCCEEDED and row.group is None:
            self.workflow.result_bytes -= row.value_bytes if row.value_from is None else 0
        self.go(row, StepState.WAITING)
        row.unmet, row.anew, row.again = UNCOUNTED, anew, True
        row.asked = row.undone = row.redo = False
        row.error = row.stands_in = row.value_from = row.undo_before = None
        row.started_at = row.finished_at = None
        row.value_bytes = 0
        if row.group is not None:
            self._members_again(row.group, anew=anew)

    def _members_again(self, group: GroupRow, *, anew: bool) -> None:
        stand = 0 if anew else group.jobs_succeeded
        self.count_members(group, succeeded=stand - group.succeeded, failed=-group.failed, cancelled=-group.cancelled)
        group.blocks_succeeded = group.blocks_bytes = 0
        group.error = None
        group.held = group.jobs - stand
        if anew:
            self.workflow.result_bytes -= group.jobs_bytes
            group.jobs_bytes = 0

    def count_step(self, number: int) -> None:
        """Count what a step waits for, and start it if that is nothing."""
        facts, row = self.look(number)
        if row.state is not StepState.WAITING:
            return
        facts, row = self.take(number)
        unmet = [need for need in facts.plan.needs() if self.look(need)[1].state is not StepState.SUCCEEDED]
        block = facts.plan.block
        row.gated = block is not None and all(self.look(need)[0].plan.block != block for need in unmet)
        row.unmet = len(unmet) + row.gated
        group, plan = row.group, facts.plan.group
        if group is not None and plan is not None and not group.is_complete:
            group.open_until = self.now + plan.open_s
        if row.unmet == 0:
            self.release(number, by_chore=True)
