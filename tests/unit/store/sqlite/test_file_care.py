"""A copy of the file while it is written, and what is told of the file."""

import random

import apsw
import pytest

from penstock.model import limits
from penstock.model.errors import CareFailed, Conflict, InvalidOption
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite import file_copy, row_counts
from penstock.store.sqlite.file_check import check_file
from penstock.store.sqlite.store import SqliteStore

HOLDER = b"h" * 16


@pytest.fixture
def target(tmp_path):
    return tmp_path / "copy.unfinished"


@pytest.fixture
def small_steps(monkeypatch):
    """A step copies one page."""
    monkeypatch.setattr(file_copy, "_PAGES_AT_ONCE", 1)
    monkeypatch.setattr(limits, "SLICE_S", 1e-9)


def put(store, count, body=b"m" + b"x" * 500):
    ids = new_ids(count)
    store.enqueue([JobGroup("app.work", [JobEntry(one, body, checksum(body)) for one in ids])])
    return ids


def rest_of(store, target):
    """Copy to the end. Answers how many steps that took."""
    for steps in range(1, 10_000):
        if store.copy_file(str(target), begin=False).is_done:
            return steps
    pytest.fail("the copy comes to no end")


def opened(target, clock, audit):
    """The jobs that a copy has."""
    copy = SqliteStore(target, clock=clock)
    audit(copy)
    ids = [job_id for (job_id,) in copy.database.connection.execute("SELECT id FROM job")]
    copy.close()
    return set(ids)


def test_a_copy_has_all_that_was_committed_before_its_end(store, target, clock, audit, small_steps):
    before = put(store, 200)
    store.copy_file(str(target), begin=True)
    meanwhile = []
    for number in range(60):
        meanwhile += put(store, 3)
        if number % 7 == 0:
            batch = store.lease(LeaseRequest(HOLDER, 5))
            store.settle(Outcomes(HOLDER, forgotten=range(batch.first_fence, batch.first_fence + len(batch.jobs))))
        store.copy_file(str(target), begin=False)
    assert rest_of(store, target) > 10, "it takes many steps"
    after = put(store, 1)
    there = opened(target, clock, audit)
    gone = {job_id for job_id, view in zip(before, store.get(before), strict=True) if view is None}
    assert there == {*before, *meanwhile} - gone
    assert not there & {*after}


def test_what_is_deferred_when_it_begins_is_in_it(store, target, clock, audit):
    (known,) = put(store, 1)
    (new,) = new_ids(1)
    group = JobGroup("app.work", [JobEntry(new, b"m", checksum(b"m"))])
    store.tidy()
    assert store.defer([DeferredEnqueue(HOLDER, 1, b"", [group])])
    assert store.copy_file(str(target), begin=True).is_done
    assert opened(target, clock, audit) == {known, new}


def test_what_was_undone_is_not_in_it(store, target, clock, audit, small_steps):
    kept = put(store, 50)
    store.copy_file(str(target), begin=True)
    store.begin()
    put(store, 3_000)
    store.rollback()
    rest_of(store, target)
    assert opened(target, clock, audit) == {*kept}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_meanwhile_a_copy_is_the_store_at_its_last_page(path, target, clock, seed, small_steps):
    """Calls, groups that are undone after they have filled SQLite's cache, and logs that are brought in, at random."""
    chance = random.Random(seed)
    store = SqliteStore(path, clock=clock)
    store.database.connection.execute("PRAGMA cache_size=20").fetchall()
    put(store, 150)
    done = store.copy_file(str(target), begin=True)

    def undone():
        store.begin()
        put(store, chance.randint(1, 400))
        store.rollback()

    def worked():
        batch = store.lease(LeaseRequest(HOLDER, chance.randint(1, 30)))
        store.settle(Outcomes(HOLDER, forgotten=range(batch.first_fence, batch.first_fence + len(batch.jobs))))

    acts = [lambda: put(store, chance.randint(1, 20)), worked, store.database.shrink_log, store.tick, undone]
    for number in range(20_000):
        if done.is_done:
            break
        if chance.random() < 0.2:
            # What is undone makes the copy begin anew: not at every turn, or it comes to no end.
            chance.choice(acts if number < 200 else acts[:-1])()
        store.tidy()
        done = store.copy_file(str(target), begin=False)
    assert done.is_done
    assert rows_of(store.database.connection) == rows_at(target)
    store.close()


def rows_of(connection):
    """Every row of every table."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}


def rows_at(path):
    connection = apsw.Connection(str(path))
    try:
        assert check_file(connection).findings == []
        return rows_of(connection)
    finally:
        connection.close()


def test_a_disk_that_fails_under_a_copy_harms_nobody_else(faulty_store, disk, target, audit, small_steps):
    put(faulty_store, 300)
    for operation in range(1, 40):
        faulty_store.copy_file(str(target), begin=True)
        disk.fail_at(operation, lasting=False)
        try:
            rest_of(faulty_store, target)
        except CareFailed:
            assert not target.exists()
            assert faulty_store.copy_file(str(target), begin=False).is_unknown
        disk.heal()
        put(faulty_store, 1)
    audit(faulty_store)


def test_a_copy_is_for_its_owner_alone(store, target):
    store.copy_file(str(target), begin=True)
    assert target.stat().st_mode & 0o777 == 0o600


def test_one_copy_is_made_at_a_time(store, target, clock, tmp_path, small_steps):
    put(store, 100)
    other = tmp_path / "other.unfinished"
    store.copy_file(str(target), begin=True)
    with pytest.raises(Conflict, match=r"copy\.unfinished"):
        store.copy_file(str(other), begin=True)
    assert store.copy_file(str(other), begin=False).is_unknown
    assert not other.exists()
    # The one who makes it may begin anew.
    assert not store.copy_file(str(target), begin=True).is_done
    clock.advance(limits.COPY_IDLE_S)
    store.drop_idle_copy()
    assert not target.exists()
    assert store.copy_file(str(target), begin=False).is_unknown
    store.copy_file(str(other), begin=True)


def test_one_that_nobody_asks_for_gives_way(store, target, clock, tmp_path, small_steps):
    put(store, 100)
    store.copy_file(str(target), begin=True)
    clock.advance(limits.COPY_IDLE_S)
    store.copy_file(str(tmp_path / "other.unfinished"), begin=True)
    assert not target.exists()


def test_a_copy_that_is_not_whole_goes_with_its_owner(path, target, clock, small_steps):
    store = SqliteStore(path, clock=clock)
    put(store, 100)
    store.copy_file(str(target), begin=True)
    assert target.exists()
    store.close()
    assert not target.exists()


def test_nothing_is_written_over(store, target, tmp_path):
    dear = tmp_path / "dear.db"
    dear.write_text("dear")
    with pytest.raises(InvalidOption, match="ends in"):
        store.copy_file(str(dear), begin=True)
    assert dear.read_text() == "dear"
    link = tmp_path / "link.unfinished"
    link.symlink_to(dear)
    with pytest.raises(InvalidOption, match="symbolic link"):
        store.copy_file(str(link), begin=True)
    assert dear.read_text() == "dear"
    (tmp_path / "place.unfinished").mkdir()
    with pytest.raises(InvalidOption, match="no file"):
        store.copy_file(str(tmp_path / "place.unfinished"), begin=True)
    with pytest.raises(InvalidOption):
        store.copy_file(str(tmp_path / "none" / "copy.unfinished"), begin=True)
    with pytest.raises(InvalidOption, match="absolute"):
        store.copy_file("copy.unfinished", begin=True)
    assert store.copy_file(str(tmp_path / "none" / "copy.unfinished"), begin=False).is_unknown


def test_what_an_earlier_copy_left_is_written_over(store, target, clock, audit):
    """Such as of an owner that was killed after it had begun, and whose client asks again."""
    ids = put(store, 3)
    target.write_bytes(b"half" * 5_000)
    assert store.copy_file(str(target), begin=True).is_done
    assert opened(target, clock, audit) == {*ids}


def test_a_copy_leaves_room_on_its_disk(store, target, monkeypatch):
    monkeypatch.setattr(limits, "COPY_SPARED_BYTES", 1 << 60)
    with pytest.raises(CareFailed, match="nearly full"):
        store.copy_file(str(target), begin=True)
    assert not target.exists()
    assert store.copy_file(str(target), begin=False).is_unknown


def test_rows_are_counted_in_steps(store, monkeypatch):
    put(store, 50)
    batch = store.lease(LeaseRequest(HOLDER, 7))
    store.settle(Outcomes(HOLDER, forgotten=[batch.first_fence]))
    monkeypatch.setattr(row_counts, "_ROWS_AT_ONCE", 4)
    monkeypatch.setattr(limits, "SLICE_S", 0.0)
    told, cursor, steps = {}, None, 0
    while steps == 0 or cursor is not None:
        statistics = store.file_statistics(cursor)
        for table, rows in statistics.rows.items():
            told[table] = told.get(table, 0) + rows
        cursor, steps = statistics.cursor, steps + 1
    assert steps > 10
    connection = store.database.connection
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    tables = [name for name in names if not name.startswith("sqlite_")]
    assert told == {name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in tables}
    assert told["job"] == 49


def test_the_file_is_told_of(store, path):
    put(store, 50)
    told = store.file_statistics()
    assert told.size_bytes == path.stat().st_size
    assert told.pages * told.page_bytes >= told.size_bytes
    assert told.redo_bytes > 0
    assert told.log_bytes > 0
    assert told.schema_version == store.database.connection.pragma("user_version")


@pytest.mark.parametrize("cursor", ["", "?", "k8A=", "äö"])
def test_a_cursor_of_another_kind_is_refused(store, cursor):
    with pytest.raises(InvalidOption):
        store.file_statistics(cursor)


def test_a_copy_that_is_being_made_does_not_hold_a_checkpoint(store, target, small_steps):
    put(store, 100)
    store.copy_file(str(target), begin=True)
    put(store, 3_000)
    assert store.database.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)[0] >= 0
    assert store.database.shrink_log()
