"""Group commit: everything pending goes into one transaction, and is answered after it. A group of nothing but small
enqueues that no worker waits for needs none: it goes into the redo log, and the next transaction makes rows of it.

When a group fails as a whole (a full disk, a fault in one request) it is rolled back and its requests are done again
one at a time, each in a transaction of its own, so that only the culprits fail.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from penstock.model import errors, limits
from penstock.model.job import DeferredEnqueue, EnqueueAnswer, JobView, LeaseBatch, Outcomes
from penstock.model.states import TERMINAL
from penstock.ports import Clock
from penstock.process.repeated_faults import Faults
from penstock.store.wire import protocol
from penstock.store.wire.gathering import Batch, Share
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.counters import Counters
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.failed_group import OneByOne
from penstock.store.wire.owner.parking import Parked, ParkedLease, ParkedWait, Parking
from penstock.store.wire.owner.tray import Tray
from penstock.store.wire.owner.turns import Turns
from penstock.store.wire.owner_statistics import OwnerStatistics

_logger = logging.getLogger("penstock.owner")

UNREADABLE: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What decoding a request raises when it is none: text that is no UTF-8 is a ValueError."""
_INTAKE_BYTES_MAX: Final = 16 * 1024
"""Enqueues up to this size are deferred, or done together; larger ones gain nothing from it."""
_JOINED_S: Final = 0.00002
"""What one of them counts for in its client's share of the owner's time."""
_NO_LOOK: Final = (protocol.OWNER_STATISTICS, protocol.STORE_HEALTH, protocol.LEAVE, protocol.PING)
"""Calls that see nothing of the store."""
_NOTHING: Final = protocol.encode(LeaseBatch(0, [], b"", []))


class Groups(OneByOne):
    """Applies requests to the engine, parks what must wait, and serves it.

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
        super().__init__(engine, Faults(_logger), clock)
        self.parking = Parking(engine.watched)
        self.counters = Counters()
        self._check_requests = check_requests
        self._statistics = statistics
        self._handover = handover
        self._retry_leases = False
        self._own: dict[int, Callable[[Request, Any, Tray], None]] = {
            protocol.LEASE.kind: self._lease,
            protocol.WAIT.kind: self._wait,
            protocol.STATISTICS: self._tell_statistics,
            protocol.HEALTH: self._tell_health,
            protocol.HANDOVER: self._hand_over,
            protocol.PING.kind: self._answer_ping,
        }

    def run(self, turns: Turns, *, chores: Callable[[], None] | None = None) -> list[tuple[Connection, bytes]]:
        """One group: the requests that wait, then ``chores`` if any are due, then the parked. Answers what to send."""
        tray, taken = Tray(), list[Request]()
        apart = chores if self.engine.suspects else None
        if apart is not None:
            chores = None
        if self.engine.wants_room:
            self.engine.make_room(0, self.awaited())
        turns.start_group()
        try:
            tray.intake = []
            self._apply_all(turns, tray, taken)
            if tray.intake and (tray.began or chores is not None or not self._defer(tray.intake, tray)):
                self._take_in(tray)
            if chores is not None:
                self._begin(tray)
                chores()
            if tray.began:
                self._serve(tray)
                self._commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others must not suffer; it is told
            self._undo(tray)
            self.note("a group commit", error)
            self.counters.retried_groups += 1
            answers = self.one_by_one(taken)
            apart = chores or apart
        else:
            answers = self._publish(tray)
            self.faults.passed("a group commit", self._clock.monotonic())
        if apart is not None:
            answers += self.chores_apart(apart)
        if self.engine.lost is not None:
            raise errors.StoreUnavailable(self.engine.lost)
        self.counters.groups += bool(taken)
        self.counters.requests += len(taken)
        self.counters.group_requests_max = max(self.counters.group_requests_max, len(taken))
        return answers

    def _begin(self, tray: Tray) -> None:
        if not tray.began:
            tray.began = True
            self.engine.begin()

    def _apply_all(self, turns: Turns, tray: Tray, taken: list[Request]) -> None:
        """Take and apply until there is no more or the group is large enough."""
        size = 0
        at = time.perf_counter()
        until = at + limits.OWNER_GROUP_S
        while at < until and size < limits.OWNER_BATCH_BYTES_MAX:
            request = turns.next()
            if request is None:
                return
            taken.append(request)
            size += len(request.payload)
            if self._apply(request, tray):
                request.connection.served_s += _JOINED_S
            else:
                before, at = at, time.perf_counter()
                request.connection.served_s += at - before

    def _apply(self, request: Request, tray: Tray) -> bool:
        """Do it, or have it done together with others: answers whether."""
        call, connection, number = request.call, request.connection, request.number
        recorded = call.recorded and number < protocol.UNRECORDED and self._check_requests
        if recorded and connection.answers:
            known = connection.answers.get(number)
            if known is not None:
                self.counters.repeated += 1
                tray.answer(connection, number, known)
                return False
        try:
            query = call.request(request.payload)
        except UNREADABLE as error:
            tray.fail(request, errors.InvalidOption(f"{call.name}: {error}"))
            return False
        try:
            if call is protocol.ENQUEUE and tray.intake is not None and len(request.payload) <= _INTAKE_BYTES_MAX:
                tray.intake.append((request, query))
                return True
            if call.mutating or (self.engine.deferred and call not in _NO_LOOK):
                self._begin(tray)
            if call.apply is None:
                self._own[call.kind](request, query, tray)
                return False
            answer = call.apply(self.engine, query)
        except errors.PenstockError as error:
            if not _is_fault_of_caller(error):
                raise
            tray.fail(request, error)
            return False
        self._say(request, protocol.encode(answer), tray)
        return False

    def _say(self, request: Request, payload: bytes, tray: Tray) -> None:
        connection, number = request.connection, request.number
        if request.call.recorded and number < protocol.UNRECORDED and self._check_requests:
            assert connection.client is not None
            self.engine.record_answer(connection.client, number, payload)
        tray.answer(connection, number, payload, wrote=request.call.mutating)

    def _defer(self, intake: list[tuple[Request, protocol.Enqueue]], tray: Tray) -> bool:
        """Whether these enqueues could be made durable without a transaction: nobody waits for their jobs."""
        if not self._check_requests or self._are_wanted(intake):
            return False
        deferred: list[DeferredEnqueue] = []
        for request, query in intake:
            client = request.connection.client
            if client is None or request.number >= protocol.UNRECORDED:
                return False
            answer = _accepted(sum([len(group.jobs) for group in query.groups]))
            deferred.append(DeferredEnqueue(client, request.number, answer, query.groups))
        if not self.engine.defer(deferred):
            return False
        for (request, _), told in zip(intake, deferred, strict=True):
            tray.answer(request.connection, request.number, told.answer)
        self.counters.deferred += len(deferred)
        return True

    def _are_wanted(self, intake: list[tuple[Request, protocol.Enqueue]]) -> bool:
        """Whether a parked lease waits for such jobs."""
        if not self.parking.leases:
            return False
        queues = {group.queue for _, query in intake for group in query.groups}
        return any(parked.wants(queues) for parked in self.parking.leases)

    def catch_up(self) -> None:
        """Make rows of what is deferred, while there is nothing else to do. If that fails, the next group tries."""
        try:
            self.counters.commits += bool(self.engine.deferred)
            self.engine.catch_up()
        except errors.PenstockError as error:
            self.note("making rows of what is deferred", error)

    def _take_in(self, tray: Tray) -> None:
        """Do the small enqueues together, which costs the engine far less."""
        self._begin(tray)
        intake, tray.intake = tray.intake or [], None
        if len(intake) == 1:
            self._apply(intake[0][0], tray)
            return
        batch = Batch()
        for request, query in intake:
            if query.atomic:
                self._apply(request, tray)
                continue
            share = Share(query.groups, request)
            if not batch.fits(share):
                self._take_in_batch(batch, tray)
                batch = Batch()
            batch.add(share)
        if batch:
            self._take_in_batch(batch, tray)

    def _take_in_batch(self, batch: Batch, tray: Tray) -> None:
        try:
            answer = self.engine.enqueue(batch.groups())
        except errors.PenstockError as error:
            if not _is_fault_of_caller(error):
                raise
            # One client's fault is not the others': nothing was written, so each is done by itself.
            for share in batch.shares:
                self._apply(share.waker, tray)
            return
        if answer.exceptions:
            for share, own in zip(batch.shares, batch.split(answer), strict=True):
                self._say(share.waker, protocol.encode(own), tray)
            return
        for share in batch.shares:
            self._say(share.waker, _accepted(share.count), tray)

    def _lease(self, request: Request, query: protocol.Lease, tray: Tray) -> None:
        lost = request.connection.leased.get(request.number)
        if lost is not None:
            # The same request again: its first answer never arrived, so nobody holds what it leased.
            fences = list(range(lost[0], lost[0] + lost[1]))
            settled = self.engine.settle(Outcomes(query.request.holder, released=fences))
            self.counters.returned += lost[1] - len(settled.stale)
        batch = self.engine.lease(query.request)
        if batch.jobs or batch.more or query.wait_s <= 0:
            self._answer_lease(request.connection, request.number, batch, tray)
            return
        deadline = self._clock.monotonic() + min(query.wait_s, limits.WAIT_S_MAX)
        self._park(ParkedLease(request.connection, request.number, deadline, query.request), tray)

    def _answer_lease(self, connection: Connection, number: int, batch: LeaseBatch, tray: Tray) -> None:
        tray.answer(connection, number, protocol.encode(batch), wrote=bool(batch.jobs))
        if batch.jobs:
            tray.leased.append((connection, number, batch.first_fence, len(batch.jobs)))

    def _wait(self, request: Request, query: protocol.Wait, tray: Tray) -> None:
        views = self.engine.get(query.ids, result=query.result)
        remaining = _unended(views)
        if not remaining or query.wait_s <= 0:
            tray.answer(request.connection, request.number, protocol.encode(views))
            return
        deadline = self._clock.monotonic() + min(query.wait_s, limits.WAIT_S_MAX)
        self._park(ParkedWait(request.connection, request.number, deadline, query, remaining), tray)

    def _park(self, parked: Parked, tray: Tray) -> None:
        if len(parked.connection.parked) >= limits.CLIENT_CALLERS_MAX:
            raise errors.Conflict(f"{limits.CLIENT_CALLERS_MAX} requests of this client are parked already.")
        self.parking.add(parked)
        tray.parks.append(parked)

    def _tell_statistics(self, request: Request, _: None, tray: Tray) -> None:
        tray.answer(request.connection, request.number, protocol.encode(self._statistics()))

    def _tell_health(self, request: Request, _: None, tray: Tray) -> None:
        tray.answer(request.connection, request.number, protocol.encode(self.health()))

    def _hand_over(self, request: Request, _: None, tray: Tray) -> None:
        self._handover()
        tray.answer(request.connection, request.number, protocol.encode(None))

    def _answer_ping(self, request: Request, _: None, tray: Tray) -> None:
        tray.answer(request.connection, request.number, protocol.encode(None))

    def awaited(self) -> set[bytes]:
        """Every job that somebody waits for."""
        return self.parking.awaited()

    def retry_leases(self) -> None:
        """Let every parked lease try again with the next group, whatever the engine says has become ready."""
        self._retry_leases = True

    def _serve(self, tray: Tray) -> None:
        """Answer parked requests with what this transaction has done, and before all others: they start jobs."""
        asked = len(tray.answers)
        if self.engine.ended:
            for wait in self.parking.awaiting(self.engine.ended):
                self._serve_wait(wait, tray)
        if self.parking.leases and (self.engine.readied or self._retry_leases):
            self._serve_leases(tray)
        tray.answers = tray.answers[asked:] + tray.answers[:asked]

    def _serve_wait(self, wait: ParkedWait, tray: Tray) -> None:
        try:
            views = self.engine.get(wait.ids, result=wait.result)
        except protocol.FAULTS_OF_CALLER as error:
            # Such as more results than fit an answer.
            failure = protocol.frame(protocol.FAILURE, wait.number, protocol.failure(error))
            tray.answers.append((wait.connection, failure))
        else:
            if _unended(views):
                return
            tray.answer(wait.connection, wait.number, protocol.encode(views))
        tray.served.append(wait)

    def _serve_leases(self, tray: Tray) -> None:
        readied = set(self.engine.readied)
        if self._retry_leases:
            self._retry_leases = False
            readied.update(name for parked in self.parking.leases for name in parked.request.queues or ("",))
        for parked in self.parking.wanting(readied):
            batch = self.engine.lease(parked.request)
            if batch.jobs or batch.more:
                self._answer_lease(parked.connection, parked.number, batch, tray)
                tray.served.append(parked)
            elif not self.engine.is_particular:
                readied.difference_update(parked.request.queues or tuple(readied))

    def _commit(self) -> None:
        started = time.perf_counter()
        self.engine.commit()
        self.counters.commits += 1
        self.counters.commit_s_max = max(self.counters.commit_s_max, time.perf_counter() - started)

    def _undo(self, tray: Tray) -> None:
        if tray.began:
            self.engine.rollback()
        for parked in tray.parks:
            self.parking.remove(parked)
        self.engine.ended.clear()
        self.engine.readied.clear()
        self._retry_leases = True

    def _publish(self, tray: Tray) -> list[tuple[Connection, bytes]]:
        for parked in tray.served:
            self.parking.remove(parked)
        for connection, number, first_fence, count in tray.leased:
            connection.remember_lease(number, first_fence, count)
        if self.engine.ended:
            self.parking.note_ended(self.engine.ended)
            self.engine.ended.clear()
        if self.engine.readied:
            self.engine.readied.clear()
        return tray.answers

    def expire(self, parked: Parked) -> bytes:
        """The frame for a parked request whose time is up and which has left the parking."""
        payload = _NOTHING
        try:
            if isinstance(parked, ParkedWait):
                payload = protocol.encode(self.engine.get(parked.ids, result=parked.result))
            return protocol.frame(protocol.ANSWER, parked.number, payload)
        except errors.PenstockError as error:
            return protocol.frame(protocol.FAILURE, parked.number, protocol.failure(error))


@lru_cache(maxsize=1_024)
def _accepted(count: int) -> bytes:
    """The answer to an enqueue of so many jobs, all new and ready."""
    return protocol.encode(EnqueueAnswer(count, []))


def _is_fault_of_caller(error: errors.PenstockError) -> bool:
    """Whether the call has written nothing, so that the rest of its group is not concerned."""
    return isinstance(error, protocol.FAULTS_OF_CALLER) or (isinstance(error, errors.StoreFull) and error.refused)


def _unended(views: list[JobView | None]) -> set[bytes]:
    return {view.id for view in views if view is not None and view.state not in TERMINAL}
