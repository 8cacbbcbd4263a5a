"""Small enqueues of a group, done together: deferred into the redo log, or in one call of the engine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from penstock.model import errors
from penstock.model.job import EnqueueAnswer
from penstock.store.deferring import DeferredEnqueue
from penstock.store.wire import protocol
from penstock.store.wire.gathering import Batch, Share
from penstock.store.wire.owner.applying import Applying, is_fault_of_caller
from penstock.store.wire.owner.client_connection import Request
from penstock.store.wire.owner.engine import SEVERAL, Engine
from penstock.store.wire.owner.group import Group, GroupCounters
from penstock.store.wire.owner.parking import Parking


class SmallEnqueues:
    """Does what a group has set aside in `Group.small_enqueues`.

    Args:
        applying: does one by itself where it cannot be done together with others.
        parking: knows whether a worker waits for such jobs.
    """

    def __init__(self, engine: Engine, applying: Applying, parking: Parking, counters: GroupCounters) -> None:
        self._engine = engine
        self._applying = applying
        self._parking = parking
        self._counters = counters

    def defer(self, group: Group) -> bool:
        """Make them durable in the redo log, without a transaction, and answer them. Answers whether that was possible:
        not where a parked lease wants one of the jobs, because it is served by a transaction.
        """
        small = group.small_enqueues or []
        if not self._applying.check_requests or self._are_wanted(small):
            return False
        deferred: list[DeferredEnqueue] = []
        for request, query in small:
            client = request.connection.client
            if client is None or request.number >= protocol.UNRECORDED:
                return False
            answer = _accepted(sum([len(jobs.jobs) for jobs in query.groups]))
            deferred.append(DeferredEnqueue(client, request.number, answer, query.groups))
        if not self._engine.defer(deferred):
            return False
        for (request, _), told in zip(small, deferred, strict=True):
            group.answer(request.connection, request.number, told.answer)
        self._counters.deferred += len(deferred)
        return True

    def _are_wanted(self, small: list[tuple[Request, Any]]) -> bool:
        """Whether a parked lease waits for such jobs."""
        if not self._parking.leases:
            return False
        # Mostly all are of one line, which is looked up once.
        lines = {(jobs.queue, jobs.task) for _, query in small for jobs in query.groups}
        return any(map(self._parking.is_wanted, lines))

    def enqueue(self, group: Group) -> None:
        """Do them in the group's transaction, together, which costs the engine far less than each by itself."""
        self._applying.begin(group)
        small, group.small_enqueues = group.small_enqueues or [], None
        if len(small) == 1:
            self._applying.apply(small[0][0], group)
            return
        batch = Batch()
        for request, query in small:
            if query.atomic:
                self._applying.apply(request, group)
                continue
            share = Share(query.groups, request)
            if not batch.fits(share):
                self._enqueue_batch(batch, group)
                batch = Batch()
            batch.add(share)
        if batch:
            self._enqueue_batch(batch, group)

    def _enqueue_batch(self, batch: Batch, group: Group) -> None:
        self._engine.asking = SEVERAL
        try:
            answer = self._engine.enqueue(batch.groups())
        except errors.PenstockError as error:
            if not is_fault_of_caller(error):
                raise
            # One client's fault is not the others', and a new queue counts for the client that makes it. Nothing was
            # written, so each is done by itself.
            for share in batch.shares:
                self._applying.apply(share.waker, group)
            return
        if answer.exceptions:
            for share, own in zip(batch.shares, batch.split(answer), strict=True):
                self._applying.say(share.waker, protocol.encode(own), group)
            return
        for share in batch.shares:
            self._applying.say(share.waker, _accepted(share.count), group)


@lru_cache(maxsize=1_024)
def _accepted(count: int) -> bytes:
    """The answer to an enqueue of so many jobs, all new and ready."""
    return protocol.encode(EnqueueAnswer(count, []))
