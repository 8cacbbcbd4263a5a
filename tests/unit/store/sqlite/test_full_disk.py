"""A full disk stops accepting and nothing else: what is there is leased, run and settled in the room of a reserve."""

import errno
import os
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from penstock.model.errors import StoreFull
from penstock.model.job import Buried, Lost, Outcomes, Retried, Snoozed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, entry, group, put, see, settle, succeeded, take
from penstock.testing.faults import used_bytes


class Free(NamedTuple):
    """What `os.statvfs` says, as far as it is asked for."""

    f_bavail: int
    f_frsize: int


@pytest.fixture(autouse=True)
def the_reserve_takes_room(disk, monkeypatch):
    """The reserve is written without SQLite, and onto the same disk."""
    write = Path.write_bytes

    def write_bytes(path, data):
        try:
            disk.check_room(path.parent, len(data) - (path.stat().st_size if path.exists() else 0))
        except apsw.FullError:
            write(path, b"")
            raise OSError(errno.ENOSPC, "No space left on device") from None
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    monkeypatch.setattr(os, "statvfs", lambda directory: Free(f_bavail=disk.free_bytes(Path(directory)), f_frsize=1))


def fill(store, disk, path):
    """Enqueue until the disk is full. Answers the ids that were accepted."""
    ids = put(store, 200)
    disk.fill(path.parent)
    body = b"m" + bytes(2_000)
    for _ in range(1_000):
        entries = [entry(body) for _ in range(10)]
        try:
            store.enqueue([group(*entries)])
        except StoreFull:
            return ids
        ids += [one.id for one in entries]
    pytest.fail("the disk has no end")


def test_the_reserve_is_there_from_the_beginning(faulty_store, path):
    assert path.with_name("reserve").stat().st_size == database.RESERVE_BYTES


def test_a_full_disk_refuses_jobs_and_gives_up_the_reserve(faulty_store, disk, path, audit):
    ids = fill(faulty_store, disk, path)
    assert not path.with_name("reserve").exists()
    with pytest.raises(StoreFull, match="free space"):
        put(faulty_store)
    assert faulty_store.stats()["default"].accepted_total == len(ids)
    audit(faulty_store)


def test_leases_and_settlements_go_on_while_the_disk_is_full(faulty_store, disk, path, clock, audit):
    """I5: draining never needs more than holding."""
    store = faulty_store
    ids = fill(store, disk, path)
    done = 0
    while batch := take(store, 50):
        with pytest.raises(StoreFull):
            put(store)
        outcomes = Outcomes(forgotten=[one.fence for one in batch])
        if done == 0:
            outcomes = Outcomes(
                succeeded=[succeeded(one.fence, clock, b"m\x01") for one in batch[:10]],
                buried=[Buried(one.fence, ERROR) for one in batch[10:20]],
                retried=[Retried(one.fence, 0.0, ERROR) for one in batch[20:30]],
                snoozed=[Snoozed(one.fence, 0.0) for one in batch[30:40]],
                lost=[Lost(one.fence, Loss.BLAMED, ERROR) for one in batch[40:]],
            )
        assert store.settle(outcomes) == []
        done += len(batch)
    counts = store.stats()["default"]
    assert (counts.ready, counts.running, counts.succeeded_total + counts.dead_total) == (0, 0, len(ids))
    audit(store)


def test_the_kept_records_of_all_that_waited_fit_the_reserve(faulty_store, disk, path, clock, audit):
    ids = fill(faulty_store, disk, path)
    while batch := take(faulty_store, 50):
        settle(faulty_store, succeeded=[succeeded(one.fence, clock) for one in batch])
    assert faulty_store.stats()["default"].succeeded == len(ids)
    audit(faulty_store)


def test_ticks_go_on_while_the_disk_is_full(faulty_store, disk, path, clock, audit):
    (due,) = put(faulty_store, delay_s=1.0)
    (late,) = put(faulty_store, delay_s=900.0, expires_s=1.0)
    fill(faulty_store, disk, path)
    clock.advance(1.0)
    faulty_store.tick()
    assert (see(faulty_store, due).state, see(faulty_store, late).state) == (State.READY, State.EXPIRED)
    audit(faulty_store)


def test_accepting_goes_on_once_there_is_room(faulty_store, disk, path, audit):
    fill(faulty_store, disk, path)
    faulty_store.tick()
    with pytest.raises(StoreFull):
        put(faulty_store)
    disk.capacity_bytes += 4 * database.RESERVE_BYTES + database.ROOM_BYTES_MIN
    faulty_store.tick()
    put(faulty_store)
    assert path.with_name("reserve").stat().st_size == database.RESERVE_BYTES
    audit(faulty_store)


def test_a_tick_without_room_leaves_no_part_of_a_reserve(faulty_store, disk, path):
    fill(faulty_store, disk, path)
    disk.fill(path.parent)
    faulty_store.tick()
    assert not path.with_name("reserve").exists()


def test_a_settlement_that_finds_the_disk_full_succeeds_when_repeated(faulty_store, disk, path, clock, audit):
    store = faulty_store
    put(store, 200)
    fences = [one.fence for one in take(store, 200)]
    store.database.connection.wal_checkpoint(mode=3)
    disk.fill(path.parent)
    outcomes = Outcomes(succeeded=[succeeded(fence, clock, b"m" + bytes(500)) for fence in fences])
    with pytest.raises(StoreFull):
        store.settle(outcomes)
    audit(store)
    assert store.settle(outcomes) == []
    audit(store)


def test_draining_goes_on_between_ticks(faulty_store, disk, path, clock, audit):
    fill(faulty_store, disk, path)
    while True:
        clock.advance(0.05)
        faulty_store.tick()
        batch = take(faulty_store, 50)
        if not batch:
            break
        settle(faulty_store, forgotten=[one.fence for one in batch])
    audit(faulty_store)


def test_a_store_that_is_opened_on_a_full_disk_drains(disk, path, clock, audit):
    store = SqliteStore(path, clock=clock)
    ids = put(store, 20)
    store.close()
    disk.capacity_bytes = used_bytes(path.parent)
    store = SqliteStore(path, clock=clock)
    batch = take(store)
    assert [one.job.id for one in batch] == ids
    settle(store, forgotten=[one.fence for one in batch])
    audit(store)
    disk.heal()
    store.close()
