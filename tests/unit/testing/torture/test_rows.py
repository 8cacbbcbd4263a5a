"""What the auditor reads is what the engine wrote, in every state a job may be in."""

import apsw
import msgspec
import pytest

from penstock.model.ids import new_id
from penstock.model.job import Buried, JobEntry, JobError, JobGroup, LeaseRequest, Outcomes, Succeeded, checksum
from penstock.model.states import State
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock
from penstock.testing.torture.rows import counted, read_rows

HOLDER = b"h" * 16


def body(token: str, *, as_json: bool = False) -> bytes:
    if as_json:
        return b"j" + msgspec.json.encode([[], {"log": "/", "token": token}])
    return b"m" + msgspec.msgpack.encode([["/", token], {}])


def group(*bodies: bytes, **options) -> JobGroup:
    entries = [JobEntry(new_id(), data, checksum(data)) for data in bodies]
    return JobGroup("torture.plain", entries, queue="light", **options)


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "penstock.db", clock=VirtualClock())
    yield store
    store.close()


@pytest.fixture
def database(tmp_path):
    return tmp_path / "penstock.db"


def test_jobs_in_every_state_are_read(store, database):
    store.enqueue([group(body("done"), body("dead", as_json=True), body("running"), body("ready"))])
    store.enqueue([group(body("scheduled"), delay_s=100.0)])
    batch = store.lease(LeaseRequest(HOLDER, 3))
    done, dead = batch.first_fence, batch.first_fence + 1
    store.settle(
        Outcomes(
            HOLDER,
            succeeded=[Succeeded(done, 1.0, 2.0, b"m" + msgspec.msgpack.encode("nonce"))],
            buried=[Buried(dead, JobError("NeverError", "never"))],
        )
    )
    store.close()

    rows = read_rows(database)

    assert {row.token: row.states for row in rows.jobs} == {
        "done": (State.SUCCEEDED,),
        "dead": (State.DEAD,),
        "running": (State.RUNNING,),
        "ready": (State.READY,),
        "scheduled": (State.SCHEDULED,),
    }
    assert {row.token: (row.result, row.error, row.attempt) for row in rows.jobs if row.attempt} == {
        "done": ("nonce", None, 1),
        "dead": (None, "NeverError", 1),
    }
    assert rows.complaints == []
    assert all(row.intact for row in rows.jobs)
    assert rows.ledgers["light"].accepted_total == 5
    assert {state: count for state, count in counted(rows.jobs)["light"].items() if count} == {
        "ready": 1, "scheduled": 1, "running": 1, "succeeded": 1, "dead": 1,
    }  # fmt: skip


def test_a_flipped_bit_and_a_row_without_a_job_are_noticed(store, database):
    store.enqueue([group(body("flipped"))])
    store.close()
    connection = apsw.Connection(str(database))
    connection.execute("UPDATE job SET body = ?", (body("flopped"),))
    connection.execute("INSERT INTO running (fence, seq, holder) VALUES (9, 12345, 1)")
    connection.close()

    rows = read_rows(database)

    assert [row.intact for row in rows.jobs] == [False]
    names = [complaint.partition(":")[0] for complaint in rows.complaints]
    assert names == ["state-without-job", "lease-without-holder"]


def test_a_file_that_is_no_database_is_refused(database):
    database.write_bytes(b"not a database, but long enough to be looked at" * 100)

    with pytest.raises(apsw.Error):
        read_rows(database)
