"""Queues with bounds of their own, in the file: marks, sizes, and what is undone."""

from penstock.model import limits
from penstock.model.flow import QueueRecord, Retention
from penstock.model.job import Buried
from penstock.store.sqlite import retained_queues
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import BODY, ERROR, counted, put, rest, settle, succeeded, take


def declare(store, **bounds):
    store.register_tasks([], [QueueRecord("q", retention=Retention(**bounds) if bounds else None)])


def finish(store, clock, count, queue="q", result=None):
    ids = put(store, count, queue=queue)
    settle(store, succeeded=[succeeded(held.fence, clock, result) for held in take(store, count, queues=[queue])])
    return ids


def test_records_that_were_there_are_marked_in_short_slices_and_trimmed_after_that(store, clock, audit):
    finish(store, clock, 200)
    finish(store, clock, 200, "other")
    declare(store, records=5)
    clock.look_s = limits.SLICE_S / 4
    store.tick()
    assert store.books.finished.retained.unmarked
    assert counted(store, "q")["succeeded"] == 200
    audit(store)
    clock.look_s = 0.0
    rest(store)
    assert not store.books.finished.retained.unmarked
    assert counted(store, "q")["succeeded"] == 5
    assert counted(store, "other")["succeeded"] == 200
    audit(store)


def test_marking_goes_on_after_a_take_over(store, path, clock, monkeypatch, audit):
    monkeypatch.setattr(retained_queues, "_LOOKS", 1)
    finish(store, clock, 20)
    declare(store, records=5)
    clock.look_s = limits.SLICE_S / 4
    store.tick()
    store.close()
    clock.look_s = 0.0
    again = SqliteStore(path, clock=clock)
    finish(again, clock, 3)
    rest(again)
    assert counted(again, "q")["succeeded"] == 5
    audit(again)
    again.close()


def test_what_a_transaction_did_is_undone_with_it(store, clock, audit):
    declare(store, records=5, size_bytes=10**6)
    finish(store, clock, 3)
    before = dict(store.books.finished.retained.sizes)
    store.begin()
    finish(store, clock, 4)
    declare(store, records=1)
    store.rollback()
    assert store.books.finished.retained.sizes == before
    assert store.books.finished.retained.declared == {"q": Retention(5, None, 10**6)}
    rest(store)
    assert counted(store, "q")["succeeded"] == 3
    audit(store)


def test_a_queue_without_bounds_costs_no_marks(store, clock):
    finish(store, clock, 3)
    marked = store.database.connection.execute("SELECT count(*) FROM finished WHERE retained IS NOT NULL").get
    assert marked == 0


def test_whatever_makes_a_record_go_is_taken_off_the_size(store, clock, audit):
    declare(store, size_bytes=10**6)
    ids = finish(store, clock, 3, result=b"m" * 100)
    put(store, 2, queue="q")
    held = take(store)
    dead = [one.job.id for one in held]
    settle(store, buried=[Buried(one.fence, ERROR, keep_s=60.0) for one in held])
    assert list(store.books.finished.retained.sizes.values()) == [5 * len(BODY) + 300]
    store.delete(ids[:1])
    store.revive(dead[:1])
    clock.advance(60.0)
    rest(store)
    assert list(store.books.finished.retained.sizes.values()) == [2 * len(BODY) + 200]
    audit(store)


def test_results_that_are_dropped_to_make_room_are_taken_off_the_size(store, clock, audit):
    declare(store, size_bytes=10**6)
    finish(store, clock, 3, result=b"m" * 100)
    rows = store.database.rows("oldest_results", 0, 1e18, 2)
    store.alone(lambda: store._room._strip(rows))
    assert list(store.books.finished.retained.sizes.values()) == [len(BODY) + 100]
    audit(store)


def test_trimming_keeps_up_with_what_ends(store, clock):
    declare(store, records=10)
    count = limits.TICK_STEP_JOBS * 2
    kept = []
    for _ in range(4):
        finish(store, clock, count)
        store.tick()
        kept.append(counted(store, "q")["succeeded"])
    assert max(kept) <= 10
