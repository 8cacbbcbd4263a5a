"""Requests and answers on an event loop: who waits for what, and one connection after the other.

The base of the client for an event loop, as `exchange` is of the client for threads. An `AsyncExchange` outlives its
connections; each of these is a `Link`. All of it runs on the loop's thread, so there are no locks; only finding or
starting an owner may block, and has a thread of its own. Whenever a connection ends the next is made at once, also when
nothing is asked, because leases are held over it.

A caller waits on a future, the ``waker`` of its request. It may be cancelled at any moment, and has then given up.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from penstock.model import job as m
from penstock.model import limits
from penstock.model.errors import Conflict, PenstockError, StoreUnavailable
from penstock.store.wire import protocol
from penstock.store.wire.calls import BY_KIND, Call
from penstock.store.wire.client.delivered import Delivered, fences_of
from penstock.store.wire.client.reach import Dial, OpenSocket, OwnerRefused, dial_in_thread
from penstock.store.wire.client.session import ClientStatistics, Pending, Session, settle_pending
from penstock.store.wire.client.surface import AsyncStoreCalls

_Settle: Final = protocol.SETTLE.shape
_Reconcile: Final = protocol.RECONCILE.shape

_DIAL_S: Final = 5.0
"""How long one attempt to connect may take; it runs in a thread that cannot be interrupted."""
_SWEEP_S_MAX: Final = 1.0
"""How often to look for requests that have waited too long, at least."""
_NOBODY_WAITS: Final = protocol.UNRECORDED | (1 << 62)
"""The number of a request whose answer nobody waits for."""
_PAUSE_S: Final = 0.01
_PAUSE_S_MAX: Final = 0.5


class AsyncExchange(AsyncStoreCalls):
    """Asks an owner, and survives its death. Its arguments are those of `AsyncClient`.

    Attributes:
        held_open: the socket of its connection, for whoever must close that after the loop has stopped for good.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
        held: Callable[[], list[int]] | None = None,
        holders: bytes | None = None,
    ) -> None:
        self._dial = dial
        self._reach_s = reach_s
        self._role = role
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
        self._giving_back: set[asyncio.Task[None]] = set()
        self._delivered = Delivered(held, holders)
        self.held_open = OpenSocket()

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
        connecting = self._connecting
        if connecting is not None:
            connecting.cancel()
        for pending in self._session.unanswered():
            self._fail(pending, StoreUnavailable("This client is closed."))
        self._wake_room()
        if connecting is not None:
            await asyncio.gather(connecting, return_exceptions=True)
        await asyncio.gather(*self._giving_back)

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

    # --- room: a client has only so many recorded requests without an answer ------------------------------------------
    async def _wait_for_room(self, deadline: float) -> None:
        """Wait in line until the session takes one more recorded request, or this client is closed."""
        while not self._closed and not self._session.has_room(recorded=True):
            place: asyncio.Future[None] = self._loop.create_future()
            self._room.append(place)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await place
            except TimeoutError:
                raise self._unavailable() from None
            finally:
                # A caller that was woken and then cancelled leaves its turn to the next.
                if place.done() and not place.cancelled():
                    self._wake_room()

    def _wake_room(self) -> None:
        """Wake the caller that has waited in line longest, if there is room now; all of them, when this is closed."""
        while self._room and (self._closed or self._session.has_room(recorded=True)):
            place = self._room.popleft()
            if not place.done():
                place.set_result(None)
                if not self._closed:
                    return

    def _transmit(self, pending: Pending) -> None:
        """Send a request on the connection there is; without one, have one made, which sends all that is unanswered."""
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
        """What to tell a caller that has waited too long: why the last attempt to connect failed, if one did."""
        return self._trouble or StoreUnavailable("The store's owner does not answer.")

    def _fail(self, pending: Pending, error: PenstockError) -> None:
        """End a request in an error, and wake its caller."""
        pending.error = error
        pending.done = True
        if pending.waker is not None and not pending.waker.done():
            pending.waker.set_result(None)

    def _abandon(self, pending: Pending, request: Any) -> None:
        """The caller was cancelled. A request that is parked at the owner is withdrawn. A lease that has come, or comes
        all the same, is given back."""
        if pending.done:
            if pending.kind == protocol.LEASE.kind and pending.answer is not None:
                self._release(request.request.holder, pending.answer)
            return
        self._session.give_up(pending)
        self._wake_room()
        if BY_KIND[pending.kind].parks and self._link is not None:
            self._link.send(protocol.frame(protocol.FORGET, pending.number, b""))
            if pending.kind == protocol.LEASE.kind:
                self._delivered.cancelled(pending.number, request.request.holder, time.monotonic())

    def _release(self, holder: bytes, payload: bytes) -> None:
        """Give back the jobs in a lease's answer that nobody takes: now, or when there is room for that request."""
        fences = fences_of(payload)
        if not fences or self._closed:
            return
        settlement = _Settle(m.Outcomes(holder, released=list(fences)))
        if self.begin(protocol.SETTLE, settlement) is None:
            task = self._loop.create_task(self._settle_later(settlement))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def _settle_later(self, settlement: Any) -> None:
        """Where this fails, the leases end in time."""
        with suppress(PenstockError):
            await self.ask(protocol.SETTLE, settlement)

    # --- the connection -----------------------------------------------------------------------------------------------
    def hello(self) -> bytes:
        """The first frame of a connection."""
        return self._session.hello(self._role)

    def welcomed(self, link: Link, welcome: protocol.Welcome) -> None:
        """The owner has answered the hello. In one step: tell it what is held, repeat what is unanswered, and let
        others send."""
        self._link = link
        self.held_open.sock = link.sock
        self._connections += 1
        self._epoch = welcome.epoch
        self._trouble = None
        for holder, fences in self._delivered.reconnected(time.monotonic()):
            payload = protocol.encode(_Reconcile(holder, fences))
            link.send(protocol.frame(protocol.RECONCILE.kind, _NOBODY_WAITS, payload))
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
            holder = self._delivered.holder_of_cancelled(number)
            if holder is not None and kind == protocol.ANSWER:
                self._release(holder, payload)
            return
        settle_pending(pending, kind, payload)
        if pending.kind == protocol.LEASE.kind and kind == protocol.ANSWER:
            self._delivered.arrived(payload, time.monotonic())
        if pending.waker is not None and not pending.waker.done():
            pending.waker.set_result(None)
        if self._room:
            self._wake_room()

    def lost(self, link: Link) -> None:
        """A connection is over. The next is made at once."""
        if self._link is link:
            self._link = None
            if not self._closed and self._connecting is None:
                self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        """Try to connect until there is a connection. `open_link` calls `welcomed`, which keeps it."""
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
        """Fail all that is asked now, because trying again would not help. What is asked later tries again."""
        for pending in self._session.unanswered():
            self._session.give_up(pending)
            self._fail(pending, protocol.error_of(protocol.failure(error)))
        self._wake_room()


class Link(asyncio.Protocol):
    """One connection of an exchange. The first frame that comes is the owner's welcome; all others go to `deliver`.

    Attributes:
        sock: the connection, as the event loop got it.
        greeted: done when the owner has answered the hello; an exception: why it refuses.
    """

    def __init__(self, exchange: AsyncExchange, sock: socket.socket) -> None:
        self._exchange = exchange
        self.sock = sock
        self._reader = protocol.FrameReader()
        self.transport: Any = None
        self._descriptor = -1
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Looked at here, because whoever waits for it may have given up; asyncio would complain of an error unseen.
        self.greeted.add_done_callback(lambda future: future.cancelled() or future.exception())

    def send(self, frame: bytes) -> None:
        """Send a frame. On a connection that ends it is not sent; the exchange repeats it on the next.

        Where nothing is queued before it, the frame goes to the socket now, and the owner is at work while this loop
        does other things. The rest is queued; the session's bounds on requests bound the queue.
        """
        transport = self.transport
        if transport.is_closing():
            return
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, frame)
            except BlockingIOError:
                pass
            except OSError:
                transport.abort()
                return
        if sent < len(frame):
            transport.write(memoryview(frame)[sent:])

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()
        self.transport.write(self._exchange.hello())

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that are whole."""
        try:
            for kind, number, payload in self._reader.feed(data):
                if self.greeted.done():
                    self._exchange.deliver(self, kind, number, payload)
                elif kind == protocol.ANSWER:
                    self.greeted.set_result(None)
                    self._exchange.welcomed(self, protocol.decode_welcome(payload))
                else:
                    self.greeted.set_exception(protocol.error_of(payload))
        except (PenstockError, msgspec.DecodeError):
            self.transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell whoever waits for the welcome, and the exchange."""
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError("it closed the connection"))
        self._exchange.lost(self)


async def open_link(dial: Dial, exchange: AsyncExchange, patience_s: float) -> None:
    """Make a connection; when this returns, the exchange has been welcomed.

    Raises:
        StoreUnavailable, StoreOverloaded: as dialled, or as the owner answered.
        OSError, TimeoutError: it does not answer.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[socket.socket] = loop.create_future()
    dial_in_thread(dial, time.monotonic() + patience_s, answer, loop.call_soon_threadsafe)
    sock = await answer
    try:
        sock.setblocking(False)
        _, link = await loop.create_unix_connection(lambda: Link(exchange, sock), sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        async with asyncio.timeout(patience_s):
            await link.greeted
    except BaseException:
        link.abort()
        raise
