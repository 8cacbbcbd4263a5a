"""Requests that wait at the owner: leases for something to be ready, waits for jobs to end. Pure: `now` comes in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import count

from penstock.model.job import LeaseRequest
from penstock.store.wire.owner.client_connection import Connection
from penstock.store.wire.protocol import Wait


class Parked:
    """A request without an answer yet. ``open`` is False once it has left."""

    __slots__ = ("connection", "deadline", "number", "open")

    def __init__(self, connection: Connection, number: int, deadline: float) -> None:
        self.connection = connection
        self.number = number
        self.deadline = deadline
        self.open = True


class ParkedLease(Parked):
    """A lease that found nothing."""

    __slots__ = ("request",)

    def __init__(self, connection: Connection, number: int, deadline: float, request: LeaseRequest) -> None:
        super().__init__(connection, number, deadline)
        self.request = request

    def wants(self, readied: set[str]) -> bool:
        """Whether one of these queues is among those it asks for."""
        queues = self.request.queues
        return bool(readied) if queues is None else not readied.isdisjoint(queues)


class ParkedWait(Parked):
    """A wait for jobs, some of which have not ended: ``remaining``."""

    __slots__ = ("ids", "remaining", "result")

    def __init__(
        self, connection: Connection, number: int, deadline: float, query: Wait, remaining: set[bytes]
    ) -> None:
        super().__init__(connection, number, deadline)
        self.ids = query.ids
        self.result = query.result
        self.remaining = remaining


class Parking:
    """All parked requests.

    Attributes:
        leases: oldest first, the order in which they are served.
        watched: ids that somebody waits for; the engine reports when one of them ends. Shared with the engine.
    """

    def __init__(self, watched: set[bytes]) -> None:
        self.leases: dict[ParkedLease, None] = {}
        self.watched = watched
        self._waits: dict[bytes, dict[ParkedWait, None]] = {}
        self._deadlines: list[tuple[float, int, Parked]] = []
        self._order = count()
        self.waits = 0

    def add(self, parked: Parked) -> None:
        """Park it."""
        parked.connection.parked[parked.number] = parked
        heapq.heappush(self._deadlines, (parked.deadline, next(self._order), parked))
        if isinstance(parked, ParkedLease):
            self.leases[parked] = None
        elif isinstance(parked, ParkedWait):
            self.waits += 1
            for job in parked.remaining:
                self._waits.setdefault(job, {})[parked] = None
                self.watched.add(job)

    def remove(self, parked: Parked) -> None:
        """It has been answered, or its caller has gone. A second call does nothing."""
        if not parked.open:
            return
        parked.open = False
        parked.connection.parked.pop(parked.number, None)
        if isinstance(parked, ParkedLease):
            del self.leases[parked]
        elif isinstance(parked, ParkedWait):
            self.waits -= 1
            for job in parked.remaining:
                self._unwatch(job, parked)
        if len(self._deadlines) > 64 and len(self._deadlines) > 2 * (len(self.leases) + self.waits):
            self._deadlines = [entry for entry in self._deadlines if entry[2].open]
            heapq.heapify(self._deadlines)

    def _unwatch(self, job: bytes, wait: ParkedWait) -> None:
        waits = self._waits[job]
        del waits[wait]
        if not waits:
            del self._waits[job]
            self.watched.discard(job)

    def wanting(self, readied: set[str]) -> Iterator[ParkedLease]:
        """Leases that want one of these queues, oldest first; the set may shrink on the way."""
        for parked in self.leases:
            if not readied:
                return
            if not parked.connection.clogged and parked.wants(readied):
                yield parked

    def awaiting(self, ended: Iterable[bytes]) -> list[ParkedWait]:
        """Waits of which every job is among those that ended, now or with jobs told before."""
        touched: dict[ParkedWait, None] = {}
        gone = set(ended)
        for job in gone:
            touched.update(self._waits.get(job, {}))
        return [wait for wait in touched if wait.remaining <= gone]

    def note_ended(self, ended: Iterable[bytes]) -> None:
        """These jobs ended for good: committed. Waits for others beside them go on for the others."""
        for job in ended:
            for wait in list(self._waits.get(job, ())):
                wait.remaining.discard(job)
                self._unwatch(job, wait)

    def awaited(self) -> set[bytes]:
        """Every job that somebody waits for, those too that have ended while others beside them have not."""
        waits = {wait for some in self._waits.values() for wait in some}
        return {job for wait in waits for job in wait.ids}

    def due(self, now: float) -> list[Parked]:
        """Take out the requests whose time is up."""
        found: list[Parked] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            parked = heapq.heappop(self._deadlines)[2]
            if parked.open:
                self.remove(parked)
                found.append(parked)
        return found

    def next_deadline(self) -> float | None:
        """When `due` has something next, by the owner's monotonic clock; None: nothing is parked."""
        while self._deadlines and not self._deadlines[0][2].open:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
