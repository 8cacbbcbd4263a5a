"""Requests that wait at the owner: leases for something to be ready, waits for jobs to end. Pure: `now` comes in.

Leases that ask for the same queues, tasks and channels share a `LeaseWish`. Which wishes want a line (a queue and a
task) is worked out once and remembered, so that finding the leases that want what has become ready costs the same
however many leases are parked.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from itertools import count
from operator import attrgetter
from typing import Any, Final

from penstock.model.job import MESSAGE_TASK, LeaseRequest
from penstock.store.wire.owner.client_connection import Connection

_WISHES_MAX: Final = 1_000
"""Wishes that no lease has now are forgotten when there are more than this."""
_LINES_MAX: Final = 10_000
"""So many lines are remembered with the wishes that they are for. Beyond: all are forgotten."""

Line = tuple[str, str]
"""A queue and a task."""
Names = tuple[str, ...] | None
"""Of queues, tasks or channels that a lease asks for. None: it says nothing of them."""

_order = attrgetter("order")


class Parked:
    """A request without an answer yet.

    Attributes:
        deadline: when it is answered with nothing, by the owner's monotonic clock.
        open: False once it has left the parking.
        order: rises from one parked request to the next.
    """

    __slots__ = ("connection", "deadline", "number", "open", "order")

    def __init__(self, connection: Connection, number: int, deadline: float) -> None:
        self.connection = connection
        self.number = number
        self.deadline = deadline
        self.open = True
        self.order = 0


class LeaseWish:
    """Which lines some leases ask for.

    Attributes:
        leases: parked ones, oldest first.
    """

    __slots__ = ("_channels", "_queues", "_tasks", "leases")

    def __init__(self, queues: Names, tasks: Names, channels: Names) -> None:
        self._queues = None if queues is None else frozenset(queues)
        self._tasks = None if tasks is None else frozenset(tasks)
        self._channels = None if channels is None else frozenset(channels)
        self.leases: dict[ParkedLease, None] = {}

    def wants(self, line: Line) -> bool:
        """Whether its leases take jobs of this line. As `LeaseRequest.takes`, with the names in sets."""
        queue, task = line
        if self._queues is not None and queue not in self._queues:
            return False
        if task != MESSAGE_TASK:
            return self._tasks is None or task in self._tasks
        return self._tasks is None if self._channels is None else queue in self._channels


class ParkedLease(Parked):
    """A lease that found nothing. ``wish`` is set when it is parked."""

    __slots__ = ("request", "wish")

    def __init__(self, connection: Connection, number: int, deadline: float, request: LeaseRequest) -> None:
        super().__init__(connection, number, deadline)
        self.request = request
        self.wish: LeaseWish


class ParkedWait(Parked):
    """A wait for jobs, or a workflow, some of which have not ended: ``remaining``. ``query``: what was asked."""

    __slots__ = ("query", "remaining")

    def __init__(self, connection: Connection, number: int, deadline: float, query: Any, remaining: set[bytes]) -> None:
        super().__init__(connection, number, deadline)
        self.query = query
        self.remaining = remaining

    @property
    def ids(self) -> list[bytes]:
        """What it waits for."""
        one: bytes | None = getattr(self.query, "workflow", None)
        return list(self.query.ids) if one is None else [one]


class LeaseRound:
    """Parked leases to be tried with one group, oldest first.

    Args:
        lines: by wish, those lines it wants in which something became ready; none: whatever is ready is tried for.
    """

    def __init__(self, lines: dict[LeaseWish, set[Line]]) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[ParkedLease]:
        by_wish = [wish.leases for wish in self._lines]
        # Mostly there is one wish, whose leases are in order as they are.
        leases: Iterable[ParkedLease] = by_wish[0] if len(by_wish) == 1 else heapq.merge(*by_wish, key=_order)
        for parked in leases:
            if not self._lines:
                return
            if parked.wish in self._lines and not parked.connection.clogged:
                yield parked

    def found_nothing(self, parked: ParkedLease) -> None:
        """A lease was tried in vain: its lines have nothing more, so leases that want no other line are left out."""
        empty = self._lines.pop(parked.wish)
        for wish, lines in list(self._lines.items()):
            if lines:
                lines.difference_update(empty)
                if not lines:
                    del self._lines[wish]


class Parking:
    """All parked requests.

    Attributes:
        leases: oldest first, the order in which they are served.
        watched: ids that somebody waits for; the engine reports when one of them ends. Shared with the engine.
    """

    def __init__(self, watched: set[bytes]) -> None:
        self.leases: dict[ParkedLease, None] = {}
        self.watched = watched
        self._wishes: dict[Any, LeaseWish] = {}
        self._wishes_of_line: dict[Line, list[LeaseWish]] = {}
        self._waits: dict[bytes, dict[ParkedWait, None]] = {}
        self._deadlines: list[tuple[float, int, Parked]] = []
        self._order = count()
        self.waits = 0

    def add(self, parked: Parked) -> None:
        """Park a request."""
        parked.connection.parked[parked.number] = parked
        parked.order = next(self._order)
        heapq.heappush(self._deadlines, (parked.deadline, parked.order, parked))
        if isinstance(parked, ParkedLease):
            self.leases[parked] = None
            parked.wish = self._wish_of(parked.request)
            parked.wish.leases[parked] = None
        elif isinstance(parked, ParkedWait):
            self.waits += 1
            for job in parked.remaining:
                self._waits.setdefault(job, {})[parked] = None
                self.watched.add(job)

    def remove(self, parked: Parked) -> None:
        """A parked request has been answered, or its client has gone. A second call does nothing."""
        if not parked.open:
            return
        parked.open = False
        parked.connection.parked.pop(parked.number, None)
        if isinstance(parked, ParkedLease):
            del self.leases[parked]
            del parked.wish.leases[parked]
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

    def _wish_of(self, request: LeaseRequest) -> LeaseWish:
        key = (_names(request.queues), _names(request.tasks), _names(request.channels))
        wish = self._wishes.get(key)
        if wish is None:
            if len(self._wishes) >= _WISHES_MAX:
                self._wishes = {key: wish for key, wish in self._wishes.items() if wish.leases}
            wish = self._wishes[key] = LeaseWish(*key)
            self._wishes_of_line.clear()
        return wish

    def _wishes_for(self, line: Line) -> list[LeaseWish]:
        """The wishes that want this line, those included that no lease has now."""
        wishes = self._wishes_of_line.get(line)
        if wishes is None:
            if len(self._wishes_of_line) >= _LINES_MAX:
                self._wishes_of_line.clear()
            wishes = [wish for wish in self._wishes.values() if wish.wants(line)]
            self._wishes_of_line[line] = wishes
        return wishes

    def is_wanted(self, line: Line) -> bool:
        """Whether a parked lease takes jobs of this line."""
        return any(wish.leases for wish in self._wishes_for(line))

    def wanting(self, readied: Iterable[Line]) -> LeaseRound:
        """The leases that want one of these lines."""
        lines: dict[LeaseWish, set[Line]] = {}
        for line in readied:
            for wish in self._wishes_for(line):
                if wish.leases:
                    lines.setdefault(wish, set()).add(line)
        return LeaseRound(lines)

    def all_leases(self) -> LeaseRound:
        """Every parked lease."""
        return LeaseRound({wish: set() for wish in self._wishes.values() if wish.leases})

    def awaiting(self, ended: Iterable[bytes]) -> list[ParkedWait]:
        """The waits that are over when these jobs have ended: the last jobs that each of them waits for."""
        touched: dict[ParkedWait, None] = {}
        gone = set(ended)
        for job in gone:
            touched.update(self._waits.get(job, {}))
        return [wait for wait in touched if wait.remaining <= gone]

    def note_ended(self, ended: Iterable[bytes]) -> None:
        """The end of these jobs is durable. Waits for other jobs besides go on for the others."""
        for job in ended:
            for wait in list(self._waits.get(job, ())):
                wait.remaining.discard(job)
                self._unwatch(job, wait)

    def awaited(self) -> set[bytes]:
        """Every job that somebody waits for, also those that ended while others of the same wait have not."""
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

    def next_deadline(self) -> float:
        """When `due` has something next, by the owner's monotonic clock; infinity: nothing is parked."""
        while self._deadlines and not self._deadlines[0][2].open:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else math.inf


def _names(names: list[str] | None) -> Names:
    return None if names is None else tuple(names)
