"""Admission: how much the gate takes on at once, and how a body is read in bounded memory and time.

Every request is a `Flight`. It has one deadline at a time (for its body, then for the store), which a sweep once a
second looks at, so that the usual request pays for no timer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from penstock.gate.problems import Problem
from penstock.http.client_shares import Shares
from penstock.http.problems import HttpProblem
from penstock.model import limits


class RequestBody(Protocol):
    """The body of a request, as far as admission reads it. Waiting for it raises HttpProblem where it breaks off.

    Attributes:
        complete: the body has arrived to its end, or there is none.
    """

    complete: bool

    def take(self) -> bytes:
        """What has arrived and has not been taken."""
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
        client: whose it is, as `client_of` tells.
        deadline: by the monotonic clock; after it the sweep cancels the request.
        byte_count: bytes of its body that count as in memory.
        answer_bytes: bytes of its answer that do, while its client takes it.
        reading: the request waits for its body.
        moved_at: while the request waits for its client (for its body, or until its answer is taken): when the client
            last sent or took so much that it counts as progress.
        unsent: tells how much of the answer is still to be taken; ``left`` is what ``unsent`` told last.
        overdue: the sweep has cancelled the request.
        late: the body did not arrive in time, and is not waited for any more.
    """

    __slots__ = (
        "answer_bytes",
        "byte_count",
        "client",
        "deadline",
        "late",
        "left",
        "moved_at",
        "overdue",
        "reading",
        "task",
        "unsent",
    )

    def __init__(self, task: asyncio.Task[None] | None, deadline: float, client: str | None = None) -> None:
        self.task = task
        self.deadline = deadline
        self.client = client
        self.byte_count = 0
        self.answer_bytes = 0
        self.reading = False
        self.moved_at = math.inf
        self.unsent: Callable[[], int] | None = None
        self.left = 0
        self.overdue = False
        self.late = False


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """What is on its way now. ``body_bytes`` are of request bodies, ``pending_jobs`` wait for the store,
    ``answer_bytes`` are of answers that their clients have not taken."""

    flights: int
    body_bytes: int
    pending_jobs: int
    waiters: int
    answer_bytes: int = 0


class Admission:
    """Counts what is on its way, and refuses what would be too much. One event loop's.

    Args:
        gates: how many gates of the node share its limits; each has an equal part.

    Attributes:
        fetching: to be held while an answer that may be large is fetched and made.
    """

    def __init__(self, gates: int = 1) -> None:
        self._flights: set[Flight] = set()
        self._bodies = Shares(limits.GATE_BODY_BYTES_MAX // gates)
        self._answers = Shares(limits.GATE_ANSWER_BYTES_MAX // gates)
        self._jobs = Shares(limits.GATE_PENDING_JOBS_MAX // gates)
        self._waiters = Shares(limits.GATE_WAITERS_MAX // gates)
        self.fetching = asyncio.Semaphore(limits.GATE_FETCHES_MAX // gates)

    def statistics(self) -> AdmissionStatistics:
        """A snapshot."""
        return AdmissionStatistics(
            len(self._flights), self._bodies.taken, self._jobs.taken, self._waiters.taken, self._answers.taken
        )

    def begin(self, task: asyncio.Task[None] | None, deadline: float, client: str | None = None) -> Flight:
        """A request has arrived, which ``task`` answers. `end` must follow."""
        flight = Flight(task, deadline, client)
        self._flights.add(flight)
        return flight

    def end(self, flight: Flight) -> None:
        """The request has its answer; its body is gone."""
        self._flights.discard(flight)
        if flight.client is None:
            self._bodies.taken -= flight.byte_count
            flight.byte_count = 0
        else:
            self._free_body(flight)
        if flight.answer_bytes:
            self._answers.give_back(flight.client, flight.answer_bytes)
            flight.answer_bytes = 0

    def sweep(self, now: float) -> int:
        """Cancel requests whose deadline is past (``now`` by the monotonic clock). Answers how many."""
        overdue = []
        for flight in self._flights:
            if flight.deadline < now and not flight.overdue:
                overdue.append(flight)
            elif flight.unsent is not None:
                self._look_at_sending(flight, now)
        for flight in overdue:
            flight.overdue = True
            if flight.task is not None:
                flight.task.cancel()
        return len(overdue)

    # --- bodies -------------------------------------------------------------------------------------------------------
    async def read(self, flight: Flight, length: str | None, incoming: RequestBody) -> bytes:
        """The request's body, ``length`` being its Content-Length, None when it did not say.

        Raises:
            Problem: ``body-too-large``, ``overloaded``, ``malformed-body``.
        """
        if incoming.complete:
            return self.read_now(flight, length, incoming)
        announced = _announced(length)
        body = await self._read_chunks(flight, incoming)
        _check_length(body, announced)
        flight.deadline = monotonic() + limits.GATE_STORE_S
        return body

    def read_now(self, flight: Flight, length: str | None, incoming: RequestBody) -> bytes:
        """As `read`, of a body that is complete."""
        announced = _announced(length)
        body = incoming.take()
        bodies, byte_count = self._bodies, len(body)
        if flight.client is None and bodies.taken + byte_count <= bodies.most:
            # The usual case, spelled out.
            bodies.taken += byte_count
            flight.byte_count = byte_count
        else:
            self._take_body(flight, byte_count)
        _check_length(body, announced)
        flight.deadline = monotonic() + limits.GATE_STORE_S
        return body

    async def _read_chunks(self, flight: Flight, incoming: RequestBody) -> bytes:
        """A body that has not all arrived. What counts is what has, not what was announced."""
        chunks: list[bytes] = []
        flight.reading = True
        flight.moved_at = monotonic()
        flight.deadline = flight.moved_at + limits.GATE_BODY_READ_S
        moved = 0
        while chunk := await incoming.chunk():
            moved += len(chunk)
            if moved >= limits.GATE_GIVE_WAY_BYTES:
                moved = 0
                flight.moved_at = monotonic()
            self._take_body(flight, len(chunk))
            if flight.byte_count > limits.REQUEST_BYTES_MAX:
                raise request_too_large()
            flight.deadline += len(chunk) / limits.GATE_BODY_BYTES_PER_S_MIN
            chunks.append(chunk)
        flight.reading = False
        flight.moved_at = math.inf
        return b"".join(chunks)

    def _take_body(self, flight: Flight, byte_count: int) -> None:
        if not self._bodies.take(flight.client, byte_count):
            self._make_room()
            raise Problem("overloaded", f"{self._bodies.taken} bytes of requests are in memory.")
        flight.byte_count += byte_count

    def _free_body(self, flight: Flight) -> None:
        if flight.byte_count:
            self._bodies.give_back(flight.client, flight.byte_count)
            flight.byte_count = 0

    def _make_room(self) -> None:
        """Whoever has hardly moved for a while gives way at the next sweep."""
        still = monotonic() - limits.HTTP_GIVE_WAY_S
        for flight in self._flights:
            if flight.moved_at < still:
                flight.deadline = -math.inf

    async def drain(self, flight: Flight, incoming: RequestBody) -> None:
        """Throw away what is left of a refused body, up to a limit, so that a sender that reads its answer only after
        it has sent everything can do so.
        """
        self._free_body(flight)
        flight.moved_at = monotonic()
        flight.deadline = flight.moved_at + limits.GATE_BODY_READ_S
        drained = 0
        with suppress(HttpProblem):
            while chunk := await incoming.chunk():
                flight.moved_at = monotonic()
                drained += len(chunk)
                if drained > limits.GATE_DRAIN_BYTES_MAX:
                    return

    # --- answers ------------------------------------------------------------------------------------------------------
    def expect_answer(self, flight: Flight) -> None:
        """Pass when there is room for one more answer that may be large. To be asked before it is fetched.

        Raises:
            Problem: ``overloaded``.
        """
        self._reserve_answer(flight, 1)
        self._answers.give_back(flight.client, 1)

    def take_answer(self, flight: Flight, byte_count: int, *, anyhow: bool = False) -> None:
        """Its answer is about to be sent, and counts until its client has taken it.

        Args:
            flight: whose it is.
            byte_count: of the answer.
            anyhow: it is to be sent whether there is room or not.

        Raises:
            Problem: ``overloaded``.
        """
        self._reserve_answer(flight, byte_count, anyhow=anyhow)
        flight.answer_bytes = byte_count

    def _reserve_answer(self, flight: Flight, byte_count: int, *, anyhow: bool = False) -> None:
        # One that is larger than all that there may be is sent when it is alone.
        alone = self._answers.taken == 0
        if not self._answers.take(flight.client, byte_count, alone=alone or anyhow):
            self._make_room()
            raise Problem("overloaded", f"{self._answers.taken} bytes of answers wait for their clients to take them.")

    def sending(self, flight: Flight, unsent: Callable[[], int]) -> None:
        """Its answer is being taken; ``unsent`` tells how much is left."""
        self._free_body(flight)
        flight.unsent = unsent
        flight.left = unsent()
        flight.moved_at = monotonic()
        earned_s = flight.answer_bytes / limits.GATE_BODY_BYTES_PER_S_MIN
        flight.deadline = flight.moved_at + limits.HTTP_SEND_S + earned_s

    def _look_at_sending(self, flight: Flight, now: float) -> None:
        """Note whether the client has taken so much that it counts, since that was noted last. All of the answer counts
        until it has been taken: the event loop may keep it whole as long as a part is left."""
        assert flight.unsent is not None
        left = flight.unsent()
        if flight.left - left >= limits.GATE_GIVE_WAY_BYTES:
            flight.left = left
            flight.moved_at = now

    # --- jobs and waiters ---------------------------------------------------------------------------------------------
    def take_jobs(self, flight: Flight, count: int) -> None:
        """``count`` jobs are about to wait for the store; `release_jobs` must follow.

        Raises:
            Problem: ``overloaded``.
        """
        jobs = self._jobs
        if flight.client is None and jobs.taken + count <= jobs.most:
            # The usual case, spelled out.
            jobs.taken += count
        elif not jobs.take(flight.client, count):
            raise Problem("overloaded", f"{self._jobs.taken} jobs wait for the store.")

    def release_jobs(self, flight: Flight, count: int) -> None:
        """They have their answer."""
        self._jobs.give_back(flight.client, count)

    def take_waiter(self, flight: Flight, wait_s: float) -> None:
        """The request is about to be parked; `release_waiter` must follow.

        Raises:
            Problem: ``overloaded``.
        """
        if not self._waiters.take(flight.client, 1):
            raise Problem("overloaded", f"{self._waiters.taken} requests are waiting for jobs; ask without `wait_s`.")
        flight.deadline = monotonic() + wait_s + limits.GATE_STORE_S

    def release_waiter(self, flight: Flight) -> None:
        """It waits no more."""
        self._waiters.give_back(flight.client, 1)


def _announced(length: str | None) -> int | None:
    if length is None:
        return None
    if not (length.isascii() and length.isdigit()):
        raise Problem("malformed-body", "Content-Length is not a number.")
    announced = int(length.lstrip("0")[:20] or "0")
    if announced > limits.REQUEST_BYTES_MAX:
        raise request_too_large()
    return announced


def _check_length(body: bytes, announced: int | None) -> None:
    if announced is not None and len(body) != announced:
        raise Problem("malformed-body", "The body is shorter than its Content-Length.")


def request_too_large() -> Problem:
    """The problem of a request over its limit."""
    return Problem("body-too-large", f"A request body may have {limits.REQUEST_BYTES_MAX} bytes.")
