"""A store's directory, served by an owner in a thread, or by nobody."""

import os
from contextlib import contextmanager

import pytest

from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.process.clock import SystemClock
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.store.startup_check import StoreIdentity
from tests.owner_thread import OwnerThread

BODY = b"m" + b"x" * 300


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch):
    """Writing 8 MiB each time a store is opened is most of what such a test would do."""
    monkeypatch.setattr(database, "RESERVE_BYTES", 320 * 1024)
    monkeypatch.setattr(database, "ROOM_BYTES_MIN", 640 * 1024)
    monkeypatch.setattr(database, "LAST_BYTES", 40 * 1024)


@pytest.fixture(autouse=True)
def own_umask():
    """Who prepares a directory as an owner does it sets the umask of the process, which here lives on."""
    before = os.umask(0o22)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def directory(tmp_path):
    place = StoreDirectory(tmp_path / "jobs")
    place.prepare()
    place.check_format()
    return place


def opened(directory):
    """The engine of a directory, opened as an owner does it."""
    identity = StoreIdentity(directory.database)
    identity.check()
    engine = SqliteStore(directory.database, clock=SystemClock())
    identity.opened()
    engine.before_close = identity.closing
    return engine


@contextmanager
def owned(directory):
    """The same, until the end of the block."""
    engine = opened(directory)
    try:
        yield engine
    finally:
        engine.close()


class Serving(OwnerThread):
    """An owner in a thread, as a process has one, from `start` to `stop`."""

    def __init__(self, directory):
        self.directory = directory
        self.owner = None

    def start(self, idle_s=60.0):
        """``idle_s``: None for one that stays, as under `penstock up`."""
        self.lock = self.directory.open_lock()
        assert self.lock.take(wait=True)
        listener = self.directory.listen()
        engine = opened(self.directory)
        super().__init__(engine, listener, engine.clock, idle_s=idle_s)
        return self

    def run(self):
        super().run()
        self.directory.remove_socket()
        self.lock.release()

    def stop(self):
        if self.owner is not None:
            super().stop()


@pytest.fixture
def serving(directory):
    owner = Serving(directory)
    yield owner
    owner.stop()


@pytest.fixture
def filled(directory):
    """The ids of the jobs in a store that nobody serves."""
    with owned(directory) as engine:
        return put(engine, 300)


def put(store, count):
    ids = new_ids(count)
    assert store.enqueue([JobGroup("app.work", [JobEntry(one, BODY, checksum(BODY)) for one in ids])]).accepted == count
    return ids


def content_of(directory):
    """Every file with what is in it, but for the lock."""
    return {
        one.name: one.read_bytes() for one in directory.path.iterdir() if one.is_file() and one.name != "owner.lock"
    }


def jobs_in(place):
    """The ids in a store, opened as an owner does it."""
    with owned(StoreDirectory(place)) as engine:
        return {job_id for (job_id,) in engine.database.connection.execute("SELECT id FROM job")}
