"""How the owner waits, and how its wait is ended: it looks a moment before it sleeps, where that has paid."""

from __future__ import annotations

import os
import selectors
import socket
import time
from typing import Final

_SPIN_S: Final = 0.0001
"""How long the owner looks for the next request before it sleeps. Waking a sleeping process costs as much as a third of
an ``fdatasync``, and a client that enqueues one by one is back within this time. It yields to whoever can run."""
_LUCK_MAX: Final = 8
_TRIED_AGAIN: Final = 16
"""Out of luck, it looks again now and then: at every so many groups."""

Found = list[tuple[selectors.SelectorKey, int]]


class Polling:
    """Waits on a selector."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._luck = 0
        self._spins = False

    def wait(self, timeout_s: float) -> Found:
        """What can be done now, as soon as there is something, or nothing after ``timeout_s``."""
        if self._spins and timeout_s > _SPIN_S:
            self._spins = False
            until = time.perf_counter() + _SPIN_S
            while time.perf_counter() < until:
                found = self._selector.select(0)
                if found:
                    self._luck = min(self._luck + 1, _LUCK_MAX)
                    return found
                os.sched_yield()
            self._luck = max(0, self._luck - 1)
        return self._selector.select(timeout_s)

    def answered(self, groups: int) -> None:
        """A group was answered, the ``groups``-th: the next request may come at once."""
        self._spins = self._luck > 0 or groups % _TRIED_AGAIN == 0


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
