"""Who delivers, and how all holders of a door are told by their names."""

import os

import pytest

from penstock.model.deliveries import check_holders, delivering_holder, delivers, door_holders
from penstock.model.errors import InvalidOption

DOOR = b"door"


def test_the_holders_of_a_door_are_told_by_the_front_of_their_names():
    holders = [delivering_holder(DOOR, number) for number in (0, 1, 2**32 - 1)]
    assert all(len(one) == 16 and one.startswith(door_holders(DOOR)) and delivers(one) for one in holders)
    assert len(set(holders)) == 3
    assert not delivering_holder(b"wood", 1).startswith(door_holders(DOOR))


def test_numbers_of_connections_begin_anew():
    assert delivering_holder(DOOR, 2**32 + 5) == delivering_holder(DOOR, 5)


def test_a_worker_does_not_deliver():
    assert not delivers(os.urandom(16))


@pytest.mark.parametrize("size", [8, 12, 16])
def test_names_and_their_fronts_are_taken(size):
    check_holders(bytes(size))


@pytest.mark.parametrize("size", [0, 7, 17])
def test_what_is_too_short_or_too_long_is_not(size):
    with pytest.raises(InvalidOption, match=f"not {size}") as refused:
        check_holders(bytes(size))
    assert refused.value.field == "holder"
