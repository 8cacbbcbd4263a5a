"""Stores with one rule taken out. A search that finds nothing in a store must find something in each of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from penstock.model.deliveries import HOLDER_BYTES
from penstock.model.durable_steps import Record
from penstock.model.job import LeaseBatch, LeaseRequest, Lost, Suspended
from penstock.model.states import Event, State
from penstock.testing.clock import VirtualClock
from penstock.testing.memory_table import Row
from penstock.testing.worlds.watched import WatchedStore

# mypy: disable-error-code="method-assign"
# Each of these stores has one method of its parts replaced.


class WithoutFence(WatchedStore):
    """Who has leased a job twice may settle it by the first fence."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._leased: dict[int, Row] = {}
        self._table.held = self._held

    def lease(self, request: LeaseRequest) -> LeaseBatch:
        """Lease, and note who has had which fence."""
        batch = super().lease(request)
        for place, job in enumerate(batch.jobs):
            self._leased[batch.first_fence + place] = self._table.rows[job.id]
        return batch

    def _held(self, holder: bytes, fence: int) -> Row | None:
        row = self._leased.get(fence)
        if row is None or row.state is not State.RUNNING or row.lease is None:
            return None
        return row if row.lease.holder.startswith(holder) else None


class WithoutHolder(WatchedStore):
    """Whoever names the fence of a lease may settle its job."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._table.held = lambda holder, fence: self._table.running.get(fence)  # noqa: ARG005 - as `Table.held`


class WithoutSlots(WatchedStore):
    """A job becomes ready without a look at how many slots are taken."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.slots._missing = lambda row, *, is_in_turn: None  # noqa: ARG005, SLF001 - the rule that is out


class WithoutReturn(WatchedStore):
    """A job that succeeds keeps its slot."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._moves.forget = lambda row: self._table.go(row, Event.SUCCEED, None)


class WithoutServing(WatchedStore):
    """Nobody looks for those who wait when a slot is free."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.slots.serve = lambda: None


class WithoutReclaim(WatchedStore):
    """A job whose lease ended is thrown away."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._moves.reclaim = self._moves.cancel


class WithoutHold(WatchedStore):
    """Nobody notes which job holds a unique key."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._unique.hold = lambda row: None  # noqa: ARG005 - as `UniqueKeys.hold`


class WithoutFreeing(WatchedStore):
    """A unique key keeps jobs away after its job has ended."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._held: dict[str, Row] = {}
        self._unique.hold = self._hold
        self._unique.keeps_away = lambda task, key: self._held.get(key)  # noqa: ARG005 - as `UniqueKeys.keeps_away`

    def _hold(self, row: Row) -> None:
        self._held[row.unique_key or ""] = row


class WithoutIdempotency(WatchedStore):
    """A call that is repeated after its job's record is gone makes a job."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._keys.remember = lambda *_: None


class WithoutCount(WatchedStore):
    """A job that is given back is counted where it was."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._table.listeners.append(self._miscount)

    def _miscount(self, row: Row, event: Event, _source: State | None, _target: State | None) -> None:
        if event is Event.RELEASE:
            self._table.counts[row.queue].running += 1


# --- suspension -------------------------------------------------------------------------------------------------------
class WithoutHeldCheck(WatchedStore):
    """Whoever knows a job's id may record for it, whether or not it has the lease."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._moves.steps._running = lambda job: self._table.rows.get(job.job)  # noqa: SLF001 - the rule that is out


class WithoutStanding(WatchedStore):
    """What is recorded takes the place of what was recorded there."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        steps = self._moves.steps
        self._write = steps._write  # noqa: SLF001 - the rule that is out
        steps._write = self._overwrite  # noqa: SLF001 - as above

    def _overwrite(self, row: Row, records: Iterable[Record]) -> list[Record]:
        history = self._moves.steps._records.get(row.id, {})  # noqa: SLF001 - as above
        records = list(records)
        for record in records:
            history.pop(record.place, None)
        return self._write(row, records)


class WithoutHistory(WatchedStore):
    """A job that is suspended begins anew."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        steps = self._moves.steps
        self._suspend = steps.suspend
        steps.suspend = self._forgetful

    def _forgetful(self, row: Row, suspended: Suspended) -> float | None:
        self._moves.steps.forget_history(row)
        return self._suspend(row, suspended)


class WithoutWord(WatchedStore):
    """Who leases a job is not told that it has a history."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._moves.steps.recorded = _Empty()


class _Empty(set[bytes]):
    """Takes nothing in."""

    def add(self, _: bytes) -> None:
        """Take nothing in."""


class WithoutKeeping(WatchedStore):
    """An event that comes before anybody waits for it is forgotten when somebody does."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._moves.steps._take_kept = lambda owner, event: None  # noqa: ARG005, SLF001 - the rule that is out


class WithoutTimeout(WatchedStore):
    """An event whose time is over is waited for all the same."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._moves.steps.time_has_come = lambda row: None  # noqa: ARG005 - as `Steps.time_has_come`


class WithoutGivingBack(WatchedStore):
    """A job keeps its slot while it is suspended."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._give_back = self.slots.give_back
        self._suspending = False
        self._suspend = self._moves.suspend
        self._moves.suspend = self._keep_slot

    def _keep_slot(self, row: Row, outcome: Suspended) -> None:
        self.slots.give_back = lambda *_: None
        self._suspend(row, outcome)
        self.slots.give_back = self._give_back


class WithoutMercy(WatchedStore):
    """To be suspended is an attempt."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._suspend = self._moves.suspend
        self._moves.suspend = self._charge

    def _charge(self, row: Row, outcome: Suspended) -> None:
        self._suspend(row, outcome)
        row.attempts += 1


# --- deliveries -------------------------------------------------------------------------------------------------------
class WithoutAttempt(WatchedStore):
    """A delivery that nobody answered is not counted."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        moves = self._moves
        moves.lose = lambda row, outcome: moves.release(row)  # noqa: ARG005 - as `Moves.lose`


class WithoutDoor(WatchedStore):
    """A door is judged as a worker is."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._lose = self._moves.lose
        self._moves.lose = self._judged

    def _judged(self, row: Row, outcome: Lost) -> None:
        row.standing = row.standing.after(outcome.loss)
        self._lose(row, outcome)


class WithoutFront(WatchedStore):
    """The front of a name is taken for a name."""

    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """Take back leases of exactly this holder."""
        return super().reconcile(holder.ljust(HOLDER_BYTES, b"\xff"), fences)


BROKEN: Final[dict[str, type[WatchedStore]]] = {
    "fence": WithoutFence,
    "holder": WithoutHolder,
    "slot": WithoutSlots,
    "return": WithoutReturn,
    "serving": WithoutServing,
    "reclaim": WithoutReclaim,
    "hold": WithoutHold,
    "freeing": WithoutFreeing,
    "idempotency": WithoutIdempotency,
    "count": WithoutCount,
}
"""By the name of what is out."""
BROKEN_SUSPENSIONS: Final[dict[str, type[WatchedStore]]] = {
    "held": WithoutHeldCheck,
    "standing": WithoutStanding,
    "history": WithoutHistory,
    "word": WithoutWord,
    "keeping": WithoutKeeping,
    "timeout": WithoutTimeout,
    "giving back": WithoutGivingBack,
    "mercy": WithoutMercy,
}
"""As `BROKEN`, in a world with ``signals``."""
BROKEN_DELIVERIES: Final[dict[str, type[WatchedStore]]] = {
    "attempt": WithoutAttempt,
    "door": WithoutDoor,
    "front": WithoutFront,
}
"""As `BROKEN`, in a world that ``delivers``."""
