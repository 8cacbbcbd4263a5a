"""Opening the file: what is refused, and what a damaged body is answered with."""

import apsw
import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.states import State
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import counted, entry, group, put, see, take

BODY = b"m" + bytes(range(256)) * 2


@pytest.mark.parametrize("version", ["3.51.2", "3.50.9", "3.7.17"])
def test_an_sqlite_that_can_corrupt_its_log_is_refused(path, clock, monkeypatch, version):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    with pytest.raises(StoreUnavailable, match=rf"SQLite {version} .*3\.51\.3"):
        SqliteStore(path, clock=clock)
    assert not path.exists(), "the file was not touched"


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0.0"])
def test_an_sqlite_without_that_error_is_taken(path, clock, monkeypatch, version):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    SqliteStore(path, clock=clock).close()


def test_a_store_of_a_later_penstock_is_refused_and_left_as_it_is(path, clock):
    SqliteStore(path, clock=clock).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", database.SCHEMA_VERSION + 1)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="upgrade Penstock"):
        SqliteStore(path, clock=clock)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path, clock):
    path.write_bytes(b"not a database, but long enough to be looked at. " * 200)
    with pytest.raises(StoreUnavailable, match="Cannot open"):
        SqliteStore(path, clock=clock)


def test_a_directory_that_is_not_there_is_refused(path, clock):
    with pytest.raises(StoreUnavailable, match="Cannot open"):
        SqliteStore(path.parent / "missing" / "penstock.db", clock=clock)


def test_the_epoch_rises_with_every_opening(path, clock):
    epochs = []
    for _ in range(3):
        store = SqliteStore(path, clock=clock)
        epochs.append(store.epoch)
        store.close()
    assert epochs == [1, 2, 3]


def test_every_commit_is_synced(store):
    pragma = store.database.connection.pragma
    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_in_a_body_is_dead_as_corrupt_and_never_run(path, clock, audit, bit):
    store = SqliteStore(path, clock=clock)
    damaged = entry(BODY)
    store.enqueue([group(damaged)])
    (sound,) = put(store)
    store.close()
    content = bytearray(path.read_bytes())
    at = content.index(BODY) + 300
    content[at] ^= 1 << bit
    path.write_bytes(content)
    store = SqliteStore(path, clock=clock)
    assert [one.job.id for one in take(store)] == [sound]
    view = see(store, damaged.id)
    assert (view.state, view.error.type) == (State.DEAD, "Corrupt")
    assert counted(store) == {"accepted_total": 2, "running": 1, "dead": 1, "dead_total": 1}
    audit(store)
    store.close()


def test_a_body_changed_through_another_connection_is_dead_as_corrupt(path, clock):
    store = SqliteStore(path, clock=clock)
    (job_id,) = put(store)
    store.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE job SET body = ?", (b"m\x92\x91\x01\x80",))
    connection.close()
    store = SqliteStore(path, clock=clock)
    assert take(store) == []
    assert see(store, job_id).error.type == "Corrupt"
    store.close()


def test_the_log_is_brought_into_the_database_when_nobody_waits(path, clock, monkeypatch, audit):
    monkeypatch.setattr(database, "WAL_PAGES", 16)
    store = SqliteStore(path, clock=clock)
    log = path.with_name("penstock.db-wal")
    put(store)
    # The first transaction has made the tables, and the file is not made shorter afterwards.
    first = log.stat().st_size
    for _ in range(100):
        put(store)
    assert log.stat().st_size <= max(first, 64 * 4_200)
    audit(store)
    store.close()


def test_the_log_does_not_grow_without_end_when_somebody_always_waits(path, clock, monkeypatch):
    monkeypatch.setattr(database, "WAL_PAGES", 16)
    monkeypatch.setattr(database, "WAL_PAGES_MAX", 32)
    store = SqliteStore(path, clock=clock)
    monkeypatch.setattr(store, "tidy", store.books.committed)
    log = path.with_name("penstock.db-wal")
    made_bytes = log.stat().st_size
    for _ in range(100):
        store.begin()
        put(store)
        store.commit()
    assert log.stat().st_size < made_bytes + 64 * 4_200
    store.close()


def test_the_index_of_the_log_is_no_file(path, clock):
    """A full disk has no room for one, so a store that needs it could not be opened there."""
    for _ in range(2):
        store = SqliteStore(path, clock=clock)
        put(store)
        assert path.with_name(f"{path.name}-wal").exists()
        assert not path.with_name(f"{path.name}-shm").exists()
        store.close()
