"""How far ids are from the times at which their jobs were accepted."""

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter, JobEntry, JobGroup, checksum
from penstock.store.sqlite.row_numbers import ROW_NUMBER_MAX, row_at, row_number, time_of_row
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import BODY, id_at


def put_at(store, time_s):
    """A job whose id was made then."""
    job = JobEntry(id_at(time_s), BODY, checksum(BODY))
    store.enqueue([JobGroup("app.work", [job])])
    return job.id


def found(store, **where):
    return [view.id for view in store.query(Filter(**where)).jobs]


def test_it_grows_with_what_comes_and_seldom(store, clock):
    skew = store.books.id_skew
    assert skew.within_s == 0.0
    put_at(store, clock.time())
    assert skew.within_s == 2.0
    put_at(store, clock.time() - 1.9)
    assert skew.within_s == 2.0
    put_at(store, clock.time() + 10.0)
    assert skew.within_s == pytest.approx(20.0, abs=0.01)
    put_at(store, clock.time() - 20.1)
    assert skew.within_s == pytest.approx(40.2, abs=0.01)


def test_a_search_by_time_finds_jobs_whatever_their_ids_say(store, clock):
    ids = {}
    for skew_s in (0.0, -7_200.0, 30.0, 86_400.0 * 365, 0.001):
        clock.advance(1.0)
        ids[put_at(store, clock.time() + skew_s)] = clock.time()
    for job_id, at in ids.items():
        assert found(store, since=at, until=at + 0.5) == [job_id]


def test_it_stands_after_a_take_over_and_is_undone_with_its_transaction(store, path, clock):
    put_at(store, clock.time())
    store.begin()
    put_at(store, clock.time() - 500.0)
    assert store.books.id_skew.within_s > 500.0
    store.rollback()
    assert store.books.id_skew.within_s == 2.0
    put_at(store, clock.time() - 50.0)
    store.close()
    again = SqliteStore(path, clock=clock)
    assert again.books.id_skew.within_s == pytest.approx(100.0, abs=0.01)
    again.close()


def test_what_is_refused_does_not_count(store, clock):
    bad = JobEntry(id_at(clock.time() - 500.0), b"m" * (limits.JOB_BODY_BYTES_MAX + 1), 0)
    with pytest.raises(Exception, match="bytes"):
        store.enqueue([JobGroup("app.work", [bad])])
    with pytest.raises(InvalidOption):
        store.enqueue([JobGroup("not ok", [JobEntry(id_at(0.0), BODY, checksum(BODY))])])
    assert store.books.id_skew.within_s == 0.0


def test_times_and_row_numbers_go_together():
    now = 1_800_000_000.125
    number = row_number(id_at(now))
    assert row_at(now) <= number < row_at(now + 0.25)
    assert time_of_row(number) == pytest.approx(now, abs=0.001)
    assert row_at(-1.0) == row_at(0.0) == 0
    assert row_at(1e18) == ROW_NUMBER_MAX
