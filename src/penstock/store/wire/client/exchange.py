"""Requests and answers for threads that share one connection.

A thread asks in one of two ways:
* *Alone*, when no other thread is here: it sends its request and receives the answer itself, in as few steps as can be.
  Where many processes take turns on a core, what a call touches is what it costs.
* *Among others*: every thread sends its own request, and one of them receives for all (`_reader`). That one wakes each
  thread whose answer comes. When it has its own answer it leaves, and wakes another thread to receive in its place.

What an exchange knows is in three places: the connection in a `Stream`, which requests have no answer yet in a
`Session`, and who is here and waits for what in `Caller`s.

Two locks. ``_send_lock`` is held while bytes are sent or the connection is replaced, ``_lock`` while all else is looked
at or changed. ``_lock`` may be taken inside ``_send_lock``, never the other way round. Who receives takes ``_lock``
only: it must not wait for a thread that sends, because the owner may stop reading until its answers have been read.
A thread that is alone sends under ``_lock``: no other thread can have a request to send then.

A thread may be interrupted anywhere, by Ctrl-C or a job's time limit, also while it clears up, and may go on asking:
* Changes that belong together have no call between them, because calls are where signal handlers run.
* A thread that leaves clears up in `_leave`, which may be done again from its beginning. `surely` does that when it is
  interrupted, and is called once more, because the interrupt may come before `surely` has begun.
* Who receives says so before the first byte, and takes that back only when all that was received has been handed out.
  So a thread that leaves as the `_reader` was interrupted, and the connection is ended: bytes may be missing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreOverloaded, StoreUnavailable
from penstock.store.wire import protocol
from penstock.store.wire.calls import Call
from penstock.store.wire.client.reach import Dial
from penstock.store.wire.client.session import ClientStatistics, Forks, Pending, Session, outcome_of, settle_pending
from penstock.store.wire.client.stream import Stream, open_stream
from penstock.store.wire.client.surface import StoreCalls

_BLOCK_S_MAX: Final = 0.5
"""How often a blocked thread looks at its deadline."""
_PAUSE_S: Final = 0.01
_PAUSE_S_MAX: Final = 0.5
_ALONE_BYTES_MAX: Final = 16 * 1024
"""A request up to this size fits the buffer of an idle socket for certain, so sending it never waits."""


class Caller:
    """One thread that asks something, from when it comes until it leaves.

    It sleeps for one of three reasons: its answer has not come, nobody receives and it is to, or its request has to
    wait until the session has room for it. When it is woken it looks for itself which of them it was.

    A condition variable would do, but for interrupts: a thread that is interrupted twice in its wait leaves one without
    the lock it came with, and a place in line that nobody takes.

    Attributes:
        pending: its request, once that has a number and is in the session.
    """

    # Set in the class, not in `__init__`: a thread that is alone needs neither, and pays for neither.
    pending: Pending | None = None
    _asleep: threading.Lock | None = None

    def will_sleep(self) -> None:
        """The thread says so itself, while it holds the lock under which it is woken, so that no `wake` is missed."""
        if self._asleep is None:
            self._asleep = threading.Lock()
        # Whoever lets go of it wakes the thread.
        self._asleep.acquire(blocking=False)

    def sleep(self, deadline: float) -> None:
        """Sleep until woken, after `will_sleep`.

        Raises:
            StoreUnavailable: nobody has woken it by ``deadline`` (monotonic seconds).
        """
        assert self._asleep is not None
        if not self._asleep.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise StoreUnavailable("The store's owner does not answer.")

    def wake(self) -> bool:
        """Called by other threads, with the same lock held. Answers False if it did not sleep."""
        if self._asleep is not None and self._asleep.locked():
            self._asleep.release()
            return True
        return False


class Exchange(StoreCalls):
    """Asks an owner, and survives its death and a fork of this process. The base of the client for threads.

    Args:
        dial: makes connections.
        reach_s: how long a request may go without an owner, beyond the wait it asks for; then StoreUnavailable.
        role: what this process is, for people.
    """

    def __init__(self, dial: Dial, *, reach_s: float = limits.RECONNECT_S_MAX, role: str = "client") -> None:
        self._dial = dial
        self._reach_s = reach_s
        self._block_s = min(_BLOCK_S_MAX, reach_s / 4)
        self._role = role
        self._stream: Stream | None = None
        self._closed = False
        self._start_life()

    def _start_life(self) -> None:
        """Begin with nothing asked yet and an identity of its own: at the start, and in a forked child, whose parent
        goes on using the old identity."""
        self._forks = Forks.count
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._session = Session()
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._callers: set[Caller] = set()
        self._reader: Caller | None = None
        self._line: dict[Caller, None] = {}
        self._connections = 0
        self._requests = 0
        self._epoch = 0

    def statistics(self) -> ClientStatistics:
        """What this client has done."""
        with self._lock:
            return ClientStatistics(self._requests, self._connections, len(self._session), self._epoch)

    def close(self) -> None:
        """Let go of the connection; requests in flight raise StoreUnavailable. A second call does nothing."""
        if self._forks != Forks.count:
            # Not this process's connection to end; only its copy of the descriptor.
            self._start_life()
        with self._lock:
            self._closed = True
            while self._call_in():
                pass
            is_read = self._reader is not None
        if (stream := self._stream) is not None:
            stream.shut()
        if not is_read:
            self._disconnect()

    # --- asking -------------------------------------------------------------------------------------------------------
    def ask(self, call: Call, request: Any, *, wait_s: float = 0.0) -> Any:
        """Send a request and wait for its answer.

        Raises:
            StoreUnavailable: no answer within ``wait_s`` and ``reach_s``. Whether it was applied is not known.
            PenstockError: what the owner answered.
        """
        if self._forks != Forks.count:
            self._start_life()
        payload = protocol.encode_request(request)
        caller = Caller()
        try:
            answer = None if wait_s else self._ask_alone(caller, call, payload)
            if answer is None:
                answer = self._ask_among_others(caller, call, payload, time.monotonic() + wait_s + self._reach_s)
        except BaseException:
            try:
                surely(self._leave, caller)
            except BaseException:
                # Perhaps interrupted again before that had begun.
                surely(self._leave, caller)
                raise
            raise
        return call.answer(answer)

    def _ask_alone(self, caller: Caller, call: Call, payload: bytes) -> bytes | None:
        """For a thread that finds nobody else here. None: nothing was asked; it has to ask among others."""
        with self._lock:
            stream = self._stream
            if self._callers or stream is None or not stream.is_between_frames or len(payload) > _ALONE_BYTES_MAX:
                return None
            self._reader = caller
            self._callers.add(caller)
            self._requests += 1
            number = self._session.ask_alone(recorded=call.recorded)
            stream.send_at_once(protocol.frame(call.kind, number, payload))
        answer = stream.receive_answer(number)
        if answer is None:
            return self._go_on(caller, Pending(call.kind, number, payload, time.monotonic() + self._reach_s))
        with self._lock:
            self._session.answered_alone()
            self._reader = None
            self._callers.discard(caller)
            if self._callers:
                self._make_way()
        return answer

    def _go_on(self, caller: Caller, pending: Pending) -> bytes:
        """Its answer has not come at once: from here on the thread is one among others, and receives for all."""
        pending.sent_on = self._stream
        caller.pending = pending
        with self._lock:
            self._session.adopt(pending)
        self._read(pending)
        self._leave(caller)
        return outcome_of(pending)

    def _ask_among_others(self, caller: Caller, call: Call, payload: bytes, deadline: float) -> bytes:
        pending = self._register(caller, call, payload, deadline)
        self._send(pending)
        while not pending.done:
            with self._lock:
                if pending.done:
                    break
                is_reader = self._reader is None
                if is_reader:
                    self._reader = caller
                else:
                    caller.will_sleep()
            if is_reader:
                self._read(pending)
            else:
                caller.sleep(deadline)
        self._leave(caller)
        return outcome_of(pending)

    def _register(self, caller: Caller, call: Call, payload: bytes, deadline: float) -> Pending:
        """Put a request into the session; wait in line while that has no room for it."""
        while True:
            with self._lock:
                if self._closed:
                    raise StoreUnavailable("This client is closed.")
                if len(self._callers) >= limits.CLIENT_CALLERS_MAX and caller not in self._callers:
                    raise StoreOverloaded(f"{limits.CLIENT_CALLERS_MAX} threads wait for the store already.")
                self._callers.add(caller)
                if self._session.has_room(recorded=call.recorded):
                    self._requests += 1
                    pending = self._session.ask(call.kind, payload, deadline, recorded=call.recorded)
                    caller.pending, pending.waker = pending, caller
                    return pending
                caller.will_sleep()
                self._line[caller] = None
            caller.sleep(deadline)

    def _send(self, pending: Pending) -> None:
        with self._send_lock:
            stream = self._stream
            # Without a connection, the thread that receives makes one and sends all that is unanswered.
            if stream is not None and pending.sent_on is not stream:
                pending.sent_on = stream
                stream.send(pending.frame, pending.deadline)

    # --- leaving ------------------------------------------------------------------------------------------------------
    def _leave(self, caller: Caller) -> None:
        """A thread leaves, with an answer or without, from wherever it was. May be called again."""
        if self._reader is caller:
            # Interrupted while it received.
            self._disconnect()
        with self._lock:
            if self._reader is caller:
                self._session.answered_alone()
                self._reader = None
            pending = caller.pending
            if pending is not None and not pending.done:
                self._session.give_up(pending)
            # Each holds the other, and the request what was sent, until Python next looks for such circles.
            caller.pending = None
            self._callers.discard(caller)
            self._line.pop(caller, None)
            self._make_way()

    def _make_way(self) -> None:
        """A thread has left: let one that waits in line ask, and let one receive. Call with ``_lock`` held."""
        self._call_in()
        if self._reader is None:
            for pending in self._session.unanswered():
                if pending.waker is not None and pending.waker.wake():
                    return

    def _call_in(self) -> bool:
        """Wake the thread that has waited in line longest. Answers whether there was one. Call with ``_lock`` held."""
        for caller in self._line:
            caller.wake()
            del self._line[caller]
            return True
        return False

    # --- receiving ----------------------------------------------------------------------------------------------------
    def _read(self, pending: Pending) -> None:
        """Receive until this request has its answer. Only the thread that is the `_reader` calls this."""
        try:
            while not pending.done:
                stream = self._stream
                if stream is None:
                    self._reconnect(pending.deadline)
                    continue
                frames = stream.receive()
                if frames is None:
                    self._disconnect()
                    continue
                with self._lock:
                    for kind, number, payload in frames:
                        self._deliver(kind, number, payload)
                if not pending.done and time.monotonic() >= pending.deadline:
                    raise StoreUnavailable("The store's owner does not answer.")
        except StoreUnavailable:
            # All that was received has been handed out: the connection is as good as before.
            self._reader = None
            raise
        self._reader = None

    def _deliver(self, kind: int, number: int, payload: bytes) -> None:
        if kind == protocol.CLOSING:
            if self._stream is not None:
                self._stream.shut()
            return
        pending = self._session.answered(number)
        if pending is None:
            # Its caller has given up.
            return
        settle_pending(pending, kind, payload)
        if pending.waker is not None:
            pending.waker.wake()
        self._call_in()

    # --- the connection -----------------------------------------------------------------------------------------------
    def _reconnect(self, deadline: float) -> None:
        """Connect, and repeat what is unanswered. Only the thread that is the `_reader` calls this."""
        until = min(deadline, time.monotonic() + self._reach_s)
        stream, welcome = self._connected(until)
        self._epoch = welcome.epoch
        with self._send_lock:
            self._stream = stream
            self._connections += 1
            with self._lock:
                unanswered = self._session.unanswered()
            for pending in unanswered:
                pending.sent_on = stream
                stream.send(pending.frame, until)

    def _connected(self, until: float) -> tuple[Stream, protocol.Welcome]:
        pause_s = _PAUSE_S
        while True:
            if self._closed:
                raise StoreUnavailable("This client is closed.")
            try:
                return open_stream(self._dial, self._session.hello(self._role), self._block_s, until)
            except (OSError, StoreOverloaded) as error:
                if time.monotonic() + pause_s >= until:
                    if isinstance(error, PenstockError):
                        raise
                    raise StoreUnavailable(f"The store's owner does not answer: {error}.") from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    def _disconnect(self) -> None:
        stream = self._stream
        if stream is not None:
            # First of all, so that a thread that blocks while it sends lets go of the lock.
            stream.shut()
        with self._send_lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None


def surely(act: Callable[..., None], *arguments: object) -> None:
    """Do what clears up, from its beginning again each time it is interrupted. The last interrupt goes on.

    Written out, because between a loop's rounds an interrupt would find nobody to do it again.
    """
    try:
        act(*arguments)
    except BaseException:
        try:
            act(*arguments)
        except BaseException:
            try:
                act(*arguments)
            except BaseException:
                act(*arguments)
                raise
            raise
        raise
