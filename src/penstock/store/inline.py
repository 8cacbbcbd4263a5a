"""A store of this very process, for its event loop: `penstock.ports.AsyncStore` over a `penstock.ports.Store`.

Its calls are made on the loop itself, so it is for stores that answer at once: one in memory, or one that has nobody
else to hold up. No answer can be lost between the two, so each call is applied once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from penstock.model.acceptance import check_wait
from penstock.model.job import JobView, LeaseBatch, LeaseRequest, PackedBatch
from penstock.model.states import TERMINAL
from penstock.model.workflow_views import WorkflowView
from penstock.ports import AsyncStore, Effect, Store, effect_of

T = TypeVar("T")

_LOOK_S: Final = 0.05
"""How often a call that waits looks whether somebody else has changed the store."""
_pack: Final = msgspec.msgpack.Encoder().encode


class InlineStore(AsyncStore):
    """The calls that only wait or convert are written here; all others are made from the port, below the class.

    A call that waits looks again after each call that was made through this object and may have changed something, and
    every _LOOK_S, because the store may be changed past it too. A store that knows how to wait for jobs itself, in a
    blocking call, does so in a thread.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looking: set[asyncio.Future[None]] = set()

    @classmethod
    def over(cls, store: Store) -> InlineStore:
        """A face for this store. (To the type checker the class is abstract: it does not see the calls made below.)"""
        return cls(store)

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Make a call of the store, and have those look again that wait for a change."""
        try:
            return getattr(self._store, name)(*arguments, **named)
        finally:
            if effect_of(name) is not Effect.READS:
                for waiter in list(self._looking):
                    # Its loop may be another one, or be closed.
                    with suppress(RuntimeError):
                        waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    async def lease(self, request: LeaseRequest, *, wait_s: float = 0.0) -> LeaseBatch:
        """See `AsyncStore.lease`."""
        had_limits: bool | None = None

        def look() -> LeaseBatch:
            nonlocal had_limits
            batch: LeaseBatch = self._call("lease", request)
            has_limits = batch.limited is not None
            if had_limits is None:
                had_limits = has_limits
            are_new = has_limits and not had_limits and request.limited is not None
            return replace(batch, more=True) if are_new and not batch.jobs else batch

        return await self._until(look, lambda batch: bool(batch.jobs or batch.more), wait_s)

    async def lease_packed(self, request: LeaseRequest, *, wait_s: float = 0.0) -> PackedBatch:
        """See `AsyncStore.lease_packed`."""
        batch = await self.lease(request, wait_s=wait_s)
        jobs = [msgspec.Raw(_pack(job)) for job in batch.jobs]
        return PackedBatch(batch.first_fence, batch.tasks, batch.task_of, jobs, batch.alone, batch.more, batch.limited)

    async def wait(self, ids: Sequence[bytes], *, wait_s: float, result: bool = False) -> list[JobView | None]:
        """See `AsyncStore.wait`."""
        blocking = getattr(self._store, "wait", None)
        if blocking is not None:
            views: list[JobView | None] = await asyncio.to_thread(blocking, ids, wait_s=wait_s, result=result)
            return views
        return await self._until(lambda: self._store.get(ids, result=result), _have_ended, wait_s)

    async def wait_workflow(self, workflow: bytes, *, wait_s: float) -> WorkflowView | None:
        """See `AsyncStore.wait_workflow`."""
        blocking = getattr(self._store, "wait_workflow", None)
        if blocking is not None:
            view: WorkflowView | None = await asyncio.to_thread(blocking, workflow, wait_s=wait_s)
            return view
        return await self._until(
            lambda: self._store.workflow(workflow), lambda one: one is None or one.finished_at is not None, wait_s
        )

    async def _until(self, look: Callable[[], T], is_enough: Callable[[T], bool], wait_s: float) -> T:
        """What ``look`` answers when that is enough, or when the time is up."""
        check_wait(wait_s)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            answer = look()
            left_s = until - loop.time()
            if is_enough(answer) or left_s <= 0:
                return answer
            changed = loop.create_future()
            self._looking.add(changed)
            timer = loop.call_later(min(left_s, _LOOK_S), _wake, changed)
            try:
                await changed
            finally:
                timer.cancel()
                self._looking.discard(changed)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _have_ended(views: list[JobView | None]) -> bool:
    return all(view is None or view.state in TERMINAL for view in views)


def _calling(name: str, port: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(port)
    async def method(self: InlineStore, *arguments: Any, **named: Any) -> Any:
        return self._call(name, *arguments, **named)

    return method


for _name in dir(AsyncStore):
    _port = getattr(AsyncStore, _name)
    if asyncio.iscoroutinefunction(_port) and _name not in vars(InlineStore):
        setattr(InlineStore, _name, _calling(_name, _port))
