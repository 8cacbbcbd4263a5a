"""The leases of one client that may get lost on the way, or come to nobody. Pure: `now` comes in.

The client for an event loop keeps this beside its requests. After a reconnect it tells the owner which leases are held;
the owner takes back all others of the same holders, because the answers that gave them never arrived. To name too many
costs nothing. A lease that is held and not named is taken away from a job that runs. So those are named as well that
the client's user does not count at this moment:
* Leases that have just been delivered. Between the arrival of an answer and the moment its caller counts the jobs among
  those it holds, a few turns of the event loop may pass.
* Leases whose outcomes are on their way, whether or not the caller still counts them.

A lease whose caller was cancelled belongs to nobody. When its answer comes after all, it is to be given back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

import msgspec

from penstock.model.job import Outcomes

DELIVERED_S: Final = 2.0
"""A caller that was given a lease has it among those it holds within this time."""
CANCELLED_S: Final = 120.0
"""An answer to a lease that was withdrawn comes within this time. Later: the lease ends by its time."""


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
    """What a client knows of its leases beyond what its user counts.

    Args:
        held: the fences that the user of the client holds now; None: it asks for no reconciliation.
        holders: the front of the names of holders that the user has many of: the owner is told of all of them at once.
    """

    def __init__(self, held: Callable[[], list[int]] | None = None, holders: bytes | None = None) -> None:
        self._held = held
        self._front = holders
        self._holders: set[bytes] = set()
        self._recent: deque[tuple[float, range]] = deque()
        self._settling: dict[int, Outcomes] = {}
        self._cancelled: dict[int, tuple[bytes, float]] = {}

    def asked(self, holder: bytes) -> None:
        """A lease is asked for, in the name of this holder."""
        front = self._front
        self._holders.add(holder if front is None or not holder.startswith(front) else front)

    def arrived(self, payload: bytes, now: float) -> None:
        """A lease's answer has come, and goes to its caller."""
        if self._held is None:
            return
        self._forget(now)
        fences = fences_of(payload)
        if fences:
            self._recent.append((now, fences))

    @contextmanager
    def settling(self, outcomes: Outcomes) -> Iterator[None]:
        """These outcomes are on their way."""
        self._settling[id(outcomes)] = outcomes
        try:
            yield
        finally:
            self._settling.pop(id(outcomes), None)

    def cancelled(self, number: int, holder: bytes, now: float) -> None:
        """The caller of the lease request with this number has gone; its answer may still come, mostly does not."""
        for older, (_, at) in list(islice(self._cancelled.items(), 2)):
            if at < now - CANCELLED_S:
                del self._cancelled[older]
        self._cancelled[number] = (holder, now)

    def holder_of_cancelled(self, number: int) -> bytes | None:
        """The holder of a lease whose caller has gone, now that its answer has come; None: it is no such request."""
        found = self._cancelled.pop(number, None)
        return None if found is None else found[0]

    def reconnected(self, now: float) -> list[tuple[bytes, list[int]]]:
        """What to tell the owner on a new connection: each holder, or the front of many, with fences that
        must stay leased."""
        # No more answers come to what was asked on the connection before.
        self._cancelled.clear()
        if self._held is None or not self._holders:
            return []
        fences = [*self._held(), *self.fences(now)]
        for outcomes in self._settling.values():
            fences += outcomes.fences()
        return [(holder, fences) for holder in self._holders]

    def fences(self, now: float) -> list[int]:
        """Fences that were delivered a moment ago, and may not be among the user's yet."""
        self._forget(now)
        return [fence for _, fences in self._recent for fence in fences]

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - DELIVERED_S:
            self._recent.popleft()
