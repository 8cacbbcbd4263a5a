"""Which connections an owner accepts, and which it does not: descriptors, places, silence."""

import errno
import math
import os
import selectors
import socket
import threading

import pytest

from penstock.model import limits
from penstock.model.errors import StoreOverloaded
from penstock.process.repeated_faults import Faults
from penstock.store.wire import protocol
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.owner import accepting as module
from penstock.store.wire.owner.accepting import Accepting
from penstock.testing.clock import VirtualClock


class Listener:
    """Knows who waits; gives them out while there are descriptors. Registered by a real socket's number."""

    def __init__(self):
        self.near, self.far = socket.socketpair()
        self.waiting = []
        self.descriptors = math.inf
        self.error = errno.EMFILE

    def fileno(self):
        return self.near.fileno()

    def accept(self):
        if not self.waiting:
            raise BlockingIOError
        if self.descriptors < 1:
            raise OSError(self.error, "no descriptor")
        self.descriptors -= 1
        return self.waiting.pop(0), None

    def comes(self):
        near, far = socket.socketpair()
        far.setblocking(False)
        self.waiting.append(near)
        return far

    def close(self):
        self.near.close()
        self.far.close()


class Host:
    """An owner that serves nobody."""

    def __init__(self):
        self.served = []
        self.accepting = None
        self.speaking = set()

    def admit(self, connection):
        self.served.append(connection)

    def refuse(self, connection, error):
        connection.say_last(error)
        self.served.remove(connection)
        self.accepting.left(connection)

    def receive(self, connection):
        if connection in self.speaking:
            self.accepting.greeted(connection)


class Surroundings:
    """An `Accepting` with all that is around it."""

    def __init__(self, descriptors):
        self.listener = Listener()
        self.selector = selectors.DefaultSelector()
        self.clock = VirtualClock()
        self.host = Host()
        self.faults = Faults(module._logger)
        self.accepting = Accepting(self.listener, self.selector, self.clock, self.host, self.faults, descriptors)
        self.host.accepting = self.accepting
        self.ends = []

    def comes(self, count=1):
        """So many clients knock; their ends of the connections."""
        comers = [self.listener.comes() for _ in range(count)]
        self.ends += comers
        while self.listener.waiting and self.listens:
            before = len(self.listener.waiting)
            self.accepting.accept()
            if len(self.listener.waiting) == before:
                break
        return comers

    @property
    def listens(self):
        return any(key.fileobj is self.listener for key in self.selector.get_map().values())

    def close(self):
        for connection in list(self.host.served):
            self.host.served.remove(connection)
            connection.close()
        for end in [*self.ends, *self.listener.waiting]:
            end.close()
        self.accepting.close()
        self.selector.close()


@pytest.fixture
def hall(request):
    made = []

    def make(places, spare=True):
        made.append(Surroundings(places + limits.OWNER_DESCRIPTORS))
        if not spare:
            os.close(made[-1].accepting._spare)
            made[-1].accepting._spare = -1
        return made[-1]

    yield make
    for one in made:
        one.close()


def word(end):
    """What a client was told last; None: it was not let go."""
    try:
        data = end.recv(65_536)
    except BlockingIOError:
        return None
    [(kind, _, payload)] = protocol.FrameReader().feed(data)
    assert kind == protocol.CLOSING
    return protocol.error_of(payload)


def test_one_that_says_no_hello_in_time_is_let_go_with_the_reason(hall):
    here = hall(4)
    [silent], [speaks] = here.comes(), here.comes()
    here.accepting.greeted(here.host.served[1])
    here.clock.advance(limits.HELLO_S - 1)
    here.accepting.look(here.clock.monotonic())
    assert word(silent) is None
    assert here.accepting.due_at == here.clock.monotonic() + 1
    here.clock.advance(1.0)
    here.accepting.look(here.clock.monotonic())
    assert "no hello" in word(silent).message
    assert word(speaks) is None
    assert here.accepting.silent == 1
    assert here.accepting.due_at == math.inf


def test_silent_ones_hold_no_place_against_who_comes(hall):
    here = hall(3)
    first, second, third = here.comes(3)
    [fourth] = here.comes()
    assert "place" in word(first).message
    assert [word(end) for end in (second, third, fourth)] == [None] * 3
    assert here.faults.present(here.clock.monotonic()) == []


def test_one_whose_hello_was_not_read_yet_keeps_its_place(hall):
    here = hall(2)
    first, second = here.comes(2)
    here.host.speaking.add(here.host.served[0])
    here.comes()
    assert word(first) is None
    assert word(second) is not None


def test_when_all_have_spoken_the_new_one_hears_why_and_health_says_it(hall):
    here = hall(2)
    here.comes(2)
    for connection in here.host.served:
        here.accepting.greeted(connection)
    [third] = here.comes()
    error = word(third)
    assert isinstance(error, StoreOverloaded)
    assert "2 clients" in error.message
    assert here.accepting.turned_away == 1
    [fault] = here.faults.present(here.clock.monotonic())
    assert "2 clients" in fault.message
    here.host.refuse(here.host.served[0], error)
    here.comes()
    assert here.faults.present(here.clock.monotonic()) == []


def test_one_process_has_half_of_the_places_at_most(hall, monkeypatch):
    monkeypatch.setattr(limits, "OWNER_CONNECTIONS_OF_PROCESS_MAX", 2)
    here = hall(10)
    first, _ = here.comes(2)
    here.comes()
    # Silent ones of its own give way first.
    assert word(first) is not None
    for connection in here.host.served:
        here.accepting.greeted(connection)
    [again] = here.comes()
    assert f"Process {os.getpid()}" in word(again).message
    # It is that process's trouble, not the owner's.
    assert here.faults.present(here.clock.monotonic()) == []
    monkeypatch.setattr(module, "peer", lambda _: (1, 0))
    [other] = here.comes()
    assert word(other) is None


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_out_of_descriptors_a_silent_one_gives_way(hall, shortage):
    here = hall(100)
    here.listener.error = shortage
    [first] = here.comes()
    here.listener.descriptors = 0
    freed = here.accepting.left

    def left(connection):
        freed(connection)
        here.listener.descriptors += 1

    here.accepting.left = left
    [second] = here.comes()
    assert word(first) is not None
    assert word(second) is None
    assert here.listens


def test_out_of_descriptors_who_comes_is_told_so_with_the_spare_one(hall, monkeypatch):
    here = hall(100)
    here.comes()
    here.accepting.greeted(here.host.served[0])
    here.listener.descriptors = 0
    close = os.close
    monkeypatch.setattr(os, "close", lambda fd: (close(fd), setattr(here.listener, "descriptors", 1)))
    told = here.comes(3)
    assert ["descriptor" in word(end).message for end in told] == [True] * 3
    assert here.listens
    assert here.accepting.turned_away == 3
    [fault] = here.faults.present(here.clock.monotonic())
    assert fault.count >= 3


def test_with_nothing_in_reserve_it_does_not_look_at_the_door_for_a_while(hall):
    here = hall(100, spare=False)
    here.comes()
    here.accepting.greeted(here.host.served[0])
    here.listener.descriptors = 0
    [waits] = here.comes()
    assert not here.listens
    assert word(waits) is None
    here.clock.advance(limits.ACCEPT_PAUSE_S)
    assert here.clock.monotonic() >= here.accepting.due_at
    here.accepting.look(here.clock.monotonic())
    assert here.listens
    here.listener.descriptors = 1
    here.comes(0)
    assert len(here.host.served) == 2


def test_a_connection_that_ends_opens_the_door_at_once(hall):
    here = hall(100, spare=False)
    here.comes()
    here.accepting.greeted(here.host.served[0])
    here.listener.descriptors = 0
    here.comes()
    assert not here.listens
    here.host.refuse(here.host.served[0], StoreOverloaded("bye"))
    assert here.listens
    assert here.accepting._spare >= 0


def test_an_owner_takes_no_more_clients_than_it_has_descriptors_for(hall):
    assert hall(7).accepting.places == 7
    assert hall(1 << 20).accepting.places == limits.OWNER_CONNECTIONS_MAX


def test_a_flood_of_silent_connections_keeps_no_client_out(serve):
    served = serve(descriptors=limits.OWNER_DESCRIPTORS + 4)
    silent = [served.dial() for _ in range(40)]
    client = Client(served.dial)
    assert client.stats().queues == {}
    told = client.owner_statistics()
    assert told.places == 4
    assert told.connections <= 4
    client.close()
    for sock in silent:
        sock.close()


def test_part_of_a_hello_is_no_hello(serve, monkeypatch):
    monkeypatch.setattr(limits, "HELLO_S", 0.05)
    trickling = serve().dial()
    trickling.sendall(protocol.frame(protocol.HELLO, 0, b"x" * 100)[:20])
    assert b"no hello" in trickling.recv(4096)
    trickling.close()


def test_a_hello_without_end_is_not_kept(serve):
    endless = serve().dial()
    endless.sendall(protocol.frame(protocol.HELLO, 0, b"x" * (1 << 20))[: limits.HELLO_BYTES_MAX + 100])
    assert b"A hello has at most" in endless.recv(4096)
    endless.close()


class ShortListener:
    """A listening socket of a process that has no descriptors left, as long as it is ``short``."""

    def __init__(self, listener):
        self.listener = listener
        self.short = True
        self.asked = 0

    def fileno(self):
        return self.listener.fileno()

    def accept(self):
        if self.short:
            self.asked += 1
            raise OSError(errno.EMFILE, "no descriptor")
        return self.listener.accept()

    def close(self):
        self.listener.close()


def test_an_owner_without_descriptors_serves_its_clients_and_lets_others_in_when_it_has_some(
    serve, groups, monkeypatch
):
    monkeypatch.setattr(limits, "ACCEPT_PAUSE_S", 0.01)
    served = serve()
    friend = Client(served.dial)
    friend.capabilities()
    accepting = served.owner._clients.accepting
    accepting._listener = listener = ShortListener(accepting._listener)
    late, answers = Client(served.dial), []
    thread = threading.Thread(target=lambda: answers.append(late.enqueue(groups(1)).accepted))
    thread.start()
    while listener.asked < 4:
        assert friend.enqueue(groups(1)).accepted == 1, "its other work goes on meanwhile"
    assert answers == []
    assert any("descriptor" in fault.message for fault in friend.health().faults)
    listener.short = False
    thread.join()
    assert answers == [1]
    friend.close()
    late.close()
