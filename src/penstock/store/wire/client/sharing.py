"""Many callers of one process share one enqueue request.

`AsyncClient.enqueue` hands each caller's jobs to `Sharing`, which collects them in a `gathering.Batch`, sends the
batch and tells each caller its own part of the answer. When the owner refuses a batch for the fault of one caller,
each caller's jobs are sent by themselves, so that only that caller is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from penstock.model import job as m
from penstock.model import limits
from penstock.model.errors import PenstockError, StoreOverloaded, StoreUnavailable
from penstock.store.wire import protocol
from penstock.store.wire.calls import Call
from penstock.store.wire.client.session import Pending
from penstock.store.wire.gathering import Batch, Share
from penstock.store.wire.protocol import ENQUEUE, FAULTS_OF_CALLER

_Enqueue: Final = ENQUEUE.shape
_SHARES_AT_ONCE: Final = 64
_BATCHES_MAX: Final = 4
"""A batch goes out when none is on its way, or when it has so many shares and fewer batches are. With one at a time,
the owner would rest while a process makes the next, and that process while the owner commits."""


class Asker(Protocol):
    """What `Sharing` needs of the client."""

    async def ask(self, call: Call, request: Any) -> Any:
        """Send a request and wait for its answer."""
        ...

    def begin(self, call: Call, request: Any) -> Pending | None:
        """Send a request now; None: there is no room for it."""
        ...

    async def answer(self, call: Call, request: Any, pending: Pending) -> Any:
        """Wait for the answer to what was begun."""
        ...


class Sharing:
    """Collects and sends the enqueues of one client.

    Attributes:
        tasks: one for each batch on its way; it waits for the answer and tells the callers.
    """

    def __init__(self, client: Asker) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._batch = Batch()
        self._flushing = False
        self._callers = 0

    async def enqueue(self, groups: Sequence[m.JobGroup]) -> m.EnqueueAnswer:
        """Accept jobs: durable when this returns."""
        if self._callers >= limits.CLIENT_CALLERS_MAX:
            raise StoreOverloaded(f"{limits.CLIENT_CALLERS_MAX} callers of this process wait for the store already.")
        share = Share(groups, self._loop.create_future())
        if not self._batch.fits(share):
            self._flush()
        self._batch.add(share)
        if self._is_due():
            self._flush()
        elif not self._flushing and not self.tasks:
            self._flushing = True
            self._loop.call_soon(self._flush_rest)
        self._callers += 1
        try:
            answer: m.EnqueueAnswer = await share.waker
        finally:
            self._callers -= 1
        return answer

    def _is_due(self) -> bool:
        """Whether the batch is large enough to go out while others are on their way."""
        return len(self._batch.shares) >= _SHARES_AT_ONCE and len(self.tasks) < _BATCHES_MAX

    def _flush_rest(self) -> None:
        """Runs when all callers that were ready to run have added their jobs."""
        self._flushing = False
        if not self.tasks:
            self._flush()

    def _flush(self) -> None:
        """Send the batch, and begin the next."""
        if not self._batch:
            return
        batch, self._batch = self._batch, Batch()
        request, pending = _Enqueue(batch.groups()), None
        # Sent before other callers run: the owner is at work while they make the next batch. An error here is left
        # alone; the task asks again, gets the same error, and tells the callers.
        with suppress(Exception):
            pending = self._client.begin(ENQUEUE, request)
        task = self._loop.create_task(self._settle(batch, request, pending))
        self.tasks.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        """A batch has been answered; the next may be due."""
        self.tasks.discard(task)
        if self._is_due() or not (self._flushing or self.tasks):
            self._flush()

    async def _settle(self, batch: Batch, request: Any, pending: Pending | None = None) -> None:
        """Tell every caller of a batch, whatever happens."""
        try:
            await self._ask(batch, request, pending)
        except Exception as error:  # noqa: BLE001 - it must reach who waits; there is nobody else to tell
            for share in batch.shares:
                _tell(share, StoreUnavailable(f"The store's client failed: {type(error).__name__}: {error}."))
        except BaseException:
            for share in batch.shares:
                share.waker.cancel()
            raise

    async def _ask(self, batch: Batch, request: Any, pending: Pending | None) -> None:
        try:
            if pending is None:
                answer = await self._client.ask(ENQUEUE, request)
            else:
                answer = await self._client.answer(ENQUEUE, request, pending)
        except FAULTS_OF_CALLER as error:
            if len(batch.shares) == 1:
                _tell(batch.shares[0], error)
                return
            # The fault is one caller's. Each is asked for by itself, so that the others do not suffer from it.
            for share in batch.shares:
                alone = Batch()
                alone.add(share)
                await self._settle(alone, _Enqueue(alone.groups()))
        except PenstockError as error:
            for share in batch.shares:
                _tell(share, protocol.error_of(protocol.failure(error)))
        else:
            for share, own in zip(batch.shares, batch.split(answer), strict=True):
                if not share.waker.done():
                    share.waker.set_result(own)


def _tell(share: Share, error: PenstockError) -> None:
    if not share.waker.done():
        share.waker.set_exception(error)
