"""Answers and ledgers outlive the owner, and the journal they are kept in stays small."""

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.job import Filter
from penstock.model.topics import MessageGroup
from penstock.store.sqlite import transaction_journal
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import elapse, ledger, put, rest
from penstock.testing.conformance.publishing import message

ALICE, BOB = b"alice-alice-alic", b"bob-bob-bob-bob-"


@pytest.fixture(autouse=True)
def short_journal(monkeypatch):
    monkeypatch.setattr(transaction_journal, "ROWS_MAX", 32)
    monkeypatch.setattr(transaction_journal, "STEP_ROWS", 8)


def answer(store, client, number, text=None):
    store.begin()
    store.record_answer(client, number, text or b"%d" % number)
    store.commit()


def rows(store):
    (count,) = store.database.connection.execute("SELECT count(*) FROM journal").fetchone()
    return count


def rows_with_answers(store):
    store.tidy()
    return store.database.connection.execute("SELECT number, answers FROM journal").fetchall()


def reopened(store, path, clock):
    store.close()
    return SqliteStore(path, clock=clock)


def test_a_clients_last_answers_are_known_to_the_next_owner(store, path, clock):
    for number in range(1, limits.CLIENT_REQUESTS_MAX + 11):
        answer(store, ALICE, number)
    answer(store, BOB, 1)
    expected = {number: b"%d" % number for number in range(11, limits.CLIENT_REQUESTS_MAX + 11)}
    assert store.answers_of(ALICE) == expected
    after = reopened(store, path, clock)
    assert after.answers_of(ALICE) == expected
    assert after.answers_of(ALICE, 20).keys() == set(range(20, limits.CLIENT_REQUESTS_MAX + 11))
    assert after.answers_of(BOB) == {1: b"1"}
    assert after.answers_of(b"nobody-nobody-no") == {}
    after.close()


def test_a_quiet_clients_answers_outlive_the_rows_they_were_written_in(store, path, clock):
    answer(store, BOB, 7, b"seven")
    answer(store, BOB, 8, b"eight")
    for number in range(1, 500):
        answer(store, ALICE, number)
    assert rows(store) < 32 + 2 * 8
    assert store.answers_of(BOB) == {7: b"seven", 8: b"eight"}
    after = reopened(store, path, clock)
    assert after.answers_of(BOB) == {7: b"seven", 8: b"eight"}
    after.close()


def test_answers_of_one_transaction_share_a_row(store):
    before = rows(store)
    store.begin()
    for number in range(1, 40):
        store.record_answer(b"client number %02d" % number, number, b"yes")
    put(store, 3)
    store.commit()
    assert rows(store) == before + 1


def test_a_transaction_that_changes_nothing_writes_no_row(store):
    before = rows(store)
    store.begin()
    store.commit()
    assert rows(store) == before


def test_long_answers_make_it_drop_rows_sooner(store, monkeypatch):
    monkeypatch.setattr(transaction_journal, "BYTES_MAX", 64 * 1024)
    monkeypatch.setattr(limits, "CLIENT_REQUESTS_MAX", 4)
    for number in range(1, 200):
        answer(store, ALICE, number, bytes(8 * 1024))
    assert rows(store) <= 24


def test_a_quiet_clients_long_answers_are_not_written_anew_all_the_time(store, monkeypatch):
    monkeypatch.setattr(transaction_journal, "ROWS_MAX", 10_000)
    monkeypatch.setattr(transaction_journal, "BYTES_MAX", 64 * 1024)
    for number in range(1, limits.CLIENT_REQUESTS_MAX + 1):
        answer(store, BOB, number, bytes(4 * 1024))
    places = set()
    for number in range(1, 10 * transaction_journal.STEP_ROWS):
        answer(store, ALICE, number)
        places.add(max(row for row, text in rows_with_answers(store) if len(text) > 4 * 1024))
    assert len(places) <= 2
    assert len(store.answers_of(BOB)) == limits.CLIENT_REQUESTS_MAX


def test_answers_that_are_written_anew_do_not_make_one_huge_row(store, path, clock, monkeypatch):
    monkeypatch.setattr(transaction_journal, "BYTES_MAX", 16 * 1024)
    monkeypatch.setattr(transaction_journal, "ROW_BYTES_MAX", 16 * 1024)
    expected = {number: bytes([number]) * 4 * 1024 for number in range(1, limits.CLIENT_REQUESTS_MAX + 1)}
    for number, text in expected.items():
        answer(store, BOB, number, text)
    for number in range(1, 100):
        answer(store, ALICE, number)
    assert max(len(text) for _, text in rows_with_answers(store)) < 32 * 1024
    assert store.answers_of(BOB) == expected
    after = reopened(store, path, clock)
    assert after.answers_of(BOB) == expected
    after.close()


def test_ledgers_of_many_queues_make_it_drop_rows_sooner(store, monkeypatch, audit):
    monkeypatch.setattr(transaction_journal, "ROWS_MAX", 10_000)
    monkeypatch.setattr(transaction_journal, "BYTES_MAX", 16 * 1024)
    for number in range(12 * transaction_journal.STEP_ROWS):
        store.begin()
        for name in range(20):
            put(store, 1, queue=f"queue-{name}")
        store.commit()
        assert rows(store) < 64, number
    audit(store)


def test_answers_left_behind_by_requests_without_one_are_forgotten_too(store, path, clock):
    numbers = [number for number in range(1, 1_000) if number % (limits.CLIENT_REQUESTS_MAX + 3)]
    for number in numbers:
        answer(store, ALICE, number)
    expected = {number for number in numbers if number > 999 - limits.CLIENT_REQUESTS_MAX}
    assert expected <= store.answers_of(ALICE).keys()
    assert len(store.answers_of(ALICE)) <= limits.CLIENT_REQUESTS_MAX
    after = reopened(store, path, clock)
    assert expected <= after.answers_of(ALICE).keys()
    assert len(after.answers_of(ALICE)) <= limits.CLIENT_REQUESTS_MAX
    after.close()


def test_ledgers_survive_the_rows_they_were_written_in(store, path, clock, audit):
    put(store, 3, queue="seldom")
    for _ in range(200):
        put(store, 1, queue="often")
    audit(store)
    assert rows(store) < 32 + 2 * 8
    after = reopened(store, path, clock)
    assert ledger(after, "seldom").accepted_total == 3
    assert ledger(after, "often").accepted_total == 200
    audit(after)
    after.close()


def removed_by_hand(store, clock):
    store.cancel(put(store, queue="gone"))
    store.delete_where(Filter(queue="gone"))
    store.remove_queue("gone")


def vanished(store, clock):
    store.create_channel("orders", "gone#ephemeral")
    store.publish("orders", [MessageGroup([message()])])
    elapse(store, clock, limits.EPHEMERAL_S + 1.0)


def deleted(store, clock):
    store.create_channel("orders", "gone")
    store.publish("orders", [MessageGroup([message()])])
    store.delete_channel("orders", "gone")


def unused(store, clock):
    store.delete(put(store, queue="gone"))
    rest(store)
    clock.advance(limits.QUEUE_EMPTY_S + 1.0)


def undone(store):
    store.begin()
    put(store, queue="other")
    store.rollback()


@pytest.mark.parametrize("is_undone", [False, True], ids=["reopened", "undone"])
@pytest.mark.parametrize("remove", [removed_by_hand, vanished, deleted, unused])
def test_the_ledger_of_a_queue_that_is_gone_holds_up_no_commit(store, path, clock, audit, remove, is_undone):
    put(store)
    remove(store, clock)
    rest(store)
    assert not any("gone" in view.name for view in store.queues().queues)
    after = store if is_undone else reopened(store, path, clock)
    if is_undone:
        undone(after)
    for _ in range(100):
        put(after)
    assert after.stats().queues["default"].accepted_total == 101
    audit(after)
    after.close()


def test_dropping_rows_in_a_transaction_that_is_undone_loses_nothing(store, audit):
    put(store, 3, queue="seldom")
    answer(store, BOB, 1)
    for number in range(1, 200):
        store.begin()
        put(store, 1)
        store.record_answer(ALICE, number, b"no")
        store.rollback()
        answer(store, ALICE, number)
        assert store.answers_of(BOB) == {1: b"1"}
    assert ledger(store, "seldom").accepted_total == 3
    assert set(store.answers_of(ALICE).values()).isdisjoint({b"no"})
    audit(store)


def test_a_failing_disk_at_any_moment_loses_no_answer(faulty_store, disk, audit):
    store = faulty_store
    answer(store, BOB, 1)
    put(store, 1, queue="seldom")
    failures = 0
    for number in range(1, 151):
        for operation in range(1, 100):
            disk.fail_at(operation if number % 8 < 2 else 10_000)
            try:
                answer(store, ALICE, number)
            except StoreUnavailable:
                failures += 1
                disk.heal()
                assert number not in store.answers_of(ALICE)
                assert store.answers_of(BOB) == {1: b"1"}
            else:
                break
        disk.heal()
    assert failures > 50
    assert store.answers_of(ALICE).keys() == set(range(151 - limits.CLIENT_REQUESTS_MAX, 151))
    assert store.answers_of(BOB) == {1: b"1"}
    assert ledger(store, "seldom").accepted_total == 1
    audit(store)


def test_answers_of_clients_not_heard_of_for_long_are_forgotten(store, path, clock):
    answer(store, BOB, 1)
    clock.advance(100)
    answer(store, ALICE, 1)
    store.forget_answers(clock.time() - 50)
    assert store.answers_of(BOB) == {}
    assert store.answers_of(ALICE) == {1: b"1"}
    for number in range(2, 200):
        answer(store, ALICE, number)
    after = reopened(store, path, clock)
    assert after.answers_of(BOB) == {}
    after.close()


def test_answers_that_were_written_anew_are_forgotten_as_early_as_others(store, path, clock):
    answer(store, BOB, 1)
    number = 0
    for _ in range(10):
        clock.advance(10)
        for _ in range(32):
            number += 1
            answer(store, ALICE, number)
    after = reopened(store, path, clock)
    assert after.answers_of(BOB) == {1: b"1"}
    after.forget_answers(clock.time() - 90)
    assert after.answers_of(BOB) == {}
    assert len(after.answers_of(ALICE)) == limits.CLIENT_REQUESTS_MAX
    after.close()
