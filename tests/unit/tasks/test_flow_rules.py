"""What is declared of the flow of jobs is checked where it is written."""

from __future__ import annotations

import pytest

from penstock import Concurrency, Fair, InvalidOption, Rate, Retention
from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule
from penstock.model.flow import Retention as RetentionRule
from penstock.tasks.flow_rules import checked_limits, queue_record, rules_of


def test_what_is_written_is_what_stores_take():
    written = [Concurrency(100), Concurrency(1, per="a.b", order="fifo"), Rate(500), Rate(5, per_s=60, per="header:u")]
    assert rules_of(checked_limits(written)) == (
        ConcurrencyRule(100),
        ConcurrencyRule(1, "a.b", "fifo"),
        RateRule(500),
        RateRule(5, 60.0, None, "header:u"),
    )
    assert Fair("tenant", weights={"acme": 3}).rule() == FairRule("tenant", {"acme": 3.0})
    assert Retention(dead=5).rule() == RetentionRule(None, 5, None)


@pytest.mark.parametrize(
    "make, field, says",
    [
        (lambda: Concurrency(0), "limits", "write 1 to"),
        (lambda: Concurrency(-2), "limits", "pause it"),
        (lambda: Concurrency(limits.LIMIT_COUNT_MAX + 1), "limits", "write 1 to"),
        (lambda: Concurrency(2.0), "limits", "whole number"),
        (lambda: Concurrency(True), "limits", "whole number"),
        (lambda: Concurrency("2"), "limits", "whole number"),
        (lambda: Concurrency(2, per=3), "limits", "name a parameter"),
        (lambda: Concurrency(2, per=""), "limits", "such as 'tenant'"),
        (lambda: Concurrency(2, per="a..b"), "limits", "a path into one"),
        (lambda: Concurrency(2, per="header:"), "limits", "'header:user'"),
        (lambda: Concurrency(2, per="heder:user"), "limits", "'header:user'"),
        (lambda: Concurrency(2, per="a\0b"), "limits", "such as 'tenant'"),
        (lambda: Concurrency(2, per="\ud800"), "limits", "such as 'tenant'"),
        (lambda: Concurrency(2, per="a" * 300), "limits", "such as 'tenant'"),
        (lambda: Concurrency(1, order="lifo"), "order", '"priority" or "fifo"'),
        (lambda: Concurrency(1, order="fifo"), "limits", "write per="),
        (lambda: Rate(0), "limits", "write 1 to"),
        (lambda: Rate(-1), "limits", "write 1 to"),
        (lambda: Rate(0.5), "limits", "whole number"),
        (lambda: Rate(5, per_s=0), "per_s", "more than 0"),
        (lambda: Rate(5, per_s=-1), "per_s", "more than 0"),
        (lambda: Rate(5, per_s=float("nan")), "per_s", "more than 0"),
        (lambda: Rate(5, per_s=1e9), "limits", "at most"),
        (lambda: Rate(5, burst=0), "limits", "write 1 to"),
        (lambda: Rate(5, burst=1.5), "limits", "whole number"),
        (lambda: Fair(3), "fair", "name the parameter"),
        (lambda: Fair(""), "fair", "name the parameter"),
        (lambda: Fair("a", weights={"b": 0}), "fair", "0.001 to 1000"),
        (lambda: Fair("a", weights={"b": -1}), "fair", "0.001 to 1000"),
        (lambda: Fair("a", weights={"b": float("inf")}), "fair", "0.001 to 1000"),
        (lambda: Fair("a", weights={"b": "3"}), "weights", "numbers by tenant"),
        (lambda: Fair("a", weights={3: 3}), "weights", "as text"),
        (lambda: Fair("a", weights=[3]), "weights", "numbers by tenant"),
        (lambda: Fair("a", weights=dict.fromkeys(map(str, range(1_001)), 2)), "fair", "FAIR_WEIGHTS_MAX"),
        (lambda: Retention(dead=-1), "retention", "0 or more"),
        (lambda: Retention(records=1.5), "retention", "whole number"),
        (lambda: checked_limits("Concurrency(2)"), "limits", "give a list"),
        (lambda: checked_limits(Concurrency(2)), "limits", "give a list"),
        (lambda: checked_limits([2]), "limits", "Concurrency(...) or Rate(...)"),
        (lambda: checked_limits([Concurrency(1), Concurrency(2)]), "limits", "two concurrency limits; write one"),
        (lambda: checked_limits([Rate(1, per="a"), Rate(2, per="a")]), "limits", "two rate limits per 'a'"),
        (lambda: checked_limits([Rate(1, per=f"n{n}") for n in range(17)]), "limits", "LIMITS_OF_SCOPE_MAX"),
        (lambda: queue_record("a b", (), None), "queue", "1 to 64"),
        (lambda: queue_record("a", (), 5), "retention", "Retention("),
        (lambda: queue_record("a", [Rate(1, per=f"n{n}") for n in range(9)], None), "limits", "at most 8"),
    ],
)
def test_misuse_is_told_what_to_write_instead(make, field, says):
    with pytest.raises(InvalidOption) as caught:
        make()
    assert caught.value.field == field
    assert says in caught.value.message


def test_a_concurrency_and_a_rate_for_the_same_key_go_together():
    assert len(checked_limits(iter([Concurrency(2, per="a"), Rate(2, per="a"), Concurrency(9), Rate(9)]))) == 4


def test_a_queue_is_declared_once_with_all_that_holds_for_it(app):
    app.queue("images", limits=[Concurrency(3)], retention=Retention(records=10))
    assert app.queues["images"] == QueueRecord("images", (ConcurrencyRule(3),), RetentionRule(10))
    with pytest.raises(InvalidOption, match="'images' is declared already") as caught:
        app.queue("images")
    assert caught.value.field == "name"
    with pytest.raises(TypeError):
        app.queues["other"] = app.queues["images"]
