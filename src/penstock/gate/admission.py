"""Admission: how much the gate takes on at once, and how a body is read in bounded memory and time.

Every request is a `Flight`. It has one deadline at a time (for its body, then for the store), which a sweep once a
second looks at, so that the usual request pays for no timer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from penstock.gate.problems import Problem
from penstock.model import limits


class Incoming(Protocol):
    """The side of an exchange that a body comes from. Waiting for it raises Problem where it breaks off.

    Attributes:
        complete: the body has arrived to its end, or there is none.
    """

    complete: bool

    def take(self) -> bytes:
        """What has arrived and has not been taken."""
        ...

    async def whole(self, length: int) -> bytes:
        """All of it, announced as ``length`` bytes."""
        ...

    async def chunk(self) -> bytes:
        """The next part; empty: that was all."""
        ...

    def leaving(self) -> asyncio.Future[None]:
        """Done when the client sends no more: it has left, or has said all that it will. Asked for once."""
        ...


class Flight:
    """One request on its way.

    Attributes:
        deadline: by the monotonic clock; after it the sweep cancels the request.
        byte_count: bytes of its body that count as in memory.
        reading: it waits for its body.
        overdue: the sweep has cancelled it.
        late: its body did not arrive in time, and is not waited for any more.
    """

    __slots__ = ("byte_count", "deadline", "late", "overdue", "reading", "task")

    def __init__(self, task: asyncio.Task[None] | None, deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        self.byte_count = 0
        self.reading = False
        self.overdue = False
        self.late = False


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """What is on its way now. ``body_bytes`` are of request bodies, ``pending_jobs`` wait for the store."""

    flights: int
    body_bytes: int
    pending_jobs: int
    waiters: int


class Admission:
    """Counts what is on its way, and refuses what would be too much. One event loop's.

    Args:
        gates: how many gates of the node share its limits; each has an equal part.
    """

    def __init__(self, gates: int = 1) -> None:
        self._gates = gates
        self._flights: set[Flight] = set()
        self._body_bytes = 0
        self._pending_jobs = 0
        self._waiters = 0

    def statistics(self) -> AdmissionStatistics:
        """A snapshot."""
        return AdmissionStatistics(len(self._flights), self._body_bytes, self._pending_jobs, self._waiters)

    def begin(self, task: asyncio.Task[None] | None, deadline: float) -> Flight:
        """A request has arrived, which ``task`` answers. `end` must follow."""
        flight = Flight(task, deadline)
        self._flights.add(flight)
        return flight

    def end(self, flight: Flight) -> None:
        """The request has its answer; its body is gone."""
        self._flights.discard(flight)
        self._body_bytes -= flight.byte_count
        flight.byte_count = 0

    def sweep(self, now: float) -> int:
        """Cancel requests whose deadline is past (``now`` by the monotonic clock). Answers how many."""
        overdue = [flight for flight in self._flights if flight.deadline < now and not flight.overdue]
        for flight in overdue:
            flight.overdue = True
            if flight.task is not None:
                flight.task.cancel()
        return len(overdue)

    async def read(self, flight: Flight, length: str | None, incoming: Incoming) -> bytes:
        """The request's body, ``length`` being its Content-Length, None when it did not say.

        Raises:
            Problem: ``body-too-large``, ``overloaded``, ``malformed-body``.
        """
        announced = _announced(length)
        flight.reading = True
        flight.deadline = monotonic() + limits.GATE_BODY_READ_S
        if announced is None or announced > limits.GATE_WHOLE_BODY_BYTES_MAX:
            body = await self._read_chunks(flight, incoming)
        else:
            self._take(flight, announced)
            body = incoming.take() if incoming.complete else await incoming.whole(announced)
        if announced is not None and len(body) != announced:
            raise Problem("malformed-body", "The body is shorter than its Content-Length.")
        flight.reading = False
        flight.deadline = monotonic() + limits.GATE_STORE_S
        return body

    async def _read_chunks(self, flight: Flight, incoming: Incoming) -> bytes:
        chunks: list[bytes] = []
        while chunk := await incoming.chunk():
            self._take(flight, len(chunk))
            if flight.byte_count > limits.REQUEST_BYTES_MAX:
                raise request_too_large()
            flight.deadline += len(chunk) / limits.GATE_BODY_BYTES_PER_S_MIN
            chunks.append(chunk)
        return b"".join(chunks)

    def _take(self, flight: Flight, byte_count: int) -> None:
        if self._body_bytes + byte_count > limits.GATE_BODY_BYTES_MAX // self._gates:
            raise Problem("overloaded", f"{self._body_bytes} bytes of other requests are in memory.")
        self._body_bytes += byte_count
        flight.byte_count += byte_count

    async def drain(self, flight: Flight, incoming: Incoming) -> None:
        """Throw away what is left of a refused body, up to a limit, so that a sender that reads its answer only after
        it has sent everything can do so.
        """
        self._body_bytes -= flight.byte_count
        flight.byte_count = 0
        flight.deadline = monotonic() + limits.GATE_BODY_READ_S
        drained = 0
        with suppress(Problem):
            while chunk := await incoming.chunk():
                drained += len(chunk)
                if drained > limits.GATE_DRAIN_BYTES_MAX:
                    return

    def take_jobs(self, count: int) -> None:
        """``count`` jobs are about to wait for the store; `release_jobs` must follow.

        Raises:
            Problem: ``overloaded``.
        """
        if self._pending_jobs + count > limits.GATE_PENDING_JOBS_MAX // self._gates:
            raise Problem("overloaded", f"{self._pending_jobs} jobs wait for the store.")
        self._pending_jobs += count

    def release_jobs(self, count: int) -> None:
        """They have their answer."""
        self._pending_jobs -= count

    def take_waiter(self, flight: Flight, wait_s: float) -> None:
        """The request is about to be parked; `release_waiter` must follow.

        Raises:
            Problem: ``overloaded``.
        """
        if self._waiters >= limits.GATE_WAITERS_MAX // self._gates:
            raise Problem("overloaded", f"{self._waiters} requests are waiting for jobs; ask without `wait_s`.")
        self._waiters += 1
        flight.deadline = monotonic() + wait_s + limits.GATE_STORE_S

    def release_waiter(self) -> None:
        """It waits no more."""
        self._waiters -= 1


def _announced(length: str | None) -> int | None:
    if length is None:
        return None
    if not (length.isascii() and length.isdigit()):
        raise Problem("malformed-body", "Content-Length is not a number.")
    announced = int(length.lstrip("0")[:20] or "0")
    if announced > limits.REQUEST_BYTES_MAX:
        raise request_too_large()
    return announced


def request_too_large() -> Problem:
    """The problem of a request over its limit."""
    return Problem("body-too-large", f"A request body may have {limits.REQUEST_BYTES_MAX} bytes.")
