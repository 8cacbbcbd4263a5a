import fcntl
import gc
import socket
import sys
import termios
import threading
import warnings

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import JobView, LeaseBatch, LeaseRequest, StatsPage
from penstock.model.states import State
from penstock.store.wire import protocol
from penstock.store.wire.calls import CALLS
from penstock.store.wire.client import surface
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.client.session import Pending
from penstock.testing.clock import VirtualClock


class Patient(Client):
    """A client whose owner takes all the time it is given, on a virtual clock."""

    def __init__(self, clock, nothing, something=None, something_at=float("inf")):
        super().__init__(lambda until: pytest.fail("it must not connect"))
        self.clock, self.nothing, self.something, self.something_at = clock, nothing, something, something_at
        self.waits = []

    def ask(self, call, request, *, wait_s=0.0):
        assert request.wait_s == wait_s
        self.waits.append(wait_s)
        if self.clock.monotonic() + wait_s >= self.something_at:
            self.clock.advance(max(0.0, self.something_at - self.clock.monotonic()))
            return self.something
        self.clock.advance(wait_s)
        return self.nothing


@pytest.fixture
def clock(monkeypatch):
    clock = VirtualClock()
    monkeypatch.setattr(surface, "time", clock)
    return clock


def view(state):
    return JobView(
        id=new_id(), task="task", queue="default", state=state, priority=0, attempt=1, max_attempts=1, created_at=0.0
    )


@pytest.mark.parametrize("ask", ["lease", "wait"])
def test_a_wait_longer_than_the_owner_parks_is_asked_in_parts_that_add_up(clock, ask):
    wait_s = 2.5 * limits.WAIT_S_MAX
    began = clock.monotonic()
    if ask == "lease":
        client = Patient(clock, LeaseBatch(0, [], b"", []))
        client.lease(LeaseRequest(holder=new_id(), queues=None, limit=1, lease_s=30.0), wait_s)
    else:
        client = Patient(clock, [view(State.READY)])
        client.wait([new_id()], wait_s)
    assert client.waits == [limits.WAIT_S_MAX, limits.WAIT_S_MAX, 0.5 * limits.WAIT_S_MAX]
    assert clock.monotonic() - began == wait_s


def test_a_long_wait_ends_with_the_part_in_which_the_job_ends(clock):
    done = [view(State.SUCCEEDED)]
    client = Patient(clock, [view(State.READY)], done, clock.monotonic() + 1.5 * limits.WAIT_S_MAX)
    assert client.wait([new_id()], 10 * limits.WAIT_S_MAX) == done
    assert len(client.waits) == 2


def test_closing_lets_go_of_the_descriptor(served, groups):
    made = []
    client = Client(lambda until: made.append(served.dial()) or made[-1])
    client.enqueue(groups(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        client.close()
        gc.collect()
    assert made[-1].fileno() == -1


def test_closing_while_a_thread_waits_lets_go_of_the_descriptor(served):
    made = []
    client = Client(lambda until: made.append(served.dial()) or made[-1])
    client.capabilities()
    ended = []

    def wait():
        with pytest.raises(StoreUnavailable):
            client.lease(LeaseRequest(holder=new_id(), queues=None, limit=1, lease_s=30.0), 60.0)
        ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    watcher = Client(served.dial)
    while not watcher.owner_statistics().parked_leases:
        pass
    client.close()
    thread.join()
    watcher.close()
    assert ended == [True]
    assert made[-1].fileno() == -1


def test_a_request_whose_connection_is_cut_before_its_answer_is_repeated_and_applied_once(served, groups):
    client = Client(served.dial)
    client.enqueue(groups(1))
    served.cut()
    assert client.enqueue(groups(2)).accepted == 1
    assert client.statistics().connections == 2
    assert client.stats().queues["default"].ready == 2
    client.close()


def unread_bytes(sock):
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def answer_in_pieces(sock):
    reader = protocol.FrameReader()
    answers = {protocol.HELLO: protocol.Welcome(protocol.WIRE_VERSION, 1, 1), CALLS["stats"].kind: StatsPage({}, None)}
    while data := sock.recv(4096):
        for kind, number, _ in reader.feed(data):
            frame = protocol.frame(protocol.ANSWER, number, protocol.encode(answers[kind]))
            sock.send(frame[:7])
            while unread_bytes(sock):
                pass
            sock.send(frame[7:])


def test_an_answer_that_comes_in_pieces_is_put_together():
    ours, theirs = socket.socketpair()
    client = Client(lambda until: ours)
    thread = threading.Thread(target=answer_in_pieces, args=(theirs,), daemon=True)
    thread.start()
    # The first request connects; those after it go the short way.
    assert [client.stats().queues for _ in range(3)] == [{}, {}, {}]
    client.close()
    thread.join()
    theirs.close()


def test_a_large_request_that_was_answered_is_not_kept(served, groups):
    # Too large to be sent by a thread that is alone.
    large = groups(*range(2_000))
    client = Client(lambda until: served.dial())
    client.enqueue(groups(1))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            client.enqueue(large)
        kept = [one for one in gc.get_objects() if isinstance(one, Pending)]
    finally:
        gc.enable()
        client.close()
    assert not kept
