"""Leases over several lines of the embedded engine: what is known of lines in memory, and what is in the file."""

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.job import LeaseRequest, Refused
from penstock.model.lines import Closed
from penstock.model.states import State
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.line_heads import ENTRIES_MAX
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    entry,
    group,
    ids_of,
    leap,
    put,
    rest,
    settle,
    states,
    take,
    take_one,
)


def undo(store):
    """What a failed commit leaves."""
    store.rollback()


def known(store):
    """How many jobs are known in memory, by line."""
    return {line: len(front.entries) for line, front in store._line._fronts.items()}


def test_what_a_transaction_did_to_lines_is_undone_with_it(store, audit):
    kept = put(store, 3, queue="a") + put(store, 3, queue="b")
    assert take(store, 0, queues=["a"]) == []
    store.begin()
    assert len(take(store, 4)) == 4
    put(store, 2, queue="a", priority=9)
    put(store, 2, queue="new")
    store.cancel(kept[5:])
    undo(store)
    audit(store)
    assert ids_of(take(store)) == kept
    audit(store)


def test_closing_and_opening_are_undone_with_their_transaction(store, audit):
    (job,) = put(store, queue="a")
    (other,) = put(store, queue="b")
    store.begin()
    store.close_lines(Closed.PAUSED, queue="a")
    assert ids_of(take(store)) == [other]
    undo(store)
    assert store.closed_lines() == []
    audit(store)
    assert ids_of(take(store)) == [job, other]


def lines_asked(store, monkeypatch, act):
    """Which lines are asked whether they are closed while something is done: their queues and tasks."""
    asked = []
    ask = store.books.is_closed

    def note(line):
        asked.append(store.books.line_name(line.id))
        return ask(line)

    with monkeypatch.context() as patched:
        patched.setattr(store.books, "is_closed", note)
        act()
    return sorted(asked)


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ({"queue": "q1"}, [("q1", "app.one"), ("q1", "app.two")]),
        ({"task": "app.one"}, [(f"q{number}", "app.one") for number in range(5)]),
        ({"queue": "q1", "task": "app.one"}, [("q1", "app.one")]),
        ({"queue": "none"}, []),
        ({"task": "app.none"}, []),
        ({"queue": "q1", "task": "app.none"}, []),
    ],
)
def test_closing_and_opening_ask_the_lines_that_are_named_and_no_others(store, audit, monkeypatch, scope, named):
    for number in range(5):
        for task in ("app.one", "app.two"):
            put(store, queue=f"q{number}", task=task)
    store.readied.clear()
    assert lines_asked(store, monkeypatch, lambda: store.close_lines(Closed.PAUSED, **scope)) == named
    audit(store)
    assert store.readied == set()
    assert lines_asked(store, monkeypatch, lambda: store.open_lines(**scope)) == named
    audit(store)
    assert sorted(store.readied) == named


def test_lines_that_open_are_told_of_with_their_refused_jobs_and_others_are_not(store):
    for queue in ("a", "b"):
        put(store, queue=queue)
    settle(store, refused=[Refused(held.fence, ERROR) for held in take(store, 2)])
    store.close_lines(Closed.PAUSED, queue="a")
    store.readied.clear()
    store.open_lines(queue="a")
    assert store.readied == {("a", "app.work")}


def test_a_rollback_asks_no_lines_but_those_that_were_touched_or_closed(store, audit, monkeypatch):
    for number in range(20):
        put(store, queue=f"q{number}")

    def touch(*, closes):
        store.begin()
        put(store, queue="q3")
        store.cancel(put(store, queue="q4"))
        if closes:
            store.close_lines(Closed.PAUSED, queue="q5")
            store.close_lines(Closed.PAUSED, queue="new")
        return lines_asked(store, monkeypatch, store.rollback)

    assert touch(closes=False) == [("q3", "app.work"), ("q4", "app.work")]
    audit(store)
    assert touch(closes=True) == [("q3", "app.work"), ("q4", "app.work"), ("q5", "app.work")]
    audit(store)
    assert touch(closes=False) == [("q3", "app.work"), ("q4", "app.work")]


def test_lines_are_read_again_after_a_rollback_when_some_were_made_or_removed(store, clock, audit):
    def reads(act):
        store.begin()
        act()
        asked = []
        store.database.connection.exec_trace = lambda _, statement, __: asked.append(statement) or True
        store.rollback()
        store.database.connection.exec_trace = None
        audit(store)
        return asked.count(STATEMENTS["load_lines"])

    put(store, queue="a")
    settle(store, forgotten=[take_one(store).fence])
    put(store, queue="b")
    assert reads(lambda: put(store, queue="a")) == 0
    assert reads(lambda: put(store, queue="new")) == 1
    assert reads(lambda: put(store, queue="a", task="app.new")) == 1
    assert reads(lambda: take(store, 1)) == 0
    clock.advance(limits.QUEUE_EMPTY_S + 1)
    store.tick()
    clock.advance(limits.QUEUE_EMPTY_S + 1)
    assert reads(store.tick) == 1
    put(store, queue="made")
    assert reads(lambda: put(store, queue="made")) == 0


def test_of_a_long_line_a_few_places_are_known(store, audit):
    long = put(store, 3_000, task="app.long")
    short = put(store, 1, task="app.short")
    assert ids_of(take(store, 10)) == long[:10]
    assert max(known(store).values()) <= ENTRIES_MAX
    audit(store)
    assert ids_of(take(store, 1_000)) == long[10:1_010]
    audit(store)
    rest_of_them = []
    while some := ids_of(take(store, 500)):
        rest_of_them += some
    assert rest_of_them == long[1_010:] + short
    assert known(store) == {}


def test_new_jobs_of_several_lines_are_given_out_in_the_transaction_that_accepts_them(store, audit):
    store.begin()
    one, two, three = put(store, 2, queue="a"), put(store, task="app.other"), put(store, queue="a")
    assert ids_of(take(store, 3)) == one + two
    store.commit()
    audit(store)
    assert ids_of(take(store)) == three


@pytest.mark.parametrize("size", [limits.LEASE_BYTES_MAX // 4, 70_000])
def test_large_bodies_of_several_lines_stop_a_lease_and_lose_none(store, audit, size):
    ids = []
    for number in range(8):
        job = entry(b"m" + bytes(size - 1))
        store.enqueue([group(job, queue=f"q{number % 3}")])
        ids.append(job.id)
    got = []
    while batch := take(store):
        assert sum(len(one.job.body) for one in batch[:-1]) < limits.LEASE_BYTES_MAX
        got += ids_of(batch)
        settle(store, forgotten=[one.fence for one in batch])
    assert got == ids
    audit(store)


def test_a_row_without_a_job_among_several_lines_holds_up_no_other(store):
    lost, good = put(store, queue="a"), put(store, queue="b")
    store.database.connection.execute("DELETE FROM job WHERE id = ?", (lost[0],))
    assert ids_of(take(store)) == good
    assert store.database.connection.execute("SELECT count(*) FROM ready").fetchall() == [(0,)]


def test_a_queue_that_is_removed_leaves_nothing_known_of_its_lines(store, clock, audit):
    one, two = put(store, task="app.one", queue="gone"), put(store, task="app.two", queue="gone")
    held = take(store, 1, tasks=["app.one"]) + take(store, 1, tasks=["app.two"])
    assert ids_of(held) == one + two
    settle(store, forgotten=[one.fence for one in held])
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S + 1)
    assert "gone" not in store.stats().queues
    assert known(store) == {}
    store.close_lines(Closed.PAUSED, task="app.one")
    assert take(store) == []
    again = put(store, task="app.two", queue="gone")
    assert ids_of(take(store)) == again
    audit(store)


def test_ranks_order_the_jobs_of_a_queue_over_its_lines(path, clock):
    """The test gives the ranks."""
    store = SqliteStore(path, clock=clock)
    early = put(store, task="app.one", queue="a")
    middle, other = put(store, task="app.two", queue="a"), put(store, queue="b")
    late = put(store, task="app.one", queue="a")
    for job, rank in ((early[0], 2), (middle[0], 1), (late[0], 0), (other[0], 9)):
        seq = store._inspector.seq_of(job)
        store.database.connection.execute("UPDATE job SET rank = ? WHERE seq = ?", (rank, seq))
        store.database.connection.execute("UPDATE ready SET rank = ? WHERE seq = ?", (rank, seq))
    for queue in store.books.queues:
        store.database.connection.execute("INSERT INTO fair_queue VALUES (?, 0, 0)", (queue,))
    store.close()
    again = SqliteStore(path, clock=clock)
    batch = again.lease(LeaseRequest(HOLDER, 3))
    # The heads are `late` and `other`; `other` arrived before `late`, and ranks say nothing between queues.
    assert [job.id for job in batch.jobs] == other + late + middle
    assert take_one(again).job.id == early[0]
    again.close()


def test_a_released_job_has_its_place_at_the_head_of_many(store, audit):
    ids = [put(store, queue=f"q{number}")[0] for number in range(20)]
    held = take(store, 5)
    settle(store, released=[held[2].fence])
    assert ids_of(take(store, 3)) == [ids[2], ids[5], ids[6]]
    assert states(store, ids[7:]) == [State.READY] * 13
    audit(store)


def test_a_commit_that_fails_forgets_what_was_taken(faulty_store, disk, audit):
    store = faulty_store
    ids = [put(store, queue=f"q{number}")[0] for number in range(10)]
    disk.fail_at(1)
    with pytest.raises(StoreUnavailable):
        take(store, 4)
    disk.heal()
    assert ids_of(take(store)) == ids
    audit(store)


@pytest.mark.parametrize("queues", [None, ["b"]])
def test_no_job_is_given_out_twice_after_a_lease_that_took_refused_ones_of_several_lines(store, audit, queues):
    """What such a lease read of lines, and did not take, is known: it is not read again."""
    refused = put(store, 1, queue="b", task="app.refused")
    first = put(store, 3, queue="b", task="app.one")
    second = put(store, 3, queue="b", task="app.two")
    settle(store, refused=[Refused(take_one(store).fence, ERROR)])
    store._line.load()
    assert ids_of(take(store, 2, holder=OTHER_HOLDER, queues=queues)) == [*refused, first[0]]
    audit(store)
    assert ids_of(take(store, holder=OTHER_HOLDER)) == first[1:] + second
    audit(store)


# --- many at a time --------------------------------------------------------------------------------------------------
def test_a_lease_over_many_lines_removes_what_it_takes_and_nothing_else(store, audit):
    """Of some lines several jobs; more lines than one statement has; the last lease takes what is left."""
    ids = []
    for number in range(130):
        ids += put(store, 1 + number % 3, queue=f"q{number % 70}", task=("app.work", "app.other")[number % 2])
    taken = []
    for limit in (1, 7, 60, 125, 1_000):
        taken += ids_of(take(store, limit, tasks=["app.work", "app.other", "app.unknown"]))
        audit(store)
    assert taken == ids


def test_jobs_of_several_priorities_are_taken_from_many_lines(store, audit):
    low = [put(store, queue=f"q{number}")[0] for number in range(20)]
    high = [put(store, queue=f"q{number}", priority=5)[0] for number in range(0, 20, 3)]
    assert ids_of(take(store, 12, tasks=["app.work"])) == [*high, *low][:12]
    audit(store)
    assert ids_of(take(store, 50, tasks=["app.work"])) == [*high, *low][12:]
    audit(store)


def test_lines_that_turn_out_to_be_empty_give_nothing(store, audit):
    """Of each it was known only that it might have more."""
    jobs = [job for task in ("app.one", "app.two", "app.three") for job in put(store, task=task)]
    assert ids_of(take(store, 1, tasks=["app.one"]) + take(store, 1, tasks=["app.two"])) == jobs[:2]
    store.cancel(jobs[2:])
    assert take(store) == []
    audit(store)


def test_many_urgent_jobs_are_all_given_out_first_after_a_lease_whose_room_was_filled(store, audit):
    """What it gave back makes more places known of a line than are kept otherwise."""
    body = bytes(limits.LEASE_BYTES_MAX // 32)
    calm = [entry(body) for _ in range(100)]
    store.enqueue([group(*calm)])
    put(store, task="app.other")
    assert len(take(store, 100)) < len(calm)
    urgent = put(store, ENTRIES_MAX + 30, priority=9)
    audit(store)
    assert ids_of(take(store, len(urgent))) == urgent
    audit(store)
