"""The owner's chores, each in bounded steps: promote, reclaim, expire, ask again, trim, forget keys, remove empty
queues, sweep.

The owner does one step of each in the transaction of a group of requests. A chore that raises there makes the whole
group fail, once: from then on the chore is suspected, and is done in a transaction of its own, where the jobs that it
cannot handle are found and set aside (failing_chores.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final, NamedTuple, TypeVar

from penstock.model import limits
from penstock.model.interests import Interest
from penstock.model.job import JobError, Ticked
from penstock.model.retention import TrimPace
from penstock.model.states import Event, State
from penstock.model.step_history import NEVER
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.failing_chores import SUSPECTED_S, Apart, Chore
from penstock.store.sqlite.in_memory import Books, Place
from penstock.store.sqlite.joining import Joiner
from penstock.store.sqlite.leasing import Leasing
from penstock.store.sqlite.queue_names import QueueNames
from penstock.store.sqlite.settling import Settling
from penstock.store.sqlite.slot_review import Left, SlotReview
from penstock.store.sqlite.unique_keys import UniqueKeys

T = TypeVar("T")

LEASE_ENDED = JobError("WorkerLost", "The lease ended: its supervisor did not extend it in time.")
PROMOTE: Final = "promoting due jobs"
RECLAIM: Final = "taking back leases that ended"
EXPIRE: Final = "expiring jobs"
ASK_AGAIN: Final = "looking again at refused jobs"
SERVE: Final = "unblocking jobs"
TRIM: Final = "trimming records"
FORGET: Final = "forgetting idempotency keys"
FORGET_UNIQUE: Final = "forgetting unique keys"
FORGET_TENANTS: Final = "forgetting the turns of tenants"
REMOVE: Final = "removing empty queues"
SWEEP: Final = "sweeping what nobody refers to"
LOOK_AHEAD: Final = "looking for what is due next"
_FOREVER = 1e18
_SWEEP_S = 60.0
"""How often what nobody refers to any more is forgotten."""
_SCAN_LEASES_S = 0.5
"""How often all leases are looked over for ones that ended."""


class Other(NamedTuple):
    """A chore of another file.

    Attributes:
        name: for people; it fails under this name, alone.
        step: does one step, bounded in rows and time. Answers how much it did; `Ticked` does not say it.
        next_at: when the next step is due, in monotonic seconds; None: nothing is due.
    """

    name: str
    step: Callable[[], int]
    next_at: Callable[[], float | None]


class Chores:
    """What the owner does as time passes, whether or not there are requests.

    Attributes:
        others: chores that are done last, in this order.
    """

    def __init__(
        self,
        books: Books,
        endings: Endings,
        leasing: Leasing,
        settling: Settling,
        apart: Apart,
        names: QueueNames,
        unique: UniqueKeys,
        *,
        records_max: int,
        dead_max: int,
    ) -> None:
        self.books = books
        self.database = books.database
        self.endings = endings
        self.line = endings.line
        self.leasing = leasing
        self.settling = settling
        self.review = SlotReview(endings, self.leave_line)
        self.apart = apart
        self.names = names
        self.unique = unique
        self.records_max = records_max
        self.dead_max = dead_max
        self.others: list[Other] = [Other(FORGET_TENANTS, self._forget_tenants, lambda: None)]
        self._last_tick = books.clock.monotonic()
        self._next_scan = 0.0
        self._next_sweep = self._last_tick + _SWEEP_S
        self._paces = (TrimPace(), TrimPace())
        self._promoting = Chore(PROMOTE, self._due, self._promote, number_at=1)
        self._reclaiming = Chore(RECLAIM, self._ended_leases, self._reclaim)
        self._expiring = Chore(EXPIRE, self._past, self._expire, number_at=0)
        self._asking = Chore(ASK_AGAIN, self._refused, self._ask_again, number_at=0)
        self._trimming = Chore(TRIM, self._aged, self._drop_aged, number_at=0)

    def tick(self) -> Ticked:
        """One step of each chore, in the open transaction. What one raises is raised; it is suspected from now on."""
        now_monotonic = self._look_up()
        now = self.books.clock.time()
        sweeps = now_monotonic >= self._next_sweep
        if sweeps:
            self._next_sweep = now_monotonic + _SWEEP_S
            self._suspecting(SWEEP, self._sweep)
        promoted = self._suspecting(PROMOTE, lambda: self._step(self._promoting))
        reclaimed = self._suspecting(RECLAIM, lambda: self._step(self._reclaiming))
        expired = self._suspecting(EXPIRE, lambda: self._step(self._expiring))
        asked = self._suspecting(ASK_AGAIN, lambda: self._step(self._asking))
        served = self._suspecting(SERVE, self.review.step)
        trimmed = self._suspecting(TRIM, lambda: self._trim(now))
        forgotten = self._suspecting(FORGET, self._forget)
        forgotten = max(forgotten, self._suspecting(FORGET_UNIQUE, self.unique.forget))
        removed = self._suspecting(REMOVE, self.names.step)
        for other in self.others:
            self._suspecting(other.name, other.step)
        busy = max(promoted, expired, reclaimed, asked, served, trimmed, forgotten, removed) >= limits.TICK_STEP_JOBS
        next_s: float | None = 0.0 if busy else self._suspecting(LOOK_AHEAD, lambda: self._next_s(now, now_monotonic))
        return Ticked(promoted, expired, reclaimed, trimmed, next_s)

    def tick_apart(self) -> Ticked:
        """One step of each chore, each in a transaction of its own. One that fails is noted; the others are done."""
        now_monotonic = self._look_up()
        now = self.books.clock.time()
        apart = self.apart
        if now_monotonic >= self._next_sweep:
            self._next_sweep = now_monotonic + _SWEEP_S
            apart.whole(SWEEP, self._sweep)
        chores = (self._promoting, self._reclaiming, self._expiring, self._asking, self._trimming)
        done = [apart.step(chore) for chore in chores]
        served = apart.whole(SERVE, self.review.step) or 0
        forgotten = max(apart.whole(FORGET, self._forget) or 0, apart.whole(FORGET_UNIQUE, self.unique.forget) or 0)
        removed = apart.whole(REMOVE, self.names.step) or 0
        for other in self.others:
            apart.whole(other.name, other.step)
        next_s = apart.whole(LOOK_AHEAD, lambda: self._next_s(now, now_monotonic))
        if max(*done, served, forgotten, removed) >= limits.TICK_STEP_JOBS:
            next_s = 0.0
        if apart.suspects:
            next_s = SUSPECTED_S if next_s is None else max(next_s, limits.TICK_S)
        promoted, reclaimed, expired, _, trimmed = done
        return Ticked(promoted, expired, reclaimed, trimmed, next_s)

    def _look_up(self) -> float:
        """What comes before all chores: was the owner away, is there room again. Answers the monotonic time."""
        now_monotonic = self.books.clock.monotonic()
        if now_monotonic - self._last_tick >= limits.TICK_GAP_S:
            self.leasing.hold_all_anew()
        self._last_tick = now_monotonic
        if self.books.limits.opens_at <= now_monotonic:
            self.endings.note_open(self.books.limits.open_due(now_monotonic))
        if self.database.full:
            self.database.refill_reserve()
        return now_monotonic

    def _suspecting(self, name: str, step: Callable[[], T]) -> T:
        try:
            return step()
        except Exception:
            self.apart.suspect(name)
            raise

    def _sweep(self) -> None:
        self.books.sweep()
        self.endings.refusals.sweep()

    def _step(self, chore: Chore) -> int:
        """One step of a chore that is not suspected."""
        rows = self.apart.rows(chore)
        if rows:
            chore.act(rows)
        return len(rows)

    def _next_s(self, now: float, now_monotonic: float) -> float | None:
        moments = [
            moment - now
            for moment in (
                self.database.value("next_due", NEVER),
                self.database.value("next_expiry"),
                self.database.value("next_refusal"),
                self.database.value("next_age", 0),
                self.database.value("next_age", 1),
                self.database.value("next_idempotency"),
                self.unique.next_at(),
            )
            if moment is not None
        ]
        if self.books.by_fence:
            moments.append(self._next_scan - now_monotonic)
        if self.books.limits.opens_at < inf:
            moments.append(self.books.limits.opens_at - now_monotonic)
        key_at = self.endings.joining.buckets.next_at()
        if key_at is not None:
            moments.append(max(0.0, key_at - now_monotonic))
        empty_at = self.names.next_at()
        if empty_at is not None:
            moments.append(empty_at - now_monotonic)
        moments += [at - now_monotonic for at in (other.next_at() for other in self.others) if at is not None]
        if not moments:
            return None
        # What is set aside is always due.
        earliest: float = min(moments)
        return max(SUSPECTED_S if self.apart.jobs_set_aside else 0.0, earliest)

    # --- the chores --------------------------------------------------------------------------------------------------
    def _due(self, limit: int) -> list[Any]:
        return self.database.rows("due", self.books.clock.time(), limit)

    def _promote(self, rows: Sequence[Any]) -> None:
        """Due jobs join the ends of their lines."""
        books = self.books
        joining = self.endings.joining
        jobs = [
            Joiner(seq, line, joining.place(line, -priority, values), values)
            for _, seq, line, priority, values, _ in rows
        ]
        for _, seq, *_, interest in rows:
            if interest & Interest.RECORDED:
                self.endings.steps.time_has_come(seq)
        self.database.run_many("delete_scheduled", [(due, seq) for due, seq, *_ in rows])
        self.database.run_many(
            "place_job",
            [
                (job.line, job.place.priority, *job.place[1:], due, job.seq)
                for job, (due, *_) in zip(jobs, rows, strict=True)
            ],
        )
        joining.join(jobs)
        for line, number in Counter([job.line for job in jobs]).items():
            books.move(books.lines[line].queue, Event.PROMOTE, State.SCHEDULED, State.READY, number)

    def _ended_leases(self, limit: int) -> list[Any]:
        now_monotonic = self.books.clock.monotonic()
        if now_monotonic < self._next_scan:
            return []
        self._next_scan = now_monotonic + _SCAN_LEASES_S
        by_fence = self.books.by_fence
        ended = [fence for fence, held in by_fence.items() if held.deadline <= now_monotonic]
        ended.sort(key=lambda fence: (by_fence[fence].deadline, fence))
        if len(ended) > limit:
            del ended[limit:]
            self._next_scan = now_monotonic
        return ended

    def _reclaim(self, fences: Sequence[int]) -> None:
        """Leases that ended go back to their place."""
        self.settling.reclaim(fences, LEASE_ENDED)

    def _past(self, limit: int) -> list[Any]:
        return self.database.rows("expiring", self.books.clock.time(), limit)

    def _expire(self, rows: Sequence[Any]) -> None:
        for seq, job_id, attempts in rows:
            left = self.leave_line(seq)
            self.endings.end_waiting(seq, job_id, left.line, attempts, Event.EXPIRE, left.state)

    def _refused(self, limit: int) -> list[Any]:
        return self.endings.refusals.due(self.books.clock.time(), limit)

    def _ask_again(self, rows: Sequence[Any]) -> None:
        """Jobs that were aside for a while may be tried again by who refused them; hopeless ones are given up."""
        self.endings.readied.update({self.books.line_name(row[2]) for row in rows})
        for seq, line, reason in self.endings.refusals.ask_again(rows):
            job_id, attempts = self.database.row("waiting_identity", seq) or (b"", 0)
            self.endings.end_waiting(seq, job_id, line, attempts, Event.GIVE_UP, State.READY, reason)

    def leave_line(self, seq: int) -> Left:
        """Take a waiting job out of the table that it is found in. The caller counts the move."""
        row = self.database.row("place", seq)
        assert row is not None, "a waiting job has its row"
        line, priority, rank, arrival, run_at, is_ready, is_refused, is_blocked, is_scheduled = row
        place = Place(-priority, rank, arrival)
        if is_scheduled:
            self.database.run("delete_scheduled", run_at, seq)
            return Left(line, place, State.SCHEDULED)
        if is_blocked:
            self.endings.joining.slots.leave(seq)
            return Left(line, place, State.BLOCKED)
        assert is_ready or is_refused, "a waiting job stands in one line"
        if is_refused:
            self.endings.refusals.forget(seq, line)
        else:
            self.line.remove(line, place)
        return Left(line, place, State.READY)

    def _forget(self) -> int:
        self.database.run("forget_idempotency", self.books.clock.time(), limits.TICK_STEP_JOBS)
        return self.database.connection.changes()

    def _forget_tenants(self) -> int:
        return self.books.fair.step(lambda queue: self.books.queues[queue].counts)

    # --- trimming ----------------------------------------------------------------------------------------------------
    def _kinds(self) -> list[tuple[int, int, int]]:
        """Of records that are not dead and of those that are: which (0, 1), how many there are that are of no workflow,
        how many may be."""
        counts = self.books.totals()
        finished = counts.succeeded + counts.cancelled + counts.expired
        ours = self.books.finished.of_workflows.total
        return [(0, finished - ours(0), self.records_max), (1, counts.dead - ours(1), self.dead_max)]

    def _trim(self, now: float) -> int:
        """Records whose time is up go, and the oldest of too many."""
        trimmed = 0
        until = self.books.clock.monotonic() + limits.TRIM_S
        for dead, kept, most in self._kinds():
            wanted, done, count, part = self._paces[dead].step(kept), 0, 0, 0
            while done < wanted and count == part and (not done or self.books.clock.monotonic() < until):
                part = min(wanted - done, limits.TICK_STEP_JOBS)
                count = self._trim_part(now, part, kept - done - most, dead=dead)
                done += count
            self._paces[dead].trimmed(done, kept=kept)
            trimmed = max(trimmed, done)
        return trimmed

    def _trim_part(self, now: float, part: int, too_many: int, *, dead: int) -> int:
        rows = self._aged_rows(dead, now, part)
        self.drop(rows)
        more = min(too_many, part) - len(rows)
        if more <= 0:
            return len(rows)
        further = self._aged_rows(dead, _FOREVER, more)
        self.drop(further)
        return len(rows) + len(further)

    def _aged_rows(self, dead: int, until: float, limit: int) -> list[Any]:
        aside = self.apart.count(self._trimming)
        return self.apart.without(self._trimming, self.database.rows("aged", dead, until, limit + aside))[:limit]

    def _aged(self, limit: int) -> list[Any]:
        """Records that trimming would take, one small step of them."""
        now, found = self.books.clock.time(), []
        for dead, kept, most in self._kinds():
            rows = self.database.rows("aged", dead, now, limit)
            if kept - most > len(rows):
                rows = self.database.rows("aged", dead, _FOREVER, min(limit, kept - most))
            found += rows
        return found

    def _drop_aged(self, rows: Sequence[Any]) -> None:
        for row in rows:
            self.drop([row])

    def rolled_back(self) -> None:
        """What the open transaction did is undone. Leases that had ended still have, and are found again."""
        self._next_scan = 0.0
        for pace in self._paces:
            pace.forget()
        self.review.rolled_back()

    def drop(self, rows: Sequence[tuple[int, int, str, int]]) -> None:
        """Throw away records: seq, line, state, interest."""
        self.endings.listeners.tell_dropped(rows)
        self.books.finished.leave((row[0], row[2]) for row in rows)
        for _, line, state, interest in rows:
            if interest & Interest.PARENT:
                queue = self.books.lines[line].queue
                self.books.finished.of_workflows.add({queue: -1}, dead=state == State.DEAD.value)
        self.database.run_many("delete_finished", [(row[0],) for row in rows])
        self.database.run_many("delete_job", [(row[0],) for row in rows])
        self.books.mishaps.forget(row[0] for row in rows)
        for (line, state), number in Counter([row[1:3] for row in rows]).items():
            self.books.move(self.books.lines[line].queue, Event.TRIM, State(state), None, number)
