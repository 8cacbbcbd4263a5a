"""What the machine does with ranges of steps: a bounded part at a time, the rest when it is driven again."""

from __future__ import annotations

from abc import abstractmethod

from penstock.model import limits
from penstock.model.workflow_views import StepState
from penstock.workflow.decisions import CancelJob, CancelMembers, OpenMembers
from penstock.workflow.progress import Progress
from penstock.workflow.rows import Chore, ChoreKind, Rows, add_range

_STARTS = frozenset({ChoreKind.OPEN, ChoreKind.RELEASE, ChoreKind.COUNT})
"""Chores that are pointless when the workflow is about to end."""


class Chores(Progress):
    """Work that is left for later.

    Args:
        steps_max: about as many steps are handled at once.
    """

    def __init__(self, rows: Rows, now: float, steps_max: int = limits.TICK_STEP_JOBS) -> None:
        super().__init__(rows, now)
        self._room = steps_max

    def has_room(self) -> bool:
        """Whether one more step may be handled at once. It then counts as one that was."""
        self._room -= 1
        return self._room >= 0

    def go_on(self) -> None:
        """Do what follows, and of the work that was left as much as there is room for."""
        self.settle()
        workflow = self.workflow
        while workflow.chores and self._room > 0:
            chore = workflow.chores.pop(0)
            number = chore.first
            while number <= chore.last and self._room > 0:
                if workflow.ending is not None and chore.kind in _STARTS:
                    number = chore.last + 1
                    break
                self._room -= 1
                number = self._handle(chore.kind, number)
                self.settle()
            if number <= chore.last:
                workflow.chores.insert(0, Chore(chore.kind, number, chore.last))

    def _handle(self, kind: ChoreKind, number: int) -> int:
        """Handle one step. Answers the next."""
        if kind is ChoreKind.OPEN:
            return self._open_step(number)
        if kind is ChoreKind.RELEASE:
            self._release_step(number)
        elif kind is ChoreKind.CANCEL:
            self.cancel_step(number)
        elif kind is ChoreKind.SKIP:
            self._skip_step(number)
        elif kind is ChoreKind.RESET:
            self.reset_step(number)
        else:
            self.count_step(number)
        return number + 1

    def _open_step(self, number: int) -> int:
        facts, row = self.look(number)
        block = facts.plan.block
        assert block is not None, "only blocks are opened"
        if not self.is_open(block):
            return block.last + 1
        if row.gated:
            self.take(number)[1].gated = False
            self.meet(number)
        return facts.end + 1

    def _release_step(self, number: int) -> None:
        row = self.look(number)[1]
        if row.group is not None and row.group.held and row.state is StepState.RUNNING:
            # These were added while it was paused. What a retry repeats was decided on when the group started.
            if self.workflow.paused:
                add_range(self.workflow.held_back, number, number)
            else:
                self.decisions.append(OpenMembers(number))
        elif row.unmet == 0:
            self.release(number, by_chore=True)

    def cancel_step(self, number: int) -> None:
        """Cancel a step that waits; ask one that runs to end."""
        facts, row = self.look(number)
        if row.state is StepState.WAITING:
            self.end_badly(number, StepState.CANCELLED, swept=True)
            return
        if row.state is not StepState.RUNNING or row.asked:
            return
        row = self.take(number)[1]
        row.asked = True
        self._close_group(row)
        if row.stands_in is not None:
            if row.stands_in == row.returned:
                self.to_appended(row, ChoreKind.CANCEL)
        elif facts.plan.call is not None:
            self.decisions.append(CancelJob(number, row.job or facts.plan.call.jobs[0].id))
        elif row.group is not None:
            self.drop_held(number)
            if row.group.jobs:
                self.decisions.append(CancelMembers(number))
            self.to_appended(row, ChoreKind.CANCEL)
            self.check_group(number)

    def _skip_step(self, number: int) -> None:
        if self.look(number)[1].state is StepState.WAITING:
            row = self.take(number)[1]
            self._close_group(row)
            self.go(row, StepState.SKIPPED)
            self.to_appended(row, ChoreKind.SKIP)

    @abstractmethod
    def reset_step(self, number: int) -> None:
        """For a retry: let a step wait again, unless it stands."""

    @abstractmethod
    def count_step(self, number: int) -> None:
        """For a retry: count what a step waits for, and start it if that is nothing."""
