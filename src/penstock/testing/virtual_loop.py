"""An event loop on which waiting takes no time: for tests of what runs for seconds, minutes or hours.

What reads a clock itself must be given the same one: `VirtualClock`, or a module's ``time`` replaced by it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from penstock.testing.clock import VirtualClock

T = TypeVar("T")

STUCK_S: Final = 20.0
"""How long, in real time, a loop whose time stands still waits for a socket or a thread. Then nothing will happen."""
_PAST_S: Final = 2e-9
"""How far past the next timer the clock moves. A loop fires timers up to a nanosecond early; who looks at the clock
then finds that it is not time yet, and asks again for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is a virtual clock's. Whenever nothing is left to do, the clock moves on to the next timer.

    Time stands still while a thread works (`asyncio.to_thread`): how long that takes is not known beforehand.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._skipping = _Skipping(clock)
        super().__init__(self._skipping)
        self._clock = clock

    def time(self) -> float:
        """Seconds on the virtual clock."""
        return self._clock.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # as its callers use it
        """As in the base class."""
        self._skipping.threads += 1
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._returned)
        return future

    async def shutdown_default_executor(self, *about: Any) -> None:
        """As in the base class."""
        self._skipping.threads += 1
        try:
            await super().shutdown_default_executor(*about)
        finally:
            self._skipping.threads -= 1

    def _returned(self, _future: object) -> None:
        self._skipping.threads -= 1


class _Skipping(selectors.DefaultSelector):
    """Waits by moving the clock. ``threads``: how many work for the loop now."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As in the base class. What has happened already comes first."""
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0.0)
        if found or timeout == 0:
            return found
        if timeout is None or self.threads:
            found = super().select(STUCK_S)
            if not found:
                raise AssertionError("Nothing waits for a time, and nothing else has happened: the test is stuck.")
            return found
        self._clock.advance(timeout + _PAST_S)
        return []


def run_virtual(coroutine: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """As `asyncio.run`, on a `VirtualLoop`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(coroutine)
