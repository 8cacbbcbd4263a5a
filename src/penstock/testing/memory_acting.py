"""What people do to jobs of the in-memory store: by id, by filter in steps, and by filter as an action that goes on by
itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from penstock.model import actions, limits
from penstock.model.acceptance import check_edit, check_edited
from penstock.model.actions import Action, ActionRequest, ActionState, JobActs, Verb
from penstock.model.audit import check_by, filter_text, jobs_text
from penstock.model.errors import PenstockError
from penstock.model.ids import id_text
from penstock.model.job import Filter, JobEntry, Step, TaskRecord
from penstock.model.searching import check_filter
from penstock.model.states import State
from penstock.model.topics import check_queue_or_channel, is_of_topic
from penstock.ports import Clock
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_table import Row, Table
from penstock.testing.memory_topics import Topics
from penstock.testing.memory_views import cursor_behind, number_behind

Act = Callable[[Row], bool]
"""Does something to a job. Answers whether that changed it."""


class ActingCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` by which people act on jobs."""

    _clock: Clock
    _table: Table
    _tasks: dict[str, TaskRecord]
    _moves: Moves
    _queues: Queues
    _operators: Operators
    _topics: Topics

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @abstractmethod
    def _find(self, job_id: bytes) -> Row | None:
        """The job, if there is a record of it."""

    @abstractmethod
    def _is_stored(self, name: str) -> bool:
        """Whether some job has a searchable argument of this name."""

    @abstractmethod
    def _matching(self, where: Filter, cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
        """At most ``limit`` rows, newest first, and the cursor that goes on behind them."""

    # --- by id -------------------------------------------------------------------------------------------------------
    @serving
    def cancel(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """Cancel. Answers each job's state afterwards."""
        return self._each(ids, self._moves.cancel_or_ask, "cancel", by)

    @serving
    def revive(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """Retry by hand. Answers each job's state afterwards."""
        return self._each(ids, self._moves.revive, "retry", by)

    @serving
    def revive_edited(self, entry: JobEntry, *, by: str | None = None) -> State | None:
        """Retry by hand with other arguments. Answers the job's state afterwards."""
        row = self._find(entry.id)
        check_edited(entry, None if row is None else row.task)
        return self._each([entry.id], lambda row: self._moves.revive_edited(row, entry), "edit and retry", by)[0]

    @serving
    def move(self, ids: Sequence[bytes], queue: str, *, by: str | None = None) -> list[State | None]:
        """Put waiting jobs into another queue. Answers each job's state afterwards."""
        self._check_target(queue)
        return self._each(ids, lambda row: self._moves.transfer(row, queue), "move", by)

    @serving
    def delete(self, ids: Sequence[bytes], *, by: str | None = None) -> list[bool]:
        """Throw away jobs that are not running. Answers, for each, whether there was one."""
        self._open()
        check_by(by)
        deleted = [row is not None and self._moves.delete(row) for row in map(self._find, ids)]
        self._note_jobs(by, "delete", ids, sum(deleted))
        return deleted

    @serving
    def edit(
        self,
        ids: Sequence[bytes],
        *,
        priority: int | None = None,
        run_at: float | None = None,
        by: str | None = None,
    ) -> list[State | None]:
        """Change waiting jobs: their priority, or when they may start. Answers each job's state afterwards."""
        check_edit(priority, run_at, self._clock.time())
        return self._each(ids, lambda row: self._moves.edit(row, priority, run_at), "edit", by)

    def _each(self, ids: Sequence[bytes], act: Act, verb: str, by: str | None) -> list[State | None]:
        self._open()
        check_by(by)
        answer: list[State | None] = []
        changed = 0
        for row in map(self._find, ids):
            if row is not None:
                changed += act(row)
            answer.append(None if row is None else row.outcome or row.state)
        self._note_jobs(by, verb, ids, changed)
        return answer

    def _note_jobs(self, by: str | None, verb: str, ids: Sequence[bytes], changed: int) -> None:
        if by is not None and changed:
            self._operators.note(by, verb, jobs_text([id_text(one) for one in ids]), changed)

    # --- by filter, a step a call ------------------------------------------------------------------------------------
    @serving
    def cancel_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """`cancel` in bounded steps over what matches."""
        return self._each_where(where, cursor, self._moves.cancel_or_ask)

    @serving
    def revive_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """`revive` in bounded steps over what matches."""
        return self._each_where(where, cursor, self._moves.revive)

    @serving
    def move_where(self, where: Filter, queue: str, *, cursor: str | None = None) -> Step:
        """`move` in bounded steps over what matches."""
        self._check_target(queue)
        return self._each_where(where, cursor, lambda row: self._moves.transfer(row, queue))

    @serving
    def delete_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """`delete` in bounded steps over what matches."""
        return self._each_where(where, cursor, self._moves.delete)

    def _each_where(
        self, where: Filter, cursor: str | None, act: Act, *, most: int = limits.ADMIN_JOBS_MAX, before: float = 1e18
    ) -> Step:
        """Act on at most so many jobs that match. ``before``: on those that were accepted by then (Unix seconds)."""
        self._open()
        rows, after = self._matching(where, cursor, most)
        return Step(sum(row.created_at <= before and act(row) for row in rows), after)

    def _replayed(self, action: Action, most: int) -> Step:
        """Deliver at most so many messages once more, the oldest first."""
        (where,) = actions.stages(action)
        rows, _ = self._matching(where, None, len(self._table.rows) or 1)
        behind = number_behind(action.cursor)
        left = [row for row in reversed(rows) if behind is None or row.number > behind]
        some = left[:most]
        changed = sum(row.created_at <= action.created_at and self._moves.replay(row) for row in some)
        return Step(changed, cursor_behind(some[-1]) if len(left) > most else None)

    def _check_target(self, queue: str) -> None:
        """Pass when jobs may be moved into this queue, and make room for its name."""
        self._open()
        check_queue_or_channel(queue)
        if is_of_topic(queue):
            self._topics.check_target(queue)
            return
        self._operators.holds.check_target(queue)
        self._queues.admit({queue})

    # --- by filter, as an action -------------------------------------------------------------------------------------
    def start_action(self, wanted: ActionRequest, *, by: str = "") -> Action:
        """Begin a bulk action."""
        self._open()
        actions.check_action(wanted)
        check_by(by)
        known = self._operators.actions.get(wanted.id)
        if known is not None:
            return known
        where = wanted.where
        self._operators.check_there(where.queue, where.task)
        check_filter(where, self._tasks.values(), self._is_stored)
        if wanted.to is not None:
            self._check_target(wanted.to)
        self._operators.actions.check_room()
        counts = self._queues.counts_of(where.queue)
        action = actions.begun(wanted, by, self._clock.time(), counts)
        if action.state is ActionState.COUNTING:
            action = self._counted(action)
        if not action.dry_run:
            entry = self._operators.note(by, wanted.verb, filter_text(where), action.changed, wanted.note, wanted.id)
            action = replace(action, entry=entry)
        self._operators.save_action(action)
        return action

    def _counted(self, action: Action) -> Action:
        """The action with all that matches counted."""
        now = self._clock.time()
        while action.state is ActionState.COUNTING:
            where, most = actions.stages(action)[action.stage], len(self._table.rows) or 1
            rows, _ = self._matching(where, None, most)
            times = [row.created_at for row in rows if actions.concerns(action, row.queue, row.created_at)]
            action = actions.counted(action, Step(len(times), None), now, min(times, default=None))
        return action

    def _act_in_steps(self) -> int:
        """One step of the action whose turn it is. Answers how many jobs it changed."""
        turns, monotonic, now = self._operators.turns, self._clock.monotonic(), self._clock.time()
        action = turns.next(self._operators.actions.under_way(), monotonic)
        if action is None:
            return 0
        try:
            done = self._acted(action, now)
        except PenstockError as error:
            done = actions.ended(action, ActionState.FAILED, now, error.message)
        changed = done.changed - action.changed
        self._operators.save_action(done)
        turns.took(done, changed, monotonic)
        return changed

    def _acted(self, action: Action, now: float) -> Action:
        """The action after one step. A stage in which nothing is found is no step of its own."""
        if action.to is not None:
            self._check_target(action.to)
        moves = self._moves
        most, changed = actions.step_jobs_max(action), action.changed
        if action.verb is Verb.REPLAY:
            return actions.stepped(action, self._replayed(action, most), now)
        act = JobActs(moves.revive, moves.cancel_or_ask, moves.delete, moves.transfer).of(action)
        while action.is_under_way and action.changed == changed:
            where = actions.stages(action)[action.stage]
            step = self._each_where(where, action.cursor, act, most=most, before=action.created_at)
            action = actions.stepped(action, step, now)
        return action
