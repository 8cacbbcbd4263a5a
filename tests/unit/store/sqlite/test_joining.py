"""How jobs become ready anew, and what is kept of their values."""

import msgspec
import pytest

from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, Retried, checksum
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import BODY, ERROR, elapse, group, ids_of, settle, take, take_one

ACME = {"tenant": "acme"}


def entry(values=None, job_id=None):
    return JobEntry(job_id or new_ids(1)[0], BODY, checksum(BODY), values=values)


def stored(store):
    """The values of each job, by id."""
    store.catch_up()
    rows = store.database.connection.execute("SELECT id, flow_values FROM job ORDER BY seq")
    return {job: None if packed is None else msgspec.msgpack.decode(packed) for job, packed in rows}


@pytest.mark.parametrize("options", [{}, {"delay_s": 5.0}])
@pytest.mark.parametrize("count", [1, 3, 70])
def test_values_are_stored_with_their_jobs(store, audit, count, options):
    entries = [entry(None if at % 3 else {"tenant": f"t{at}"}) for at in range(count)]
    store.enqueue([group(*entries, **options)])
    assert stored(store) == {one.id: one.values for one in entries}
    audit(store)


def test_a_job_that_is_known_keeps_its_values_and_one_that_is_displaced_has_its_own(store, audit):
    first = entry(ACME)
    store.enqueue([group(first)])
    twin = bytes([*first.id[:-1], first.id[-1] ^ 1])
    second = entry({"tenant": "other"}, twin)
    answer = store.enqueue([group(entry({"tenant": "late"}, first.id), second, entry())])
    assert answer.accepted == 2
    assert [stored(store)[one.id] for one in (first, second)] == [ACME, {"tenant": "other"}]
    audit(store)


def test_jobs_with_values_are_leased_in_the_group_that_accepts_them(store, audit):
    entries = [entry(ACME), entry(), entry(ACME)]
    store.begin()
    store.enqueue([group(*entries)])
    assert ids_of(take(store, 2)) == [entries[0].id, entries[1].id]
    store.commit()
    audit(store)
    assert ids_of(take(store)) == [entries[2].id]


def test_values_outlive_retries_and_the_owner(path, clock, audit):
    store = SqliteStore(path, clock=clock)
    job = entry(ACME)
    store.enqueue([group(job)])
    settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
    settle(store, retried=[Retried(take_one(store).fence, 2.0, ERROR)])
    store.close()
    again = SqliteStore(path, clock=clock)
    elapse(again, clock, 3.0)
    assert ids_of(take(again)) == [job.id]
    assert stored(again) == {job.id: ACME}
    audit(again)
    again.close()


def test_jobs_with_values_are_not_deferred(store):
    store.enqueue([group(entry())])
    plain, with_values = ([group(one)] for one in (entry(), entry(ACME)))
    assert store.defer([DeferredEnqueue(b"c" * 16, 1, b"", plain)])
    assert not store.defer([DeferredEnqueue(b"c" * 16, 2, b"", with_values)])
