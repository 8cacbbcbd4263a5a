import pytest

from penstock.model import errors
from penstock.model.errors import BY_CODE, PenstockError, StoreOverloaded, StoreUnavailable


def test_every_code_stands_for_one_class():
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PenstockError)]
    assert sorted(kind.code for kind in classes) == sorted(BY_CODE)
    assert all(BY_CODE[kind.code] is kind for kind in classes)


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_every_error_has_a_message_of_its_own_and_stands_in_the_tree_at_the_top(kind):
    assert kind().message == kind.__doc__.strip()
    assert kind("why").message == str(kind("why")) == "why"
    assert f"* {kind.__name__}" in errors.__doc__


def test_a_store_that_is_overloaded_counts_as_unavailable():
    assert issubclass(StoreOverloaded, StoreUnavailable)
