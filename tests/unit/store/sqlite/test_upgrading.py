"""Files of earlier schema versions are upgraded with all they hold."""

from importlib import resources
from pathlib import Path

import apsw
import msgspec
import pytest

from penstock.model.ids import new_ids
from penstock.model.job import DeadCounts, DeadKind, Filter, JobError, LeaseRequest, Outcomes, checksum
from penstock.model.states import State
from penstock.store.sqlite import database
from penstock.store.sqlite.row_numbers import row_number
from penstock.store.sqlite.store import SqliteStore

SCHEMA_4 = (Path(__file__).parent / "schema_4.sql").read_text(encoding="utf-8")
BODY = b"m\x92\x90\x80"
HOLDER = b"h" * 16


def order_key(priority, arrival):
    """As version 4 made it."""
    return (100 - priority) << 55 | arrival


@pytest.fixture
def old(path):
    """A file of version 4, with a job in each table."""
    connection = apsw.Connection(str(path))
    connection.execute(SCHEMA_4)
    connection.execute("INSERT INTO task (name) VALUES ('app.one'), ('app.two')")
    connection.execute("INSERT INTO holder (identity) VALUES (?)", (HOLDER,))
    ids = new_ids(7)
    #         task, queue, order key, run_at
    places = [
        (1, 1, order_key(0, 4), 10.0),
        (2, 1, order_key(0, 3), 10.0),
        (1, 1, order_key(7, 5), 10.0),
        (1, 2, order_key(-100, 6), 10.0),
        (1, 2, order_key(100, 0), 5e9),
        (1, 2, order_key(0, 8), 10.0),
        (2, 2, order_key(0, 9), 10.0),
    ]
    seqs = [row_number(job) for job in ids]
    for seq, job, (task, queue, key, run_at) in zip(seqs, ids, places, strict=True):
        connection.execute(
            "INSERT INTO job (seq, id, task, queue, order_key, checksum, body, run_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, job, task, queue, key, checksum(BODY), BODY, run_at),
        )
    for at in (0, 1, 2):
        connection.execute("INSERT INTO ready VALUES (?, ?, ?)", (places[at][1], places[at][2], seqs[at]))
    error = bytes([0x93, 0xA1, 0x78, 0xA1, 0x79, 0xC0])
    connection.execute("INSERT INTO refused VALUES (?, 3, 2, ?, NULL, 1.0, NULL, ?)", (seqs[3], places[3][2], error))
    connection.execute("INSERT INTO scheduled VALUES (5e9, ?)", (seqs[4],))
    connection.execute("INSERT INTO running (fence, seq, holder) VALUES (?, ?, 1)", (1 << 40 | 1, seqs[5]))
    dead = msgspec.msgpack.encode(JobError("ValueError", "no good"))
    connection.execute("INSERT INTO finished VALUES (?, 'dead', 1, 1e10, 1, NULL, 1.0, ?, NULL, NULL)", (seqs[6], dead))
    for name, counts in (("a", "ready = 3, accepted_total = 3"), ("b", "ready = 1, scheduled = 1, running = 1")):
        connection.execute("INSERT INTO queue (name, arrival) VALUES (?, 9)", (name,))
        connection.execute(f"UPDATE queue SET {counts} WHERE name = ?", (name,))
    connection.execute("UPDATE queue SET accepted_total = 4, dead = 1, dead_total = 1 WHERE name = 'b'")
    connection.execute("INSERT INTO meta VALUES ('epoch', 1)")
    connection.pragma("user_version", 4)
    connection.close()
    return ids


def test_a_store_of_version_4_is_upgraded_with_all_it_holds(old, path, clock, audit):
    store = SqliteStore(path, clock=clock)
    assert store.database.connection.pragma("user_version") == database.SCHEMA_VERSION
    views = store.get(old)
    assert [(view.queue, view.task, view.priority, view.state) for view in views] == [
        ("a", "app.one", 0, State.READY),
        ("a", "app.two", 0, State.READY),
        ("a", "app.one", 7, State.READY),
        ("b", "app.one", -100, State.READY),
        ("b", "app.one", 100, State.SCHEDULED),
        ("b", "app.one", 0, State.RUNNING),
        ("b", "app.two", 0, State.DEAD),
    ]
    assert [view.created_at for view in views] == pytest.approx([int.from_bytes(job[:6], "big") / 1_000 for job in old])
    audit(store)
    assert store.dead_counts() == DeadCounts([DeadKind("app.two", "ValueError", 1)], 0)
    assert [view.id for view in store.query(Filter(state=State.DEAD, error="ValueError")).jobs] == [old[6]]
    at = views[2].created_at
    assert views[2] in store.query(Filter(since=at, until=at + 0.0005)).jobs
    assert store.query(Filter(until=views[0].created_at)).jobs == []
    store.settle(Outcomes(HOLDER, forgotten=[1 << 40 | 1]))
    leased = store.lease(LeaseRequest(HOLDER, 10))
    assert [job.id for job in leased.jobs] == [old[2], old[1], old[0], old[3]]
    audit(store)
    store.close()


def test_an_upgraded_file_has_the_tables_of_a_new_one(old, path, tmp_path, clock):
    SqliteStore(path, clock=clock).close()
    new = apsw.Connection(":memory:")
    new.execute(resources.files(database.__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
    upgraded = apsw.Connection(str(path))
    assert shapes(upgraded) == shapes(new)
    upgraded.close()


def shapes(connection):
    """The columns of each table, and the columns of each index."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1")]
    return {
        name: (connection.pragma(f"table_xinfo({name})"), connection.pragma(f"index_xinfo({name})")) for name in names
    }


def test_a_store_of_version_1_is_upgraded_with_all_it_holds(old, path, clock, audit):
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM meta WHERE key = 'redo'")
    connection.execute("UPDATE job SET queue = 1, task = 2 WHERE seq IN (SELECT seq FROM refused)")
    connection.execute("INSERT INTO ready SELECT 1, order_key, seq FROM refused")
    connection.execute("UPDATE queue SET ready = 4, accepted_total = 4 WHERE name = 'a'")
    connection.execute("UPDATE queue SET ready = 0, accepted_total = 3 WHERE name = 'b'")
    connection.execute("DROP TABLE mishap; DROP TABLE refused; ALTER TABLE job DROP COLUMN has_started")
    connection.execute("DROP TABLE journal; CREATE TABLE answer (client BLOB PRIMARY KEY)")
    connection.pragma("user_version", 1)
    connection.close()
    after = SqliteStore(path, clock=clock)
    assert after.database.connection.pragma("user_version") == database.SCHEMA_VERSION
    assert [view.id for view in after.get(old)] == old
    assert after.stats().queues["a"].accepted_total == 4
    audit(after)
    after.close()


def test_losses_that_version_3_counted_are_no_blame(old, path, clock, audit):
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO ready SELECT queue, order_key, seq FROM refused")
    connection.execute("DROP TABLE mishap; DROP TABLE refused; ALTER TABLE job DROP COLUMN has_started")
    connection.execute("UPDATE job SET losses = 2 WHERE id = ?", (old[2],))
    connection.execute("UPDATE job SET losses = 3 WHERE id = ?", (old[6],))
    connection.pragma("user_version", 3)
    connection.close()
    after = SqliteStore(path, clock=clock)
    waiting, dead, innocent = after.get([old[2], old[6], old[0]])
    assert (waiting.losses, waiting.strays, waiting.suspect) == (0, 2, True)
    assert (dead.losses, dead.strays, dead.suspect) == (3, 0, False)
    assert (innocent.losses, innocent.strays, innocent.suspect) == (0, 0, False)
    assert after.lease(LeaseRequest(HOLDER, 9)).alone == [0]
    audit(after)
    after.close()
