"""Work that is too long for the event loop, done in a thread, one piece after the other.

Only one thread runs Python at a time. The event loop's thread gets its turn every few milliseconds while this one runs
Python, but must wait for the end of each call into C. So the work that is given here is made of many short calls.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SideThread:
    """The thread beside the event loop. It is started for the first piece of work."""

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
    """What ``function`` answers or raises. No garbage is collected meanwhile: that would hold up both threads."""
    if not gc.isenabled():
        return function(*arguments)
    gc.disable()
    try:
        return function(*arguments)
    finally:
        gc.enable()
