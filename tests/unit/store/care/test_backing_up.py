"""Backups: while a store is served and while it is not, and what is left of one that was cut off."""

import os
import shutil
import threading

import pytest

from penstock.model import limits
from penstock.model.errors import CareFailed, InvalidOption, StoreUnavailable
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.store_file import CopyStep
from penstock.store.care import backing_up
from penstock.store.care.backing_up import back_up, copied
from penstock.store.deferring import DeferredEnqueue
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite import file_copy
from penstock.store.wire.client.blocking import Client
from tests.unit.store.care.conftest import BODY, content_of, jobs_in, owned, put


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(file_copy, "_PAGES_AT_ONCE", 1)
    monkeypatch.setattr(limits, "SLICE_S", 1e-9)


def test_a_served_store_is_backed_up_while_it_is_used(directory, filled, serving, tmp_path, small_steps):
    serving.start()
    client = Client.connect(directory.path)
    more, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            more.extend(put(client, 2))

    thread = threading.Thread(target=work)
    thread.start()
    made = back_up(directory, tmp_path / "backup")
    stop.set()
    thread.join()
    client.close()
    serving.stop()
    assert made.beginnings == 1
    assert made.size_bytes == (tmp_path / "backup" / "penstock.db").stat().st_size
    there = jobs_in(tmp_path / "backup")
    assert {*filled} <= there <= {*filled, *more}
    assert not (tmp_path / "backup.unfinished").exists()


def test_a_backup_is_for_its_owner_alone(directory, filled, serving, tmp_path):
    serving.start()
    back_up(directory, tmp_path / "backup")
    for path in (tmp_path / "backup", *(tmp_path / "backup").iterdir()):
        assert not path.stat().st_mode & 0o077, path


def test_a_store_that_nobody_serves_is_backed_up_as_it_is(directory, filled, tmp_path):
    """Also what is in the redo log, and the log of an owner that was killed."""
    (new,) = new_ids(1)
    kept = tmp_path / "kept"
    with owned(directory) as engine:
        engine.tidy()
        group = JobGroup("app.work", [JobEntry(new, BODY, checksum(BODY))])
        assert engine.defer([DeferredEnqueue(b"c" * 16, 1, b"", [group])])
        # As an owner leaves it that is killed now.
        shutil.copytree(directory.path, kept)
    (kept / "identity").unlink()
    killed = StoreDirectory(kept)
    before = content_of(killed)
    back_up(killed, tmp_path / "backup")
    assert content_of(killed) == before
    assert jobs_in(tmp_path / "backup") == {*filled, new}


def test_a_backup_is_restored_by_copying_its_files(directory, filled, serving, tmp_path):
    serving.start()
    back_up(directory, tmp_path / "backup")
    serving.stop()
    shutil.rmtree(directory.path)
    shutil.copytree(tmp_path / "backup", directory.path)
    serving.start()
    client = Client.connect(directory.path)
    assert client.stats().queues["default"].ready == len(filled)
    put(client, 1)
    client.close()


def test_the_owner_dies_half_way_and_the_copy_is_begun_anew(directory, filled, serving, tmp_path, small_steps):
    serving.start()
    told = []

    def follow(step):
        told.append(step)
        if len(told) == 5:
            serving.stop()
            serving.start()

    made = back_up(directory, tmp_path / "backup", follow)
    assert made.beginnings == 2
    serving.stop()
    assert jobs_in(tmp_path / "backup") == {*filled}


def test_an_owner_that_dies_each_time_is_told(directory, filled, serving, tmp_path, monkeypatch):
    serving.start()
    monkeypatch.setattr(serving.engine, "copy_file", lambda *_, **__: CopyStep(is_unknown=True))
    with pytest.raises(CareFailed, match=r"owner\.log"):
        back_up(directory, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    assert not (tmp_path / "backup.unfinished").exists()


def test_what_is_cut_off_looks_like_no_backup(directory, filled, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    target = tmp_path / "backup"
    monkeypatch.setattr(backing_up, "_finish", die)
    monkeypatch.setattr(backing_up.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(Killed):
        back_up(directory, target)
    monkeypatch.undo()
    assert not target.exists()
    left = tmp_path / "backup.unfinished"
    assert {one.name for one in left.iterdir()} <= {
        "penstock.db.unfinished",
        "penstock.db-copy.unfinished",
        "penstock.db-redo",
    }
    with pytest.raises(StoreUnavailable, match="cut off"), owned(StoreDirectory(left)):
        pass
    (left / "penstock.db-copy.unfinished").unlink()  # as an owner does whose client has gone
    with pytest.raises(StoreUnavailable, match="cut off"), owned(StoreDirectory(left)):
        pass
    back_up(directory, target)
    assert not left.exists()
    assert sorted(os.listdir(target)) == ["format", "penstock.db", "penstock.db-redo"]
    assert jobs_in(target) == {*filled}


def test_nothing_is_written_over(directory, filled, tmp_path):
    target = tmp_path / "backup"
    target.mkdir()
    with pytest.raises(InvalidOption, match="there already"):
        back_up(directory, target)
    other = tmp_path / "other.unfinished"
    other.mkdir()
    (other / "dear").write_text("mine")
    with pytest.raises(InvalidOption, match="in the way"):
        back_up(directory, tmp_path / "other")
    assert (other / "dear").read_text() == "mine"
    with pytest.raises(InvalidOption, match="cannot be made"):
        back_up(directory, tmp_path / "none" / "backup")


def test_a_store_that_is_used_is_not_taken_for_what_a_backup_left(directory, filled, tmp_path):
    used = tmp_path / "backup.unfinished"
    shutil.copytree(directory.path, used)
    with pytest.raises(InvalidOption, match="in the way"):
        back_up(directory, tmp_path / "backup")
    assert jobs_in(used) == {*filled}


def test_a_disk_without_room_leaves_nothing(directory, filled, serving, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "COPY_SPARED_BYTES", 1 << 60)
    serving.start()
    with pytest.raises(CareFailed, match="nearly full"):
        back_up(directory, tmp_path / "backup")
    assert os.listdir(tmp_path) == ["jobs"]


def test_what_was_copied_is_synced_as_it_comes(tmp_path, monkeypatch):
    file = tmp_path / "copy"
    synced = []
    monkeypatch.setattr(backing_up, "_sync", lambda path: synced.append(path.stat().st_size))
    monkeypatch.setattr(limits, "COPY_SYNC_BYTES", 100)
    sizes = iter([50, 120, 130, 219, 220, 300])

    def step(begin):
        size = next(sizes)
        file.write_bytes(bytes(size))
        return CopyStep(is_done=size == 300)

    assert copied(step, file, lambda _: None)
    assert synced == [120, 220]
