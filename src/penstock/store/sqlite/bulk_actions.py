"""Bulk actions as a chore of the owner: each step is bounded in rows and time, and written with where it ended.

So an action holds up nobody's work, needs no client to stay, and goes on where it was after a take-over
(`penstock.model.actions`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import apsw

from penstock.model import actions, limits
from penstock.model.actions import Action, ActionRequest, ActionState, JobActs, Verb
from penstock.model.actions_under_way import Turns
from penstock.model.errors import PenstockError, StoreFull, StoreUnavailable
from penstock.model.job import QueueStats, Step
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.operator_records import OperatorRecords
from penstock.store.sqlite.replays import Replays
from penstock.store.sqlite.row_numbers import cursor_before, row_before
from penstock.store.sqlite.searching import Search

ACT: Final = "doing bulk actions"
_COUNTED_AT_ONCE: Final = 5_000
"""Jobs that one search finds to be counted; the time of a slice ends it earlier."""


class BulkActions:
    """Does the actions that are in `OperatorRecords`.

    Args:
        check_target: passes when jobs may be moved into a queue now, and makes room for its name; else raises.
    """

    def __init__(
        self,
        books: Books,
        records: OperatorRecords,
        search: Search,
        operating: Operating,
        check_target: Callable[[str], None],
    ) -> None:
        self.books = books
        self.records = records
        self.search = search
        self.operating = operating
        self.replays = Replays(search, operating.endings)
        self._check_target = check_target
        self._turns = Turns()
        self._failures: dict[bytes, tuple[int, str]] = {}
        """Of an action whose last steps failed: how many did, and why the last one."""

    def begin(self, wanted: ActionRequest, by: str) -> Action:
        """The action that is asked for, with what matches counted as far as a slice goes. The caller saves it."""
        action = actions.begun(wanted, by, self.books.clock.time(), self._counts_of(wanted.where.queue))
        return self._counted(action) if action.state is ActionState.COUNTING else action

    def _counts_of(self, name: str | None) -> QueueStats:
        """The counts of a queue, or of all together when none is named."""
        if name is None:
            return self.books.totals()
        queue = self.books.queue_by_name.get(name)
        return QueueStats() if queue is None else queue.counts

    def step(self) -> int:
        """One step of the action whose turn it is, in the open transaction. Answers how many jobs it changed."""
        under_way = self.records.actions.under_way()
        if not under_way:
            self._failures.clear()
            return 0
        action = self._turns.next(under_way, self.books.clock.monotonic())
        if action is None:
            return 0
        done = self._done(action)
        changed = done.changed - action.changed
        self.records.save_action(done)
        self._turns.took(done, changed, self.books.clock.monotonic())
        return changed

    def next_at(self) -> float | None:
        """When the next step is due, in monotonic seconds; None: no action is under way."""
        return self._turns.next_at(self.records.actions.under_way())

    def _done(self, action: Action) -> Action:
        """The action after its next step.

        An error that says why it cannot go on ends it. Any other is raised, undoes the transaction, and is tried again;
        after `limits.ACTION_FAILURES_MAX` of them the action ends, so that one job that cannot be handled does not keep
        it under way for ever.
        """
        count, why = self._failures.get(action.id, (0, ""))
        now = self.books.clock.time()
        if count >= limits.ACTION_FAILURES_MAX:
            del self._failures[action.id]
            return actions.ended(action, ActionState.FAILED, now, why)
        try:
            done = (self._counted if action.state is ActionState.COUNTING else self._acted)(action)
        except (apsw.FullError, StoreFull, StoreUnavailable):
            raise
        except PenstockError as error:
            return actions.ended(action, ActionState.FAILED, now, error.message)
        except Exception as error:
            self._failures[action.id] = (count + 1, f"{type(error).__name__}: {error}")
            raise
        self._failures.pop(action.id, None)
        return done

    def _counted(self, action: Action) -> Action:
        """The action after one slice of counting, however many stages that is."""
        until, now = self.search.until(), self.books.clock.time()
        while action.state is ActionState.COUNTING:
            if action.verb is Verb.REPLAY:
                counted, oldest_at = self.replays.count(action, _COUNTED_AT_ONCE, until)
                return actions.counted(action, counted, now, oldest_at)
            where = actions.stages(action)[action.stage]
            found, below = self.search.slice(where, row_before(action.cursor), _COUNTED_AT_ONCE, until)
            matching = sum(actions.concerns(action, view.queue, view.created_at) for _, view in found)
            action = actions.counted(action, Step(matching, None if below is None else cursor_before(below)), now)
            if self.books.clock.monotonic() >= until:
                break
        return action

    def _acted(self, action: Action) -> Action:
        """The action after one step of what it does."""
        if action.to is not None:
            self._check_target(action.to)
        operating = self.operating
        most = actions.step_jobs_max(action)
        if action.verb is Verb.REPLAY:
            step = self.replays.step(action, most, self.search.until())
            return actions.stepped(action, step, self.books.clock.time())
        acts = JobActs(operating.revives, operating.cancels, operating.delete, operating.moves)
        act = acts.of(action)
        until, now, changed = self.search.until(), self.books.clock.time(), action.changed
        while action.is_under_way and action.changed == changed:
            # A stage in which nothing is found is no step of its own.
            where = actions.stages(action)[action.stage]
            step = operating.step(where, action.cursor, act, most=most, before=action.created_at)
            action = actions.stepped(action, step, now)
            if self.books.clock.monotonic() >= until:
                break
        return action
