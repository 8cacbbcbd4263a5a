import socket

import pytest

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.process.clock import SystemClock
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.group_commit import GroupCommit
from penstock.store.wire.owner.turns import Turns
from tests.owner_thread import OwnerThread, dialled, listening


class Served(OwnerThread):
    """An engine behind an owner that runs in a thread."""

    def __init__(self, path, engine=None, **options):
        self.path = str(path / "owner.sock")
        self.dialled = []
        clock = SystemClock()
        engine = engine or SqliteStore(path / "penstock.db", clock=clock)
        super().__init__(engine, listening(self.path), clock, **options)

    def dial(self, _=0.0):
        self.dialled.append(dialled(self.path))
        return self.dialled[-1]

    def cut(self):
        """Break the latest connection that a client made."""
        self.dialled[-1].shutdown(socket.SHUT_RDWR)


@pytest.fixture
def served(tmp_path):
    server = Served(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(engine=None, **options):
        servers.append(Served(tmp_path, engine, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def groups():
    def make(*numbers, task="task", **options):
        jobs = [JobEntry(new_id(), b"m%d" % number, checksum(b"m%d" % number)) for number in numbers]
        return [JobGroup(task, jobs, **options)]

    return make


class Pending:
    """Requests of some clients, and the groups that answer them, without an owner."""

    def __init__(self, path):
        clock = SystemClock()
        self.engine = SqliteStore(path / "penstock.db", clock=clock)
        self.groups = GroupCommit(self.engine, clock, statistics=lambda: None, handover=lambda: None)
        self.turns = Turns()
        self.numbers = 0
        self.pairs = []

    def client(self):
        ours, theirs = socket.socketpair()
        self.pairs += [ours, theirs]
        connection = Connection(ours)
        connection.client = new_id()
        return connection

    def ask(self, connection, call, *arguments):
        self.numbers += 1
        number = self.numbers if call.recorded else protocol.UNRECORDED + self.numbers
        connection.put(Request(connection, call, number, protocol.encode(call.shape(*arguments))))
        self.turns.add(connection)

    def close(self):
        self.engine.close()
        for sock in self.pairs:
            sock.close()


@pytest.fixture
def pending(tmp_path, monkeypatch):
    """A group has all that is asked, however slow the machine is."""
    monkeypatch.setattr(limits, "OWNER_GROUP_S", 3_600.0)
    made = Pending(tmp_path)
    yield made
    made.close()
