"""The client for an event loop. Everything happens on the loop's thread, but finding or starting an owner."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from penstock.model import job as m
from penstock.model import limits
from penstock.model.acceptance import check_wait
from penstock.model.errors import Conflict, PenstockError, StoreUnavailable
from penstock.model.states import TERMINAL
from penstock.store.directory import StoreDirectory
from penstock.store.wire import protocol
from penstock.store.wire.calls import BY_KIND, Call
from penstock.store.wire.client.async_link import Held, Link, open_link
from penstock.store.wire.client.delivered import Delivered, fences_of
from penstock.store.wire.client.reach import Dial, OwnerRefused, Reach
from penstock.store.wire.client.session import ClientStatistics, Pending, Session, settle_pending
from penstock.store.wire.client.sharing import Sharing
from penstock.store.wire.client.surface import AsyncStoreCalls

_Enqueue: Final = protocol.ENQUEUE.shape
_Lease: Final = protocol.LEASE.shape
_Wait: Final = protocol.WAIT.shape
_Settle: Final = protocol.SETTLE.shape
_Reconcile: Final = protocol.RECONCILE.shape

_DIAL_S: Final = 5.0
"""One attempt; it runs in a thread that cannot be interrupted."""
_SWEEP_S_MAX: Final = 1.0
_PAUSE_S: Final = 0.01
_PAUSE_S_MAX: Final = 0.5


class AsyncClient(AsyncStoreCalls):
    """A store behind an owner, for one event loop; the calls of `penstock.ports.Store` as coroutines, and waiting.

    Attributes:
        held_open: its connection, for who must close it without its loop.

    Args:
        dial: makes connections; called in a thread.
        reach_s: how long a request may go without an owner, beyond the wait it asks for; then StoreUnavailable.
        role: what this process is, for people.
        held: the fences that the user of this client holds. Asked after every reconnect, before anything else is sent;
            leases of this client that it does not list are released, because their answers were lost.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
        held: Callable[[], list[int]] | None = None,
    ) -> None:
        self._dial = dial
        self._reach_s = reach_s
        self._role = role
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._session = Session()
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._connections = 0
        self._requests = 0
        self._epoch = 0
        self._closed = False
        self._trouble: PenstockError | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._room: deque[asyncio.Future[None]] = deque()
        self._holders: set[bytes] = set()
        self._delivered = Delivered()
        self._settling: dict[int, m.Outcomes] = {}
        self._orphans: dict[int, bytes] = {}
        self._sharing = Sharing(self)
        self.held_open = Held()

    @classmethod
    async def connect(
        cls,
        directory: str | os.PathLike[str],
        *,
        start_owner: bool = True,
        held: Callable[[], list[int]] | None = None,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
    ) -> AsyncClient:
        """A client of the owner of ``directory``, connected.

        Raises:
            StoreUnavailable: no owner within ``reach_s``, or none can be, for the reason told.
        """
        reach = Reach(StoreDirectory(directory), start_owner=start_owner)
        client = cls(reach, reach_s=reach_s, role=role, held=held)
        try:
            await client.capabilities()
        except BaseException:
            await client.close()
            raise
        return client

    # --- what it offers beside `AsyncStoreCalls` ----------------------------------------------------------------------
    async def enqueue(self, groups: Sequence[m.JobGroup], *, atomic: bool = False) -> m.EnqueueAnswer:
        """Accept jobs: durable when this returns. Callers at the same time share a request, unless ``atomic``."""
        if atomic:
            answer: m.EnqueueAnswer = await self.ask(protocol.ENQUEUE, _Enqueue(groups, atomic))
            return answer
        return await self._sharing.enqueue(groups)

    async def lease(self, request: m.LeaseRequest, wait_s: float = 0.0) -> m.LeaseBatch:
        """Take ready jobs; wait up to ``wait_s`` for some."""
        batch: m.LeaseBatch = await self._lease(protocol.LEASE, request, wait_s)
        return batch

    async def lease_packed(self, request: m.LeaseRequest, wait_s: float = 0.0) -> m.PackedBatch:
        """`lease`, with each job as the bytes that it travels as."""
        batch: m.PackedBatch = await self._lease(protocol.LEASE_PACKED, request, wait_s)
        return batch

    async def _lease(self, call: Call, request: m.LeaseRequest, wait_s: float) -> Any:
        check_wait(wait_s)
        self._holders.add(request.holder)
        until = time.monotonic() + wait_s
        while True:
            step_s = min(wait_s, limits.WAIT_S_MAX)
            batch = await self.ask(call, _Lease(request, step_s), wait_s=step_s)
            wait_s = until - time.monotonic()
            if step_s < limits.WAIT_S_MAX or wait_s <= 0 or batch.jobs:
                return batch

    async def settle(self, outcomes: m.Outcomes) -> m.Settled:
        """Commit outcomes. Answers which fences did not become what was asked."""
        self._settling[id(outcomes)] = outcomes
        try:
            settled: m.Settled = await self.ask(protocol.SETTLE, _Settle(outcomes))
            return settled
        finally:
            self._settling.pop(id(outcomes), None)

    async def wait(self, ids: Sequence[bytes], wait_s: float, *, result: bool = False) -> list[m.JobView | None]:
        """The jobs as soon as all have ended or are gone, or as they are after ``wait_s``."""
        check_wait(wait_s)
        until = time.monotonic() + wait_s
        while True:
            step_s = min(wait_s, limits.WAIT_S_MAX)
            views: list[m.JobView | None] = await self.ask(protocol.WAIT, _Wait(ids, step_s, result), wait_s=step_s)
            wait_s = until - time.monotonic()
            ended = all(view is None or view.state in TERMINAL for view in views)
            if step_s < limits.WAIT_S_MAX or wait_s <= 0 or ended:
                return views

    def statistics(self) -> ClientStatistics:
        """What this client has done."""
        return ClientStatistics(self._requests, self._connections, len(self._session), self._epoch)

    async def close(self) -> None:
        """Let go of the connection; requests in flight raise StoreUnavailable. A second call does nothing."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._link is not None:
            self._link.abort()
        tasks = [task for task in (self._connecting, *self._sharing.tasks) if task is not None]
        if self._connecting is not None:
            self._connecting.cancel()
        for pending in self._session.unanswered():
            self._fail(pending, StoreUnavailable("This client is closed."))
        self._wake_room()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- asking -------------------------------------------------------------------------------------------------------
    async def ask(self, call: Call, request: Any, *, wait_s: float = 0.0) -> Any:
        """Send a request and wait for its answer.

        Raises:
            StoreUnavailable: no answer within ``wait_s`` and ``reach_s``. Whether it was applied is not known.
            PenstockError: what the owner answered.
        """
        deadline = time.monotonic() + wait_s + self._reach_s
        if not self._session.has_room(recorded=call.recorded):
            await self._wait_for_room(deadline)
        return await self.answer(call, request, self._begin(call, request, deadline))

    def begin(self, call: Call, request: Any) -> Pending | None:
        """Send a request now, for `answer` to wait for; None: there is no room for it. Raises as `ask`."""
        if not self._session.has_room(recorded=call.recorded):
            return None
        return self._begin(call, request, time.monotonic() + self._reach_s)

    def _begin(self, call: Call, request: Any, deadline: float) -> Pending:
        if self._closed:
            raise StoreUnavailable("This client is closed.")
        pending = self._session.ask(call.kind, protocol.encode_request(request), deadline, recorded=call.recorded)
        pending.waker = self._loop.create_future()
        self._requests += 1
        self._transmit(pending)
        return pending

    async def answer(self, call: Call, request: Any, pending: Pending) -> Any:
        """The answer to a request that was sent. Raises as `ask`."""
        try:
            await pending.waker
        except asyncio.CancelledError:
            self._abandon(pending, request)
            raise
        if pending.error is not None:
            raise pending.error
        assert pending.answer is not None
        return call.answer(pending.answer)

    async def _wait_for_room(self, deadline: float) -> None:
        while not self._closed and not self._session.has_room(recorded=True):
            place: asyncio.Future[None] = self._loop.create_future()
            self._room.append(place)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await place
            except TimeoutError:
                raise self._unavailable() from None
            finally:
                # Who was woken and does not go on leaves its turn to the next.
                if place.done() and not place.cancelled():
                    self._wake_room()

    def _wake_room(self) -> None:
        while self._room and (self._closed or self._session.has_room(recorded=True)):
            place = self._room.popleft()
            if not place.done():
                place.set_result(None)
                if not self._closed:
                    return

    def _transmit(self, pending: Pending) -> None:
        if self._link is not None:
            self._link.send(pending.frame)
        elif self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(min(_SWEEP_S_MAX, self._reach_s / 4), self._sweep)

    def _sweep(self) -> None:
        """Fail what has waited too long: an owner that is stopped answers nothing and closes nothing."""
        self._sweeper = None
        for pending in self._session.overdue(time.monotonic()):
            self._session.give_up(pending)
            self._fail(pending, self._unavailable())
        self._wake_room()
        if len(self._session):
            self._sweeper = self._loop.call_later(min(_SWEEP_S_MAX, self._reach_s / 4), self._sweep)

    def _unavailable(self) -> PenstockError:
        return self._trouble or StoreUnavailable("The store's owner does not answer.")

    def _fail(self, pending: Pending, error: PenstockError) -> None:
        pending.error = error
        pending.done = True
        if pending.waker is not None and not pending.waker.done():
            pending.waker.set_result(None)

    def _abandon(self, pending: Pending, request: Any) -> None:
        """The caller was cancelled. What is parked for it leaves the owner; a lease that comes anyway is given back."""
        if pending.done:
            if pending.kind == protocol.LEASE.kind and pending.answer is not None:
                self._release(request.request.holder, pending.answer)
            return
        self._session.give_up(pending)
        self._wake_room()
        if BY_KIND[pending.kind].parks and self._link is not None:
            self._link.send(protocol.frame(protocol.FORGET, pending.number, b""))
            if pending.kind == protocol.LEASE.kind:
                self._orphans[pending.number] = request.request.holder

    def _release(self, holder: bytes, payload: bytes) -> None:
        fences = fences_of(payload)
        if fences and not self._closed and self._session.has_room(recorded=True):
            outcomes = protocol.encode(_Settle(m.Outcomes(holder, released=list(fences))))
            deadline = time.monotonic() + self._reach_s
            self._transmit(self._session.ask(protocol.SETTLE.kind, outcomes, deadline, recorded=True))

    # --- the connection -----------------------------------------------------------------------------------------------
    def hello(self) -> bytes:
        """The first frame of a connection."""
        return self._session.hello(self._role)

    def welcomed(self, link: Link, welcome: protocol.Welcome) -> None:
        """The owner knows us. In one step: say what is held, repeat what is unanswered, let others send."""
        self._link = link
        self.held_open.sock = link.sock
        self._connections += 1
        self._epoch = welcome.epoch
        self._trouble = None
        self._orphans.clear()
        if self._held is not None and self._holders:
            fences = [*self._held(), *self._delivered.fences(time.monotonic())]
            # Outcomes on their way must find their leases, whether or not the caller still counts them as held.
            for outcomes in self._settling.values():
                fences += outcomes.fences()
            for holder in self._holders:
                query = _Reconcile(holder, fences)
                number = protocol.UNRECORDED | (1 << 62)
                link.send(protocol.frame(protocol.RECONCILE.kind, number, protocol.encode(query)))
        for pending in self._session.unanswered():
            link.send(pending.frame)

    def deliver(self, link: Link, kind: int, number: int, payload: bytes) -> None:
        """A frame has arrived."""
        if kind == protocol.CLOSING:
            self._trouble = protocol.error_of(payload)
            link.abort()
            return
        pending = self._session.answered(number)
        if pending is None:
            holder = self._orphans.pop(number, None)
            if holder is not None and kind == protocol.ANSWER:
                self._release(holder, payload)
            return
        settle_pending(pending, kind, payload)
        if pending.kind == protocol.LEASE.kind and kind == protocol.ANSWER and self._held is not None:
            self._delivered.note(payload, time.monotonic())
        if pending.waker is not None and not pending.waker.done():
            pending.waker.set_result(None)
        if self._room:
            self._wake_room()

    def lost(self, link: Link) -> None:
        """A connection is over. It is made again at once, because leases are held over it."""
        if self._link is link:
            self._link = None
            if not self._closed and self._connecting is None:
                self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        pause_s = _PAUSE_S
        try:
            while self._link is None and not self._closed:
                try:
                    await open_link(self._dial, self, min(_DIAL_S, self._reach_s))
                except (OSError, TimeoutError) as error:
                    self._trouble = StoreUnavailable(f"The store's owner does not answer: {error}.")
                except (OwnerRefused, Conflict) as error:
                    self._give_up(error)
                    return
                except PenstockError as error:
                    self._trouble = error
                except Exception as error:  # noqa: BLE001 - those who wait are told what it is, not that nobody answers
                    self._give_up(StoreUnavailable(f"The store cannot be reached: {type(error).__name__}: {error}."))
                    return
                if self._link is None:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _PAUSE_S_MAX)
        finally:
            self._connecting = None

    def _give_up(self, error: PenstockError) -> None:
        """Trying again would not help who waits now."""
        for pending in self._session.unanswered():
            self._session.give_up(pending)
            self._fail(pending, protocol.error_of(protocol.failure(error)))
        self._wake_room()
