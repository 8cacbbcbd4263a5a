"""What the gates of a node have done, in memory they share: whichever is asked answers for all.

A gate posts its figures every second, and before it answers for all gates, so the others' figures are at most a second
old. Two gates that are asked one after the other read the same memory, so no counter is seen to go back. Nor does one
when a gate ends: the gate that is started in its seat goes on from what was posted there last.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections import Counter
from collections.abc import Iterable
from struct import Struct as Packing
from typing import Final

import msgspec

from penstock.gate.admission import AdmissionStatistics
from penstock.gate.metrics import SECONDS_BOUNDS, GateStatistics

__all__ = ["GateScoreboard", "Posting", "Seat", "together"]

_HALF_BYTES: Final = 16 * 1024
_SEAT_BYTES: Final = 2 * _HALF_BYTES + mmap.PAGESIZE
_TURN_BYTES: Final = 8
_HEAD: Final = Packing("=II")
_READS_MAX: Final = 1_000


class Posting(msgspec.Struct, frozen=True):
    """What a gate has done (``gate``), what is on its way in it (``admission``), and which process it is."""

    pid: int
    gate: GateStatistics
    admission: AdmissionStatistics


class GateScoreboard:
    """A seat for each gate. Made before the gates are forked.

    Args:
        seats: how many gates there are.
    """

    def __init__(self, seats: int) -> None:
        self.seats = seats
        self._memory = mmap.mmap(-1, seats * _SEAT_BYTES)
        # An item of this view is written in one piece; `struct` would write a zero first, for others to see.
        self._turns = memoryview(self._memory).cast("Q")

    def seat(self, number: int) -> Seat:
        """The place of one gate, from 0. Two processes must not have the same one at a time."""
        if not 0 <= number < self.seats:
            raise IndexError(f"There is no seat {number} of {self.seats}.")
        return Seat(self, number)

    def post(self, number: int, posting: Posting) -> None:
        """Replace what the gate on this seat has posted.

        A seat has two halves: the one that is not being read is written, then the turn goes to it. A gate that is
        killed in between has posted nothing.
        """
        data = msgspec.msgpack.encode(posting)
        base = number * _SEAT_BYTES
        turn = self._turns[base // _TURN_BYTES] + 1
        start = _half(base, turn)
        if len(data) > _HALF_BYTES - _HEAD.size:
            raise ValueError(f"{len(data)} bytes of figures do not fit a seat.")
        self._memory[start + _HEAD.size : start + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._memory, start, len(data), zlib.crc32(data))
        self._turns[base // _TURN_BYTES] = turn

    def posted(self, number: int) -> Posting | None:
        """What the gate on this seat has posted last; None: nothing yet."""
        base = number * _SEAT_BYTES
        for _ in range(_READS_MAX):
            turn = self._turns[base // _TURN_BYTES]
            if turn == 0:
                return None
            start = _half(base, turn)
            size, crc = _HEAD.unpack_from(self._memory, start)
            data = self._memory[start + _HEAD.size : start + _HEAD.size + min(size, _HALF_BYTES)]
            # Written over while it was read, or not all of it seen yet: there is a newer one.
            if self._turns[base // _TURN_BYTES] == turn and zlib.crc32(data) == crc:
                return msgspec.msgpack.decode(data, type=Posting)
        raise RuntimeError("A gate posts faster than it can be read.")


class Seat:
    """One gate's place at the board."""

    def __init__(self, board: GateScoreboard, number: int) -> None:
        self._board = board
        self._number = number

    @property
    def gates(self) -> int:
        """How many gates there are, this one among them."""
        return self._board.seats

    def before(self) -> GateStatistics | None:
        """What the gate that sat here before had done; None: there was none."""
        posted = self._board.posted(self._number)
        return None if posted is None else posted.gate

    def post(self, gate: GateStatistics, admission: AdmissionStatistics) -> None:
        """Say what this gate has done, and what is on its way in it."""
        self._board.post(self._number, Posting(os.getpid(), gate, admission))

    def postings(self) -> list[Posting]:
        """What every gate has posted last."""
        found = map(self._board.posted, range(self._board.seats))
        return [posting for posting in found if posting is not None]


def together(postings: Iterable[Posting]) -> tuple[GateStatistics, AdmissionStatistics]:
    """The sums."""
    requests: Counter[tuple[str, int]] = Counter()
    seconds = [0] * (len(SECONDS_BOUNDS) + 1)
    seconds_sum, body_bytes = 0.0, 0
    flights = flying_bytes = pending_jobs = waiters = answer_bytes = 0
    for posting in postings:
        requests.update(posting.gate.requests)
        seconds = [one + more for one, more in zip(seconds, posting.gate.seconds, strict=True)]
        seconds_sum += posting.gate.seconds_sum
        body_bytes += posting.gate.body_bytes
        flights += posting.admission.flights
        flying_bytes += posting.admission.body_bytes
        pending_jobs += posting.admission.pending_jobs
        waiters += posting.admission.waiters
        answer_bytes += posting.admission.answer_bytes
    return (
        GateStatistics(dict(requests), body_bytes, tuple(seconds), seconds_sum),
        AdmissionStatistics(flights, flying_bytes, pending_jobs, waiters, answer_bytes),
    )


def _half(base: int, turn: int) -> int:
    return base + mmap.PAGESIZE + (turn & 1) * _HALF_BYTES
