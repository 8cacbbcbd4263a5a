from hypothesis import given
from hypothesis import strategies as st

from penstock.testing.agenda import Agenda


def test_an_empty_agenda_has_no_first():
    agenda = Agenda()
    assert agenda.first() is None
    assert len(agenda) == 0
    agenda.drop("unknown")


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 100))), max_size=60))
def test_the_first_is_always_the_item_of_the_least_key(steps):
    agenda, expected = Agenda(), {}
    for place, (item, key) in enumerate(steps):
        if key is None:
            agenda.drop(item)
            expected.pop(item, None)
        else:
            agenda.put(item, (key, place))
            expected[item] = (key, place)
        least = min(((key, item) for item, key in expected.items()), default=None)
        assert agenda.first() == least
        assert sorted(agenda) == sorted(expected)
        assert len(agenda) == len(expected)
