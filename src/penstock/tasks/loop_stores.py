"""The store as an event loop reaches it: a client that ends with the loop, or a store given by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary, finalize, ref

from penstock.ports import AsyncStore, Store
from penstock.store.inline import InlineStore
from penstock.store.opening import open_async_store

_NEVER_S: Final = 10 * 365 * 86_400.0


async def _lifetime(directory: Path) -> AsyncGenerator[AsyncStore, None]:
    """A client from the first step to the end of the generator: a loop that shuts down ends its generators."""
    client = await open_async_store(directory)
    try:
        yield client
    finally:
        await client.close()


class Loops:
    """The clients of all event loops of one process, one each.

    A loop keeps its client alive, and nothing else does: a program may make any number of loops and close them, or drop
    them, without shutting down their generators. What is left here of a loop holds neither the loop nor its client.
    """

    def __init__(self, url: str | None, given: Store | None) -> None:
        """Connects to the directory ``url``, or uses the store that is ``given``."""
        self._directory = None if url is None else Path(url)
        self._inline = None if given is None else InlineStore.over(given)
        self._lives: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[_Life]] = WeakKeyDictionary()
        self._lock = threading.Lock()
        # An application that is dropped closes what its loops keep, however long those live.
        finalize(self, _close_all, self._lives, self._lock).atexit = False

    def current(self) -> AsyncStore | None:
        """The running loop's client; None: it has none yet."""
        if self._inline is not None:
            return self._inline
        life = self._life(asyncio.get_running_loop())
        return None if life is None else life.client

    def _life(self, loop: asyncio.AbstractEventLoop) -> _Life | None:
        kept = self._lives.get(loop)
        return None if kept is None else kept()

    async def opened(self) -> AsyncStore:
        """The running loop's client, connected when it is asked for first.

        Raises:
            StoreUnavailable: it cannot be.
        """
        if self._directory is None:
            assert self._inline is not None, "there is a store or a place for one"
            return self._inline
        loop = asyncio.get_running_loop()
        with self._lock:
            life = self._life(loop)
            if life is None:
                life = _Life(self._directory, loop)
                self._lives[loop] = ref(life)
        return await life.opened()

    def close(self) -> None:
        """Close all clients, each as soon as its loop gets to it; a loop that has ended has closed its own."""
        _close_all(self._lives, self._lock)

    async def close_async(self) -> None:
        """Close all clients, the running loop's before this returns."""
        with self._lock:
            kept = self._lives.pop(asyncio.get_running_loop(), None)
        self.close()
        own = None if kept is None else kept()
        if own is not None:
            await own.close()


def _close_all(lives: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[_Life]], lock: threading.Lock) -> None:
    with lock:
        found = list(lives.items())
        lives.clear()
    for loop, kept in found:
        life = kept()
        if life is not None:
            # A loop that was closed meanwhile has let go of its client.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(life.close_soon)


class _Life:
    """The client of one event loop, from its first use to the loop's end.

    Kept by its loop, as a timer that never comes. A loop that is closed drops its timers, and with the life its
    connection is closed, at once. A loop that is dropped without being closed is collected with its timers.

    Attributes:
        client: None: not connected, or closed.
    """

    def __init__(self, directory: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.client: AsyncStore | None = None
        self._directory = directory
        self._lock = asyncio.Lock()
        self._steps: AsyncGenerator[AsyncStore, None] | None = None
        self._closing: asyncio.Task[None] | None = None
        # Known weakly, so that the life ends with the timer and not only when cycles are collected.
        self._kept = ref(loop.call_later(_NEVER_S, self._stay))

    def _stay(self) -> None:
        """What the timer holds on to."""

    async def opened(self) -> AsyncStore:
        """The client, connected once."""
        async with self._lock:
            if self.client is None:
                steps = _lifetime(self._directory)
                self.client = await anext(steps)
                self._steps = steps
                held_open = getattr(self.client, "held_open", None)
                if held_open is not None:
                    finalize(self, held_open.close).atexit = False
            return self.client

    async def close(self) -> None:
        """Close it. A second close does nothing."""
        steps, self._steps, self.client = self._steps, None, None
        kept = self._kept()
        if kept is not None:
            kept.cancel()
        if steps is not None:
            await steps.aclose()

    def close_soon(self) -> None:
        """`close`, for a caller that does not wait; called on the loop."""
        self._closing = asyncio.get_running_loop().create_task(self.close())
