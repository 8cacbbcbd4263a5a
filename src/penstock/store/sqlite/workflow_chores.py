"""What the owner's tick does for workflows: alarms, long lists of jobs in bounded parts, records whose time is up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from penstock.model import limits
from penstock.store.sqlite.workflow_decisions import Deciding
from penstock.store.sqlite.workflow_rows import StoredWorkflow, step_of, step_row, workflow_at, workflow_of
from penstock.store.sqlite.workflow_told import tell
from penstock.store.sqlite.workflow_work import Work, WorkKind

WORKFLOWS: Final = "going on with workflows"
_ALARMS_MAX: Final = 50
"""Alarms in one step."""
_HELD_PART: Final = 25
"""A row of held members, each of up to `limits.TICK_STEP_JOBS`, counts as so many others when it is deleted."""

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
        self.aside = deciding.aside
        self._drop = drop
        self._forget_owner = forget_owner

    def step(self) -> int:
        """One step. Answers how much it did.

        Raises:
            CannotGoOn: a workflow cannot be gone on with. Meanwhile others have their turn.
        """
        passed_over = self.aside.passed_over()
        done = self._ring(passed_over)
        found = self.work.next(passed_over)
        if found is not None:
            number, workflow, work = found
            with self.aside.watched(workflow):
                self._do(number, workflow, work)
            self.aside.goes_on(workflow)
            done += 1
        self.aside.forget_all_but(passed_over, lambda workflow: bool(self.work.of(workflow)))
        return done

    def next_at(self) -> float | None:
        """When the next step is due, in monotonic seconds; None: nothing is to be done."""
        aside = self.aside.passed_over()
        if self.work.has_any(aside):
            return self.books.clock.monotonic()
        due = [at for number, at in self.database.rows("next_workflows_due", len(aside) + 1) if number not in aside]
        due += [at for row, at in self.database.rows("next_steps_due", _ALARMS_MAX) if workflow_of(row) not in aside]
        now, now_monotonic = self.books.clock.time(), self.books.clock.monotonic()
        moments = [now_monotonic + max(0.0, at - now) for at in due]
        tried_at = self.aside.next_at()
        return min(moments if tried_at is None else [*moments, tried_at], default=None)

    # --- alarms ------------------------------------------------------------------------------------------------------
    def _ring(self, aside: Collection[int]) -> int:
        """Tell machines of their alarms, and begin to forget what is over for long enough. ``aside``: workflows that
        are passed over."""
        now = self.books.clock.time()
        workflows = [number for (number,) in self.database.rows("workflows_due", now, _ALARMS_MAX + len(aside))]
        steps = [row for (row,) in self.database.rows("steps_due", now, _ALARMS_MAX + len(aside))]
        due: list[tuple[int, int | None]] = [(number, None) for number in workflows]
        due += [(workflow_of(row), step_of(row)) for row in steps]
        due = [one for one in due if one[0] not in aside][:_ALARMS_MAX]
        for number, step in due:
            with self.aside.watched(number):
                self._alarm(number, step)
        return len(due)

    def _alarm(self, number: int, step: int | None) -> None:
        stored = workflow_at(self.database, number)
        if step is None:
            self.database.run("set_workflow_due", None, number)
        else:
            self.database.run("set_step_due", None, step_row(number, step))
        if stored is None:
            return
        if step is None and stored.workflow().is_over:
            self.forget(stored)
        else:
            self.deciding.drive(stored, lambda machine: machine.alarm(step))

    # --- work --------------------------------------------------------------------------------------------------------
    def _do(self, number: int, workflow: int, work: Work) -> None:
        """Do a part of something."""
        if work.kind is WorkKind.FORGET:
            self.work.save(number, work if self._forget_some(workflow, limits.TICK_STEP_JOBS) else None)
            return
        stored = workflow_at(self.database, workflow)
        if stored is None:
            self.work.save(number, None)
        elif work.kind is WorkKind.MACHINE:
            self.work.save(number, None)
            self.deciding.carry_out(stored, self.deciding.machine(stored))
        elif work.kind is WorkKind.CANCEL:
            # Of a workflow that was retried meanwhile the group goes on, and has new members perhaps.
            goes_on = not stored.step(work.step)[1].is_closing
            self.work.save(number, None if goes_on else self.deciding.jobs.cancel_some(stored, work))
        elif work.kind is WorkKind.TELL:
            self.work.save(number, None)
            tell(self.deciding, stored, work.untold)
        elif stored.workflow().starts_nothing:
            # It opens members, or repeats them: not before it is resumed.
            self.work.rest(number, workflow)
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

    def _forget_some(self, workflow: int, most: int) -> int:
        """Throw away a part of what belonged to a workflow. Answers how much, in rows; 0: that was all."""
        first, last = step_row(workflow, 0), step_row(workflow + 1, 0) - 1
        rows = self.database.rows("records_of_steps", first, last, most)
        if rows:
            self._drop(rows)
            return len(rows)
        held = self._delete("delete_held_of", first, last, max(1, most // _HELD_PART))
        if held:
            return held
        self._delete("delete_facts_of", first, last, most)
        return self._delete("delete_blocks_of", first, last, most) + self._delete("delete_steps_of", first, last, most)

    def _delete(self, name: str, first: int, last: int, most: int) -> int:
        """Delete some rows. Answers how many."""
        self.database.run(name, first, last, most)
        return self.database.connection.changes()

    # --- a full disk -------------------------------------------------------------------------------------------------
    def throw_away(self, most: int, spared: Collection[bytes]) -> int:
        """Throw away a part of what belongs to workflows that are over, the oldest first, before their time is up.

        Args:
            most: rows at a time.
            spared: ids of workflows that somebody waits for.

        Returns:
            How many rows went; 0: there is nothing to throw away.
        """
        while True:
            begun = self.work.first(WorkKind.FORGET)
            if begun is None:
                if not self._begin_to_throw_away(spared):
                    return 0
                continue
            number, workflow = begun
            done = self._forget_some(workflow, most)
            if done:
                return done
            self.work.save(number, None)

    def _begin_to_throw_away(self, spared: Collection[bytes]) -> bool:
        """Begin with the oldest that may go. Answers whether there is one. Of those that may not, no more are looked at
        than somebody waits for."""
        number = 0
        while found := self.database.rows("oldest_over", number):
            for number, workflow in found:
                stored = None if workflow in spared else workflow_at(self.database, number)
                if stored is not None and self.forget(stored):
                    return True
        return False
