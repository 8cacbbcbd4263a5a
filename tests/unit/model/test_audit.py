import pytest

from penstock.model import limits
from penstock.model.audit import action_text, audit_cursor, check_by, filter_text, jobs_text, number_before
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter
from penstock.model.states import State


def test_a_filter_in_words_has_the_fields_that_are_given():
    assert filter_text(Filter(State.DEAD, "q", None, "x")) == "state=dead queue=q tag=x"
    assert filter_text(Filter(since=0.0, arguments={"a": "1"})) == "since=1970-01-01T00:00:00+00:00 arg.a=1"
    assert filter_text(Filter()) == ""


def test_jobs_in_words():
    assert [jobs_text(ids) for ids in ([], ["a"], ["a", "b", "c"])] == ["no job", "job:a", "job:a and 2 more"]


def test_an_action_in_words_is_found_by_its_id():
    assert action_text(bytes(16)) == "action:00000000-0000-0000-0000-000000000000"


def test_a_cursor_is_read_as_it_was_made():
    assert number_before(audit_cursor(17)) == 17
    assert number_before(None) is None
    for wrong in ("", "audit", "audit-", "audit--1", "audit-1x", "audit-" + "1" * 19, "queues-1", "audit-²"):
        with pytest.raises(InvalidOption) as refused:
            number_before(wrong)
        assert refused.value.field == "cursor"


def test_a_name_has_a_bound():
    check_by(None)
    check_by("b" * limits.BY_BYTES_MAX)
    with pytest.raises(InvalidOption):
        check_by("ü" * limits.BY_BYTES_MAX)
