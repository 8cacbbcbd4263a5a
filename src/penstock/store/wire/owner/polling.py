"""How the owner's loop waits for clients, and how another thread or a signal ends the wait.

Before the loop sleeps in the selector, it polls the selector for SPIN_S, where that has paid lately.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from typing import Final

SPIN_S: Final = 0.0001
"""How long the owner polls for the next request before it sleeps. Waking a sleeping process costs as much as a third of
an ``fdatasync``, and a client that enqueues one by one is back within this time. Between two looks the owner yields the
processor to whoever can run."""
_HITS_MAX: Final = 8
"""So many times in a row must polling find nothing, after it has found much, until the owner stops polling."""
_TRIED_AGAIN: Final = 16
"""When polling has not paid, it is tried again at every so many groups."""

Found = list[tuple[selectors.SelectorKey, int]]


class Polling:
    """Waits on a selector.

    Polling starts only after a group has been answered: the next request may be on its way.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._hits = 0
        self._spins = False

    def wait(self, timeout_s: float) -> Found:
        """What the selector finds, as soon as there is something; nothing after ``timeout_s``."""
        if self._spins and timeout_s > SPIN_S:
            self._spins = False
            until = time.perf_counter() + SPIN_S
            while time.perf_counter() < until:
                found = self._selector.select(0)
                if found:
                    self._hits = min(self._hits + 1, _HITS_MAX)
                    return found
                os.sched_yield()
            self._hits = max(0, self._hits - 1)
        return self._selector.select(timeout_s)

    def answered(self, groups: int) -> None:
        """A group has been answered, the ``groups``-th."""
        self._spins = self._hits > 0 or groups % _TRIED_AGAIN == 0


class Waker:
    """Ends the current wait from a signal handler or another thread."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._waker, self._wakened = socket.socketpair()
        self._waker.setblocking(False)
        self._wakened.setblocking(False)
        selector.register(self._wakened, selectors.EVENT_READ, self._woken)

    def wake(self) -> None:
        """End the wait."""
        try:
            self._waker.send(b"\0")
        except (BlockingIOError, OSError):
            return

    def close(self) -> None:
        """Let go of both ends."""
        self._waker.close()
        self._wakened.close()

    def _woken(self) -> None:
        try:
            self._wakened.recv(4096)
        except BlockingIOError:
            return
