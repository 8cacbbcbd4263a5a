"""An event loop on which waiting takes no time: for tests of what runs for seconds, minutes or hours.

What reads a clock itself must be given the same one: `VirtualClock`, or a module's ``time`` replaced by it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from penstock.testing.clock import VirtualClock

T = TypeVar("T")

STUCK_S: Final = 20.0
"""How long, in real time, a loop without a timer waits for a socket or a thread. Then nothing will ever happen."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is a virtual clock's. Whenever nothing is left to do, the clock moves on to the next timer."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Skipping(clock))
        self._clock = clock

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._clock.monotonic()


class _Skipping(selectors.DefaultSelector):
    """Waits by moving the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As in the base class. What has happened already comes first."""
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0.0)
        if not found and timeout is None:
            found = super().select(STUCK_S)
            if not found:
                raise AssertionError("Nothing waits for a time, and nothing else has happened: the test is stuck.")
        elif not found and timeout is not None:
            self._clock.advance(max(timeout, 0.0))
        return found


def run_virtual(coroutine: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """As `asyncio.run`, on a `VirtualLoop`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(coroutine)
