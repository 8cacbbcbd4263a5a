"""A record of the redo log that cannot be applied is kept and told, and blocks nothing."""

import base64
import json
import stat

import msgspec
import pytest

from penstock.model.states import State
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite import redo_quarantine
from penstock.store.sqlite.redo_log import RedoLog, redo_path
from penstock.store.sqlite.redo_quarantine import refused_path
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import entry, group, put, states, take

CLIENT = bytes(16)


@pytest.fixture
def ready(path, clock):
    """A store that knows the task, and has closed."""
    store = SqliteStore(path, clock=clock)
    put(store)
    store.close()
    return path


def payload(clock, *entries, number=1, **options):
    deferred = [DeferredEnqueue(CLIENT, number, b"answer", [group(*entries, **options)])]
    return msgspec.msgpack.encode((clock.time(), deferred))


def write(path, clock, *payloads):
    """Records that a former owner left."""
    store = SqliteStore(path, clock=clock)
    before, token = store.books.journal.next_number, bytes(store.database.value("redo_token"))
    store.close()
    log = RedoLog(redo_path(path), token)
    for one in payloads:
        assert log.write(one, before)
    log.close()


def kept(path):
    return [json.loads(line) for line in refused_path(path).read_text().splitlines()]


BAD = {
    "nothing that can be decoded": lambda clock: b"\xc1\xc1",
    "a later version": lambda clock: msgspec.msgpack.encode((clock.time(), [], {"new": 1}, "fields"))[:-3],
    "another shape": lambda clock: msgspec.msgpack.encode({"version": 9}),
    "bad text": lambda clock: payload(clock, entry()).replace(b"app.work", b"app\xff\xfework"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_decoded_is_kept_and_the_rest_applied(ready, clock, kind, caplog, audit):
    first, last = entry(), entry()
    bad = BAD[kind](clock)
    write(ready, clock, payload(clock, first), bad, payload(clock, last, number=2))
    store = SqliteStore(ready, clock=clock)
    assert states(store, [first.id, last.id]) == [State.READY] * 2
    assert store.answers_of(CLIENT) == {1: b"answer", 2: b"answer"}
    (line,) = kept(ready)
    assert base64.b64decode(line["record"]) == bad
    assert "cannot be decoded" in line["why"]
    assert stat.S_IMODE(refused_path(ready).stat().st_mode) == 0o600
    assert store.health().redo_set_aside == 1
    assert "Set aside" in store.health().problems()[0]
    assert [str(refused_path(ready)) in record.getMessage() for record in caplog.records] == [True]
    audit(store)
    store.close()


def test_what_rows_cannot_be_made_of_is_kept_and_the_rest_applied(ready, clock, monkeypatch, audit):
    good, bad = [entry() for _ in range(20)], entry(b"m\x92\x91\x07\x80")
    records = [payload(clock, one, number=n) for n, one in enumerate([*good[:10], bad, *good[10:]])]
    write(ready, clock, *records)
    store = broken_by(bad, ready, clock, monkeypatch)
    assert states(store, [one.id for one in good]) == [State.READY] * 20
    assert states(store, [bad.id]) == [None]
    (line,) = kept(ready)
    assert "KeyError" in line["why"]
    assert sorted(store.answers_of(CLIENT)) == [*range(10), *range(11, 21)]
    audit(store)
    store.close()


def broken_by(bad, path, clock, monkeypatch):
    """A store that cannot make a row of one job."""
    from penstock.store.sqlite.enqueueing import Acceptor

    accept = Acceptor.accept

    def fails(self, jobs, at):
        if any(job.id == bad.id for job in jobs.jobs):
            raise KeyError(bad.id)
        accept(self, jobs, at)

    monkeypatch.setattr(Acceptor, "accept", fails)
    return SqliteStore(path, clock=clock)


def test_it_is_kept_once_however_often_the_store_is_opened(ready, clock):
    write(ready, clock, b"\xc1")
    for _ in range(3):
        store = SqliteStore(ready, clock=clock)
        assert store.health().redo_set_aside == 1
        store.close()
    assert len(kept(ready)) == 1


def test_a_running_owner_is_not_blocked_either(path, clock, monkeypatch, audit):
    store = SqliteStore(path, clock=clock)
    put(store)
    good, bad = entry(), entry(b"m\x92\x91\x07\x80")
    assert store.defer([DeferredEnqueue(CLIENT, n, b"", [group(one)]) for n, one in enumerate((good, bad))])
    store.close = lambda: None
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    accept = store._acceptor.accept
    monkeypatch.setattr(
        store._acceptor,
        "accept",
        lambda jobs, at: 1 / 0 if any(job.id == bad.id for job in jobs.jobs) else accept(jobs, at),
    )
    assert len(take(store)) == 2
    assert states(store, [bad.id]) == [None]
    assert store.health().redo_set_aside == 1
    put(store)
    audit(store)
    SqliteStore.close(store)


def test_a_damaged_record_in_the_middle_is_kept(ready, clock, audit):
    first, last = entry(), entry()
    write(ready, clock, payload(clock, first), payload(clock, entry()), payload(clock, last))
    log = redo_path(ready)
    content = bytearray(log.read_bytes())
    content[20 + len(payload(clock, first)) + 40] ^= 1
    log.write_bytes(content)
    store = SqliteStore(ready, clock=clock)
    assert states(store, [first.id, last.id]) == [State.READY] * 2
    assert kept(ready)[0]["why"] == "its checksum is wrong"
    audit(store)
    store.close()


def test_the_file_has_a_bound(ready, clock, monkeypatch):
    monkeypatch.setattr(redo_quarantine, "BYTES_MAX", 10)
    write(ready, clock, b"\xc1")
    store = SqliteStore(ready, clock=clock)
    assert store.health().redo_set_aside == 1
    assert not refused_path(ready).exists()
    store.close()


def test_with_the_log_turned_off_nothing_is_added_and_what_is_there_counts(ready, clock, audit):
    left = entry()
    write(ready, clock, payload(clock, left))
    store = SqliteStore(ready, clock=clock, redo=False)
    assert states(store, [left.id]) == [State.READY]
    assert not store.defer([DeferredEnqueue(CLIENT, 9, b"", [group(entry())])])
    assert (store.health().redo, store.health().problems()) == ("off", [])
    audit(store)
    store.close()


def test_with_the_log_turned_off_none_is_made(path, clock):
    store = SqliteStore(path, clock=clock, redo=False)
    put(store)
    store.close()
    assert not redo_path(path).exists()
