"""Counts of dead records by kind, with a bound."""

import pytest

from penstock.model import limits
from penstock.model.counts import DeadCounts, DeadKind
from penstock.model.dead_kinds import OTHERS, DeadKinds


@pytest.fixture
def kinds():
    return DeadKinds(kinds_max=2)


def test_each_kind_is_counted_and_forgotten_with_its_last_record(kinds):
    first, again, other = kinds.enter("a", "X"), kinds.enter("a", "X"), kinds.enter("b", "X")
    assert first == again != other
    assert kinds.counts() == DeadCounts([DeadKind("a", "X", 2), DeadKind("b", "X", 1)], 0)
    kinds.leave(first)
    kinds.leave(other)
    assert kinds.counts() == DeadCounts([DeadKind("a", "X", 1)], 0)
    assert kinds.kept(first) == ("a", "X", 1)
    assert kinds.kept(other) is None


def test_beyond_the_bound_kinds_count_together_until_there_is_room(kinds):
    numbers = [kinds.enter("a", error) for error in "XYZZ"]
    assert numbers[2:] == [OTHERS, OTHERS]
    assert kinds.counts() == DeadCounts([DeadKind("a", "X", 1), DeadKind("a", "Y", 1)], 2)
    kinds.leave(numbers[0])
    named = kinds.enter("a", "Z")
    assert named not in numbers
    kinds.leave(OTHERS)
    assert kinds.counts() == DeadCounts([DeadKind("a", "Y", 1), DeadKind("a", "Z", 1)], 1)


def test_a_search_looks_into_the_kinds_that_match_and_into_the_others(kinds):
    first, second = kinds.enter("a", "X"), kinds.enter("b", "Y")
    assert kinds.of(None, None) == [first, second]
    assert kinds.of("a", None) == kinds.of(None, "X") == kinds.of("a", "X") == [first]
    assert kinds.of("a", "Y") == kinds.of("c", None) == []
    kinds.enter("c", "X")
    assert kinds.of("a", "Y") == [OTHERS]
    assert kinds.of(None, "Y") == [second, OTHERS]


def test_what_has_changed_is_known_and_can_be_restored(kinds):
    number = kinds.enter("a", "X")
    assert kinds.changed == {number}
    kinds.enter("b", "Y")
    kinds.enter("c", "Z")
    again = DeadKinds(kinds_max=2)
    for changed in kinds.changed:
        again.restore(changed, *kinds.kept(changed))
    assert again.counts() == kinds.counts()
    assert again.enter("a", "X") == number
    again.leave(number)
    again.leave(number)
    assert again.enter("d", "X") not in kinds.changed


def test_a_long_type_of_error_counts_by_its_beginning():
    kinds = DeadKinds()
    long = "E" * (limits.ERROR_TYPE_LENGTH_MAX + 1)
    number = kinds.enter("a", long)
    assert kinds.of("a", long) == kinds.of("a", long[:-1]) == [number]
    assert kinds.counts().kinds[0].error == long[:-1]


def test_a_record_that_was_never_counted_does_not_leave(kinds):
    with pytest.raises(AssertionError):
        kinds.leave(OTHERS)
