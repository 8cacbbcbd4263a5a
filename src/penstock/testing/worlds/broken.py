"""Stores with one rule taken out. A search that finds nothing in a store must find something in each of these."""

from __future__ import annotations

from typing import Final

from penstock.model.job import LeaseBatch, LeaseRequest
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
        return row if row.lease.holder == holder else None


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
