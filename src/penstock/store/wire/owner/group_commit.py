"""Group commit: everything pending goes into one transaction, and is answered after it. A group of nothing but small
enqueues that no worker waits for needs none: it goes into the redo log, and the next transaction makes rows of it.

When a group fails as a whole (a full disk, a fault in one request) it is rolled back and its requests are done again
one at a time (`failed_group`), so that only the culprits fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from penstock.model import errors, limits
from penstock.ports import Clock
from penstock.store.wire import protocol
from penstock.store.wire.calls import OwnerStatistics
from penstock.store.wire.owner.applying import Applying
from penstock.store.wire.owner.client_connection import Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.failed_group import OneByOne, OwnerHealth
from penstock.store.wire.owner.file_requests import FileRequests
from penstock.store.wire.owner.group import Answers, Group, GroupCounters
from penstock.store.wire.owner.parking import Parked
from penstock.store.wire.owner.small_enqueues import SmallEnqueues
from penstock.store.wire.owner.turns import Turns
from penstock.store.wire.owner.waiting_calls import WaitingCalls

_SMALL_S: Final = 0.00002
"""What one small enqueue counts for in its client's share of the owner's time."""
_GROUP: Final = "a group commit"


class GroupCommit:
    """Does the requests of one group after the other.

    Attributes:
        parking: requests that wait beyond their group.
        counters: of all groups.
        faults: what fails at this owner, beside the engine's own.
        files: requests about the store's file, to be done when the group has been answered.

    Args:
        statistics: answers the call of that name.
        handover: called when somebody asks the owner to leave; raises Conflict when it will not.
        check_requests: False only in a torture variant that must fail: repeated requests are applied again.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        statistics: Callable[[], OwnerStatistics],
        handover: Callable[[], None],
        check_requests: bool = True,
    ) -> None:
        self.counters = GroupCounters()
        self._engine = engine
        self._health = OwnerHealth(engine, clock)
        self.faults = self._health.faults
        self._waiting = WaitingCalls(engine, clock, self.counters)
        self.parking = self._waiting.parking
        owners: dict[int, Callable[[], object]] = {
            protocol.OWNER_STATISTICS.kind: statistics,
            protocol.HEALTH.kind: self._health.health,
            protocol.HAND_OVER.kind: handover,
            protocol.PING.kind: lambda: None,
        }
        self.files = FileRequests(engine, self._health.note)
        self._applying = Applying(
            engine, self._waiting, self.counters, owners, self.files, check_requests=check_requests
        )
        self._small = SmallEnqueues(engine, self._applying, self.parking, self.counters)
        self._one_by_one = OneByOne(engine, self._applying, self._waiting, self._health)

    def run(self, turns: Turns, *, chores: Callable[[], None] | None = None) -> Answers:
        """One group: the requests that wait, then ``chores`` if any are due, then the parked. Answers what to send.

        Raises:
            StoreUnavailable: the engine cannot go on, and its owner has to end.
        """
        engine, applying = self._engine, self._applying
        group, taken = Group(), list[Request]()
        chores_apart = None
        if chores is not None and engine.suspects:
            chores, chores_apart = None, chores
        if engine.wants_room:
            engine.make_room(0, self.parking.awaited())
        turns.start_group()
        try:
            group.small_enqueues = []
            self._apply_all(turns, group, taken)
            if group.small_enqueues and (group.began or chores is not None or not self._small.defer(group)):
                self._small.enqueue(group)
            if chores is not None:
                applying.begin(group)
                chores()
            if group.began:
                self._waiting.serve(group)
                applying.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others must not suffer; it is told
            applying.undo(group)
            self._health.note(_GROUP, error)
            self.counters.retried_groups += 1
            answers = self._one_by_one.run(taken)
            chores_apart = chores or chores_apart
        else:
            if group.began:
                # Without a transaction nothing was leased, served or made ready.
                self._waiting.publish(group)
            answers = group.answers
            if self.counters.retried_groups:
                self._health.passed(_GROUP)
        if chores_apart is not None:
            answers += self._one_by_one.chores_apart(chores_apart)
        if engine.lost is not None:
            raise errors.StoreUnavailable(engine.lost)
        self.counters.groups += bool(taken)
        self.counters.requests += len(taken)
        self.counters.group_requests_max = max(self.counters.group_requests_max, len(taken))
        return answers

    def _apply_all(self, turns: Turns, group: Group, taken: list[Request]) -> None:
        """Take and apply requests until there is no more or the group is large enough."""
        apply = self._applying.apply
        size_bytes = 0
        at = time.perf_counter()
        until = at + limits.OWNER_GROUP_S
        while at < until and size_bytes < limits.OWNER_BATCH_BYTES_MAX:
            request = turns.next()
            if request is None:
                return
            taken.append(request)
            size_bytes += len(request.payload)
            if apply(request, group):
                request.connection.served_s += _SMALL_S
            else:
                before, at = at, time.perf_counter()
                request.connection.served_s += at - before

    def catch_up(self) -> None:
        """Make rows of what is deferred, while there is nothing else to do. If that fails, the next group tries."""
        try:
            self.counters.commits += bool(self._engine.deferred)
            self._engine.catch_up()
        except errors.PenstockError as error:
            self._health.note("making rows of what is deferred", error)

    def retry_leases(self) -> None:
        """Let every parked lease try again with the next group, whatever the engine says has become ready."""
        self._waiting.retry_leases()

    def expire(self, parked: Parked) -> bytes:
        """The frame for a parked request whose time is up and which has left the parking."""
        return self._waiting.expire(parked)
