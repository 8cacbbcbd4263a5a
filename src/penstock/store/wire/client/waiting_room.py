"""Threads that wait for room in their client: it has as many unanswered requests as it may.

A condition variable would do, but for interrupts: a thread that is interrupted twice in its wait leaves one without
the lock it came with, and a place in line that nobody takes.
"""

from __future__ import annotations

import threading
import time

from penstock.model.errors import StoreUnavailable
from penstock.store.wire.client.session import Pending


class Visit:
    """A caller, from when it comes until it leaves.

    Attributes:
        pending: its request; None: it waits for room.
    """

    __slots__ = ("_waker", "pending")

    def __init__(self) -> None:
        self.pending: Pending | None = None
        self._waker = threading.Lock()

    def wait(self, deadline: float) -> None:
        """Wait to be called in, after `Room.put`.

        Raises:
            StoreUnavailable: it is not, by ``deadline`` (monotonic seconds).
        """
        if not self._waker.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise StoreUnavailable("The store's owner does not answer.")
        self._waker.release()

    def hold(self) -> None:
        """From now on `wait` waits. Called by its own thread."""
        self._waker.acquire(blocking=False)

    def wake(self) -> None:
        """End its wait."""
        if self._waker.locked():
            self._waker.release()


class Room:
    """Who waits, first come first. Every call with the client's lock held; each may be done again."""

    def __init__(self) -> None:
        self._line: dict[object, Visit] = {}

    def put(self, visit: Visit) -> None:
        """It waits from now on."""
        visit.hold()
        self._line[visit] = visit

    def call_in(self) -> bool:
        """Wake who has waited longest. Answers whether there was anybody."""
        for visitor, visit in self._line.items():
            visit.wake()
            del self._line[visitor]
            return True
        return False

    def leave(self, visitor: object) -> None:
        """It does not wait any more."""
        self._line.pop(visitor, None)
