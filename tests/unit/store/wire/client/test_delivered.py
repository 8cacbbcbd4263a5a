"""What a client tells the owner after a reconnect about its leases, and which leases it gives back."""

import pytest

from penstock.model.job import LeaseBatch, Outcomes
from penstock.store.wire import protocol
from penstock.store.wire.client.delivered import CANCELLED_S, DELIVERED_S, Delivered, fences_of

HOLDER = b"h" * 16


def answer(first, count):
    """The payload that answers a lease of so many jobs."""
    return protocol.encode(LeaseBatch(first, ["task"], bytes(count), []))


@pytest.mark.parametrize("count", [0, 1, 300])
def test_the_fences_of_an_answer_are_read_off_its_head(count):
    assert fences_of(answer(7, count)) == range(7, 7 + count)


def test_without_a_list_of_what_is_held_no_reconciliation_is_asked_for():
    delivered = Delivered()
    delivered.asked(HOLDER)
    delivered.arrived(answer(1, 2), 0.0)
    assert delivered.reconnected(0.0) == []


def test_who_has_leased_nothing_has_nothing_to_tell():
    assert Delivered(lambda: [1]).reconnected(0.0) == []


def test_what_is_held_what_has_just_come_and_what_is_being_settled_is_told_of_every_holder():
    held = [1, 2]
    delivered = Delivered(lambda: held)
    delivered.asked(HOLDER)
    delivered.asked(b"other" + bytes(11))
    delivered.arrived(answer(10, 2), 5.0)
    with delivered.settling(Outcomes(HOLDER, forgotten=[20])), delivered.settling(Outcomes(HOLDER, released=[21])):
        told = delivered.reconnected(5.0)
    assert {holder for holder, _ in told} == {HOLDER, b"other" + bytes(11)}
    assert [sorted(fences) for _, fences in told] == [[1, 2, 10, 11, 20, 21]] * 2
    held.clear()
    assert delivered.reconnected(5.0 + DELIVERED_S)[0][1] == [10, 11], "until it is among those that are held"
    assert delivered.reconnected(5.1 + DELIVERED_S)[0][1] == []


def test_outcomes_that_failed_on_their_way_are_told_no_more():
    delivered = Delivered(list)
    delivered.asked(HOLDER)
    with pytest.raises(KeyError), delivered.settling(Outcomes(HOLDER, forgotten=[20])):
        raise KeyError
    assert delivered.reconnected(0.0) == [(HOLDER, [])]


def test_a_lease_whose_caller_has_gone_is_known_once_and_not_beyond_its_connection():
    delivered = Delivered(list)
    delivered.cancelled(5, HOLDER, 0.0)
    assert delivered.holder_of_cancelled(6) is None
    assert delivered.holder_of_cancelled(5) == HOLDER
    assert delivered.holder_of_cancelled(5) is None
    delivered.cancelled(7, HOLDER, 0.0)
    delivered.reconnected(0.0)
    assert delivered.holder_of_cancelled(7) is None


def test_many_holders_of_a_door_are_told_of_all_at_once():
    delivered = Delivered(lambda: [1], b"door")
    for number in range(3):
        delivered.asked(b"door" + bytes([number]) * 12)
    delivered.asked(HOLDER)
    assert sorted(delivered.reconnected(0.0)) == [(b"door", [1]), (HOLDER, [1])]


def test_leases_that_are_withdrawn_for_ever_are_not_all_remembered():
    delivered = Delivered()
    for number in range(10_000):
        delivered.cancelled(number, HOLDER, number)
    assert len(delivered._cancelled) <= CANCELLED_S + 2
    assert delivered.holder_of_cancelled(9_999 - round(CANCELLED_S)) == HOLDER
    assert delivered.holder_of_cancelled(9_998 - round(CANCELLED_S)) is None
