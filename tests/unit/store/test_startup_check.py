"""Files that are not those the last owner left are noticed before anything is lost; a copy of a store is taken."""

import os
import shutil

import msgspec
import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.states import State
from penstock.process.clock import SystemClock
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.store.startup_check import StoreIdentity
from penstock.testing.conformance.kit import put, states

FILES = ("penstock.db", "penstock.db-wal", "penstock.db-redo", "reserve", "identity")


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch):
    monkeypatch.setattr(database, "RESERVE_BYTES", 256 * 1024)
    monkeypatch.setattr(database, "ROOM_BYTES_MIN", 512 * 1024)


def start(directory, *, redo=True):
    """As an owner does it."""
    directory.mkdir(exist_ok=True)
    path = directory / "penstock.db"
    identity = StoreIdentity(path)
    identity.check()
    store = SqliteStore(path, clock=SystemClock(), redo=redo)
    identity.opened()
    store.before_close = identity.closing
    return store


@pytest.fixture
def killed(tmp_path):
    """What an owner leaves that was killed, and the jobs in it."""
    store = start(tmp_path / "store")
    ids = put(store, 5)
    left = tmp_path / "left"
    left.mkdir()
    for name in FILES:
        # Links, so that the files are the same ones, as they are after a kill.
        os.link(tmp_path / "store" / name, left / name)
    yield left, ids
    store.close()


def test_a_killed_owner_is_followed_by_the_next(killed):
    left, ids = killed
    store = start_a_copy(left)
    assert states(store, ids) == [State.READY] * 5
    store.close()


def start_a_copy(left):
    """The killed owner of these tests still has its lock."""
    copied = left.with_name("copy")
    shutil.copytree(left, copied)
    return start(copied)


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_log_that_is_gone_is_noticed(killed, how):
    left, _ = killed
    (left / "penstock.db-wal").unlink()
    if how == "emptied":
        (left / "penstock.db-wal").touch()
    with pytest.raises(StoreUnavailable, match=r"penstock.db-wal is (gone|empty).*identity and start again"):
        StoreIdentity(left / "penstock.db").check()
    (left / "identity").unlink()
    StoreIdentity(left / "penstock.db").check()


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_redo_log_that_is_gone_is_noticed(killed, how):
    left, _ = killed
    (left / "penstock.db-redo").unlink()
    if how == "emptied":
        (left / "penstock.db-redo").touch()
    with pytest.raises(StoreUnavailable, match=r"penstock.db-redo is gone or empty.*to go on without it"):
        StoreIdentity(left / "penstock.db").check()
    (left / "identity").unlink()
    StoreIdentity(left / "penstock.db").check()


def test_a_store_that_had_no_redo_log_needs_none(tmp_path):
    store = start(tmp_path / "store", redo=False)
    assert not (tmp_path / "store" / "penstock.db-redo").exists()
    StoreIdentity(tmp_path / "store" / "penstock.db").check()
    store.close()


def test_another_database_beside_the_log_of_the_former_is_refused(killed):
    """SQLite would put the log into it."""
    left, _ = killed
    shutil.copy(left / "penstock.db", left / "copy")
    (left / "copy").replace(left / "penstock.db")
    with pytest.raises(StoreUnavailable, match="still the log of the one before"):
        StoreIdentity(left / "penstock.db").check()
    (left / "penstock.db-wal").unlink()
    (left / "penstock.db-redo").unlink()
    StoreIdentity(left / "penstock.db").check()


def test_the_note_of_an_earlier_version_is_read(killed):
    left, _ = killed
    note = msgspec.json.decode((left / "identity").read_bytes())
    (left / "identity").unlink()
    (left / "identity").write_bytes(msgspec.json.encode({"state": note["state"], "file": note["file"]}))
    StoreIdentity(left / "penstock.db").check()


@pytest.mark.parametrize("note", [True, False])
@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_database_that_is_gone_is_noticed(killed, how, note):
    left, _ = killed
    (left / "penstock.db").unlink()
    if how == "emptied":
        (left / "penstock.db").touch()
    if not note:
        (left / "identity").unlink()
    with pytest.raises(StoreUnavailable, match=r"penstock.db is (gone|empty).*Restore it"):
        StoreIdentity(left / "penstock.db").check()


def test_a_closed_store_has_no_log_and_opens(tmp_path):
    store = start(tmp_path / "store")
    ids = put(store, 5)
    store.close()
    assert not (tmp_path / "store" / "penstock.db-wal").exists()
    again = start(tmp_path / "store")
    assert states(again, ids) == [State.READY] * 5
    again.close()
    (tmp_path / "store" / "penstock.db").unlink()
    with pytest.raises(StoreUnavailable, match="is gone"):
        start(tmp_path / "store")


@pytest.mark.parametrize("over", ["a new directory", "what is there"])
@pytest.mark.parametrize("taken", ["killed", "closed"])
def test_a_copy_can_be_restored(tmp_path, taken, over):
    store = start(tmp_path / "store")
    ids = put(store, 5)
    if taken == "closed":
        store.close()
    copied = tmp_path / "backup"
    copied.mkdir()
    for name in ("penstock.db", "penstock.db-wal", "penstock.db-redo"):
        if (tmp_path / "store" / name).exists():
            shutil.copy(tmp_path / "store" / name, copied / name)
    if taken == "closed":
        store = start(tmp_path / "store")
    put(store, 7)
    store.close()
    target = tmp_path / ("new" if over == "a new directory" else "store")
    target.mkdir(exist_ok=True)
    for name in ("penstock.db", "penstock.db-wal", "penstock.db-redo"):
        (target / name).unlink(missing_ok=True)
        if (copied / name).exists():
            shutil.copy(copied / name, target / name)
    again = start(target)
    assert states(again, ids) == [State.READY] * 5
    assert again.stats().queues["default"].accepted_total == 5
    again.close()


def test_every_prefix_of_making_a_store_can_be_gone_on_with(tmp_path):
    """Nothing; the format alone; an empty database; a database without a note; a torn note."""
    prefixes = {
        "nothing": {},
        "an empty database": {"penstock.db": b""},
        "a torn note": {"identity": b'{"state":"op', "penstock.db": b""},
        "an empty note": {"identity": b"", "penstock.db": b""},
    }
    for number, files in enumerate(prefixes.values()):
        directory = tmp_path / f"store-{number}"
        directory.mkdir()
        for name, content in files.items():
            (directory / name).write_bytes(content)
        store = start(directory)
        put(store)
        store.close()


def test_a_log_emptied_on_a_full_disk_is_no_loss(killed):
    left, _ = killed
    (left / "penstock.db-wal").unlink()
    (left / "penstock.db-wal").touch()
    (left / "reserve").unlink()
    StoreIdentity(left / "penstock.db").check()


def test_a_note_is_private_and_no_link_is_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "identity").symlink_to(elsewhere)
    store = start(tmp_path / "store")
    store.close()
    assert elsewhere.read_text() == "mine"
    (tmp_path / "store" / "identity").unlink()
    store = start(tmp_path / "store")
    store.close()
    assert (tmp_path / "store" / "identity").stat().st_mode & 0o777 == 0o600
