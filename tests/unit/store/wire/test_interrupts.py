"""A thread that is interrupted while it asks leaves a client that works on as before."""

import dis
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import wraps

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.store.wire import protocol
from penstock.store.wire.calls import OwnerStatistics
from penstock.store.wire.client import exchange
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.client.exchange import Caller, surely

STOPS = ("CALL", "RESUME", "JUMP_BACKWARD")
"""After these, Python lets signal handlers run."""


def in_its_own_thread(test):
    """Python 3.11 keeps an exception that a tracer interrupts in its handler, and all that it refers to, for as long as
    the thread lives. So the thread ends with the test."""

    @wraps(test)
    def run(*args, **kwargs):
        with ThreadPoolExecutor(1) as threads:
            threads.submit(test, *args, **kwargs).result()

    return run


class Interrupter:
    """Raises in the asking thread at the n-th moment at which a signal could."""

    def __init__(self, at):
        self.left = at
        self.last = {}

    def trace(self, frame, event, _):
        if event == "call":
            # What it calls is Python too: signal handlers run there, not behind it.
            self.last.pop(frame.f_back, None)
        if "penstock/store/wire" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            before, self.last[frame] = self.last.get(frame), dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before is not None and before.startswith(STOPS):
                self.left -= 1
                if not self.left:
                    raise KeyboardInterrupt
        return self.trace

    def __enter__(self):
        self.before = sys.gettrace()
        # Python 3.12 looks when tracing begins whether anybody has asked for opcodes, and not again.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self.trace)

    def __exit__(self, *_):
        sys.settrace(self.before)


def moments(act):
    """Do it again and again, interrupted a moment later each time, until it is done before it is interrupted."""
    for at in range(1, 10_000):
        interrupter = Interrupter(at)
        try:
            with interrupter:
                act()
        except KeyboardInterrupt:
            yield at
        else:
            return


def alone(client):
    """The thread finds nobody else: it sends and receives by itself."""


def among_others(client):
    """As if another thread were here as well: it is registered, and receives for all."""
    client._ask_alone = lambda caller, call, payload: None


@pytest.mark.parametrize("way", [alone, among_others])
@pytest.mark.parametrize("is_cut", [False, True])
@in_its_own_thread
def test_an_interrupted_call_holds_up_no_later_one(served, groups, way, is_cut):
    client = Client(served.dial, reach_s=2.0)
    client.enqueue(groups(1))
    count = 0

    def interrupted():
        way(client)
        if is_cut:
            served.cut()
        client.enqueue(groups(2))

    for _ in moments(interrupted):
        count += 1
        assert client._callers == set()
        assert client.statistics().unanswered == 0
        for _ in range(2):
            assert client.enqueue(groups(3)).accepted == 1
    assert count > 10
    client.close()
    for sock in served.dialled:
        sock.close()


class AgainInClearingUp:
    """A lock. Who takes it after it was interrupted is interrupted again, at the n-th moment from there on.

    Tracing ends with the first interrupt. What clears up takes a lock before it does anything else.
    """

    def __init__(self, again):
        self.again = again
        self.lock = threading.Lock()

    def __enter__(self):
        self.again.resume(sys._getframe(1))
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)


class Again(Interrupter):
    """Interrupts once at the n-th moment, and then at each of ``gaps`` moments after clearing up has begun anew."""

    def __init__(self, at, gaps):
        super().__init__(at)
        self.gaps = list(gaps)

    def resume(self, frame):
        if self.left > 0 or not self.gaps or sys.gettrace() is not None:
            return
        self.left = self.gaps.pop(0)
        self.last = {}
        while frame is not None and "penstock/store/wire" in frame.f_code.co_filename:
            frame.f_trace, frame.f_trace_opcodes = self.trace, True
            frame = frame.f_back
        sys.settrace(self.trace)


def stop_tracing():
    sys.settrace(None)


@pytest.mark.parametrize("way", [alone, among_others])
@pytest.mark.parametrize("gaps", [[1], [2], [4], [7], [12], [20], [1, 1], [3, 2], [6, 6]], ids=str)
@in_its_own_thread
def test_a_call_that_is_interrupted_again_while_it_clears_up_holds_up_no_later_one(served, groups, way, gaps):
    client = Client(served.dial, reach_s=2.0)
    client.enqueue(groups(1))
    plain = client._lock, client._send_lock
    count = 0
    for at in range(1, 10_000):
        interrupter = Again(at, gaps)
        client._lock, client._send_lock = AgainInClearingUp(interrupter), AgainInClearingUp(interrupter)
        try:
            way(client)
            with interrupter:
                client.enqueue(groups(2))
        except KeyboardInterrupt:
            stop_tracing()
            count += 1
        else:
            break
        finally:
            client._lock, client._send_lock = plain
        assert client._callers == set()
        assert client.statistics().unanswered == 0
        assert client.enqueue(groups(3)).accepted == 1
    assert count > 10
    client.close()
    for sock in served.dialled:
        sock.close()


class BeforeItBegins:
    """`surely`, interrupted when it has been called and has done nothing; once for each call that is interrupted."""

    def __init__(self):
        self.interrupts = 0

    def __call__(self, act, *arguments):
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        surely(act, *arguments)


@pytest.mark.parametrize("way", [alone, among_others])
@in_its_own_thread
def test_a_call_that_is_interrupted_again_before_it_clears_up_holds_up_no_later_one(served, groups, way, monkeypatch):
    again = BeforeItBegins()
    monkeypatch.setattr(exchange, "surely", again)
    client = Client(served.dial, reach_s=2.0)
    client.enqueue(groups(1))
    count = 0

    def interrupted():
        way(client)
        again.interrupts = 1
        client.enqueue(groups(2))

    for _ in moments(interrupted):
        again.interrupts, missed = 0, again.interrupts
        count += not missed
        assert client._callers == set()
        assert client.statistics().unanswered == 0
        assert client._session.lowest == client._session._next_recorded
        assert client.enqueue(groups(3)).accepted == 1
    assert count > 10
    client.close()
    for sock in served.dialled:
        sock.close()


@pytest.mark.parametrize("times", [0, 1, 2, 3])
@in_its_own_thread
def test_what_clears_up_is_done_to_its_end_and_the_last_interrupt_goes_on(times):
    begun, done = [], []

    def act(what):
        begun.append(what)
        if len(begun) <= times:
            raise KeyboardInterrupt(len(begun))
        done.append(what)

    if times:
        with pytest.raises(KeyboardInterrupt) as told:
            surely(act, "this")
        assert told.value.args == (times,)
    else:
        surely(act, "this")
    assert done == ["this"]
    assert len(begun) == times + 1


@in_its_own_thread
def test_who_waits_for_room_and_is_interrupted_leaves_its_turn_to_the_next(served, groups, monkeypatch):
    """A waiter that was called in and goes away calls in the next."""
    monkeypatch.setattr(limits, "CLIENT_REQUESTS_MAX", 1)
    client = Client(served.dial)
    client.enqueue(groups(1))
    first, second = Caller(), threading.Thread(target=client.enqueue, args=(groups(2),))
    held = client._session.ask(protocol.ENQUEUE.kind, b"", 0.0, recorded=True)
    with client._lock:
        client._callers.add(first)
        client._line[first] = None
    second.start()
    while len(client._line) < 2:
        pass
    with client._lock:
        client._session.give_up(held)
        assert client._call_in()
    client._leave(first)
    second.join()
    assert client._callers == set()
    client.close()


@in_its_own_thread
def test_who_finds_no_room_in_time_is_told_so(served, groups, monkeypatch):
    monkeypatch.setattr(limits, "CLIENT_REQUESTS_MAX", 1)
    client = Client(served.dial, reach_s=0.05)
    client.capabilities()
    among_others(client)
    held = client._session.ask(protocol.ENQUEUE.kind, b"", 0.0, recorded=True)
    with pytest.raises(StoreUnavailable):
        client.enqueue(groups(1))
    assert client._callers == set()
    client._session.give_up(held)
    assert client.enqueue(groups(1)).accepted == 1
    client.close()


@pytest.mark.parametrize("size_bytes", [0, 5, 17, 1_000], ids=["after", "in its head", "in its payload", "before"])
@in_its_own_thread
def test_the_answer_to_a_request_that_was_given_up_is_taken_for_no_other(size_bytes):
    """It comes behind the answer to one request and before that to the next, cut anywhere between these two."""
    ours, theirs = socket.socketpair()
    client = Client(lambda until: ours)
    told = OwnerStatistics(1, 2)
    given_up = protocol.frame(protocol.ANSWER, protocol.UNRECORDED + 1_000, b"of another call" * 3)
    around = [(b"", b""), (b"", given_up[:size_bytes]), (given_up[size_bytes:], b""), (b"", b"")]

    def serve():
        reader = protocol.FrameReader()
        ((_, number, _),) = reader.feed(theirs.recv(4096))
        payload = protocol.encode(protocol.Welcome(protocol.WIRE_VERSION, 1, 1))
        theirs.sendall(protocol.frame(protocol.ANSWER, number, payload))
        for before, behind in around:
            ((_, number, _),) = reader.feed(theirs.recv(4096))
            theirs.sendall(before + protocol.frame(protocol.ANSWER, number, protocol.encode(told)) + behind)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    for _ in around:
        assert client.owner_statistics() == told
    thread.join()
    client.close()
    theirs.close()
