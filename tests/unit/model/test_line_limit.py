import pytest

from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.line_limit import ROOM_MAX, LineLimit

T0 = 50.0


def limited(*rules, scope="queue:images"):
    limit = LineLimit(scope)
    limit.change(rules, T0)
    return limit


def test_where_no_rule_is_without_per_there_is_any_room():
    limit = limited(ConcurrencyRule(1, per="tenant"), RateRule(1, per="tenant"))
    assert (limit.room(T0), limit.reason(T0), limit.next_free_at(T0)) == (ROOM_MAX, None, None)


def test_of_two_limits_the_tighter_one_counts():
    limit = limited(ConcurrencyRule(5), RateRule(10, burst=7))
    limit.begin(4, T0)
    assert limit.room(T0) == 1
    limit.running = 1
    assert limit.room(T0) == 3
    assert limit.tokens_in_use(T0) == 4


def test_the_reason_says_what_is_full_and_whose():
    assert limited(ConcurrencyRule(2)).reason(T0) is None
    limit = limited(ConcurrencyRule(2))
    limit.begin(2, T0)
    assert limit.reason(T0) == "2 of 2 running in queue images"
    limit = limited(ConcurrencyRule(100), scope="task:app.mail")
    limit.begin(100, T0)
    assert limit.reason(T0) == "100 of 100 running of task app.mail"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RateRule(5), "5 per second"),
        (RateRule(5, per_s=60.0), "5 per minute"),
        (RateRule(5, per_s=3_600.0, burst=9), "5 per hour, 9 at once"),
        (RateRule(5, per_s=86_400.0, burst=5), "5 per day"),
        (RateRule(5, per_s=2.5), "5 per 2.5 s"),
    ],
)
def test_the_reason_says_the_rate(rule, words):
    limit = limited(rule)
    assert limit.reason(T0) is None
    limit.begin(limit.room(T0), T0)
    assert limit.reason(T0) == f"over the rate of queue images: {words}"


def test_the_next_is_free_with_the_next_token():
    limit = limited(ConcurrencyRule(9), RateRule(2))
    limit.begin(1, T0)
    assert limit.next_free_at(T0) is None
    limit.begin(1, T0)
    assert limit.next_free_at(T0) == pytest.approx(T0 + 0.5)


def test_another_concurrency_holds_for_those_that_come():
    limit = limited(ConcurrencyRule(5))
    limit.begin(5, T0)
    limit.change([ConcurrencyRule(3)], T0)
    assert (limit.room(T0), limit.reason(T0)) == (0, "5 of 3 running in queue images")
    limit.change([], T0)
    assert limit.room(T0) == ROOM_MAX


def test_a_rate_that_is_declared_again_adds_no_tokens():
    limit = limited(RateRule(4))
    limit.begin(4, T0)
    limit.change([RateRule(4)], T0)
    assert limit.room(T0) == 0
