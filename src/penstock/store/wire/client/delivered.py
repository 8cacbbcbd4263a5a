"""Leases that have just been delivered, or are being settled. Pure: `now` comes in.

Between the arrival of an answer and the moment its caller counts the jobs among those it holds, a few turns of the
event loop may pass. A reconnect in between must not give these jobs back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

DELIVERED_S: Final = 2.0
"""A caller that was given a lease has it among those it holds within this time."""


class _LeaseHead(msgspec.Struct, array_like=True):
    """The front of a `LeaseBatch`; the jobs are skipped."""

    first_fence: int
    tasks: list[str]
    task_of: bytes


_decode = msgspec.msgpack.Decoder(_LeaseHead).decode


def fences_of(payload: bytes) -> range:
    """The fences in a lease's answer."""
    head = _decode(payload)
    return range(head.first_fence, head.first_fence + len(head.task_of))


class Delivered:
    """The fences of the last moments."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, range]] = deque()

    def note(self, payload: bytes, now: float) -> None:
        """A lease's answer has arrived."""
        self._forget(now)
        fences = fences_of(payload)
        if fences:
            self._recent.append((now, fences))

    def fences(self, now: float) -> list[int]:
        """Fences that may not be among the caller's yet."""
        self._forget(now)
        return [fence for _, fences in self._recent for fence in fences]

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - DELIVERED_S:
            self._recent.popleft()
