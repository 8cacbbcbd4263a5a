"""Deferred enqueues: durable before there are rows, and nobody can tell the difference."""

import itertools
import random
import shutil

import apsw
import pytest

from penstock.model.errors import StoreFull, StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import MESSAGE_TASK, Filter, JobEntry, Outcomes, checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.states import State
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite import deferred_enqueues, redo_log, transaction_journal
from penstock.store.sqlite.row_numbers import row_number
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import HOLDER, counted, elapse, entry, group, put, see, settle, states, take

CLIENT = b"c" * 16
ANSWER = b"answer"
_numbers = itertools.count(1)


def request(*groups, number=None):
    return DeferredEnqueue(CLIENT, number or next(_numbers), ANSWER, list(groups))


def defer(store, count=1, **options):
    """Defer a request of so many jobs, which must work. Answers their ids."""
    entries = [entry() for _ in range(count)]
    assert store.defer([request(group(*entries, **options))])
    return [one.id for one in entries]


@pytest.fixture
def known(store):
    """A store that has seen its queue and task."""
    settle(store, forgotten=[held.fence for held in (put(store), take(store))[1]])
    return store


LOOKS = {
    "get": lambda store, ids: [view.state for view in store.get(ids)] == [State.READY] * len(ids),
    "query": lambda store, ids: {view.id for view in store.query(Filter()).jobs} == set(ids),
    "stats": lambda store, ids: store.stats().queues["default"].ready == len(ids),
    "lease": lambda store, ids: [held.job.id for held in take(store)] == ids,
    "cancel": lambda store, ids: store.cancel(ids) == [State.CANCELLED] * len(ids),
    "delete": lambda store, ids: store.delete(ids) == [True] * len(ids),
    "tick": lambda store, ids: store.tick() is not None and states(store, ids) == [State.READY] * len(ids),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_sees_the_jobs(known, audit, look):
    ids = defer(known, 2) + defer(known)
    assert known.deferred == 2
    assert LOOKS[look](known, ids)
    assert known.deferred == 0
    audit(known)


def test_order_holds_among_deferred_and_others(known):
    ids = defer(known, 2)
    ids += defer(known, task="app.work", queue="default")
    ids += put(known, 2)
    ids += defer(known, tags=["a"])
    ids += defer(known)
    assert [held.job.id for held in take(known)] == ids


def test_tasks_of_one_queue_keep_their_order(known):
    put(known, task="app.other")
    take(known)
    ids = [one for task in ("app.work", "app.other") * 3 for one in defer(known, task=task)]
    assert [held.job.id for held in take(known)] == ids


def test_many_are_written_together_and_all_are_there(known, audit):
    ids = [one for _ in range(deferred_enqueues.REQUESTS_MAX) for one in defer(known)]
    assert not known.defer([request(group())]), "a transaction is due"
    assert states(known, ids) == [State.READY] * len(ids)
    assert defer(known)
    audit(known)


REFUSED = {
    "a delay": [group(delay_s=1.0)],
    "a time": [group(run_at=2e9)],
    "a key": [group(entry(key="a"))],
    "an unknown queue": [group(queue="never-seen")],
    "an unknown task": [group(task="app.never_seen")],
    "a channel": [group(queue="orders:a")],
    "a message": [group(task=MESSAGE_TASK)],
    "a wrong priority": [group(priority=101)],
    "a wrong tag": [group(tags=["x"] * 1_000)],
    "a wrong expiry": [group(expires_s=-1.0)],
    "a short id": [group(entry(job_id=b"short"))],
    "no checksum": [group(JobEntry(new_id(), b"m", 1 << 63))],
    "a negative checksum": [group(JobEntry(new_id(), b"m", -1))],
    "too much": [group(entry(b"m" + bytes(redo_log.RECORD_BYTES_MAX)))],
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_may_not_be_accepted_as_it_is_is_left_to_the_usual_way(known, audit, why):
    known.create_channel("orders", "a")
    known.publish("orders", [MessageGroup([MessageEntry(new_message_ids(1)[0], b"r", checksum(b"r"))])])
    before = counted(known)
    assert not known.defer([request(group()), request(*REFUSED[why])])
    assert known.deferred == 0
    assert counted(known) == before
    audit(known)


def test_a_job_that_is_there_is_not_deferred(known):
    first = entry()
    known.enqueue([group(first)])
    assert not known.defer([request(group(first))])
    second = entry()
    assert known.defer([request(group(second))])
    assert not known.defer([request(group(second))])
    assert not known.defer([request(group(entry(job_id=new_id()), *[entry(job_id=second.id)]))])
    twice = entry()
    assert not known.defer([request(group(twice, twice))])


def test_a_job_under_another_number_than_its_own_is_known(known, audit):
    first = entry()
    beside = bytearray(first.id)
    beside[15] ^= 1
    beside = bytes(beside)
    assert row_number(beside) == row_number(first.id)
    assert known.defer([request(group(first))])
    assert not known.defer([request(group(entry(job_id=beside)))])
    known.enqueue([group(entry(job_id=beside))])
    known.delete([first.id])
    assert not known.defer([request(group(entry(job_id=beside)))])
    audit(known)


def test_a_job_keeps_the_time_it_was_accepted_at(known, clock):
    accepted_at = clock.time()
    (one,) = defer(known, expires_s=30.0)
    clock.advance(0.5)
    view = see(known, one)
    assert (view.run_at, view.expires_at) == (accepted_at, accepted_at + 30.0)
    elapse(known, clock, 29.5)
    assert see(known, one).state is State.EXPIRED


def test_a_clock_that_is_set_back_gives_no_job_the_times_of_another(known, clock):
    (before,) = defer(known, expires_s=60.0)
    clock.jump(-3_600.0)
    (after,) = defer(known, expires_s=60.0)
    assert see(known, before).expires_at - see(known, after).expires_at == 3_600.0


def test_answers_need_no_transaction(known):
    """A client that connects while the disk fails is none the worse for it."""
    number = next(_numbers)
    assert known.defer([request(group(), number=number)])
    assert known.answers_of(CLIENT, number) == {number: ANSWER}
    assert known.answers_of(CLIENT, number + 1) == {}
    assert known.answers_of(b"another client..") == {}
    assert known.deferred == 1


def test_an_undone_transaction_loses_nothing(known, audit):
    ids = defer(known, 2)
    known.begin()
    put(known)
    known.rollback()
    assert known.deferred == 1
    assert states(known, ids) == [State.READY] * 2
    assert known.stats().queues["default"].ready == 2
    audit(known)


def test_after_an_undone_transaction_nothing_is_deferred_until_one_succeeds(known):
    """Its commit may yet come about when the file is opened again, and would make void what was added since."""
    known.begin()
    known.rollback()
    assert not known.defer([request(group())])
    known.tick()
    take(known)
    assert not known.defer([request(group())]), "nothing was written in the place of what was undone"
    put(known)
    assert defer(known)


def test_an_opened_group_has_what_was_deferred_and_its_answer(known):
    (one,) = defer(known)
    known.begin()
    assert states(known, [one]) == [State.READY]
    known.record_answer(CLIENT, 10**6, b"other")
    known.commit()
    assert set(known.answers_of(CLIENT).values()) == {ANSWER, b"other"}


# --- crashes ----------------------------------------------------------------------------------------------------------
def copied(path, into):
    into.mkdir()
    for file in path.parent.iterdir():
        shutil.copy(file, into / file.name)
    return into / path.name


def test_a_killed_owner_leaves_jobs_and_answers_to_the_next(known, path, clock, tmp_path, audit):
    ids = defer(known, 2)
    assert known.defer([request(group(entry()), number=10**6)])
    again = SqliteStore(copied(path, tmp_path / "after"), clock=clock)
    assert again.deferred == 0
    assert states(again, ids) == [State.READY] * 2
    assert again.answers_of(CLIENT, 10**6) == {10**6: ANSWER}
    assert again.stats().queues["default"].ready == 3
    audit(again)
    again.close()


def test_it_is_made_rows_once_however_often_the_store_is_opened(known, path, clock, tmp_path, audit):
    ids = defer(known, 2)
    database = copied(path, tmp_path / "after")
    for _ in range(3):
        again = SqliteStore(database, clock=clock)
        assert again.stats().queues["default"].accepted_total == 3
        assert states(again, ids) == [State.READY] * 2
        audit(again)
        again.close()


def test_a_closed_store_has_rows_of_all(known, path, clock):
    ids = defer(known, 3)
    known.close()
    redo_log.redo_path(path).unlink()
    again = SqliteStore(path, clock=clock)
    assert states(again, ids) == [State.READY] * 3
    again.close()


def test_jobs_that_ran_and_left_nothing_do_not_come_back(known, path, clock, tmp_path, audit):
    defer(known, 2)
    settle(known, forgotten=[held.fence for held in take(known)])
    again = SqliteStore(copied(path, tmp_path / "after"), clock=clock)
    assert counted(again) == counted(known)
    audit(again)
    again.close()


@pytest.mark.parametrize("drops", [False, True])
def test_numbers_of_transactions_never_come_again(path, clock, monkeypatch, drops):
    """Else a record of long ago could count again: not even when every row of the journal was dropped."""
    if drops:
        monkeypatch.setattr(transaction_journal, "BYTES_MAX", 0)
        monkeypatch.setattr(transaction_journal, "STEP_ROWS", 1)
    numbers = []
    for _ in range(4):
        store = SqliteStore(path, clock=clock)
        numbers.append(store.books.journal.next_number)
        put(store)
        store.tidy()
        numbers.append(store.books.journal.next_number)
        store.begin()
        store.rollback()
        store.begin()
        store.commit()
        store.tidy()
        numbers.append(store.books.journal.next_number)
        store.close()
    assert numbers == sorted(numbers)
    assert len(set(numbers)) >= 5


def test_with_a_full_disk_it_stops_and_what_was_deferred_is_made_rows_in_the_reserve(disk, path, clock, audit):
    store = SqliteStore(path, clock=clock)
    put(store)
    ids = [one for _ in range(50) for one in defer(store)]
    disk.fill(path.parent)
    with pytest.raises(StoreFull):
        while True:
            put(store, 50)
    assert not store.defer([request(group())])
    assert states(store, ids) == [State.READY] * 50
    fences = [held.fence for held in take(store, 100)]
    assert store.settle(Outcomes(HOLDER, forgotten=fences)).stale == []
    audit(store)
    disk.heal()
    store.close()


@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError], ids=lambda error: error.__name__)
def test_a_disk_that_fails_at_any_moment_loses_nothing_that_was_acknowledged(disk, path, clock, audit, error):
    for operation in itertools.count(1):
        store = SqliteStore(path, clock=clock)
        put(store)
        told = defer(store, 2)
        disk.fail_at(operation, error)
        done = False
        try:
            told += defer(store) if store.deferred else []
            told += put(store)
            done = True
        except (AssertionError, StoreFull, StoreUnavailable):
            pass
        disk.heal()
        assert states(store, told) == [State.READY] * len(told)
        store.close()
        store = SqliteStore(path, clock=clock)
        assert states(store, told) == [State.READY] * len(told)
        audit(store)
        store.close()
        if done:
            break
    assert operation > 4


def test_a_failed_commit_that_comes_about_after_all_makes_nothing_void(disk, path, clock, tmp_path, audit):
    """It lies in SQLite's log until something is written over it, and a transaction that writes nothing does not."""
    for operation in itertools.count(1):
        store = SqliteStore(path, clock=clock)
        put(store)
        disk.fail_at(operation)
        failed = False
        try:
            put(store, queue="other")
        except StoreUnavailable:
            failed = True
        disk.heal()
        store.tick()
        told = entry()
        if not store.defer([request(group(told))]):
            store.enqueue([group(told)])
        again = SqliteStore(copied(path, tmp_path / f"after-{operation}"), clock=clock)
        assert states(again, [told.id]) == [State.READY]
        audit(again)
        again.close()
        store.close()
        if not failed:
            break
    assert operation > 2


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_at_a_power_cut_whatever_was_acknowledged_is_there(disk, path, clock, tmp_path, audit, seed):
    chance = random.Random(0 if seed is None else seed)
    store = SqliteStore(path, clock=clock)
    put(store)
    told, cuts = [], []

    def cut():
        if chance.random() < 0.2:
            into = tmp_path / f"cut-{len(cuts)}"
            into.mkdir()
            disk.cut_power(into, None if seed is None else chance)
            cuts.append((into, list(told)))

    disk.before = cut
    for step in range(80):
        told += defer(store, 1 + step % 3)
        if chance.random() < 0.2:
            told += put(store)
        if chance.random() < 0.1:
            store.catch_up()
    disk.heal()
    store.close()
    assert len(cuts) > 10
    for into, known in cuts:
        again = SqliteStore(into / path.name, clock=clock)
        assert states(again, known) == [State.READY] * len(known)
        audit(again)
        again.close()


def test_a_log_that_is_not_synced_is_caught(disk, path, clock, tmp_path):
    """The test above can fail."""
    store = SqliteStore(path, clock=clock)
    put(store)
    file = store._deferred._log._file

    class Unsynced:
        def xWrite(self, data, offset):  # noqa: N802 - SQLite's name
            file.xWrite(data, offset)

        def xSync(self, _):  # noqa: N802 - SQLite's name
            return

        def xClose(self):  # noqa: N802 - SQLite's name
            file.xClose()

    store._deferred._log._file = Unsynced()
    ids = defer(store)
    into = tmp_path / "after"
    into.mkdir()
    disk.cut_power(into)
    store.close()
    again = SqliteStore(into / path.name, clock=clock)
    assert states(again, ids) == [None]
    again.close()
