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


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.JobFailed("m", error_type="E", traceback="t", job="app.work 1"), "app.work 1: E: m"),
        (errors.JobFailed("E", error_type="E", job="app.work 1"), "app.work 1: E"),
        (errors.JobFailed("m", error_type="E"), "E: m"),
        (errors.JobFailed("m"), "m"),
    ],
)
def test_a_failed_job_says_which_it_is_and_what_was_raised_once(error, text):
    assert str(error) == text


def test_a_failed_job_keeps_what_was_raised():
    error = errors.JobFailed("m", error_type="E", traceback="t", job="app.work 1")
    assert (error.type, error.message, error.traceback, error.job) == ("E", "m", "t", "app.work 1")


def test_what_a_store_says_more_of_an_error_is_false_unless_it_is_said():
    assert (errors.StoreFull("m").refused, errors.StoreFull("m", refused=True).refused) == (False, True)
    assert (StoreUnavailable("m").damaged, StoreUnavailable("m", damaged=True).damaged) == (False, True)
