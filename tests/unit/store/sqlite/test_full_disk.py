"""A full disk stops accepting and nothing else: what is there is leased, run and settled in the room of a reserve."""

import errno
import os
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from penstock.model.errors import StoreFull
from penstock.model.job import Buried, Filter, Lost, Outcomes, Retried, Snoozed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, entry, group, put, see, settle, states, succeeded, take
from penstock.testing.faults import used_bytes


class Free(NamedTuple):
    """What `os.statvfs` says, as far as it is asked for."""

    f_bavail: int
    f_frsize: int


SIZES = {
    "RESERVE_BYTES": 1024 * 1024,
    "LAST_BYTES": 384 * 1024,
    "ROOM_BYTES_MIN": 2 * 1024 * 1024,
    "WAL_PAGES": 128,
    "WAL_PAGES_FULL": 16,
    "SLACK_BYTES": 64 * 1024,
}
"""An eighth of what they are, so that a disk is filled soon."""


@pytest.fixture(autouse=True)
def the_reserve_takes_room(disk, monkeypatch):
    """The reserve is written without SQLite, and onto the same disk."""
    for name, value in SIZES.items():
        monkeypatch.setattr(database, name, value)
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
    assert path.with_name("reserve").stat().st_size == database.LAST_BYTES
    with pytest.raises(StoreFull, match="free space"):
        put(faulty_store)
    assert faulty_store.stats().queues["default"].accepted_total == len(ids)
    audit(faulty_store)


def test_leases_and_settlements_go_on_while_the_disk_is_full(faulty_store, disk, path, clock, audit):
    """I5: draining never needs more than holding."""
    store = faulty_store
    ids = fill(store, disk, path)
    done = 0
    while batch := take(store, 50):
        with pytest.raises(StoreFull):
            put(store)
        outcomes = Outcomes(HOLDER, forgotten=[one.fence for one in batch])
        if done == 0:
            outcomes = Outcomes(
                HOLDER,
                succeeded=[succeeded(one.fence, clock, b"m\x01") for one in batch[:10]],
                buried=[Buried(one.fence, ERROR) for one in batch[10:20]],
                retried=[Retried(one.fence, 0.0, ERROR) for one in batch[20:30]],
                snoozed=[Snoozed(one.fence, 0.0) for one in batch[30:40]],
                lost=[Lost(one.fence, Loss.BLAMED, ERROR) for one in batch[40:]],
            )
        assert store.settle(outcomes).stale == []
        done += len(batch)
    counts = store.stats().queues["default"]
    assert (counts.ready, counts.running, counts.succeeded_total + counts.dead_total) == (0, 0, len(ids))
    audit(store)


def test_the_kept_records_of_all_that_waited_fit_the_reserve(faulty_store, disk, path, clock, audit):
    ids = fill(faulty_store, disk, path)
    while batch := take(faulty_store, 50):
        settle(faulty_store, succeeded=[succeeded(one.fence, clock) for one in batch])
    assert faulty_store.stats().queues["default"].succeeded == len(ids)
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


def test_a_tick_without_room_takes_no_part_of_a_reserve(faulty_store, disk, path):
    fill(faulty_store, disk, path)
    disk.fill(path.parent)
    faulty_store.tick()
    assert path.with_name("reserve").stat().st_size == database.LAST_BYTES


def test_a_settlement_that_finds_the_disk_full_succeeds_in_the_room_of_the_reserve(
    faulty_store, disk, path, clock, audit
):
    store = faulty_store
    put(store, 200)
    fences = [one.fence for one in take(store, 200)]
    store.database.connection.wal_checkpoint(mode=3)
    disk.fill(path.parent)
    outcomes = Outcomes(HOLDER, succeeded=[succeeded(fence, clock, b"m" + bytes(500)) for fence in fences])
    assert store.settle(outcomes).stale == []
    assert store.stats().queues["default"].succeeded == 200
    assert store.health().results_dropped == 0
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


# --- what is thrown away ---------------------------------------------------------------------------------------------
RESULT = b"m" + bytes(2_000)


def finish(store, clock, count, result=RESULT):
    """Jobs that succeeded, oldest first."""
    ids = []
    for start in range(0, count, 50):
        ids += put(store, min(50, count - start))
        settle(store, succeeded=[succeeded(one.fence, clock, result) for one in take(store, 50)])
    return ids


def kept(store, ids):
    return [view is not None and view.result_kept for view in store.get(ids)]


def drain(store, clock, result=RESULT):
    while batch := take(store, 20):
        settle(store, succeeded=[succeeded(one.fence, clock, result) for one in batch])
        yield batch


def test_nothing_is_thrown_away_while_nothing_needs_the_room(faulty_store, disk, path, clock, caplog, audit):
    store = faulty_store
    ids = finish(store, clock, 200)
    clock.advance(1_000.0)
    fill(store, disk, path)
    for _ in range(300):
        clock.advance(0.4)
        store.tick()
    assert kept(store, ids) == [True] * 200
    health = store.health()
    assert (health.disk_full, health.results_dropped, health.records_dropped) == (True, 0, 0)
    assert [record.levelname for record in caplog.records] == ["ERROR"], "told once"
    audit(store)


def test_what_outcomes_need_is_dropped_from_the_oldest_results_and_said_so(
    faulty_store, disk, path, clock, caplog, audit
):
    """I5: every job that was accepted ends, and no more goes than that takes."""
    store = faulty_store
    old = finish(store, clock, 400)
    clock.advance(1_000.0)
    waiting = fill(store, disk, path)
    for _ in drain(store, clock):
        flags = kept(store, old)
        assert flags == sorted(flags), "the oldest first"
    assert states(store, waiting) == [State.SUCCEEDED] * len(waiting)
    assert states(store, old) == [State.SUCCEEDED] * 400, "their records say that there was a result"
    dropped = kept(store, old).count(False)
    health = store.health()
    assert 0 < dropped == health.results_dropped
    assert health.records_dropped == 0
    assert kept(store, waiting[-100:]) == [True] * 100
    needed_bytes = len(waiting) * 2_400
    assert dropped * 2_000 < needed_bytes
    assert len(caplog.records) <= 5
    disk.capacity_bytes += 8 * database.ROOM_BYTES_MIN
    store.tick()
    assert caplog.records[-1].getMessage().startswith(f"while the disk was full, {dropped} results")
    assert store.health().problems() == []
    put(store)
    audit(store)


def test_what_is_accepted_ends_while_another_program_takes_every_byte_that_is_free(
    faulty_store, disk, path, clock, audit
):
    """I5: what the reserve gives up is held, and what the log gives back is not needed."""
    store = faulty_store
    old = finish(store, clock, 400)
    clock.advance(1_000.0)
    waiting = fill(store, disk, path)
    disk.fill(path.parent)
    while batch := take(store, 20):
        disk.fill(path.parent)
        settle(store, succeeded=[succeeded(one.fence, clock) for one in batch])
        disk.fill(path.parent)
    counts = store.stats().queues["default"]
    assert (counts.ready, counts.running, counts.succeeded_total) == (0, 0, len(old) + len(waiting))
    audit(store)


def test_room_asked_for_in_vain_is_no_reason_to_drop_more(faulty_store, disk, path, clock, monkeypatch, audit):
    """Nothing can be written for a while. What is dropped afterwards is what one commit needs."""
    store = faulty_store
    old = finish(store, clock, 400)
    clock.advance(1_000.0)
    fill(store, disk, path)

    def fail(step):
        raise StoreFull("Full.")

    with monkeypatch.context() as patch:
        patch.setattr(store._room, "_alone", fail)
        for _ in range(20):
            clock.advance(0.3)
            store.make_room(0, ())
    store.make_room(0, ())
    assert kept(store, old).count(False) * len(RESULT) < 2 * database.SLACK_BYTES
    audit(store)


def test_where_the_disk_says_that_it_has_room_it_is_believed_once(faulty_store, disk, path, clock, monkeypatch, audit):
    """A quota shows in no free space."""
    store = faulty_store
    old = finish(store, clock, 400)
    clock.advance(1_000.0)
    fill(store, disk, path)
    monkeypatch.setattr(os, "statvfs", lambda _: Free(f_bavail=1 << 40, f_frsize=1))
    store.make_room(0, ())
    assert all(kept(store, old))
    store.make_room(0, ())
    assert not all(kept(store, old))
    audit(store)


def test_what_somebody_waits_for_is_spared_and_the_youngest_go_last(faulty_store, disk, path, clock, audit):
    store = faulty_store
    old = finish(store, clock, 100)
    clock.advance(1_000.0)
    young = finish(store, clock, 100)
    store.watched.update(old[::7], young[::7])
    fill(store, disk, path)
    for _ in drain(store, clock):
        flags = dict(zip(old + young, kept(store, old + young), strict=True))
        assert all(flags[job] for job in store.watched)
        if not all(flags[job] for job in young):
            assert not any(flags[job] for job in old if job not in store.watched)
    audit(store)


def test_small_records_go_whole_when_there_are_no_results_left(faulty_store, disk, path, clock, audit):
    store = faulty_store
    old = finish(store, clock, 3_000, None)
    clock.advance(1_000.0)
    waiting = fill(store, disk, path)
    for _ in drain(store, clock):
        flags = [state is not None for state in states(store, old)]
        assert flags == sorted(flags)
    assert states(store, waiting) == [State.SUCCEEDED] * len(waiting)
    counts = store.stats().queues["default"]
    assert counts.succeeded_total == len(old) + len(waiting)
    assert counts.succeeded == counts.succeeded_total - store.health().records_dropped
    audit(store)


def test_dead_jobs_go_last_of_all_and_count_as_discarded(faulty_store, disk, path, clock, audit):
    store = faulty_store
    error = ERROR.__class__("ValueError", "x" * 2_000)
    for _ in range(20):
        put(store, 20)
        settle(store, buried=[Buried(one.fence, error) for one in take(store, 20)])
    old = finish(store, clock, 20)
    clock.advance(1_000.0)
    fill(store, disk, path)
    for _ in drain(store, clock):
        if store.stats().queues["default"].dead < 400:
            assert not any(kept(store, old))
    counts = store.stats().queues["default"]
    assert counts.ready == counts.running == 0
    assert counts.dead == 400 - counts.dead_discarded_total
    audit(store)


def test_jobs_can_be_deleted_on_a_full_disk(faulty_store, disk, path, clock, audit):
    store = faulty_store
    ids = fill(store, disk, path)
    cursor, deleted = None, 0
    while True:
        step = store.delete_where(Filter(), cursor=cursor)
        deleted, cursor = deleted + step.changed, step.cursor
        if cursor is None:
            break
    assert deleted == len(ids)
    audit(store)


# --- starting --------------------------------------------------------------------------------------------------------
def killed(path, into):
    """What a killed owner leaves."""
    into.mkdir()
    for name in ("penstock.db", "penstock.db-wal", "penstock.db-redo", "reserve"):
        if path.with_name(name).exists():
            (into / name).write_bytes(path.with_name(name).read_bytes())
    return into / "penstock.db"


@pytest.mark.parametrize("reserve", ["there", "given up"])
@pytest.mark.parametrize("state", ["filled", "half drained"])
def test_a_killed_owner_of_a_full_disk_is_followed_by_one_that_works(
    faulty_store, disk, path, clock, tmp_path, audit, state, reserve
):
    old = finish(faulty_store, clock, 205)
    clock.advance(1_000.0)
    waiting = fill(faulty_store, disk, path)
    if state == "half drained":
        batches = drain(faulty_store, clock)
        for _ in range(5):
            next(batches)
    disk.capacity_bytes = None
    after = killed(path, tmp_path / "after")
    if reserve == "given up":
        after.with_name("reserve").unlink(missing_ok=True)
    disk.forget()
    disk.capacity_bytes = used_bytes(after.parent)
    store = SqliteStore(after, clock=clock)
    assert store.health().disk_full
    for _ in drain(store, clock):
        pass
    counts = store.stats().queues["default"]
    assert (counts.ready, counts.running, counts.succeeded_total) == (0, 0, len(old) + len(waiting))
    audit(store)
    disk.heal()
    store.close()


def test_a_store_closed_on_a_full_disk_opens_on_it_again(faulty_store, disk, path, clock, audit):
    finish(faulty_store, clock, 200)
    clock.advance(1_000.0)
    waiting = fill(faulty_store, disk, path)
    next(drain(faulty_store, clock))
    faulty_store.close()
    disk.fill(path.parent)
    store = SqliteStore(path, clock=clock)
    for _ in drain(store, clock):
        pass
    assert set(states(store, waiting)) == {State.SUCCEEDED}
    audit(store)
    disk.heal()
    store.close()


def test_what_is_in_the_redo_log_is_not_lost_when_room_is_made_at_the_opening(disk, path, clock, tmp_path, audit):
    store = SqliteStore(path, clock=clock)
    finish(store, clock, 200)
    clock.advance(1_000.0)
    entries = [entry(b"m" + bytes(900)) for _ in range(60)]
    assert store.defer([DeferredEnqueue(bytes(16), n, b"", [group(one)]) for n, one in enumerate(entries)])
    for step in range(0, 30, 3):
        disk.capacity_bytes = None
        after = killed(path, tmp_path / f"after-{step}")
        after.with_name("reserve").unlink()
        disk.capacity_bytes = used_bytes(after.parent) + step * 8_192
        for _ in range(2):
            try:
                again = SqliteStore(after, clock=clock)
            except StoreFull:
                disk.heal()
            else:
                break
        assert states(again, [one.id for one in entries]) == [State.READY] * 60
        audit(again)
        disk.heal()
        again.close()
    store.close()


def test_where_nothing_can_go_an_opening_says_what_to_do(disk, path, clock):
    store = SqliteStore(path, clock=clock)
    put(store, 5)
    store.close()
    path.with_name("reserve").unlink()
    path.with_name("penstock.db-redo").unlink()
    disk.forget()
    disk.fill(path.parent)
    with pytest.raises(StoreFull, match="free some space, then start again"):
        SqliteStore(path, clock=clock)
    disk.heal()
    SqliteStore(path, clock=clock).close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_quota_and_a_limit_of_file_sizes_are_a_full_disk(store, monkeypatch, number):
    monkeypatch.setattr(store.database, "connection", NamedError(number))
    assert isinstance(store.database.translate(apsw.IOError("disk I/O error")), StoreFull)
    monkeypatch.undo()


class NamedError(NamedTuple):
    """A connection whose last call of the system failed so."""

    system_errno: int


# --- children --------------------------------------------------------------------------------------------------------
def with_children(held, size_bytes, count=1):
    """These succeed, each with children of this size; and the ids of all children."""
    made = [(one.fence, [entry(b"m" + bytes(size_bytes)) for _ in range(count)]) for one in held]
    outcomes = Outcomes(
        HOLDER,
        forgotten=[one.fence for one in held],
        children=[(fence, [group(*entries, queue="children")]) for fence, entries in made],
    )
    return outcomes, [one.id for _, entries in made for one in entries]


def test_children_may_use_the_reserve_when_new_jobs_are_refused(faulty_store, disk, path, audit):
    store = faulty_store
    fill(store, disk, path)
    held = take(store, 5)
    outcomes, children = with_children(held, 1_000)
    with pytest.raises(StoreFull):
        put(store)
    assert store.settle(outcomes).exceptions == []
    assert states(store, children) == [State.READY] * 5
    assert {see(store, child).queue for child in children} == {"children"}
    audit(store)


def test_children_beyond_the_reserve_refuse_the_whole_settlement_until_there_is_room(faulty_store, disk, path, audit):
    store = faulty_store
    fill(store, disk, path)
    held = take(store, 20)
    outcomes, children = with_children(held, 1024 * 1024)
    before = store.totals()
    for _ in range(3):
        with pytest.raises(StoreFull):
            store.settle(outcomes)
        assert states(store, [one.job.id for one in held]) == [State.RUNNING] * 20
        assert states(store, children) == [None] * 20
        assert store.totals() == before
        audit(store)
    # What needs no room is not held up by it.
    others = take(store, 20)
    settle(store, forgotten=[one.fence for one in others])
    disk.heal()
    assert store.settle(outcomes).exceptions == []
    assert states(store, children) == [State.READY] * 20
    audit(store)


def test_one_settlement_too_large_for_the_disk_spoils_no_others_of_its_group(faulty_store, disk, path, audit):
    store = faulty_store
    fill(store, disk, path)
    fits, large = take(store, 10), take(store, 10)
    small, small_children = with_children(fits, 10)
    outcomes, large_children = with_children(large, 2 * 1024 * 1024)
    store.begin()
    assert store.settle(small).exceptions == []
    with pytest.raises(StoreFull):
        store.settle(outcomes)
        store.commit()
    if store.in_group:
        store.rollback()
    assert states(store, [*small_children, *large_children]) == [None] * 20
    # Its owner does each alone then.
    assert store.settle(small).exceptions == []
    with pytest.raises(StoreFull):
        store.settle(outcomes)
    assert states(store, small_children) == [State.READY] * 10
    assert states(store, [one.job.id for one in large]) == [State.RUNNING] * 10
    audit(store)
