"""How a job leaves its state: back to waiting, or to an outcome. Shared by settling, leasing, chores and operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from penstock.model import limits
from penstock.model.deliveries import UNANSWERED, delivers
from penstock.model.durable_steps import Suspended
from penstock.model.interests import Interest
from penstock.model.job import Fate, JobError, Refused
from penstock.model.line_limit import LineLimit
from penstock.model.losses import Loss, Standing
from penstock.model.states import Event, State
from penstock.store.sqlite.durable_steps import DurableSteps
from penstock.store.sqlite.in_memory import Books, Line, Place
from penstock.store.sqlite.joining import Joiner, Joining
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.listeners import Listeners
from penstock.store.sqlite.loss_records import Mishap
from penstock.store.sqlite.refused_jobs import Refusals
from penstock.store.sqlite.unblocking import Unblocking
from penstock.store.sqlite.workflow_records import KEPT

_encode = msgspec.msgpack.Encoder().encode

OUTCOME_OF: Final = {
    Event.BURY: State.DEAD,
    Event.CORRUPT: State.DEAD,
    Event.GIVE_UP: State.DEAD,
    Event.LOSE: State.DEAD,
    Event.CANCEL: State.CANCELLED,
    Event.EXPIRE: State.EXPIRED,
}
"""The outcome of a job that such an event ends."""


class Endings:
    """Moves one job at a time; `settling` has the fast path for many.

    Attributes:
        listeners: who hears of it when a job ends.
        joining: through which jobs become ready anew.
        unblocking: through which jobs that wait for a key do.
        steps: what jobs record, and wait for in the middle of their functions.
    """

    def __init__(self, books: Books, refusals: Refusals, joining: Joining) -> None:
        self.books = books
        self.joining = joining
        self.unblocking = Unblocking(joining)
        self.line = joining.line
        self.readied = joining.readied
        self.refusals = refusals
        self.database = books.database
        self.listeners = Listeners(books, joining.line)
        self.listeners.register(Interest.SLOT, joining.ended)
        self.steps = DurableSteps(books, joining, self.listeners)

    def note_open(self, opened: Iterable[LineLimit]) -> None:
        """These limits were shut and have room by now: what waits in their lines is ready for those who wait for it."""
        for limit in opened:
            self.readied |= self.line.names_under(limit)
            if self.refusals.matters:
                names = map(self.books.line_name, self.refusals.lines())
                self.readied |= {one for one in names if limit.queue in (None, one[0]) and limit.task in (None, one[1])}

    # --- back to waiting ---------------------------------------------------------------------------------------------
    def back_unstarted(self, held: Lease, fence: int, event: Event, *, has_run: bool = False) -> Fate | None:
        """Put a job that was leased and did not run back to its place, or let it expire when it is too late to start.
        ``fence``: of the lease. ``event``: why it comes back. Answers its fate when it does not wait again, else
        None."""
        if self._expires_now(held, event):
            return Fate.EXPIRED
        if held.interest & Interest.SLOT and not self._may_come_back(held, fence, event, has_run=has_run):
            return None
        if held.party:
            self.books.refused_leased.discard(held.seq)
            self.refusals.back(held)
        else:
            self.line.insert(held.line, self._standing(held)[0], held.seq)
        self._count_ready(held, event)
        return None

    def _may_come_back(self, held: Lease, fence: int, event: Event, *, has_run: bool) -> bool:
        """Whether a job that needs slots may have its old place; if not, it came back (``event``) and is blocked."""
        place, _, _, _, values = self._standing(held)
        unstarted = fence if not has_run and held.started_at is None else None
        if self.joining.comes_back(Joiner(held.seq, held.line, place, values), unstarted=unstarted):
            return True
        self.forget_refusal(held)
        self.books.move(held.queue, event, State.RUNNING, State.READY)
        return False

    def refuse(self, held: Lease, refused: Refused) -> Fate | None:
        """Put a job that its holder cannot run back to its place, but not for that holder; or bury the job when nobody
        can run it. Answers its fate when it does not wait again, else None."""
        if self._expires_now(held, Event.REFUSE):
            return Fate.EXPIRED
        if held.interest & Interest.SLOT and not self._may_come_back(held, refused.fence, Event.REFUSE, has_run=False):
            return None
        self.books.refused_leased.discard(held.seq)
        hopeless = self.refusals.refuse(held, self._standing(held)[0], refused)
        self._count_ready(held, Event.REFUSE)
        if hopeless is None:
            return None
        self.end_waiting(held.seq, held.id, held.line, held.attempts, Event.GIVE_UP, State.READY, hopeless)
        return Fate.DEAD

    def _expires_now(self, held: Lease, event: Event) -> bool:
        """Let a job that was leased and never started expire again. Answers whether its time is up: then it came back
        (``event``) and has expired."""
        if not held.expires or held.started_at is not None:
            return False
        if self.database.value("expires_at", held.seq) > self.books.clock.time():
            self.database.run("show_expiry", held.seq)
            return False
        self.books.move(held.queue, event, State.RUNNING, State.READY)
        self.forget_refusal(held)
        self.end_waiting(held.seq, held.id, held.line, held.attempts, Event.EXPIRE, State.READY)
        return True

    def started(self, held: Lease) -> None:
        """Note that a job runs or has run, so that it does not expire any more."""
        if held.expires:
            held.expires = False
            self.database.run("start_job", held.seq)

    def forget_refusal(self, held: Lease) -> None:
        """Forget who refused a job: it has run since, or has ended."""
        if held.party:
            self.refusals.forget(held.seq, held.line)
            self.books.refused_leased.discard(held.seq)

    def _count_ready(self, held: Lease, event: Event) -> None:
        self.books.move(held.queue, event, State.RUNNING, State.READY)
        self.readied.add(self.books.line_name(held.line))

    def back_after(self, held: Lease, event: Event, delay_s: float, attempts: int, error: JobError | None) -> None:
        """Let a job that ran, and ended by itself, wait for ``delay_s``, then stand at the end of the line. ``event``:
        why it comes back."""
        due = None if delay_s <= 0 else self.books.clock.time() + min(delay_s, limits.DELAY_S_MAX)
        self._back_at(held, event, due, attempts, error)

    def suspend(self, held: Lease, suspended: Suspended) -> None:
        """Let a job wait for a time or an event in the middle of its function."""
        self._back_at(held, Event.SUSPEND, self.steps.suspend(held, suspended), held.attempts, None)

    def _back_at(self, held: Lease, event: Event, due: float | None, attempts: int, error: JobError | None) -> None:
        """Let a job wait until it is ``due``; None: it is now."""
        self.books.mishaps.clear([held.seq])
        self.started(held)
        self.forget_refusal(held)
        place, losses, _, packed, values = self._standing(held)
        if held.interest & Interest.SLOT:
            self.joining.give_back([held.seq], self.joining.lasting(held.line, values))
        if error is not None:
            packed = _encode(error)
        if due is None:
            place = self.joining.place(held.line, place.urgency, values)
            self._repeat(held, place, attempts, losses, packed, self.books.clock.time())
            self.joining.join([Joiner(held.seq, held.line, place, values)])
            self.books.move(held.queue, event, State.RUNNING, State.READY)
            return
        self._repeat(held, Place(place.urgency, 0, 0), attempts, losses, packed, due)
        self.database.run("insert_scheduled", due, held.seq)
        self.books.move(held.queue, event, State.RUNNING, State.SCHEDULED)

    def lose(
        self, held: Lease, fence: int, loss: Loss, error: JobError, started_at: float | None = None
    ) -> Fate | None:
        """Put a job whose runner is gone back to its place in the line, or bury it when it was lost once too often.
        ``fence``: of its lease. Answers its fate when it does not wait again, else None."""
        if delivers(held.holder):
            return self._deliver_again(held, fence)
        place, losses, run_at, _, _ = self._standing(held)
        if loss is Loss.UNSTARTED:
            return self.back_unstarted(held, fence, Event.LOSE)
        self.started(held)
        mishaps = self.books.mishaps
        standing = Standing(losses, *mishaps.of(held.seq)).after(loss)
        mishaps.note(held.seq, Mishap(standing.strays, standing.suspect))
        lost = JobError("WorkerLost", error.message, error.traceback)
        self._repeat(held, place, held.attempts, standing.losses, _encode(lost), run_at)
        if standing.is_dead(loss):
            self.end_running(held, Event.LOSE, keep_s=limits.KEEP_DEAD_S, error=lost, started_at=started_at)
            return Fate.DEAD
        return self.back_unstarted(held, fence, Event.LOSE, has_run=True)

    def _deliver_again(self, held: Lease, fence: int) -> Fate | None:
        """Put a message that was delivered and not answered back to its place in the line: an attempt."""
        self.started(held)
        place, losses, run_at, _, _ = self._standing(held)
        self._repeat(held, place, held.attempts + 1, losses, _encode(UNANSWERED), run_at)
        return self.back_unstarted(held, fence, Event.RETRY, has_run=True)

    def _standing(self, held: Lease) -> tuple[Place, int, float | None, bytes | None, bytes | None]:
        """Of a running job: its place in its line, its losses, when it may start, its packed error, its values."""
        row = self.database.row("losses", held.seq)
        assert row is not None, "a running job has its row"
        priority, rank, arrival, *others = row
        return (Place(-priority, rank, arrival), *others)

    def _repeat(
        self, held: Lease, place: Place, attempts: int, losses: int, packed: bytes | None, run_at: float | None
    ) -> None:
        """Note in a job's row how it is to run again."""
        urgency, rank, arrival = place
        self.database.run("repeat_job", attempts, losses, packed, run_at, -urgency, rank, arrival, held.seq)

    # --- to an outcome -----------------------------------------------------------------------------------------------
    def end_running(
        self,
        held: Lease,
        event: Event,
        *,
        keep_s: float,
        error: JobError | None = None,
        started_at: float | None = None,
    ) -> None:
        """Give a running job an outcome without a result. ``event``: what ended it."""
        self.forget_refusal(held)
        started_at = held.started_at if started_at is None else started_at
        if held.interest & Interest.PARENT:
            keep_s = KEPT
        target = self._count_end(held.queue, event, State.RUNNING, keep_s)
        self.listeners.tell_leased((held,), event, target)
        if keep_s <= 0 and held.interest:
            self._tell_unkept(held.seq, held.id, held.line, target)
        self._end(held.seq, held, held.attempts + 1, OUTCOME_OF[event], keep_s, error, started_at)

    def end_waiting(
        self,
        seq: int,
        job_id: bytes,
        line: int,
        attempts: int,
        event: Event,
        source: State,
        error: JobError | None = None,
    ) -> None:
        """Give a job that waited an outcome. Its waiting row is the caller's.

        Args:
            event: what ended it.
            source: the state it was in.
            error: why; None: there is nothing to say.
        """
        self.joining.tenants.leaves(seq)
        self.database.run("hide_expiry", seq)
        found, state = self.books.lines[line], OUTCOME_OF[event]
        keep_s = limits.KEEP_DEAD_S if state is State.DEAD else self.books.keep_record_s(found.task)
        if (self.database.value("interest", seq) or 0) & Interest.PARENT:
            keep_s = KEPT
        target = self._count_end(found.queue, event, source, keep_s)
        self.listeners.tell_row(seq, job_id, line, event, source, target)
        if keep_s <= 0:
            self._tell_unkept(seq, job_id, line, target)
        self._end(seq, found, attempts, state, keep_s, error, None)

    def _count_end(self, queue: int, event: Event, source: State, keep_s: float) -> State | None:
        """Count a job that ends. Answers the state that it has a record of now; None: it has none."""
        state = OUTCOME_OF[event]
        if keep_s <= 0 and state is not State.DEAD:
            self.books.move(queue, event, source, None)
            return None
        self.books.move(queue, event, source, state)
        if keep_s <= 0:
            # A dead job always has a record, if only for a moment, so that it counts as discarded.
            self.books.move(queue, Event.TRIM, State.DEAD, None)
        return state

    def _tell_unkept(self, seq: int, job_id: bytes, line: int, target: State | None) -> None:
        """Tell the listeners that the record of a job goes at once, if it had one for a moment."""
        if target is not None:
            self.listeners.tell_row(seq, job_id, line, Event.TRIM, target, None)

    def _end(
        self,
        seq: int,
        of: Lease | Line,
        attempt: int,
        state: State,
        keep_s: float,
        error: JobError | None,
        started_at: float | None,
    ) -> None:
        if keep_s > 0:
            finished, now = self.books.finished, self.books.clock.time()
            packed = None if error is None else _encode(error)
            own = (now + keep_s, attempt, started_at, now, packed)
            if state is State.DEAD:
                task = self.books.task_names.get(of.task, "")
                self.database.run(
                    "insert_dead", seq, *own, finished.kinds.enter(task, error.type if error is not None else "")
                )
            else:
                self.database.run("insert_finished", seq, state.value, 0, *own, None, None)
            if keep_s == KEPT:
                finished.of_workflows.add({of.queue: 1}, dead=state is State.DEAD)
            elif finished.retained:
                finished.retained.enter([(seq, of.queue)])
        else:
            self.database.run("delete_job", seq)
            self.books.mishaps.forget([seq])
