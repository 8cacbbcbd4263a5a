"""Small JSON objects in requests. What is refused of them, through a route: `test_limit_routes.py`."""

from __future__ import annotations

import pytest

from penstock.gate.json_bodies import not_this_object


@pytest.mark.parametrize(
    "message, code, field",
    [
        ("Expected `int`, got `str` - at `$.burst`", "invalid-option", "burst"),
        ("Expected `int`, got `str` - at `$.where.since`", "invalid-option", "where"),
        ("Expected `int`, got `str` - at `$.ids[0]`", "invalid-option", "ids"),
        ("Object contains unknown field `x`", "invalid-option", "x"),
        ("Object missing required field `verb`", "invalid-option", "verb"),
        ("Expected `object`, got `array`", "malformed-body", None),
    ],
)
def test_the_member_that_is_to_blame_is_named(message, code, field):
    problem = not_this_object(message)
    assert (problem.code, problem.field) == (code, field)
