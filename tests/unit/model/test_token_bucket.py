import random
from itertools import pairwise

import pytest

from penstock.model.flow import RateRule
from penstock.model.token_bucket import TokenBucket, carried_over, fill_alike

T0 = 12_345.678


def test_it_begins_full_and_gives_no_more_than_it_holds():
    bucket = TokenBucket(RateRule(10, per_s=1.0, burst=5), T0)
    assert bucket.tokens(T0) == bucket.tokens(T0 + 1_000.0) == 5
    bucket.take(5, T0 + 1_000.0)
    assert bucket.tokens(T0 + 1_000.0) == 0


def test_a_burst_that_is_not_named_is_the_count():
    assert TokenBucket(RateRule(7, per_s=60.0), T0).tokens(T0) == 7


def test_tokens_come_in_one_by_one():
    bucket = TokenBucket(RateRule(10), T0)
    bucket.take(10, T0)
    assert [bucket.tokens(T0 + tenths / 10) for tenths in range(4)] == [0, 1, 2, 3]
    assert bucket.next_at(1, T0) == pytest.approx(T0 + 0.1)
    assert bucket.next_at(3, T0 + 0.1) == pytest.approx(T0 + 0.3)
    assert bucket.next_at(3, T0 + 0.5) == T0 + 0.5


def test_when_more_are_asked_for_than_it_holds_it_is_when_it_is_full():
    bucket = TokenBucket(RateRule(10, burst=2), T0)
    bucket.take(2, T0)
    assert bucket.next_at(50, T0) == pytest.approx(T0 + 0.2)


def test_the_next_is_never_now_when_there_is_none():
    bucket = TokenBucket(RateRule(3), T0)
    now = T0
    for _ in range(300):
        if bucket.tokens(now):
            bucket.take(1, now)
        else:
            at = bucket.next_at(1, now)
            assert at > now
            now = at
            assert bucket.tokens(now) == 1


@pytest.mark.parametrize("seed", range(20))
def test_it_never_allows_more_than_the_rule(seed):
    """From any moment on: no more than it holds, and what came in since."""
    chance = random.Random(seed)
    rule = RateRule(chance.randint(1, 50), per_s=chance.choice([0.1, 1.0, 60.0]), burst=chance.randint(1, 60))
    bucket, now = TokenBucket(rule, T0), T0
    taken = [(now, 0)]
    for _ in range(400):
        now += chance.choice([0.0, chance.random() * rule.per_s / rule.count, chance.random() * rule.per_s])
        number = min(bucket.tokens(now), chance.randint(0, 20))
        bucket.take(number, now)
        taken.append((now, number))
    for first in range(0, len(taken), 7):
        count = 0
        for at, number in taken[first:]:
            count += number
            assert count <= bucket.burst + (at - taken[first][0]) * rule.count / rule.per_s + 1e-6


def test_nothing_that_comes_in_is_lost_while_it_is_not_full():
    bucket, now, count = TokenBucket(RateRule(500, burst=20), T0), T0, 0
    bucket.take(20, now)
    while now < T0 + 10.0:
        now += 0.0137
        number = bucket.tokens(now)
        bucket.take(number, now)
        count += number
    assert abs(count - 500 * (now - T0)) <= 1


def test_a_clock_that_stands_still_gives_nothing():
    bucket = TokenBucket(RateRule(5), T0)
    bucket.take(5, T0)
    assert bucket.tokens(T0) == bucket.tokens(T0 - 1_000.0) == 0
    bucket.take(0, T0 - 1_000.0)
    assert bucket.tokens(T0 + 0.2) == 1


def test_another_rule_keeps_the_tokens_and_adds_none():
    bucket = TokenBucket(RateRule(10), T0)
    bucket.take(8, T0)
    bucket.change(RateRule(100), T0)
    assert bucket.tokens(T0) == 2
    assert bucket.tokens(T0 + 0.5) == 52
    bucket.change(RateRule(1, burst=3), T0 + 0.5)
    assert bucket.tokens(T0 + 0.5) == bucket.tokens(T0 + 9.0) == 3
    bucket.change(RateRule(10), T0 + 9.0)
    assert bucket.tokens(T0 + 9.0) == 3


def test_one_that_is_known_to_be_half_full_goes_on_from_there():
    assert TokenBucket(RateRule(10), T0, 2.5).tokens(T0 + 0.05) == 3
    assert TokenBucket(RateRule(10), T0, 99.0).tokens(T0) == 10
    assert TokenBucket(RateRule(10), T0, -4.0).tokens(T0) == 0


def test_a_copy_is_as_full_and_stands_alone():
    bucket = TokenBucket(RateRule(10), T0)
    bucket.take(4, T0)
    twin = bucket.copy()
    bucket.take(6, T0)
    assert (bucket.tokens(T0), twin.tokens(T0), twin.tokens(T0 + 0.1)) == (0, 6, 7)


def test_a_lease_gives_back_what_it_took():
    bucket = TokenBucket(RateRule(3, per_s=30.0), T0)
    bucket.take(2, T0, 11)
    bucket.give_back(11, T0)
    bucket.give_back(12, T0)
    assert bucket.tokens(T0) == 3
    bucket.give_back(12, T0)
    assert bucket.tokens(T0) == 3


def test_a_lease_that_took_nothing_of_what_is_missing_gives_nothing_back():
    bucket = TokenBucket(RateRule(2, per_s=20.0), T0)
    bucket.give_back(1, T0)
    bucket.take(2, T0, 5)
    bucket.give_back(4, T0)
    assert bucket.tokens(T0) == 0
    # It fills, and others take.
    bucket.take(2, T0 + 20.0, 9)
    bucket.give_back(5, T0 + 20.0)
    assert bucket.tokens(T0 + 20.0) == 0
    bucket.give_back(9, T0 + 20.0)
    assert bucket.tokens(T0 + 20.0) == 1


def test_what_was_taken_by_another_rule_is_not_given_back():
    bucket = TokenBucket(RateRule(4, per_s=40.0), T0)
    bucket.take(3, T0, 5)
    bucket.change(RateRule(8, per_s=80.0, burst=4), T0)
    bucket.give_back(5, T0)
    assert bucket.tokens(T0) == 2, "the other rule is the same in effect"
    bucket.change(RateRule(4, per_s=20.0), T0)
    bucket.give_back(6, T0)
    assert bucket.tokens(T0) == 2
    bucket.take(1, T0, 8)
    bucket.give_back(8, T0)
    assert bucket.tokens(T0) == 2


def test_rules_are_alike_that_hold_as_much_and_fill_as_fast():
    rule = RateRule(2, per_s=20.0)
    assert fill_alike(rule, RateRule(1, per_s=10.0, burst=2))
    assert not fill_alike(rule, RateRule(2, per_s=10.0))
    assert not fill_alike(rule, RateRule(2, per_s=20.0, burst=3))


@pytest.mark.parametrize("seed", range(20))
def test_a_bucket_that_is_carried_over_is_as_full_as_one_that_was_changed_each_time(seed):
    chance = random.Random(seed)
    rules = [RateRule(chance.randint(1, 9), per_s=10.0, burst=chance.choice([None, 2, 20])) for _ in range(5)]
    bucket, now = TokenBucket(rules[0], T0, 1.5), T0
    former = []
    for rule, following in pairwise(rules):
        now += chance.random() * 4.0
        former.append((rule, now))
        bucket = TokenBucket(following, now) if bucket.is_full(now) else bucket
        bucket.change(following, now)
    carried = carried_over(1.5, T0, former, rules[-1])
    for later in (now, now + 1.0, now + 100.0):
        assert carried.level(later) == pytest.approx(bucket.level(later))


def test_after_a_time_without_a_rate_a_bucket_is_full():
    rule, other = RateRule(5, per_s=500.0), RateRule(7, per_s=700.0)
    assert carried_over(0.0, T0, [(other, T0 + 1.0), (None, T0 + 2.0)], rule).tokens(T0 + 2.0) == 5
    assert carried_over(0.0, T0, [(None, T0), (other, T0 + 1.0)], rule).tokens(T0 + 2.0) == 5
    assert carried_over(0.0, T0, [], rule).tokens(T0 + 2.0) == 0
