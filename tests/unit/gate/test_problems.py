"""Every refusal has a code, a status and words that can be sent."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from penstock.gate.problems import CODES, PROBLEM_TYPE, Problem, problem_of
from penstock.model import errors, limits


@pytest.mark.parametrize("code", CODES)
def test_a_problem_says_what_its_code_says(code: str) -> None:
    status, headers, body = Problem(code, "why", field="f").answer()
    assert status == CODES[code][0] == HTTPStatus(status)
    assert 400 <= status < 600
    assert dict(headers)["content-type"] == PROBLEM_TYPE
    assert json.loads(body) == {
        "type": f"urn:penstock:problem:{code}",
        "title": CODES[code][1],
        "status": CODES[code][0],
        "detail": "why",
        "code": code,
        "field": "f",
    }


def test_who_may_come_back_is_told_when() -> None:
    again = ("rate-limited", "overloaded", "unavailable", "queue-draining")
    for code in CODES:
        told = dict(Problem(code, "").answer()[1]).get("retry-after")
        expected = str(limits.HTTP_RETRY_AFTER_S) if code in again else None
        assert told == expected


def test_a_refusal_quotes_the_beginning_and_nothing_that_cannot_be_sent() -> None:
    found = Problem("invalid-option", "\ud800" + "x" * 10_000, field="f" * 10_000).members()
    assert found["detail"] == "?" + "x" * 499 + "…"
    assert found["field"] == "f" * 200 + "…"
    assert "field" not in Problem("internal", "").members()


def test_an_error_of_the_tree_is_the_problem_of_its_code() -> None:
    for error in (errors.InvalidOption("m", field="f"), errors.StoreFull("m"), errors.UnknownTask("m")):
        found = problem_of(error)
        assert (found.code, found.detail) == (error.code, "m")
    assert problem_of(errors.InvalidOption("m", field="f")).field == "f"


def test_an_error_without_a_code_of_the_door_is_internal() -> None:
    class Other(errors.PenstockError):
        code = "never-heard-of"

    assert problem_of(Other("m")).code == "internal"
