"""Each chore stands alone, and one bad row stops no other."""

import apsw
import pytest

from penstock.model import limits
from penstock.model.job import Buried
from penstock.model.states import State
from penstock.store.sqlite import failing_chores
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, counted, put, settle, states, succeeded, take

CHORES = {
    "promoting due jobs": "due",
    "expiring jobs": "expiring",
    "trimming records": "aged",
    "forgetting idempotency keys": "forget_idempotency",
    "forgetting unique keys": "forget_old_unique",
}


def furnish(store, clock):
    """Something to do for every chore. Answers jobs to be promoted, reclaimed, expired and trimmed."""
    old = put(store, 2)
    settle(store, succeeded=[succeeded(one.fence, clock, keep_record_s=1.0) for one in take(store)])
    running = put(store, 2)
    take(store, 2, lease_s=1.5)
    due = put(store, 2, delay_s=1.0)
    late = put(store, 2, expires_s=1.0)
    clock.advance(1.6)
    return due, running, late, old


def change(store, statement, *values):
    store.database.connection.execute(statement, values)


def broken(statement, error):
    """A statement that raises, as an index on a damaged page does."""

    def wrap(rows):
        def damaged(name, *values):
            if name == statement:
                raise error
            return rows(name, *values)

        return damaged

    return wrap


@pytest.mark.parametrize("error", [apsw.CorruptError("malformed"), apsw.IOError("bad sector"), KeyError(7)], ids=repr)
@pytest.mark.parametrize("chore", CHORES)
def test_a_chore_that_fails_stops_no_other(store, clock, monkeypatch, caplog, chore, error):
    due, running, late, old = furnish(store, clock)
    for call in ("rows", "run"):
        monkeypatch.setattr(
            store.database, call, broken(CHORES[chore], error)(getattr(store.database, call)), raising=False
        )
    for _ in range(150):
        clock.advance(1.0)
        store.tick()
    health = store.health()
    assert health.fails
    assert health.faults[0].name == chore
    assert type(error).__name__ in health.problems()[0]
    assert health.fault_counts[chore] >= 140
    assert len([record for record in caplog.records if chore in record.getMessage()]) <= 4
    monkeypatch.undo()
    rest = {"promoting due jobs": due, "expiring jobs": late, "trimming records": old}
    done = [job for name, jobs in rest.items() if name != chore for job in jobs] + running
    wanted = {**dict.fromkeys(due + running, State.READY), **dict.fromkeys(late, State.EXPIRED), **dict.fromkeys(old)}
    assert states(store, done) == [wanted[job] for job in done]
    clock.advance(1.0)
    store.tick()
    assert states(store, list(wanted)) == list(wanted.values())
    assert not store.health().fails


def test_chores_that_failed_do_so_outside_of_groups_from_then_on(store, clock, monkeypatch):
    due, *_ = furnish(store, clock)
    monkeypatch.setattr(store.database, "rows", broken("expiring", KeyError(1))(store.database.rows), raising=False)
    store.begin()
    with pytest.raises(KeyError):
        store.tick()
    store.rollback()
    assert store.suspects
    store.tick()
    assert states(store, due) == [State.READY] * 2
    assert store.suspects
    monkeypatch.undo()
    clock.advance(failing_chores.SUSPECTED_S)
    store.tick()
    assert not store.suspects


@pytest.mark.parametrize("bad", [1, 3])
def test_due_jobs_beside_bad_ones_are_promoted(store, clock, caplog, bad):
    ids = put(store, 100, delay_s=1.0)
    for job in ids[10 : 10 + bad]:
        change(store, "UPDATE job SET line = 999 WHERE id = ?", job)
    clock.advance(1.0)
    for _ in range(10):
        assert store.tick().next_s != 0.0, "what is set aside is not due at once"
        clock.advance(1.0)
    good = ids[:10] + ids[10 + bad :]
    assert states(store, good) == [State.READY] * len(good)
    assert counted(store) == {"scheduled": bad, "ready": 100 - bad, "accepted_total": 100}
    assert store.health().jobs_set_aside == bad
    assert str(bad) in store.health().problems()[0]
    assert [record.getMessage() for record in caplog.records] == ["promoting due jobs failed: KeyError: 999"]
    assert not store.suspects
    later = put(store, 3, delay_s=1.0)
    clock.advance(1.0)
    store.tick()
    assert states(store, later) == [State.READY] * 3


def test_what_is_set_aside_is_tried_again_once_it_may_be_mended(store, clock):
    ids = put(store, 3, delay_s=1.0)
    change(store, "UPDATE job SET line = 999 WHERE id = ?", ids[1])
    clock.advance(1.0)
    store.tick()
    change(store, "UPDATE job SET line = 1 WHERE id = ?", ids[1])
    clock.advance(failing_chores.ASIDE_S)
    put(store, 1, delay_s=0.5)
    change(store, "UPDATE job SET line = 999 WHERE line = 1 AND attempts = 77")
    clock.advance(1.0)
    store._apart.suspect("promoting due jobs")
    store.tick()
    assert states(store, ids) == [State.READY] * 3
    assert store.health().problems() == []


def test_a_bad_job_among_expiring_and_among_ended_leases(store, clock):
    late = put(store, 5, expires_s=1.0)
    change(store, "DELETE FROM ready WHERE seq = (SELECT seq FROM job WHERE id = ?)", late[2])
    clock.advance(1.0)
    store.tick()
    expired = late[:2] + late[3:]
    assert states(store, expired) == [State.EXPIRED] * 4
    running = put(store, 5)
    held = take(store, 5, lease_s=1.0)
    change(store, "UPDATE job SET line = 999 WHERE id = ?", held[2].job.id)
    store.books.load()
    clock.advance(1.5)
    store.tick()
    assert states(store, running[:2] + running[3:]) == [State.READY] * 4
    assert store.health().jobs_set_aside == 2
    assert counted(store)["running"] == 1
    assert store.health().fault_counts.keys() == {"expiring jobs", "taking back leases that ended"}


def test_bad_rows_without_end_are_done_in_bounded_steps(store, clock, monkeypatch):
    monkeypatch.setattr(failing_chores, "_FAILURES_MAX", 10)
    ids = put(store, 64, delay_s=1.0)
    for job in ids[:32]:
        change(store, "UPDATE job SET line = 999 WHERE id = ?", job)
    clock.advance(1.0)
    for _ in range(30):
        store.tick()
        clock.advance(failing_chores.SUSPECTED_S)
    assert states(store, ids[32:]) == [State.READY] * 32
    assert store.health().jobs_set_aside == 32


def test_a_damaged_index_shows_in_health_and_the_rest_goes_on(path, clock):
    store = SqliteStore(path, clock=clock)
    put(store, 2_000, expires_s=0.5)
    page = store.database.connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'job_expiry'").get
    due = put(store, 2, delay_s=1.0)
    store.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    store = SqliteStore(path, clock=clock)
    for _ in range(5):
        clock.advance(1.0)
        store.tick()
    assert states(store, due) == [State.READY] * 2
    health = store.health()
    assert health.fails
    assert {fault.name for fault in health.faults} == {"expiring jobs", "looking for what is due next"}
    assert "CorruptError" in " ".join(health.problems())
    store.close()


def test_a_job_whose_task_is_not_known_any_more_is_buried_and_holds_up_no_other(store):
    (lost,) = put(store, task="app.lost")
    (sound,) = put(store)
    change(store, "UPDATE line SET task = 999 WHERE id = (SELECT line FROM job WHERE id = ?)", lost)
    store.books.load()
    assert [one.job.id for one in take(store)] == [sound]
    (view,) = store.get([lost])
    assert (view.state, view.error.type, view.task) == (State.DEAD, "Corrupt", "?")
    assert counted(store) == {"accepted_total": 2, "running": 1, "dead": 1, "dead_total": 1}


def test_records_that_cannot_be_decoded_hide_no_other(store, clock):
    ids = put(store, 3, tags=["a"])
    settle(store, buried=[Buried(one.fence, ERROR) for one in take(store, 1)])
    change(store, "UPDATE job SET extra = x'c1c1' WHERE id = ?", ids[1])
    change(store, "UPDATE finished SET error = x'c1c1'")
    views = store.get(ids)
    assert [view.tags for view in views] == [["a"], None, ["a"]]
    assert views[0].error.type == "Corrupt"


def test_a_tick_does_no_more_than_a_step_whatever_is_set_aside(store, clock):
    ids = put(store, limits.TICK_STEP_JOBS + 20, delay_s=1.0)
    change(store, "UPDATE job SET line = 999 WHERE id = ?", ids[0])
    clock.advance(1.0)
    store.tick()
    assert store.tick().promoted == 20
    assert counted(store)["ready"] == limits.TICK_STEP_JOBS + 19


def test_a_lease_whose_job_is_gone_is_counted_and_the_store_opens(path, clock):
    store = SqliteStore(path, clock=clock)
    ids = put(store, 3)
    take(store, 3)
    change(store, "DELETE FROM job WHERE id = ?", ids[1])
    store.close()
    store = SqliteStore(path, clock=clock)
    assert states(store, ids) == [State.RUNNING, None, State.RUNNING]
    assert store.health().jobs_set_aside == 1
    assert counted(store) == {"accepted_total": 3, "running": 3}
    store.close()
