"""An owner notices that its files are not where they were."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.process.clock import SystemClock
from penstock.store import deletion_watch as module
from penstock.store.deletion_watch import LostFiles, ServedFiles, owner_of_deleted
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.client.reach import OwnerRefused, Reach
from penstock.testing.conformance.kit import put


class Standing:
    """All that an owner opens, opened."""

    def __init__(self, path, *, redo=True):
        self.directory = StoreDirectory(path)
        self.directory.prepare()
        self.lock = self.directory.open_lock()
        self.listener = self.directory.listen()
        self.engine = SqliteStore(self.directory.database, clock=SystemClock(), redo=redo)
        self.files = ServedFiles(self.directory, self.lock)

    def close(self):
        self.engine.close()
        self.listener.close()
        self.lock.release()


@pytest.fixture
def standing(tmp_path):
    here = Standing(tmp_path / "store")
    yield here
    here.close()


def replace(path):
    """Put a copy in its place."""
    beside = path.with_name("copy")
    shutil.copyfile(path, beside)
    beside.replace(path)


def test_files_that_stay_are_not_lost(standing):
    assert standing.files.lost() is None
    standing.engine.tick()
    (standing.directory.path / "notes.txt").touch()
    assert standing.files.lost() is None


@pytest.mark.parametrize("act", [os.unlink, replace], ids=["deleted", "replaced"])
def test_a_database_that_goes_is_lost_for_good(standing, act):
    act(standing.directory.database)
    loss = standing.files.lost()
    assert loss.is_total
    assert str(standing.directory.database) in loss.reason


@pytest.mark.parametrize("left_bytes", [0, 4096])
def test_a_database_that_is_emptied_or_cut_short_is_lost_for_good(standing, left_bytes):
    put(standing.engine, 100)
    standing.engine.database.shrink_log()
    assert standing.files.lost() is None
    os.truncate(standing.directory.database, left_bytes)
    loss = standing.files.lost()
    assert loss.is_total
    assert "cut short" in loss.reason


def test_a_redo_log_may_be_missing(tmp_path):
    here = Standing(tmp_path / "store", redo=False)
    assert here.files.lost() is None
    here.close()


def test_a_directory_that_is_deleted_renamed_or_replaced_is_lost_for_good(standing):
    path = standing.directory.path
    path.rename(path.with_name("moved"))
    assert standing.files.lost().is_total
    shutil.copytree(path.with_name("moved"), path, ignore=shutil.ignore_patterns("*.sock"))
    loss = standing.files.lost()
    assert loss.is_total
    assert str(path) in loss.reason
    shutil.rmtree(path)
    assert standing.files.lost().is_total


@pytest.mark.parametrize("name", ["owner.lock", "owner.sock", "penstock.db-wal", "penstock.db-redo"])
def test_what_can_be_made_again_costs_a_new_start_and_nothing_else(standing, name):
    (standing.directory.path / name).unlink()
    loss = standing.files.lost()
    assert not loss.is_total
    assert name in loss.reason


def test_a_socket_of_another_owner_is_not_removed(standing):
    path = standing.directory.path / "owner.sock"
    path.unlink()
    path.touch()
    standing.files.remove_socket()
    assert path.exists()


def test_a_socket_of_its_own_is(standing):
    standing.files.remove_socket()
    assert not (standing.directory.path / "owner.sock").exists()


def test_files_that_were_put_there_while_they_were_opened_are_refused(standing, tmp_path):
    wal = standing.directory.path / "penstock.db-wal"
    wal.rename(tmp_path / "wal")
    wal.symlink_to(tmp_path / "wal")
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        ServedFiles(standing.directory, standing.lock)


HOLD = """
import sys
from penstock.process.process_tree import set_title
set_title("penstock owner")
held = open(sys.argv[1], "a")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not module._PROCESSES.exists(), reason="the system does not tell who has what open")
def test_who_still_owns_what_was_deleted_is_known(tmp_path):
    lock = tmp_path / "owner.lock"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as holder:
        holder.stdout.readline()
        assert owner_of_deleted(lock) is None
        lock.unlink()
        assert owner_of_deleted(lock) == holder.pid
        assert owner_of_deleted(tmp_path / "other.lock") is None
        holder.stdin.close()
    assert owner_of_deleted(lock) is None


class Closing(SqliteStore):
    """Knows whether it was closed."""

    closed = False

    def close(self):
        self.closed = True
        super().close()


@pytest.mark.parametrize("is_total", [True, False])
def test_an_owner_without_files_leaves_and_closes_only_what_is_still_its_own(tmp_path, serve, is_total):
    engine = Closing(tmp_path / "penstock.db", clock=SystemClock())
    losses = []
    served = serve(engine, lost=lambda: losses[0] if losses else None)
    client = Client(served.dial)
    client.capabilities()
    losses.append(LostFiles("It is gone.", is_total))
    served.owner._look_at_files_at = 0.0
    served.owner.wake()
    served.thread.join()
    assert served.owner.loss == losses[0]
    assert engine.closed is not is_total
    client.close()
    if is_total:
        engine.close()


class Broken(SqliteStore):
    """No commit succeeds once it is told so."""

    broken = False

    def commit(self):
        if self.broken:
            raise StoreUnavailable("disk I/O error")
        super().commit()


def test_what_fails_because_files_are_gone_is_not_blamed_on_the_disk(tmp_path, serve, groups):
    engine = Broken(tmp_path / "penstock.db", clock=SystemClock())
    losses = []
    served = serve(engine, lost=lambda: losses[0] if losses else None, chores=False)
    ways = [served.dial]

    def dial(deadline):
        if not ways:
            raise StoreUnavailable("nobody is there")
        return ways.pop()(deadline)

    client = Client(dial)
    client.capabilities()
    served.owner._look_at_files_at = float("inf")
    losses.append(LostFiles("It is gone.", True))
    engine.broken = True
    with pytest.raises(StoreUnavailable, match="nobody is there"):
        client.enqueue(groups(1))
    served.thread.join()
    client.close()
    engine.close()


def test_a_client_whose_store_is_gone_makes_no_new_one_in_its_place(tmp_path):
    path = tmp_path / "store"
    here = Standing(path)
    reach = Reach(here.directory)
    reach(time.monotonic() + 10.0).close()
    here.close()
    here.files.remove_socket()
    path.rename(tmp_path / "moved")
    with pytest.raises(OwnerRefused, match="is gone"):
        reach(time.monotonic() + 10.0)
    assert not path.exists()
