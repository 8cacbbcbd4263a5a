"""Work that is too long for the event loop, done in a thread, one piece after the other.

The loop's thread has its turn at least every few milliseconds while Python runs there, and after each single call into
C. So what is given here is made of many short steps.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class OffLoop:
    """One thread, which begins with the first piece of work."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """What ``function`` answers or raises. Work whose caller is cancelled before it has begun is not done."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "penstock-gate")
        return await asyncio.get_running_loop().run_in_executor(self._pool, _uncollected, function, *arguments)

    def close(self) -> None:
        """Begin nothing more. A second close does nothing."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _uncollected(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """What ``function`` answers or raises; nothing collects garbage while it works."""
    if not gc.isenabled():
        return function(*arguments)
    gc.disable()
    try:
        return function(*arguments)
    finally:
        gc.enable()
