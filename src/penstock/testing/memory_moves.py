"""What each event does to a job of the in-memory store, beyond its change of state."""

from __future__ import annotations

from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.losses import Standing
from penstock.model.states import TERMINAL, WAITING, Event, State
from penstock.model.topics import may_move, may_replay
from penstock.model.unique import REVIVABLE
from penstock.testing.memory_run_moves import RunMoves
from penstock.testing.memory_table import Row


class Moves(RunMoves):
    """Those of `RunMoves`, and what is done to jobs by hand."""

    def replace(self, row: Row, group: JobGroup, entry: JobEntry, *, keep_time: bool) -> None:
        """Give a waiting job the arguments of another, and, unless its time is kept, let it wait as that one would."""
        now = self._clock.time()
        # One that waits for an event has no time to keep.
        keep_time = keep_time and not self.steps.awaits(row)
        self.steps.forget_history(row)
        if not keep_time:
            self.turns.give_back(row)
        self._table.take_out(row)
        row.body, row.checksum = entry.body, entry.checksum
        row.values, row.searchable = entry.values, entry.searchable or None
        row.headers, row.tags, row.each = group.headers or None, group.tags or None, group.each
        row.attempts, row.error = 0, None
        row.standing = Standing(suspect=row.standing.suspect)
        row.forget_refusals()
        if not keep_time:
            row.has_started = False
            row.expires_at = None if group.expires_s is None else now + group.expires_s
            row.claim = row.claim and row.claim.anew(now)
        self._table.put_in(row)
        run_at = group.run_at if group.delay_s is None else now + group.delay_s
        self._wait_anew(row, None if keep_time else (now if run_at is None else run_at))

    def _wait_anew(self, row: Row, run_at: float | None) -> None:
        """A waiting job is another one now, or is to wait for another time: it takes the slots that it needs.
        ``run_at`` None: it keeps its time and its place."""
        self._unblock(row)
        is_for_later = run_at is not None and run_at > self._clock.time()
        keeps = not is_for_later or row.state is State.SCHEDULED
        self.slots.give_back(row, self.slots.lasting(row) if keeps else ())
        if run_at is not None:
            self.start(row, Event.RESCHEDULE, run_at)
        elif row.state is State.READY:
            self.slots.join(row)
        self._take_turn(row)

    # --- by hand -----------------------------------------------------------------------------------------------------
    def revive(self, row: Row) -> bool:
        """Run a job that ended otherwise than well again, from attempt one. Answers whether it was one, and no other
        keeps it away from its unique key."""
        if row.state not in REVIVABLE or row.part is not None or not self._unique.take_again(row):
            return False
        self._run_from_the_start(row, Event.REVIVE)
        return True

    def repeat(self, row: Row, body: bytes | None) -> bool:
        """Run a job of a workflow that has ended again, whatever it came to. ``body``: its arguments from now on; None:
        as before. Answers whether no other job keeps it away from its unique key."""
        if row.state not in TERMINAL or not self._unique.take_again(row):
            return False
        is_other = body is not None and body != row.body
        if body is not None and is_other:
            row.body, row.checksum = body, checksum(body)
        if is_other or row.state is State.SUCCEEDED:
            # What it has recorded was of that run. Of one that has failed it stands, and is not done again.
            self.steps.forget_history(row)
        row.result = row.result_until = None
        self._run_from_the_start(row, Event.REPEAT)
        return True

    def replay(self, row: Row) -> bool:
        """Deliver a message that has succeeded once more, at the end of its channel. Answers whether it was one."""
        if row.state is None or not may_replay(row.task, row.queue, row.state):
            return False
        # What it has recorded was of that delivery.
        self.steps.forget_history(row)
        row.result = row.result_until = None
        self._run_from_the_start(row, Event.REPLAY)
        return True

    def _run_from_the_start(self, row: Row, event: Event) -> None:
        row.attempts = 0
        row.standing = Standing(suspect=row.standing.suspect)
        row.outcome = row.error = row.expires_at = None
        row.started_at = row.finished_at = row.keep_until = None
        self.start(row, event, None)
        self._take_turn(row)

    def revive_edited(self, row: Row, entry: JobEntry) -> bool:
        """`revive` with the arguments of an entry. Answers whether it was one."""
        if row.state not in REVIVABLE or row.part is not None:
            return False
        if not self._unique.take_again(row, entry.unique_key):
            return False
        row.body, row.checksum = entry.body, entry.checksum
        row.values, row.searchable = entry.values, entry.searchable
        self.steps.forget_history(row)
        return self.revive(row)

    def _take_turn(self, row: Row) -> None:
        """Somebody did something to it by hand. Those that wait for the same keys have their turn, and it with them."""
        if row.state is State.BLOCKED:
            self.slots.serve()

    def transfer(self, row: Row, queue: str) -> bool:
        """Put a waiting job into another queue; it keeps its arrival. Answers whether it was one."""
        if row.state not in WAITING or row.queue == queue or not may_move(row.queue, queue):
            return False
        self._table.take_out(row)
        row.forget_refusals()
        self._table.put_in(row)
        self._unblock(row)
        self.turns.give_back(row)
        self._table.transfer(row, queue)
        self.slots.give_back(row, self.slots.lasting(row))
        if row.state is State.READY:
            self._turn_anew(row)
            self.slots.join(row)
        self._take_turn(row)
        return True

    def _turn_anew(self, row: Row) -> None:
        """It stands among others now, so it has another turn. It keeps its arrival."""
        self._table.take_out(row)
        self.turns.take(row)
        self._table.put_in(row)

    def _unblock(self, row: Row) -> None:
        """It is to be put elsewhere, where it may be blocked anew."""
        if row.state is State.BLOCKED:
            self._table.go(row, Event.UNBLOCK, State.READY)

    def edit(self, row: Row, priority: int | None, run_at: float | None) -> bool:
        """Change a waiting job. Answers whether it was one."""
        if row.state not in WAITING:
            return False
        now = self._clock.time()
        is_to_start_anew = run_at is not None and (row.state is State.SCHEDULED or run_at > now)
        is_elsewhere = priority not in (None, row.priority)
        if run_at is not None and row.state is State.SCHEDULED:
            self.steps.edited(row, max(run_at, now))
        if is_to_start_anew or is_elsewhere:
            self.turns.give_back(row)
        self._table.take_out(row)
        row.forget_refusals()
        if priority is not None:
            row.priority = priority
        self._table.put_in(row)
        if is_elsewhere and not is_to_start_anew and row.state is not State.SCHEDULED:
            self._turn_anew(row)
        self._wait_anew(row, max(run_at, now) if run_at is not None and is_to_start_anew else None)
        return True

    def delete(self, row: Row) -> bool:
        """Throw a job away. Answers whether that was possible."""
        if row.state is State.RUNNING or row.part is not None:
            return False
        self.turns.give_back(row)
        self.slots.give_back(row)
        self._table.go(row, Event.DELETE, None)
        return True
