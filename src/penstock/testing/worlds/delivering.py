"""A small world whose workers are connections of a door: each delivery that ends without an answer is an attempt.

The book counts the deliveries of each job that were not given back; the store must count the same. Nothing else is held
against a job, however often it was delivered. What was delivered too often is buried by the door, which has the last
word on that. A reconciliation is one of the door: it names what all its connections know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from penstock.model.deliveries import delivering_holder, door_holders
from penstock.model.job import Buried, LeasedJob, Outcomes
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.worlds.actions import ERROR, Action, Size
from penstock.testing.worlds.watched import Form, WatchedStore
from penstock.testing.worlds.world import SmallWorld, holds

_DOOR = b"door"


class DeliveringWorld(SmallWorld):
    """A `SmallWorld` behind a door."""

    def __init__(self, size: Size, make_store: Callable[[VirtualClock], Store] = WatchedStore) -> None:
        super().__init__(size, make_store)
        self._given_back: Counter[int] = Counter()

    def _holder(self, worker: int) -> bytes:
        return delivering_holder(_DOOR, worker)

    def form(self) -> Form:
        """As of any small world, and how often the jobs that are there were delivered."""
        return *super().form(), tuple(self._deliveries(job) for job in self._accepted() if job not in self._ended)

    def _deliveries(self, job: int) -> int:
        return sum(lease.job == job for lease in self._leases) - self._given_back[job]

    def _look_at_leased(self, job: int, leased: LeasedJob) -> None:
        """A message is delivered, and its attempts are told. One too many is buried."""
        deliveries = self._deliveries(job)
        holds(leased.attempt == deliveries, f"job {job} is at attempt {leased.attempt}, after {deliveries} deliveries")
        if leased.attempt > self._size.attempts_max:
            lease = self._leases[-1]
            self._store.settle(Outcomes(self._holder(lease.worker), buried=[Buried(lease.fence, ERROR)]))
            lease.lives = False
            self._end(job)

    def _settle(self, action: Action) -> None:
        super()._settle(action)
        if action.ending == "release":
            self._given_back[action.job] += 1

    def _reconcile(self, worker: int) -> None:  # noqa: ARG002 - it is the door's
        dropped = [lease for lease in self._living() if not lease.is_known]
        known = [lease.fence for lease in self._living() if lease.is_known]
        number = self._store.reconcile(door_holders(_DOOR), known)
        holds(number == len(dropped), f"{number} leases were taken back, and {len(dropped)} were not named")
        for lease in dropped:
            lease.lives = False
            self._see_if_cancelled(lease.job)

    def check(self) -> None:
        """As of any small world, and nothing is held against anybody."""
        super().check()
        for job in self._accepted():
            view = self._view(job)
            if view is not None:
                told = (view.losses, view.strays, view.suspect)
                holds(told == (0, 0, False), f"job {job} was delivered, and that is held against it")
