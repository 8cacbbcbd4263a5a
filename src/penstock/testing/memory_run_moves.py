"""What happens to a job of the in-memory store that waits, runs and ends, beyond its change of state."""

from __future__ import annotations

from math import inf

from penstock.model import limits
from penstock.model.deliveries import UNANSWERED, delivers
from penstock.model.job import (
    Buried,
    JobError,
    Lost,
    Retried,
    Snoozed,
    Succeeded,
    Suspended,
    TaskRecord,
)
from penstock.model.losses import Loss
from penstock.model.refusals import aside_until
from penstock.model.states import TERMINAL, Event, State
from penstock.ports import Clock
from penstock.testing.memory_slots import Slots
from penstock.testing.memory_steps import Steps
from penstock.testing.memory_table import Row, Table
from penstock.testing.memory_turns import Turns
from penstock.testing.memory_unique import UniqueKeys

LEASE_ENDED = JobError("WorkerLost", "Its lease ended: its supervisor is gone or was not heard of in time.")


class RunMoves:
    """One method an event. Each takes a row that the event may happen to, and leaves the table whole."""

    def __init__(
        self, table: Table, tasks: dict[str, TaskRecord], unique: UniqueKeys, slots: Slots, clock: Clock
    ) -> None:
        self._table = table
        self._unique = unique
        self.slots = slots
        self._tasks = tasks
        self.turns = Turns(table, tasks)
        self.steps = Steps(table, clock)
        self._clock = clock
        self._arrivals = 0

    # --- into waiting ------------------------------------------------------------------------------------------------
    def start(self, row: Row, event: Event, run_at: float | None) -> State:
        """Make a job wait: for its time, or at the end of its queue when that has come. Answers which."""
        now = self._clock.time()
        row.run_at = run_at
        if run_at is not None and run_at > now:
            row.rank = 0
            self._table.go(row, event, State.SCHEDULED)
            return State.SCHEDULED
        self._join(row, event)
        assert row.state is not None, "it waits"
        return row.state

    def promote(self, row: Row) -> None:
        """A scheduled job's time has come."""
        self.steps.time_has_come(row)
        self._join(row, Event.PROMOTE)

    def event_came(self, row: Row) -> None:
        """The event that a suspended job waits for has come."""
        row.run_at = self._clock.time()
        self._join(row, Event.SIGNAL)

    def _join(self, row: Row, event: Event) -> None:
        """It becomes ready anew, at the end of its line."""
        self._arrivals += 1
        row.arrival = self._arrivals
        row.ready_at = self._clock.time()
        self.turns.take(row)
        self._table.go(row, event, State.READY)
        self.slots.join(row)

    # --- out of running ----------------------------------------------------------------------------------------------
    def forget(self, row: Row) -> None:
        """It succeeded, and nothing of it is kept."""
        if row.part is not None:
            now = self._clock.time()
            self.succeed(row, Succeeded(0, now if row.started_at is None else row.started_at, now))
            return
        self.slots.give_back(row)
        self._table.go(row, Event.SUCCEED, None)

    def succeed(self, row: Row, outcome: Succeeded) -> None:
        """It returned."""
        kept_s = outcome.keep_record_s
        if row.part is not None:
            row.result, row.result_until = outcome.result, inf
        elif outcome.result is not None and outcome.keep_result_s > 0:
            kept_s = max(kept_s, outcome.keep_result_s)
            row.result, row.result_until = outcome.result, self._clock.time() + outcome.keep_result_s
        row.attempts += 1
        row.started_at = outcome.started_at
        self._acquit(row)
        self._end(row, Event.SUCCEED, State.SUCCEEDED, kept_s, finished_at=outcome.finished_at)

    def bury(self, row: Row, outcome: Buried) -> None:
        """It raised for the last time."""
        row.attempts += 1
        row.error = outcome.error
        self._acquit(row)
        row.started_at = row.started_at if outcome.started_at is None else outcome.started_at
        self._end(row, Event.BURY, State.DEAD, outcome.keep_s)

    def retry(self, row: Row, outcome: Retried) -> None:
        """It raised and runs again: an attempt."""
        self._run_again(row, Event.RETRY, self._after(outcome.delay_s), attempts=1, error=outcome.error)

    def snooze(self, row: Row, outcome: Snoozed) -> None:
        """It asked to run later: not an attempt."""
        self._run_again(row, Event.SNOOZE, self._after(outcome.delay_s), attempts=0, error=row.error)

    def suspend(self, row: Row, outcome: Suspended) -> None:
        """It waits for a time or an event in the middle of its function: not an attempt."""
        run_at = None if row.cancel_requested else self.steps.suspend(row, outcome)
        self._run_again(row, Event.SUSPEND, run_at or self._clock.time(), attempts=0, error=row.error)

    def _after(self, delay_s: float) -> float:
        return self._clock.time() + min(delay_s, limits.DELAY_S_MAX)

    def _run_again(self, row: Row, event: Event, run_at: float, *, attempts: int, error: JobError | None) -> None:
        if row.cancel_requested:
            self.cancel(row)
            return
        row.attempts += attempts
        row.error = error
        self._acquit(row)
        row.has_started = True
        row.forget_refusals()
        row.started_at = row.progress = None
        self.slots.give_back(row, self.slots.lasting(row))
        self.start(row, event, run_at)
        row.lease = None

    @staticmethod
    def _acquit(row: Row) -> None:
        """It has ended by itself, so it is no suspect."""
        row.standing = row.standing._replace(suspect=False)

    def release(self, row: Row) -> None:
        """It is given back: neither an attempt nor a loss, and it has its old place again."""
        self.give_back(row, Event.RELEASE)

    def give_back(self, row: Row, event: Event, *, has_run: bool = False) -> bool:
        """It did not run and waits again, unless it was to be cancelled or it is too late for it. Answers whether."""
        if row.cancel_requested:
            self.cancel(row)
            return False
        assert row.lease is not None, "it was leased"
        unstarted = row.lease.fence if not has_run and row.started_at is None else None
        row.started_at = row.progress = None
        row.again = False
        if row.refused_since is not None:
            row.aside_until = aside_until(row.refused_since, row.unfit_since, self._clock.time())
        self._table.go(row, event, State.READY)
        row.lease = None
        if row.is_expired(self._clock.time()):
            self.expire(row)
        else:
            self.slots.come_back(row, unstarted=unstarted)
        return row.state is State.READY

    def lose(self, row: Row, outcome: Lost) -> None:
        """Its runner is gone. Not an attempt, and it has its old place again, unless that happened too often."""
        if row.lease is not None and delivers(row.lease.holder):
            self._deliver_again(row)
            return
        if row.cancel_requested or outcome.loss is Loss.UNSTARTED:
            self.give_back(row, Event.LOSE)
            return
        row.has_started = True
        row.standing = row.standing.after(outcome.loss)
        row.error = JobError("WorkerLost", outcome.error.message, outcome.error.traceback)
        if not row.standing.is_dead(outcome.loss):
            self.give_back(row, Event.LOSE, has_run=True)
            return
        row.attempts += 1
        row.started_at = row.started_at if outcome.started_at is None else outcome.started_at
        self._end(row, Event.LOSE, State.DEAD, limits.KEEP_DEAD_S)

    def _deliver_again(self, row: Row) -> None:
        """It was delivered and not answered: an attempt, and it has its old place again."""
        if not row.cancel_requested:
            row.attempts += 1
            row.has_started = True
            row.error = UNANSWERED
        self.give_back(row, Event.RETRY, has_run=True)

    def reclaim(self, row: Row) -> None:
        """Its lease ended: a stray if it had started, as far as was reported."""
        assert row.lease is not None, "only a lease can end"
        loss = Loss.UNSTARTED if row.started_at is None else Loss.STRAY
        self.lose(row, Lost(row.lease.fence, loss, LEASE_ENDED))

    def leave(self, row: Row) -> None:
        """Its holder does not know of it: it is another one by now, or never heard of it."""
        assert row.lease is not None, "it is leased"
        if row.started_at is None and not delivers(row.lease.holder):
            self.release(row)
        else:
            self.reclaim(row)

    # --- to an end, by others than its runner ------------------------------------------------------------------------
    def cancel(self, row: Row, keep_record_s: float | None = None) -> None:
        """It will not finish. ``keep_record_s`` None: as its task was registered."""
        row.attempts += row.state is State.RUNNING
        self._end(row, Event.CANCEL, State.CANCELLED, self._keep_s(row) if keep_record_s is None else keep_record_s)

    def cancel_or_ask(self, row: Row) -> bool:
        """Somebody wants it cancelled: it is when it waits, and its runner is asked when it runs. Answers whether that
        changed anything."""
        if row.state is State.RUNNING:
            asked_now, row.cancel_requested = not row.cancel_requested, True
            return asked_now
        if row.state in TERMINAL:
            return False
        self.cancel(row)
        return True

    def expire(self, row: Row) -> None:
        """It was not started in time."""
        self._end(row, Event.EXPIRE, State.EXPIRED, self._keep_s(row))

    def corrupt(self, row: Row) -> None:
        """Its body is not what was accepted."""
        row.error = JobError("Corrupt", "The body does not match its checksum.")
        self._end(row, Event.CORRUPT, State.DEAD, limits.KEEP_DEAD_S)

    def give_up(self, row: Row) -> None:
        """Everybody has refused it, for long."""
        row.error = row.refusal
        self._end(row, Event.GIVE_UP, State.DEAD, limits.KEEP_DEAD_S)

    def trim(self, row: Row) -> None:
        """Its record's time is up, or there are too many."""
        self._table.go(row, Event.TRIM, None)

    def _keep_s(self, row: Row) -> float:
        record = self._tasks.get(row.task)
        return limits.KEEP_RECORD_S if record is None else record.keep_record_s

    def _end(self, row: Row, event: Event, state: State, kept_s: float, *, finished_at: float | None = None) -> None:
        row.outcome = state
        row.error = row.error if state is State.DEAD else None
        row.finished_at = self._clock.time() if finished_at is None else finished_at
        kept_s = kept_s if row.part is None else inf
        row.keep_until = self._clock.time() + kept_s
        row.progress = None
        row.cancel_requested = False
        row.forget_refusals()
        self.turns.give_back(row)
        self.slots.give_back(row)
        self._table.go(row, event, state if kept_s > 0 or state is State.DEAD else None)
        row.lease = None
