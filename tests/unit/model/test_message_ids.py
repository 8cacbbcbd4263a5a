"""Ids of messages and of their copies."""

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.message_ids import (
    SLOTS,
    copy_id,
    free_slot,
    message_id,
    message_number,
    message_time,
    new_message_ids,
)

ids = st.binary(min_size=16, max_size=16)
slots = st.integers(0, SLOTS - 1)


@given(ids, slots)
def test_the_message_is_known_by_every_copy(some, slot):
    message = message_id(some)
    copy = copy_id(message, slot)
    assert (message_id(copy), message_number(copy)) == (message, message_number(message))
    assert (copy == message) is (slot == 0)
    assert copy[:8] == message[:8]


@given(ids)
def test_every_copy_of_a_message_has_an_id_of_its_own_in_the_order_of_the_slots(some):
    copies = [copy_id(message_id(some), slot) for slot in range(SLOTS)]
    assert copies == sorted(set(copies))


def test_ids_of_messages_and_their_copies_are_uuids_of_version_7():
    for one in new_message_ids(50):
        for job_id in (one, copy_id(one, 99)):
            assert (UUID(bytes=job_id).version, UUID(bytes=job_id).variant) == (7, "specified in RFC 4122")


def test_ids_of_messages_rise_and_so_do_their_numbers():
    some = new_message_ids(5_000)
    numbers = [message_number(one) for one in some]
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 1 << 64
    assert all(message_id(one) == one for one in some)


def test_a_message_and_its_copies_say_when_it_was_made():
    before = time.time()
    (one,) = new_message_ids(1)
    assert before - 0.001 <= message_time(copy_id(one, 7)) == message_time(one) <= time.time() + 0.001


def test_the_lowest_free_slot_is_given_out():
    assert [free_slot([]), free_slot([0, 1]), free_slot([1, 2]), free_slot([2, 0])] == [0, 2, 0, 1]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 500])
def test_however_many_are_made_they_rise_and_have_no_slot(count):
    made = new_message_ids(count)
    assert len(set(made)) == count
    assert made == sorted(made)
    assert [message_id(one) for one in made] == made
    assert all(one[6] >> 4 == 7 and one[8] >> 6 == 2 for one in made)
