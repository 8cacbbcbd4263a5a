"""What the owner's tick does for workflows: alarms, long lists of jobs in bounded parts, records whose time is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from penstock.model import limits
from penstock.store.sqlite.workflow_decisions import Deciding
from penstock.store.sqlite.workflow_rows import StoredWorkflow, step_of, step_row, workflow_at, workflow_of
from penstock.store.sqlite.workflow_work import Work, WorkKind

WORKFLOWS: Final = "going on with workflows"
_ALARMS_MAX: Final = 50
"""Alarms in one step."""
_HELD_ROWS_MAX: Final = 20
"""Rows of held members that are deleted in one step; each has up to `limits.TICK_STEP_JOBS` of them."""

Drop = Callable[[Sequence[tuple[int, int, str, int]]], None]
"""Throws away records: seq, line, state, interest."""


class WorkflowChores:
    """One chore: a bounded part of all that is to be done, each workflow in turn.

    Args:
        forget_owner: throws away what the jobs of a workflow have left beside their rows, by its id.
    """

    def __init__(self, deciding: Deciding, drop: Drop, forget_owner: Callable[[bytes], None]) -> None:
        self.deciding = deciding
        self.work = deciding.work
        self.books = deciding.books
        self.database = deciding.database
        self._drop = drop
        self._forget_owner = forget_owner

    def step(self) -> int:
        """One step. Answers how much it did."""
        done = self._ring()
        found = self.work.next()
        if found is not None:
            self._do(*found)
            done += 1
        return done

    def next_at(self) -> float | None:
        """When the next step is due, in monotonic seconds; None: nothing is to be done."""
        if self.work:
            return self.books.clock.monotonic()
        due: list[Any] = [self.database.value("next_workflow_due"), self.database.value("next_step_due")]
        moments = [at for at in due if at is not None]
        return None if not moments else self.books.clock.monotonic() + max(0.0, min(moments) - self.books.clock.time())

    # --- alarms ------------------------------------------------------------------------------------------------------
    def _ring(self) -> int:
        """Tell machines of their alarms, and begin to forget what is over for long enough."""
        now = self.books.clock.time()
        rows = self.database.rows("workflows_due", now, _ALARMS_MAX)
        for (number,) in rows:
            stored = workflow_at(self.database, number)
            if stored is None:
                continue
            self.database.run("set_workflow_due", None, number)
            if stored.workflow().is_over:
                self.forget(stored)
            else:
                self.deciding.drive(stored, lambda machine: machine.alarm(None))
        steps = self.database.rows("steps_due", now, _ALARMS_MAX - len(rows))
        for (row,) in steps:
            self.database.run("set_step_due", None, row)
            stored = workflow_at(self.database, workflow_of(row))
            if stored is not None:
                self._alarm(stored, step_of(row))
        return len(rows) + len(steps)

    def _alarm(self, stored: StoredWorkflow, step: int) -> None:
        self.deciding.drive(stored, lambda machine: machine.alarm(step))

    # --- work --------------------------------------------------------------------------------------------------------
    def _do(self, number: int, workflow: int, work: Work) -> None:
        """Do a part of something."""
        if work.kind is WorkKind.FORGET:
            self.work.save(number, work if self._forget_some(workflow) else None)
            return
        stored = workflow_at(self.database, workflow)
        if stored is None:
            self.work.save(number, None)
        elif work.kind is WorkKind.MACHINE:
            self.work.save(number, None)
            self.deciding.carry_out(stored, self.deciding.machine(stored))
        elif work.kind is WorkKind.CANCEL:
            self.work.save(number, self.deciding.jobs.cancel_some(stored, work))
        else:
            told, left = self.deciding.some_members(stored, work)
            self.work.save(number, left)
            if told:
                self.deciding.drive(stored, *told)

    # --- forgetting --------------------------------------------------------------------------------------------------
    def forget(self, stored: StoredWorkflow) -> bool:
        """Throw away a workflow that is over: it is gone at once, and what belongs to it in bounded parts. False:
        others were forked from it, and it is kept as long as these."""
        if self.database.row("fork_of", stored.number) is not None:
            return False
        origin = stored.workflow().forked_from
        self.database.run("delete_workflow", stored.number)
        for number, _ in self.work.of(stored.number):
            self.work.save(number, None)
        self.work.add(stored.number, Work(WorkKind.FORGET))
        self._forget_owner(stored.id)
        if origin is not None:
            # Its own time may have been up before.
            self.database.run("ring_origin", self.books.clock.time(), origin)
        return True

    def _forget_some(self, workflow: int) -> bool:
        """Throw away a part of what belonged to a workflow. Answers whether there may be more."""
        first, last = step_row(workflow, 0), step_row(workflow + 1, 0) - 1
        rows = self.database.rows("records_of_steps", first, last, limits.TICK_STEP_JOBS)
        if rows:
            self._drop(rows)
            return True
        if self._delete("delete_held_of", first, last, _HELD_ROWS_MAX):
            return True
        if self._delete("delete_blocks_of", first, last, limits.TICK_STEP_JOBS):
            return True
        self._delete("delete_facts_of", first, last, limits.TICK_STEP_JOBS)
        return self._delete("delete_steps_of", first, last, limits.TICK_STEP_JOBS)

    def _delete(self, name: str, first: int, last: int, most: int) -> bool:
        """Delete some rows. Answers whether there were any."""
        self.database.run(name, first, last, most)
        return self.database.connection.changes() > 0
