"""The client for threads.

With one thread at a time a request is a send and a receive on the caller's own thread, no hop to another. Several
threads share the connection: each sends its own request, and one of those that wait reads for all; when it has its
answer, another reads on.

Two locks, never the first inside the second's wait: ``_send_lock`` guards the socket's outgoing side, ``_lock`` all
else. Whoever reads must never wait for who sends (the owner may want to be read before it reads on), so delivering an
answer takes ``_lock`` only.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from penstock.model import job as m
from penstock.model import limits
from penstock.model.errors import PenstockError, StoreOverloaded, StoreUnavailable
from penstock.model.states import TERMINAL
from penstock.store.directory import StoreDirectory
from penstock.store.wire import protocol
from penstock.store.wire.greeting import greet, look_up_every
from penstock.store.wire.protocol import Call, FrameReader
from penstock.store.wire.reach import Dial, Reach
from penstock.store.wire.session import ClientStatistics, Pending, Session, settle_pending
from penstock.store.wire.surface import StoreCalls

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")

_READ_BYTES: Final = 256 * 1024
_LOOK_S_MAX: Final = 0.5
"""How often a blocked thread looks at its deadline."""
_PAUSE_S: Final = 0.01
_PAUSE_S_MAX: Final = 0.5
_SPIN_S_MAX: Final = 0.0006
"""A thread that is alone, and whose answers come faster than this, looks for its answer instead of sleeping: waking it
costs as much as a third of an ``fdatasync``. It yields to whoever can run."""


class Client(StoreCalls):
    """A store behind an owner, for threads; `penstock.ports.Store` and waiting. Survives the owner's death and a fork.

    Args:
        dial: makes connections.
        reach_s: how long a request may go without an owner, beyond the wait it asks for; then StoreUnavailable.
        role: what this process is, for people.
    """

    def __init__(self, dial: Dial, *, reach_s: float = limits.RECONNECT_S_MAX, role: str = "client") -> None:
        self._dial = dial
        self._reach_s = reach_s
        self._role = role
        self._sock: socket.socket | None = None
        self._closed = False
        self._start_life()

    @classmethod
    def connect(
        cls,
        directory: str | os.PathLike[str],
        *,
        start_owner: bool = True,
        reach_s: float = limits.RECONNECT_S_MAX,
        role: str = "client",
    ) -> Client:
        """A client of the owner of ``directory``, connected.

        Raises:
            StoreUnavailable: no owner within ``reach_s``, or none can be, for the reason told.
        """
        client = cls(Reach(StoreDirectory(directory), start_owner=start_owner), reach_s=reach_s, role=role)
        client.capabilities()
        return client

    def _start_life(self) -> None:
        """A new identity. At the start, and in a forked child, whose parent goes on using the old one."""
        self._pid = os.getpid()
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self._session = Session()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._send_lock = threading.Lock()
        self._leading = False
        self._callers = 0
        self._connection = 0
        self._requests = 0
        self._epoch = 0
        self._usual_s = _SPIN_S_MAX / 2
        self._reader = FrameReader()
        self._buffer = memoryview(bytearray(_READ_BYTES))

    # --- what it offers beside `StoreCalls` ------------------------------------------------------------------------
    def enqueue(self, groups: Sequence[m.JobGroup], *, atomic: bool = False) -> m.EnqueueAnswer:
        """Accept jobs: durable when this returns."""
        return self.ask(protocol.ENQUEUE, protocol.Enqueue(list(groups), atomic))

    @overload
    def lease(self, request: m.LeaseRequest, wait_s: float = 0.0) -> m.LeaseBatch: ...

    @overload
    def lease(self, request: m.LeaseRequest, wait_s: float = 0.0, *, decode_as: type[T]) -> T: ...

    def lease(self, request: m.LeaseRequest, wait_s: float = 0.0, *, decode_as: Any = m.LeaseBatch) -> Any:
        """Take ready jobs; wait up to ``wait_s`` for some. ``decode_as`` is another shape of the same array."""
        return self._in_steps(
            lambda step_s: self.ask(protocol.lease_call(decode_as), protocol.Lease(request, step_s), wait_s=step_s),
            lambda batch: bool(batch.jobs),
            wait_s,
        )

    def wait(self, ids: Sequence[bytes], wait_s: float, *, result: bool = False) -> list[m.JobView | None]:
        """The jobs as soon as all have ended or are gone, or as they are after ``wait_s``."""
        return self._in_steps(
            lambda step_s: self.ask(protocol.WAIT, protocol.Wait(list(ids), step_s, result), wait_s=step_s),
            lambda views: all(view is None or view.state in TERMINAL for view in views),
            wait_s,
        )

    def _in_steps(self, ask: Callable[[float], T], is_enough: Callable[[T], bool], wait_s: float) -> T:
        """The owner parks a request for WAIT_S_MAX at most; longer waits ask again."""
        until = time.monotonic() + wait_s if wait_s > limits.WAIT_S_MAX else None
        while True:
            answer = ask(min(wait_s, limits.WAIT_S_MAX))
            if until is None or is_enough(answer) or (wait_s := until - time.monotonic()) <= 0:
                return answer

    def statistics(self) -> ClientStatistics:
        """What this client has done."""
        with self._lock:
            return ClientStatistics(self._requests, self._connection, len(self._session), self._epoch)

    def close(self) -> None:
        """Let go of the connection; requests in flight raise StoreUnavailable. A second call does nothing."""
        if os.getpid() != self._pid:
            # Not this process's connection to end; only its copy of the descriptor.
            self._start_life()
        with self._lock:
            self._closed = True
            self._room.notify_all()
            is_read = self._leading
        self._break()
        if not is_read:
            self._disconnect()

    # --- asking ----------------------------------------------------------------------------------------------------
    def ask(self, call: Call[Q, A], request: Q, *, wait_s: float = 0.0) -> A:
        """Send a request and wait for its answer.

        Raises:
            StoreUnavailable: no answer within ``wait_s`` and ``reach_s``. Whether it was applied is not known.
            PenstockError: what the owner answered.
        """
        if os.getpid() != self._pid:
            self._start_life()
        payload = protocol.encode(request)
        asked = time.monotonic()
        pending = self._register(call, payload, asked + wait_s + self._reach_s)
        try:
            self._send(pending)
            self._await(pending)
        finally:
            self._forget(pending)
        if not wait_s:
            self._usual_s += (min(time.monotonic() - asked, 2 * _SPIN_S_MAX) - self._usual_s) / 8
        if pending.error is not None:
            raise pending.error
        assert pending.answer is not None
        return call.answer(pending.answer)

    def _register(self, call: Call[Any, Any], payload: bytes, deadline: float) -> Pending:
        with self._lock:
            if self._callers >= limits.CLIENT_CALLERS_MAX:
                raise StoreOverloaded(f"{limits.CLIENT_CALLERS_MAX} threads wait for the store already.")
            self._callers += 1
            try:
                while not self._closed and not self._session.has_room(recorded=call.recorded):
                    if not self._room.wait(deadline - time.monotonic()):
                        raise StoreUnavailable("The store's owner does not answer.")
                if self._closed:
                    raise StoreUnavailable("This client is closed.")
                self._requests += 1
                return self._session.ask(call.kind, payload, deadline, recorded=call.recorded)
            except BaseException:
                self._callers -= 1
                raise

    def _forget(self, pending: Pending) -> None:
        """The caller leaves, with an answer or without."""
        with self._lock:
            self._callers -= 1
            if not pending.done:
                self._session.give_up(pending)
                self._room.notify()
                self._wake_next()

    def _send(self, pending: Pending) -> None:
        with self._send_lock:
            # Without a connection, whoever reads makes one and sends what is unanswered.
            if self._sock is None or pending.connection == self._connection:
                return
            pending.connection = self._connection
            self._write(self._sock, pending.frame, pending.deadline)

    def _write(self, sock: socket.socket, frame: bytes, deadline: float) -> None:
        """Send all of a frame, or break the connection: half a frame must not be followed by another."""
        data: bytes | memoryview = frame
        try:
            while True:
                try:
                    sent = sock.send(data)
                except BlockingIOError:
                    sent = 0
                    if time.monotonic() >= deadline:
                        raise
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]
        except OSError:
            _shut(sock)
        except BaseException:
            _shut(sock)
            raise

    # --- waiting ---------------------------------------------------------------------------------------------------
    def _await(self, pending: Pending) -> None:
        """Return when it is done; read for all when nobody else does."""
        while not pending.done:
            with self._lock:
                if pending.done:
                    return
                leads = not self._leading
                if leads:
                    self._leading = True
                else:
                    pending.waker = threading.Lock()
                    pending.waker.acquire()
            if leads:
                self._lead(pending)
            elif not pending.waker.acquire(timeout=max(0.0, pending.deadline - time.monotonic())):
                raise StoreUnavailable("The store's owner does not answer.")

    def _lead(self, pending: Pending) -> None:
        try:
            while not pending.done:
                if self._sock is None:
                    self._reconnect(pending.deadline)
                self._read(pending.deadline)
        except StoreUnavailable:
            raise
        except BaseException:
            # Interrupted between reading and keeping what was read: this stream cannot be trusted any more.
            self._disconnect()
            raise
        finally:
            with self._lock:
                self._leading = False
                self._wake_next()

    def _wake_next(self) -> None:
        """Have somebody else read, if anybody still waits. Call with ``_lock`` held."""
        if self._leading or not len(self._session):
            return
        for pending in self._session.unanswered():
            if pending.waker is not None and pending.waker.locked():
                pending.waker.release()
                return

    def _read(self, deadline: float) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            count = self._spin(sock) if self._usual_s < _SPIN_S_MAX and self._callers == 1 else 0
            count = count or sock.recv_into(self._buffer)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreUnavailable("The store's owner does not answer.") from None
            return
        except OSError:
            count = 0
        if not count:
            self._disconnect()
            return
        # Nobody but who leads touches the reader, so frames are cut without a lock.
        frames = self._reader.feed(bytes(self._buffer[:count]))
        with self._lock:
            for kind, number, payload in frames:
                self._deliver(kind, number, payload)

    def _spin(self, sock: socket.socket) -> int:
        """Look for an answer for about as long as one usually takes; 0: there was none."""
        until = time.perf_counter() + 2 * self._usual_s
        while True:
            try:
                return sock.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.perf_counter() >= until:
                    return 0
            os.sched_yield()

    def _deliver(self, kind: int, number: int, payload: bytes) -> None:
        if kind == protocol.CLOSING:
            self._break()
            return
        pending = self._session.answered(number)
        if pending is None:
            return
        settle_pending(pending, kind, payload)
        if pending.waker is not None and pending.waker.locked():
            pending.waker.release()
        self._room.notify()

    # --- the connection --------------------------------------------------------------------------------------------
    def _reconnect(self, deadline: float) -> None:
        """Connect, say hello, repeat what is unanswered. Only who leads calls this."""
        until = min(deadline, time.monotonic() + self._reach_s)
        pause_s = _PAUSE_S
        while True:
            if self._closed:
                raise StoreUnavailable("This client is closed.")
            sock = self._dial(until)
            try:
                welcome = greet(sock, self._session, self._role, until)
                look_up_every(sock, min(_LOOK_S_MAX, self._reach_s / 4))
            except (OSError, StoreOverloaded) as error:
                sock.close()
                if time.monotonic() + pause_s >= until:
                    if isinstance(error, PenstockError):
                        raise
                    raise StoreUnavailable(f"The store's owner does not answer: {error}.") from error
            except BaseException:
                sock.close()
                raise
            else:
                break
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)
        self._epoch = welcome.epoch
        self._reader = FrameReader()
        with self._send_lock:
            self._sock = sock
            self._connection += 1
            with self._lock:
                unanswered = self._session.unanswered()
            for pending in unanswered:
                pending.connection = self._connection
                self._write(sock, pending.frame, until)

    def _break(self) -> None:
        """Have whoever reads or sends notice that this connection is over."""
        sock = self._sock
        if sock is not None:
            _shut(sock)

    def _disconnect(self) -> None:
        self._break()
        with self._send_lock:
            if self._sock is not None:
                self._sock.close()
                self._sock = None


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
