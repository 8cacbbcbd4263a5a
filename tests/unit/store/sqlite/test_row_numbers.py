"""Ids that ask for the same row number: the later stand beside it, and are found, repeated and forgotten as any."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.errors import InvalidOption
from penstock.model.ids import new_id, new_ids
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.model.states import State
from penstock.store.sqlite.row_numbers import (
    ROW_NUMBER_MAX,
    cursor_after_queue,
    cursor_before,
    queue_after,
    row_before,
    row_number,
    row_numbers,
    unknown_cursor,
)
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import BODY, HOLDER, put, settle, states, take

U42 = st.integers(0, (1 << 42) - 1)
U12 = st.integers(0, (1 << 12) - 1)
U62 = st.integers(0, (1 << 62) - 1)


def uuid7(milliseconds, counter, random_bits):
    high = milliseconds << 16 | 7 << 12 | counter
    return (high << 64 | 2 << 62 | random_bits).to_bytes(16, "big")


def alike(count, first=None):
    """Ids with the same front, in the order made."""
    front = (first or new_id())[:10]
    ids = [front + os.urandom(6) for _ in range(count)]
    assert len({row_number(one) for one in ids}) == 1
    return ids


def next_to(job_id):
    """An id that asks for the number behind that of ``job_id``."""
    tail = int.from_bytes(job_id[8:10], "big") + (1 << 5)
    following = job_id[:8] + (tail & 0xFFFF).to_bytes(2, "big") + os.urandom(6)
    assert row_number(following) == row_number(job_id) + 1
    return following


def place(store, *ids, **options):
    return store.enqueue([JobGroup("app.work", [JobEntry(one, BODY, checksum(BODY)) for one in ids], **options)])


def even_front():
    """An id whose number has room behind it before the next front."""
    job_id = bytearray(new_id())
    job_id[8], job_id[9] = 0x80, 0
    return bytes(job_id)


def test_ids_that_share_a_front_are_all_found(store, audit):
    ids = alike(5)
    assert place(store, *ids).accepted == 5
    assert [view.id for view in store.get(ids)] == ids
    audit(store)


def test_ids_that_share_a_front_are_all_leased_and_settled(store, audit):
    ids = alike(5)
    place(store, *ids)
    held = take(store)
    assert [one.job.id for one in held] == ids
    settle(store, forgotten=[one.fence for one in held])
    assert states(store, ids) == [None] * 5
    audit(store)


def test_a_displaced_job_is_known_after_the_first_is_gone(store, audit):
    first, second = alike(2)
    place(store, first)
    place(store, second)
    store.delete([first])
    again = place(store, second)
    assert (again.accepted, [(one.id, one.duplicate) for one in again.exceptions]) == (0, [(second, True)])
    assert store.stats().queues["default"].ready == 1
    audit(store)


def test_a_displaced_job_is_known_after_the_number_is_taken_by_another(store, audit):
    first, second, third = alike(3)
    place(store, first)
    place(store, second)
    store.delete([first])
    assert place(store, third).accepted == 1
    assert place(store, second, third).accepted == 0
    assert states(store, [first, second, third]) == [None, State.READY, State.READY]
    audit(store)


def test_displaced_jobs_are_known_after_the_store_is_opened_again(path, clock, audit):
    ids = alike(4)
    store = SqliteStore(path, clock=clock)
    place(store, *ids)
    store.delete(ids[:2])
    store.close()
    store = SqliteStore(path, clock=clock)
    assert place(store, *ids[2:]).accepted == 0
    assert states(store, ids) == [None, None, State.READY, State.READY]
    audit(store)
    store.close()


def test_a_job_whose_own_number_a_displaced_one_has_taken_is_displaced_in_turn(store, audit):
    first = even_front()
    second = alike(1, first)[0]
    third = next_to(first)
    place(store, first, second)
    assert place(store, third).accepted == 1
    assert states(store, [first, second, third]) == [State.READY] * 3
    store.delete([first, second])
    assert place(store, third).accepted == 0, "known although its own number is free"
    audit(store)


def test_a_displaced_id_twice_in_one_request_is_a_duplicate_of_itself(store, audit):
    first, second = alike(2)
    answer = place(store, first, second, first, second)
    assert answer.accepted == 2
    assert [(one.index, one.id, one.duplicate) for one in answer.exceptions] == [(2, first, True), (3, second, True)]
    audit(store)


def test_displaced_jobs_may_be_scheduled_and_are_told_so(store, clock, audit):
    ids = alike(3)
    answer = place(store, *ids, delay_s=60.0)
    assert [(one.index, one.state) for one in answer.exceptions] == [(n, State.SCHEDULED) for n in range(3)]
    audit(store)
    clock.advance(60.0)
    store.tick()
    assert states(store, ids) == [State.READY] * 3
    audit(store)


def test_a_displaced_job_that_was_thrown_away_may_come_again(store, audit):
    first, second = alike(2)
    place(store, first, second)
    store.delete([second])
    assert place(store, second).accepted == 1
    audit(store)


def test_a_displaced_job_that_ran_may_come_again_only_when_its_record_is_gone(store, audit):
    first, second = alike(2)
    place(store, first, second)
    batch = store.lease(LeaseRequest(HOLDER, 2))
    assert place(store, second).accepted == 0, "it runs"
    store.settle(Outcomes(HOLDER, forgotten=[batch.first_fence, batch.first_fence + 1]))
    assert place(store, second).accepted == 1
    audit(store)


@pytest.mark.parametrize("others", [1, 3])
def test_an_enqueue_goes_on_behind_each_number_that_is_taken(store, audit, others):
    taken = [job_id for _ in range(3) for job_id in alike(others)]
    place(store, *taken)
    clashing = [alike(1, job_id)[0] for job_id in taken[::others]]
    fresh = [new_id() for _ in clashing]
    mixed = [job_id for pair in zip(fresh, clashing, strict=True) for job_id in pair]
    assert place(store, *mixed).accepted == len(mixed)
    assert states(store, [*taken, *mixed]) == [State.READY] * (len(taken) + len(mixed))
    audit(store)


def test_a_front_that_hundreds_share_refuses_or_finds_every_one(store, audit):
    ids = alike(520, even_front())
    found = 505
    place(store, *ids[:found])
    for job_id in ids[found:]:
        answer = place(store, job_id)
        found += answer.accepted
        assert (states(store, [job_id]) == [State.READY]) == bool(answer.accepted)
    assert store.stats().queues["default"].ready == found
    audit(store)


def test_jobs_put_in_the_usual_way_do_not_clash(store):
    put(store, 1_000)
    assert store.books.displaced == {}


@given(U42, U12, U62)
def test_a_row_number_is_the_front_of_the_id_in_63_bits(milliseconds, counter, random_bits):
    number = row_number(uuid7(milliseconds, counter, random_bits))
    assert 0 <= number < 1 << 63
    assert number == milliseconds << 21 | counter << 9 | random_bits >> 53


@given(st.tuples(U42, U12, U62), st.tuples(U42, U12, U62))
def test_row_numbers_are_in_the_order_of_ids(first, second):
    low, high = sorted([uuid7(*first), uuid7(*second)])
    assert row_number(low) <= row_number(high)


def test_ids_of_one_process_have_row_numbers_of_their_own():
    made = new_ids(40_000)
    assert len(set(row_numbers(made))) == 40_000
    assert row_numbers(made) == [row_number(one) for one in made]


@given(st.integers(0, ROW_NUMBER_MAX))
def test_a_cursor_of_rows_is_read_back(row):
    assert row_before(cursor_before(row)) == row


@pytest.mark.parametrize(
    "name", ["a", "A.b-c_9", "j" * 64, "q", "a:b", "a#ephemeral:b#ephemeral", "a:", f"{'t' * 64}:{'c' * 64}:12"]
)
def test_a_cursor_of_queues_is_read_back(name):
    assert queue_after(cursor_after_queue(name)) == name


def test_without_a_cursor_a_search_begins_above_all_rows_and_counts_before_all_names():
    assert (row_before(None), queue_after(None)) == (ROW_NUMBER_MAX, "")


STRANGE = [
    *("", "j", "q", "5", "j-1", "qa b", "q" * 202),
    *("j" + digits for digits in ("f" * 16, "0" * 15, "0" * 17, "A" * 16)),
]


@pytest.mark.parametrize("cursor", [*STRANGE, "qname", "j" + "\u0661" * 16])
def test_a_cursor_that_no_search_gave_out_is_refused(cursor):
    with pytest.raises(InvalidOption) as refused:
        row_before(cursor)
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("cursor", [*STRANGE, cursor_before(7) + " "])
def test_a_cursor_that_no_page_of_counts_gave_out_is_refused(cursor):
    with pytest.raises(InvalidOption):
        queue_after(cursor)


def test_an_unknown_cursor_is_quoted_as_far_as_it_fits():
    error = unknown_cursor("x" * 100)
    assert error.message == f"'{'x' * 80}' is no cursor of this call; pass the one that the page before gave."
    assert error.field == "cursor"
