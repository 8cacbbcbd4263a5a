"""What may be searched for, and what matches."""

import pytest

from penstock.model.errors import InvalidOption
from penstock.model.flow import TaskFlow
from penstock.model.job import Filter, JobError, JobView, TaskRecord
from penstock.model.searching import check_filter, has_arguments, matches
from penstock.model.states import State

RECORDS = [
    TaskRecord("app.ship", flow=TaskFlow(searchable=("order", "customer"))),
    TaskRecord("app.bill", flow=TaskFlow(searchable=("order",))),
    TaskRecord("app.plain"),
]
VIEW = JobView(
    bytes(16), "app.ship", "q", State.DEAD, 0, 1, 5, created_at=100.0, error=JobError("ValueError", ""), tags=["x"]
)


def refusal(where, stored=()):
    with pytest.raises(InvalidOption) as caught:
        check_filter(where, RECORDS, set(stored).__contains__)
    return caught.value


def passes(where, stored=()):
    check_filter(where, RECORDS, set(stored).__contains__)


def test_declared_arguments_may_be_searched_for():
    passes(Filter(arguments={"order": "7", "customer": "acme"}))
    passes(Filter(arguments={"order": "7"}, task="app.bill"))
    passes(Filter())


def test_one_that_is_not_declared_is_refused_with_those_that_are():
    error = refusal(Filter(arguments={"ordre": "7"}))
    assert error.field == "arguments"
    assert error.message == (
        "No task declares the argument 'ordre' as searchable; declared are customer, order. "
        'A task declares it so: @app.task(searchable=("ordre",)).'
    )
    assert "app.bill does not declare" in refusal(Filter(arguments={"customer": "acme"}, task="app.bill")).message
    assert "none is declared" in refusal(Filter(arguments={"order": "7"}, task="app.plain")).message


def test_what_jobs_have_may_be_searched_for_where_their_task_is_not_recorded():
    passes(Filter(arguments={"older": "7"}), stored=["older"])
    passes(Filter(arguments={"older": "7"}, task="app.unknown"), stored=["older"])
    assert refusal(Filter(arguments={"older": "7"}, task="app.plain"), stored=["older"])


@pytest.mark.parametrize("field", ["since", "until"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_time_is_a_number(field, value):
    assert refusal(Filter(**{field: value})).field == field


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({}, True),
        ({"state": State.DEAD, "queue": "q", "task": "app.ship", "tag": "x", "error": "ValueError"}, True),
        ({"state": State.READY}, False),
        ({"queue": "other"}, False),
        ({"task": "other"}, False),
        ({"tag": "y"}, False),
        ({"error": "Value"}, False),
        ({"since": 100.0}, True),
        ({"since": 100.1}, False),
        ({"until": 100.0}, False),
        ({"until": 100.1}, True),
    ],
)
def test_every_field_that_is_given_must_match(where, fits):
    assert matches(VIEW, Filter(**where)) is fits


def test_arguments_must_all_be_there():
    where = Filter(arguments={"order": "7"})
    assert has_arguments({"order": "7", "customer": "acme"}, where)
    assert not has_arguments({"order": "8"}, where)
    assert not has_arguments(None, where)
    assert has_arguments(None, Filter())
