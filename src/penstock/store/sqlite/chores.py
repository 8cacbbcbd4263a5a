"""The owner's chores, each in bounded steps: promote, reclaim, expire, trim."""

from __future__ import annotations

from penstock.model import limits
from penstock.model.job import JobError, Ticked
from penstock.model.retention import TrimPace
from penstock.model.states import State
from penstock.store.sqlite.books import Books, priority_of
from penstock.store.sqlite.endings import Endings, add_records
from penstock.store.sqlite.leasing import Leasing
from penstock.store.sqlite.settling import Settling

LEASE_ENDED = JobError("WorkerLost", "The lease ended: its supervisor did not extend it in time.")
_FOREVER = 1e18
_SWEEP_S = 60.0
"""How often what nobody refers to any more is forgotten."""
_SCAN_LEASES_S = 0.5
"""How often all leases are looked over for ones that ended."""


class Chores:
    """What has to happen whether or not anybody asks."""

    def __init__(
        self,
        books: Books,
        endings: Endings,
        leasing: Leasing,
        settling: Settling,
        *,
        records_max: int,
        dead_max: int,
    ) -> None:
        self.books = books
        self.database = books.database
        self.endings = endings
        self.leasing = leasing
        self.settling = settling
        self.records_max = records_max
        self.dead_max = dead_max
        self._last_tick = books.clock.monotonic()
        self._next_scan = 0.0
        self._next_sweep = self._last_tick + _SWEEP_S
        self._paces = (TrimPace(), TrimPace())

    def tick(self) -> Ticked:
        """See `penstock.ports.Store.tick`."""
        now_monotonic = self.books.clock.monotonic()
        if now_monotonic - self._last_tick >= limits.TICK_GAP_S:
            self.leasing.hold_all_anew()
        self._last_tick = now_monotonic
        now = self.books.clock.time()
        if self.database.full and not self.database.refill_reserve():
            self._make_room()
        if now_monotonic >= self._next_sweep:
            self._next_sweep = now_monotonic + _SWEEP_S
            self.books.sweep()
        promoted, reclaimed = self._promote(now), self._reclaim(now_monotonic)
        expired, trimmed = self._expire(now), self._trim(now)
        self.database.run("forget_idempotency", now, limits.TICK_STEP_JOBS)
        forgotten = self.database.connection.changes()
        busy = max(promoted, expired, reclaimed, trimmed, forgotten) >= limits.TICK_STEP_JOBS
        return Ticked(promoted, expired, reclaimed, trimmed, 0.0 if busy else self._next_s(now, now_monotonic))

    def _next_s(self, now: float, now_monotonic: float) -> float | None:
        moments = [
            moment - now
            for moment in (
                self.database.value("next_due"),
                self.database.value("next_expiry"),
                self.database.value("next_age", 0),
                self.database.value("next_age", 1),
                self.database.value("next_idempotency"),
            )
            if moment is not None
        ]
        if self.books.by_fence:
            moments.append(self._next_scan - now_monotonic)
        return max(0.0, min(moments)) if moments else None

    # --- the chores --------------------------------------------------------------------------------------------------
    def _promote(self, now: float) -> int:
        """Due jobs join the end of the line."""
        rows = self.database.rows("due", now, limits.TICK_STEP_JOBS)
        if not rows:
            return 0
        books = self.books
        arrival = books.take_arrivals(len(rows))
        placed = [
            (queue, books.order_key(priority_of(order_key), arrival + place), due, seq)
            for place, (due, seq, queue, order_key) in enumerate(rows)
        ]
        self.database.run_many("delete_scheduled", [(due, seq) for _, _, due, seq in placed])
        self.database.run_many("place_job", placed)
        self.database.run_many("insert_ready", [(queue, order_key, seq) for queue, order_key, _, seq in placed])
        for queue, *_ in placed:
            counts = books.counts(queue)
            counts.scheduled -= 1
            counts.ready += 1
        self.endings.readied.update(books.queues[queue].name for queue, *_ in placed)
        return len(rows)

    def _reclaim(self, now_monotonic: float) -> int:
        """Leases that ended go back to their place."""
        if now_monotonic < self._next_scan:
            return 0
        self._next_scan = now_monotonic + _SCAN_LEASES_S
        ended = [fence for fence, held in self.books.by_fence.items() if held.deadline <= now_monotonic]
        if len(ended) > limits.TICK_STEP_JOBS:
            del ended[limits.TICK_STEP_JOBS :]
            self._next_scan = now_monotonic
        self.settling.reclaim(ended, LEASE_ENDED)
        return len(ended)

    def _expire(self, now: float) -> int:
        rows = self.database.rows("expiring", now, limits.TICK_STEP_JOBS)
        for seq, job_id, queue, task, attempts, order_key, run_at in rows:
            self.leave_line(seq, queue, order_key, run_at)
            self.endings.end_waiting(seq, job_id, queue, task, attempts, State.EXPIRED)
        return len(rows)

    def leave_line(self, seq: int, queue: int, order_key: int, run_at: float | None) -> State:
        """Take a waiting job out of the table it waits in. Answers the state it had."""
        counts = self.books.counts(queue)
        if run_at is not None:
            self.database.run("delete_scheduled", run_at, seq)
            if self.database.connection.changes():
                counts.scheduled -= 1
                return State.SCHEDULED
        self.database.run("delete_ready", queue, order_key)
        assert self.database.connection.changes() == 1, "a waiting job stands in one line"
        counts.ready -= 1
        return State.READY

    def _trim(self, now: float) -> int:
        """Records whose time is up go, and the oldest of too many."""
        trimmed = 0
        until = self.books.clock.monotonic() + limits.TRIM_S
        for dead, states, most in (
            (0, ("succeeded", "cancelled", "expired"), self.records_max),
            (1, ("dead",), self.dead_max),
        ):
            kept = sum(getattr(queue.counts, state) for queue in self.books.queues.values() for state in states)
            wanted, done, count, part = self._paces[dead].step(kept), 0, 0, 0
            while done < wanted and count == part and (not done or self.books.clock.monotonic() < until):
                part = min(wanted - done, limits.TICK_STEP_JOBS)
                count = self._trim_part(now, part, kept - done - most, dead=dead)
                done += count
            self._paces[dead].trimmed(done, kept=kept)
            trimmed = max(trimmed, done)
        return trimmed

    def _trim_part(self, now: float, part: int, too_many: int, *, dead: int) -> int:
        rows = self.database.rows("aged", dead, now, part)
        self._drop(rows, dead=bool(dead))
        more = min(too_many, part) - len(rows)
        if more > 0:
            self._drop(self.database.rows("aged", dead, _FOREVER, more), dead=bool(dead))
        return len(rows) + max(more, 0)

    def rolled_back(self) -> None:
        """What the last tick did is undone."""
        for pace in self._paces:
            pace.forget()

    def _make_room(self) -> None:
        """On a full disk the oldest records give way, so that jobs that were accepted can still end."""
        self._drop(self.database.rows("aged", 0, _FOREVER, limits.TICK_STEP_JOBS), dead=False)

    def _drop(self, rows: list[tuple[int, int, str]], *, dead: bool) -> None:
        self.database.run_many("delete_finished", [(row[0],) for row in rows])
        self.database.run_many("delete_job", [(row[0],) for row in rows])
        self.books.mishaps.forget(row[0] for row in rows)
        for _, queue, state in rows:
            counts = self.books.counts(queue)
            add_records(counts, state, -1)
            if dead:
                counts.discarded_total += 1
                counts.dead_discarded_total += 1
