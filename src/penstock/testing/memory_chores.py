"""What the in-memory store does as time passes: each chore in steps of at most `limits.TICK_STEP_JOBS`, trimming in
those of a `TrimPace`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from penstock.model import limits
from penstock.model.job import Ticked
from penstock.model.retention import TrimPace
from penstock.model.step_history import NEVER
from penstock.ports import Clock
from penstock.testing.agenda import Agenda
from penstock.testing.memory_keys import Keys
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_table import Row, Table


class Other(NamedTuple):
    """A chore of another file. ``step`` does one bounded step; ``next_at`` says when the next is due, in monotonic
    seconds (None: none is)."""

    step: Callable[[], int]
    next_at: Callable[[], float | None]


ByTime = Agenda[bytes, tuple[float, int]]


class Chores:
    """The tick of a `penstock.testing.memory.MemoryStore`.

    Attributes:
        others: chores that are done last, in this order.
        after_gap: what starts anew when the owner was away, in monotonic seconds.
    """

    def __init__(
        self,
        table: Table,
        keys: Keys,
        moves: Moves,
        refusals: Refusals,
        limited: Limits,
        queues: Queues,
        clock: Clock,
        most: tuple[int, int],
    ) -> None:
        """``most``: how many finished records are kept, and how many dead ones."""
        self._table = table
        self._keys = keys
        self._moves = moves
        self._refusals = refusals
        self._limits = limited
        self._queues = queues
        self._clock = clock
        self._most = ((table.finished, most[0]), (table.dead, most[1]))
        self._paces = (TrimPace(), TrimPace())
        self._ticked_at = clock.monotonic()
        self.others: list[Other] = []
        self.after_gap: list[Callable[[float], None]] = []

    def tick(self) -> Ticked:
        """One step of each."""
        now, monotonic = self._clock.time(), self._clock.monotonic()
        if monotonic - self._ticked_at >= limits.TICK_GAP_S:
            self._extend_all(monotonic)
            for starts_anew in self.after_gap:
                starts_anew(monotonic)
        self._ticked_at = monotonic
        table = self._table
        promoted = self._step(table.scheduled, now, self._moves.promote)
        expired = self._step(table.expiring, now, self._moves.expire)
        self._refusals.step()
        reclaimed = self._step(table.leases, monotonic, self._moves.reclaim)
        self._moves.slots.step()
        trimmed = sum(self._trim(*which, now, pace) for which, pace in zip(self._most, self._paces, strict=True))
        self._keys.forget(now, limits.TICK_STEP_JOBS)
        self._queues.step()
        for other in self.others:
            other.step()
        return Ticked(promoted, expired, reclaimed, trimmed, self._next_s(now, monotonic))

    def _extend_all(self, monotonic: float) -> None:
        """The owner was stopped, not its clients: nobody could extend a lease meanwhile."""
        for row in self._table.running.values():
            assert row.lease is not None, "a running job is leased"
            self._table.extend(row, max(row.lease.ends_at, monotonic + limits.LEASE_S))

    def _trim(self, agenda: ByTime, most: int, now: float, pace: TrimPace) -> int:
        kept = len(agenda)
        count = self._step(agenda, now, self._moves.trim, most, pace.step(kept))
        pace.trimmed(count, kept=kept)
        return count

    def _step(
        self,
        agenda: ByTime,
        now: float,
        act: Callable[[Row], None],
        most: int | None = None,
        step: int = limits.TICK_STEP_JOBS,
    ) -> int:
        """Act on the first jobs that are due, or more than ``most``. Answers on how many."""
        for done in range(step):
            first = agenda.first()
            if first is None or (first[0][0] > now and (most is None or len(agenda) <= most)):
                return done
            act(self._table.rows[first[1]])
        return step

    def _next_s(self, now: float, monotonic: float) -> float | None:
        if any(len(agenda) > most for agenda, most in self._most):
            return 0.0
        table = self._table
        times = (table.expiring, table.scheduled, table.finished, table.dead)
        firsts = [(agenda.first(), now) for agenda in times] + [(table.leases.first(), monotonic)]
        waits = [first[0][0] - moment for first, moment in firsts if first is not None and first[0][0] < NEVER]
        key_at = self._keys.next_at()
        waits += [] if key_at is None else [key_at - now]
        again_at = self._refusals.next_at()
        waits += [] if again_at is None else [again_at - now]
        free_at = self._limits.next_at()
        waits += [] if free_at is None else [free_at - monotonic]
        key_at = self._moves.slots.next_at()
        waits += [] if key_at is None else [key_at - monotonic]
        empty_at = self._queues.next_at()
        waits += [] if empty_at is None else [empty_at - monotonic]
        others_at = [other.next_at() for other in self.others]
        waits += [at - monotonic for at in others_at if at is not None]
        return max(0.0, min(waits)) if waits else None
