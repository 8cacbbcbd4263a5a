"""What the table of unique keys holds, when, and that newcomers without a rule never touch it."""

import apsw
import pytest

from penstock.model import limits
from penstock.model.flow import UniqueRule
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.states import State
from penstock.testing.conformance.kit import BODY, put, rest, settle, succeeded, take, take_one
from penstock.testing.conformance.unique import DONE, HOUR_S, HOURLY, REPLACE, add, met, one, same, unique


def rows(store, columns="holds"):
    return list(store.database.connection.execute(f"SELECT {columns} FROM unique_key ORDER BY id"))


def test_a_row_goes_with_its_job(store):
    add(store)
    settle(store, forgotten=[take_one(store).fence])
    assert rows(store) == []


def test_a_row_stays_while_its_job_may_take_the_key_up_again(store):
    job = add(store)
    store.cancel([job])
    assert rows(store) == [(None,)]
    add(store)
    assert sorted(rows(store), key=str) == [(1,), (None,)]
    store.delete([job])
    assert rows(store) == [(1,)]


def test_what_outlives_its_record_is_forgotten_in_time_and_in_steps(store, clock):
    keys = [str(number) for number in range(limits.TICK_STEP_JOBS + 10)]
    store.enqueue([unique(*map(one, keys), rule=HOURLY)])
    for _ in range(2):
        settle(store, forgotten=[held.fence for held in take(store, len(keys))])
    assert rows(store, "count(*)") == [(len(keys),)]
    assert store.tick().next_s == pytest.approx(HOUR_S)
    clock.advance(HOUR_S)
    store.tick()
    assert rows(store, "count(*)") == [(10,)]
    rest(store)
    assert rows(store) == []


def test_a_period_that_is_over_leaves_no_row_behind_when_the_key_is_taken(store, clock):
    add(store, rule=HOURLY)
    settle(store, forgotten=[take_one(store).fence])
    clock.advance(HOUR_S)
    add(store, rule=HOURLY)
    assert rows(store) == [(1,)]


def test_the_file_itself_refuses_two_holders_of_a_key(store):
    add(store)
    statement = (
        "INSERT INTO unique_key (id, task, key, states, holds) SELECT x'00', task, key, states, 1 FROM unique_key"
    )
    with pytest.raises(apsw.ConstraintError):
        store.database.connection.execute(statement)


def test_a_group_that_is_undone_leaves_no_key_and_no_change(store):
    kept = add(store, "kept", REPLACE)
    store.begin()
    add(store, "gone")
    store.enqueue([unique(one("kept", b"m2"), rule=REPLACE)])
    store.rollback()
    assert len(rows(store)) == 1
    add(store, "gone")
    assert store.get([kept], body=True)[0].body == BODY


def test_in_a_group_a_key_counts_at_once(store):
    store.begin()
    job = add(store)
    assert met(store) == same(job, State.READY)
    settle(store, forgotten=[take_one(store).fence])
    add(store)
    store.commit()


def test_jobs_without_a_rule_ask_nothing(store, monkeypatch):
    asked = []
    for call in ("run", "rows", "row", "run_many"):
        kept = getattr(store.database, call)

        def noting(name, *values, _kept=kept):
            asked.append(name)
            return _kept(name, *values)

        monkeypatch.setattr(store.database, call, noting, raising=False)
    put(store, 20)
    settle(store, forgotten=[held.fence for held in take(store, 20)])
    assert asked
    assert not [name for name in asked if "unique" in name]


def test_ids_of_two_producers_that_share_a_front_have_their_own_keys(store):
    first = new_ids(1)[0]
    second = first[:8] + bytes(7) + b"\x01"
    for number, job_id in enumerate((first, second)):
        entry = JobEntry(job_id, BODY, checksum(BODY), unique_key=str(number))
        assert store.enqueue([JobGroup("app.work", [entry], unique=UniqueRule())]).accepted == 1
    assert [met(store, key=str(number)).id for number in range(2)] == [first, second]
    again = JobEntry(second, BODY, checksum(BODY), unique_key="0")
    assert [told.unique for told in store.enqueue([JobGroup("app.work", [again], unique=UniqueRule())]).exceptions] == [
        False
    ]


def test_records_that_are_dropped_on_a_full_disk_leave_their_keys(store, clock):
    job = add(store, rule=HOURLY)
    settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
    assert DONE[-1] is State.SUCCEEDED
    found = store.database.rows("oldest_finished", 0, clock.time(), 10)
    store.begin()
    store._chores.drop([(seq, line, state, interest) for seq, _, line, state, _, _, interest in found])
    store.commit()
    assert met(store, HOURLY) == same(job, None)


@pytest.mark.parametrize("table", ["unique_key", "job"])
def test_these_tests_would_notice_a_key_without_a_job_and_a_job_without_its_key(store, audit, table):
    add(store)
    audit(store)
    store.database.connection.execute(f"DELETE FROM {table}")
    if table == "job":
        store.database.connection.execute("DELETE FROM ready")
    with pytest.raises(AssertionError, match="key"):
        audit(store)
