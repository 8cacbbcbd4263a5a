"""``penstock limits``: its words, and what cannot be meant."""

from __future__ import annotations

import click
import pytest

from penstock.cli.limits import _check_usage, _row
from penstock.gate.limits_json import LimitChange
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.limits_in_force import LimitView, rule_text


@pytest.mark.parametrize(
    "rule, text",
    [
        (ConcurrencyRule(1_000), "1,000 at a time"),
        (ConcurrencyRule(1, "tenant", "fifo"), "1 at a time per tenant, in order"),
        (RateRule(500), "500 in 1 s"),
        (RateRule(5, 60.0, 5, "header:user"), "5 in 60 s per header:user"),
        (RateRule(5, 0.5, 10), "5 in 0.5 s, 10 at once"),
    ],
)
def test_a_limit_in_words(rule, text):
    assert rule_text(rule) == text


def test_a_live_limit_shows_what_comes_back():
    view = LimitView("queue:q", ConcurrencyRule(9), "live", 3, 1_000, None, ConcurrencyRule(2))
    assert _row(view) == ["queue:q", "9 at a time", "live (declared: 2 at a time)", "3", "1,000+", ""]
    assert _row(LimitView("queue:q", ConcurrencyRule(9), "live"))[2] == "live (declared: none)"
    assert _row(LimitView("queue:q", ConcurrencyRule(9), "declared"))[2] == "declared"


@pytest.mark.parametrize(
    "action, change, says",
    [
        ("set", LimitChange("queue:q"), "Name a limit"),
        ("set", LimitChange("queue:q", per_s=1.0), "give rate too"),
        ("set", LimitChange("queue:q", concurrency=1, burst=1), "give rate too"),
        ("restore", LimitChange("queue:q", concurrency=1), "--concurrency goes with set"),
        (None, LimitChange("queue:q", per_s=1.0), "--per-s goes with set"),
        (None, LimitChange("queue:q", per="a"), "--per goes with set and restore"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(action, change, says):
    with pytest.raises(click.UsageError, match=says):
        _check_usage(action, change)


def test_what_can_be_meant():
    _check_usage(None, LimitChange())
    _check_usage(None, LimitChange("queue:q"))
    _check_usage("set", LimitChange("queue:q", "a", rate=1))
    _check_usage("restore", LimitChange("queue:q", "a"))
