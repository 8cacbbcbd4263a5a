"""How an application reaches its store: opened at the first use, one client for threads, one for each event loop.

What is for event loops is imported when the first one asks: a producer without one stays light.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from weakref import ReferenceType

from penstock.config import default_url
from penstock.model import limits
from penstock.model.job import JobView
from penstock.model.wording import with_article
from penstock.model.workflow_views import WorkflowView
from penstock.ports import AsyncStore, BlockingStore, Store
from penstock.store.opening import check_url, open_store
from penstock.tasks.names import check_seconds

if TYPE_CHECKING:
    from penstock.tasks.loop_stores import Loops


class StoreConnection:
    """The store of one application. Thread-safe.

    Its place is settled once. A relative path begins where the process was when the application was made, for a job may
    change the working directory at any time.

    Attributes:
        application: the `penstock.tasks.app.Penstock` whose store it is; None: not known.

    A client for an event loop is closed when the loop shuts down (as `asyncio.run` does), or by `close_async`.
    """

    def __init__(self, url: str | None, store: Store | None = None) -> None:
        """Args:
        url: a directory. None: what the environment says at the first use.
        store: used instead of one at ``url``, and not closed here.
        """
        self._url = None if url is None else check_url(url)
        self._base = _working_directory()
        self.application: ReferenceType[Any] | None = None
        self._given = store
        self._store: Store | None = store
        self._lock = threading.Lock()
        self._loops: Loops | None = None
        self._durability: str | None = None

    def __repr__(self) -> str:
        """Where it leads, as far as that is settled: asking looks nothing up."""
        if self._given is not None:
            return with_article(type(self._given).__name__)
        return "what PENSTOCK_URL says" if self._url is None else self._url

    @property
    def url(self) -> str:
        """The directory in force.

        Raises:
            InvalidOption: the environment names something else.
        """
        if self._url is None:
            self._url = check_url(default_url(), self._base)
        return self._url

    @property
    def durability(self) -> str:
        """What an accepted job has survived: ``disk``, ``replicated`` or ``memory``. Empty before the first use."""
        return self._durability or ""

    @property
    def parks(self) -> bool:
        """Whether waiting for a job is more than one look: a store given by hand need not know how to wait."""
        return self._given is None or hasattr(self._given, "wait")

    def redirect(self, url: str) -> None:
        """Use another directory from the next call on. A store given by hand stays.

        Raises:
            InvalidOption: it is not a directory's path.
        """
        checked = check_url(url)
        if self._given is None:
            self.close()
            self._url = checked

    def store(self) -> Store:
        """The store for a thread, connected at the first call.

        Raises:
            StoreUnavailable: it cannot be reached or opened.
        """
        store = self._store
        return store if store is not None and self._durability is not None else self._open()

    async def async_store(self) -> AsyncStore:
        """The store for the running event loop, connected at its first call.

        Raises:
            StoreUnavailable: it cannot be reached or opened.
        """
        loops = self._loops or self._make_loops()
        store = loops.current()
        if store is None or self._durability is None:
            store = await loops.opened()
            self._durability = (await store.capabilities()).durability
        return store

    def wait(self, ids: Sequence[bytes], wait_s: float) -> list[JobView | None]:
        """Jobs with their results, when all have ended or are gone, or after ``wait_s``; at once where it
        does not park.
        """
        store = self.store()
        if not self.parks:
            return store.get(ids, result=True)
        return cast(BlockingStore, store).wait(ids, wait_s=wait_s, result=True)

    def wait_workflow(self, workflow: bytes, wait_s: float) -> WorkflowView | None:
        """A workflow, when it is over or gone, or after ``wait_s``; at once where the store does not park."""
        store = self.store()
        if not self.parks:
            return store.workflow(workflow)
        return cast(BlockingStore, store).wait_workflow(workflow, wait_s=wait_s)

    def close(self) -> None:
        """Close what was opened, the clients of event loops as soon as those get to it. The next use opens anew."""
        store, loops = self._let_go()
        if store is not None:
            store.close()
        if loops is not None:
            loops.close()

    async def close_async(self) -> None:
        """Close what was opened, the running loop's client before this returns."""
        store, loops = self._let_go()
        if store is not None:
            store.close()
        if loops is not None:
            await loops.close_async()

    def _let_go(self) -> tuple[Store | None, Loops | None]:
        """What is to be closed; from here on it is not used any more."""
        with self._lock:
            store, self._store = self._store, self._given
            loops, self._loops = self._loops, None
            self._durability = None
        return (None if store is self._given else store), loops

    def _make_loops(self) -> Loops:
        from penstock.tasks.loop_stores import Loops

        with self._lock:
            if self._loops is None:
                self._loops = Loops(self.url if self._given is None else None, self._given)
            return self._loops

    def _open(self) -> Store:
        with self._lock:
            if self._store is None:
                self._store = _connect(self.url)
            if self._durability is None:
                self._durability = self._store.capabilities().durability
            return self._store


def rounds(timeout_s: float | None, *, parks: bool) -> Iterator[float]:
    """How long to wait in each request until ``timeout_s`` is over; one look at least.

    Raises:
        InvalidOption: ``timeout_s`` is no time to wait.
    """
    left_s = float("inf") if timeout_s is None else check_seconds("timeout_s", timeout_s)
    end = time.monotonic() + left_s
    yield min(left_s, limits.WAIT_S_MAX) if parks else 0.0
    while parks and (left_s := end - time.monotonic()) > 0:
        yield min(left_s, limits.WAIT_S_MAX)


def _connect(url: str) -> Store:
    return open_store(url)


def _working_directory() -> str | None:
    """Where the process is; None: that directory is gone."""
    try:
        return os.getcwd()
    except OSError:
        return None
