"""Requests and answers over one connection, for threads.

With one thread at a time a request is a send and a receive on the caller's own thread, no hop to another, and as little
code as can be: where many processes alternate on a core, what a call touches is what it costs. Several threads share
the connection: each sends its own request, and one of those that wait reads for all; when it has its answer, another
reads on.

``_send_lock`` is held while bytes are sent, ``_lock`` while all else is looked at or changed. ``_lock`` may be taken
inside ``_send_lock``, never the other way round. Who reads takes ``_lock`` only: a reader must not wait for a sender,
because the owner may stop reading until its answers have been read.

A thread may be interrupted anywhere (Ctrl-C, a job's time limit), also while it clears up, and go on asking:
* Changes that belong together have no call between them, because calls are where signal handlers run.
* Clearing up may be done again from its beginning. `surely` does so when it is interrupted, and is called once more,
  because the interrupt may come before `surely` has begun.
* That the stream cannot be trusted is marked before it is touched (`_torn`, `_half_sent`), and taken back afterwards.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreOverloaded, StoreUnavailable
from penstock.store.wire import protocol
from penstock.store.wire.calls import Call
from penstock.store.wire.client.hello import greet, look_up_every
from penstock.store.wire.client.reach import Dial
from penstock.store.wire.client.session import ClientStatistics, Forks, Pending, Session, outcome_of, settle_pending
from penstock.store.wire.client.stream import look, send_at_once, send_whole, shut, surely
from penstock.store.wire.client.surface import StoreCalls
from penstock.store.wire.client.waiting_room import Room, Visit
from penstock.store.wire.protocol import FrameReader

_READ_BYTES: Final = 256 * 1024
_LOOK_S_MAX: Final = 0.5
"""How often a blocked thread looks at its deadline."""
_PAUSE_S: Final = 0.01
_PAUSE_S_MAX: Final = 0.5
_SLEEPS: Final = 8
"""A thread that is alone looks for its answer for a moment before it sleeps, because waking a thread takes as long as a
third of an ``fdatasync``. When looking has brought nothing, it sleeps for so many answers before it looks again."""
_ALONE_BYTES_MAX: Final = 16 * 1024
"""A request up to this size fits the buffer of an idle socket for certain, so sending it never waits."""
_NOBODY: Final = 0
"""Nobody reads. Below 0: a thread on the short way; above: a caller with this number in the session's book."""


class Exchange(StoreCalls):
    """Asks an owner, and survives its death and a fork of this process.

    Its marks: ``_torn`` and ``_half_sent``: a thread reads, or sends; one that leaves without taking it back ends the
    connection. ``_all_answered``: no answer to a request that was given up can still come on this connection, so that
    the next answer is the next request's, and the short way is open. ``_leader``: who reads, see `_NOBODY`.

    Args:
        dial: makes connections.
        reach_s: how long a request may go without an owner, beyond the wait it asks for; then StoreUnavailable.
        role: what this process is, for people.
    """

    def __init__(self, dial: Dial, *, reach_s: float = limits.RECONNECT_S_MAX, role: str = "client") -> None:
        self._dial = dial
        self._reach_s = reach_s
        self._look_ms = max(1, int(1000 * min(_LOOK_S_MAX, reach_s / 4)))
        self._role = role
        self._sock: socket.socket | None = None
        self._closed = False
        self._start_life()

    def _start_life(self) -> None:
        """A new identity. At the start, and in a forked child, whose parent goes on using the old one."""
        self._forks = Forks.count
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self._session = Session()
        self._lock = threading.Lock()
        self._room = Room()
        self._send_lock = threading.Lock()
        self._leader = _NOBODY
        self._inside: set[object] = set()
        self._torn = self._half_sent = False
        self._connection = 0
        self._requests = 0
        self._epoch = 0
        self._sleeps = 0
        self._all_answered = False
        self._poll: Callable[[int], list[tuple[int, int]]] = select.poll().poll
        self._reader = FrameReader()
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def statistics(self) -> ClientStatistics:
        """What this client has done."""
        with self._lock:
            return ClientStatistics(self._requests, self._connection, len(self._session), self._epoch)

    def close(self) -> None:
        """Let go of the connection; requests in flight raise StoreUnavailable. A second call does nothing."""
        if self._forks != Forks.count:
            # Not this process's connection to end; only its copy of the descriptor.
            self._start_life()
        with self._lock:
            self._closed = True
            while self._room.call_in():
                pass
            is_read = self._leader != _NOBODY
        self._break()
        if not is_read:
            self._disconnect()

    # --- asking ----------------------------------------------------------------------------------------------------
    def ask(self, call: Call, request: Any, *, wait_s: float = 0.0) -> Any:
        """Send a request and wait for its answer.

        Raises:
            StoreUnavailable: no answer within ``wait_s`` and ``reach_s``. Whether it was applied is not known.
            PenstockError: what the owner answered.
        """
        if self._forks != Forks.count:
            self._start_life()
        payload = protocol.encode_request(request)
        answer = None if wait_s else self._ask_alone(call, payload)
        if answer is None:
            answer = self._ask_among_others(call, payload, time.monotonic() + wait_s + self._reach_s)
        return call.answer(answer)

    def _ask_alone(self, call: Call, payload: bytes) -> bytes | None:
        """The short way to an answer, for a thread that finds nobody else here. None: the long way, please."""
        me, pending = -threading.get_ident(), None
        try:
            with self._lock:
                sock = self._sock
                if self._inside or sock is None or not self._all_answered or len(payload) > _ALONE_BYTES_MAX:
                    return None
                self._leader = me
                self._inside.add(me)
                self._requests += 1
                number = self._session.ask_alone(recorded=call.recorded)
                # Under the lock, so that nobody else sends. It does not wait: nothing else is under way.
                is_sent = send_at_once(sock, protocol.frame(call.kind, number, payload))
            count = self._read_alone(sock) if is_sent else 0
            answer = protocol.sole_answer(self._buffer, count, number)
            if answer is not None:
                with self._lock:
                    self._session.answered_alone()
                    self._leader = _NOBODY
                    self._inside.discard(me)
                    if self._inside:
                        self._make_way()
                return answer
            pending = Pending(call.kind, number, payload, time.monotonic() + self._reach_s)
            pending.connection = self._connection
            with self._lock:
                self._session.adopt(pending)
                self._torn, self._leader = True, number
            self._lead(pending, bytes(self._buffer[:count]))
            self._forget(me, pending)
        except BaseException:
            try:
                surely(self._leave_alone, me, pending)
            except BaseException:
                # Perhaps interrupted again before that had begun.
                surely(self._leave_alone, me, pending)
                raise
            raise
        return outcome_of(pending)

    def _leave_alone(self, me: int, pending: Pending | None) -> None:
        """After an interrupt on the short way, wherever on it. May be called again."""
        if self._leader == me:
            # Interrupted between reading and keeping what was read, see `_lead`.
            self._disconnect()
            with self._lock:
                self._session.answered_alone()
                if pending is not None:
                    self._session.give_up(pending)
                self._leader = _NOBODY
        self._forget(me, pending)

    def _ask_among_others(self, call: Call, payload: bytes, deadline: float) -> bytes:
        visit = Visit()
        try:
            pending = self._register(visit, call, payload, deadline)
            self._send(pending)
            self._await(pending)
            self._forget(visit, pending)
        except BaseException:
            try:
                surely(self._leave, visit)
            except BaseException:
                surely(self._leave, visit)
                raise
            raise
        return outcome_of(pending)

    def _register(self, visit: Visit, call: Call, payload: bytes, deadline: float) -> Pending:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreUnavailable("This client is closed.")
                if len(self._inside) >= limits.CLIENT_CALLERS_MAX and visit not in self._inside:
                    raise StoreOverloaded(f"{limits.CLIENT_CALLERS_MAX} threads wait for the store already.")
                self._inside.add(visit)
                if self._session.has_room(recorded=call.recorded):
                    self._requests += 1
                    visit.pending = self._session.ask(call.kind, payload, deadline, recorded=call.recorded)
                    return visit.pending
                self._room.put(visit)
            visit.wait(deadline)

    def _leave(self, visit: Visit) -> None:
        """After an interrupt on the long way, wherever on it. May be called again."""
        self._forget(visit, visit.pending)

    def _forget(self, visitor: object, pending: Pending | None) -> None:
        """The caller leaves, with an answer or without. May be called again."""
        if pending is not None and self._torn and self._leader == pending.number:
            self._disconnect()
        with self._lock:
            if pending is not None and visitor in self._inside:
                if not pending.done:
                    # Its answer may come yet, between those of others or in parts.
                    self._all_answered = False
                    self._session.give_up(pending)
                if self._leader == pending.number:
                    self._leader = _NOBODY
            self._inside.discard(visitor)
            self._room.leave(visitor)
            self._make_way()

    def _send(self, pending: Pending) -> None:
        with self._send_lock:
            # Without a connection, whoever reads makes one and sends what is unanswered.
            if self._sock is None or pending.connection == self._connection:
                return
            pending.connection = self._connection
            self._transmit(self._sock, pending.frame, pending.deadline)

    def _transmit(self, sock: socket.socket, frame: bytes, deadline: float) -> None:
        """Send a whole frame, or end the connection. Call with ``_send_lock`` held."""
        if self._half_sent:
            # Somebody was interrupted: half a frame must not be followed by another.
            shut(sock)
            return
        self._half_sent = True
        send_whole(sock, frame, deadline)
        self._half_sent = False

    # --- waiting ---------------------------------------------------------------------------------------------------
    def _await(self, pending: Pending) -> None:
        """Return when it is done; read for all when nobody else does."""
        while not pending.done:
            with self._lock:
                if pending.done:
                    return
                leads = self._leader == _NOBODY
                if leads:
                    self._torn, self._leader = True, pending.number
                else:
                    pending.waker = threading.Lock()
                    pending.waker.acquire()
            if leads:
                self._lead(pending)
            elif not pending.waker.acquire(timeout=max(0.0, pending.deadline - time.monotonic())):
                raise StoreUnavailable("The store's owner does not answer.")

    def _lead(self, pending: Pending, data: bytes = b"") -> None:
        """Read, first ``data``, until it is done. Its caller leads until it leaves (`_forget`). Interrupted, perhaps
        between reading and keeping what was read, it leaves a stream that is torn: not to be trusted any more."""
        try:
            if data:
                self._take(data)
            while not pending.done:
                if self._sock is None:
                    self._reconnect(pending.deadline)
                self._read(pending.deadline)
        except StoreUnavailable:
            self._torn = False
            raise
        self._torn = False

    def _make_way(self) -> None:
        """Somebody has left: have somebody else ask, and read, if anybody still waits. Call with ``_lock`` held."""
        self._room.call_in()
        if self._leader != _NOBODY or not len(self._session):
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
            # Who blocks in a receive is also woken when the owner has read its request, for nothing; this is not.
            count = sock.recv_into(self._buffer) if self._poll(self._look_ms) else -1
        except BlockingIOError:
            count = -1
        except OSError:
            count = 0
        if count < 0:
            if time.monotonic() >= deadline:
                raise StoreUnavailable("The store's owner does not answer.")
            return
        if not count:
            self._disconnect()
            return
        self._take(bytes(self._buffer[:count]))

    def _take(self, data: bytes) -> None:
        # Nobody but who leads touches the reader, so frames are cut without a lock.
        frames = self._reader.feed(data)
        with self._lock:
            for kind, number, payload in frames:
                self._deliver(kind, number, payload)

    def _read_alone(self, sock: socket.socket) -> int:
        """Bytes of what the first read brings. 0: nothing yet, or not any more."""
        try:
            count = 0 if self._sleeps else look(sock, self._buffer)
            if count:
                return count
            self._sleeps = (self._sleeps + 1) % _SLEEPS
            return sock.recv_into(self._buffer) if self._poll(self._look_ms) else 0
        except OSError:
            return 0

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
        self._room.call_in()

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
                look_up_every(sock, self._look_ms / 1000)
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
        self._all_answered = True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        self._poll = poll.poll
        with self._send_lock:
            self._sock, self._half_sent = sock, False
            self._connection += 1
            with self._lock:
                unanswered = self._session.unanswered()
            for pending in unanswered:
                pending.connection = self._connection
                self._transmit(sock, pending.frame, until)

    def _break(self) -> None:
        """Have whoever reads or sends notice that this connection is over."""
        sock = self._sock
        if sock is not None:
            shut(sock)

    def _disconnect(self) -> None:
        self._break()
        with self._send_lock:
            if self._sock is not None:
                self._sock.close()
                self._sock = None
            self._torn = False
