"""Which keys a job needs, in which order, and what is said of one that waits."""

import pytest

from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.keyed_limits import (
    Key,
    Kind,
    keeps_slot,
    key_of_line,
    keyed_rules,
    kind_of,
    needs_of,
    place_in_key,
    reason_of,
    shown_key,
)

TENANT = ConcurrencyRule(2, per="tenant")
FIFO = ConcurrencyRule(1, per="tenant", order="fifo")
RATE = RateRule(5, 60.0, per="header:user")
WHOLE = ConcurrencyRule(7)


def key_of(scope, rule, text):
    return Key(kind_of(scope, rule), text)


def test_a_job_needs_a_slot_of_each_key_that_it_has_a_text_for_in_one_order():
    rules = [("task:app.work", RATE), ("task:app.work", TENANT), ("queue:q", TENANT), ("queue:q", WHOLE)]
    expected = [
        (key_of("queue:q", TENANT, "acme"), TENANT),
        (key_of("task:app.work", TENANT, "acme"), TENANT),
        (key_of("task:app.work", RATE, "ann"), RATE),
    ]
    values = {"tenant": "acme", "header:user": "ann", "other": "x"}
    assert needs_of(keyed_rules(rules), values) == needs_of(keyed_rules(reversed(rules)), values) == expected
    assert needs_of(keyed_rules(rules), {"header:user": "ann"}) == expected[2:]
    assert needs_of(keyed_rules(rules), {}) == []


def test_keys_of_one_text_differ_by_scope_name_and_kind():
    scopes, rules = ("task:a", "task:b", "queue:a"), (TENANT, RateRule(1, per="tenant"), ConcurrencyRule(2, per="user"))
    assert len({key_of(scope, rule, "acme") for scope in scopes for rule in rules}) == 9
    key = key_of("task:a", TENANT, "two\nlines")
    assert (key.scope, key.name, key.text) == ("task:a", "tenant", "two\nlines")


@pytest.mark.parametrize(
    ("key", "is_of_limit", "is_of_rate"),
    [
        (key_of("task:a", TENANT, "t"), True, False),
        (key_of("task:a", RATE, "t"), True, True),
        (key_of_line("q", "a"), False, False),
        (Key("parent", "7"), False, False),
        (Key("rates", "7"), False, False),
    ],
)
def test_what_a_key_is_of(key, is_of_limit, is_of_rate):
    assert (key.is_of_limit, key.is_of_rate) == (is_of_limit, is_of_rate)


def test_only_fifo_keeps_a_slot_and_goes_by_arrival_alone():
    assert [keeps_slot(rule) for rule in (TENANT, FIFO, RATE)] == [False, True, False]
    place = (-5, 3, 17)
    assert [place_in_key(place, rule) for rule in (TENANT, FIFO, RATE, None)] == [place, (0, 0, 17), place, place]


@pytest.mark.parametrize(
    ("key", "rule", "taken", "reason", "shown"),
    [
        (key_of("task:a", TENANT, "acme"), TENANT, 2, "2 of 2 running for tenant acme", "acme"),
        (
            key_of("task:a", TENANT, "acme"),
            ConcurrencyRule(1, per="tenant"),
            2,
            "2 of 1 running for tenant acme",
            "acme",
        ),
        (key_of("task:a", RATE, "ann"), RATE, 0, "over the rate of user ann: 5 per minute", "ann"),
        (key_of("task:a", TENANT, "acme"), None, 2, "next in turn for tenant acme", "acme"),
        (key_of_line("q", "a"), None, 0, "paused", None),
        (Key("parent", "7"), None, 0, "parent", "7"),
    ],
)
def test_what_is_said_of_a_job_that_waits(key, rule, taken, reason, shown):
    assert (reason_of(key, rule, taken), shown_key(key)) == (reason, shown)


def test_kinds_stand_before_each_other_as_they_are_stored():
    assert sorted([Kind.RATE, Kind.PAUSED, Kind.CONCURRENCY]) == [Kind.CONCURRENCY, Kind.PAUSED, Kind.RATE]
