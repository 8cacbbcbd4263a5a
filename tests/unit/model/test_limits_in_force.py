import pytest

from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.limits_in_force import LimitsInForce, check_rules, check_scope, queue_scope, task_scope

TWO, NINE, SLOW = ConcurrencyRule(2), ConcurrencyRule(9), RateRule(5)
PER_TENANT = ConcurrencyRule(1, per="tenant", order="fifo")


def test_a_scope_is_a_queue_or_a_task():
    assert check_scope(queue_scope("q")) == ("q", None)
    assert check_scope(task_scope("app.work:x")) == (None, "app.work:x")
    with pytest.raises(InvalidOption, match="write queue:NAME or task:NAME"):
        check_scope("images")


def test_nothing_is_in_force_where_nothing_is_declared():
    limits = LimitsInForce()
    assert not limits
    assert not limits.declare("queue:q", ())
    assert (limits.scopes(), limits.of("queue:q")) == ([], [])


def test_declaring_says_whether_it_changes_anything():
    limits = LimitsInForce()
    assert limits.declare("queue:q", [TWO])
    assert not limits.declare("queue:q", (TWO,))
    assert limits.declare("queue:q", [])
    assert not limits


def test_a_live_limit_takes_the_place_of_its_like_alone():
    limits = LimitsInForce()
    limits.declare("queue:q", [TWO, SLOW, PER_TENANT])
    limits.put("queue:q", [NINE])
    assert list(limits.rules("queue:q")) == [NINE, SLOW, PER_TENANT]
    assert limits.of("queue:q")[0] == (NINE, "live", TWO)
    assert limits.live("queue:q") == (NINE,)
    limits.declare("queue:q", [])
    assert (limits.scopes(), list(limits.rules("queue:q"))) == (["queue:q"], [NINE])
    limits.restore("queue:q")
    assert not limits


def test_a_put_that_is_refused_changes_nothing():
    limits = LimitsInForce()
    limits.put("queue:q", [TWO])
    for bad in ([NINE, ConcurrencyRule(0)], [NINE, NINE], []):
        with pytest.raises(InvalidOption):
            limits.put("queue:q", bad)
    assert list(limits.rules("queue:q")) == [TWO]


@pytest.mark.parametrize("per", ["tenant", "order.customer", "rows.0.id", "größe", "header:user", "header:X-User"])
def test_names_that_limits_count_by(per):
    check_rules("task:app.work", [ConcurrencyRule(1, per=per)])


@pytest.mark.parametrize("per", ["", " ", "1st", "order.", ".order", "a b", "header:", "header:a b", "tags[0]"])
def test_names_that_are_none(per):
    with pytest.raises(InvalidOption, match=r"such as .order\.customer."):
        check_rules("task:app.work", [ConcurrencyRule(1, per=per)])


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([ConcurrencyRule(0)], "queue:q: a limit of 0; write 1 to .* pause it"),
        ([RateRule(0)], "a rate of 0"),
        ([RateRule(1, burst=0)], "a burst of 0"),
        ([RateRule(1, per_s=0.0)], "a rate per 0 seconds; write per_s=1.0"),
        ([TWO, NINE], "two concurrency limits; write one"),
        ([RateRule(1, per="a"), RateRule(2, per="a")], "two rate limits per 'a'"),
        ([ConcurrencyRule(1, order="fifo")], "write per="),
    ],
)
def test_errors_say_what_to_write(rules, words):
    with pytest.raises(InvalidOption, match=words):
        check_rules("queue:q", rules)
