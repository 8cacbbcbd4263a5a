"""A live limit is put where jobs tell what it counts by."""

from __future__ import annotations

import pytest

from penstock.model.errors import InvalidOption, QueueNotFound, UnknownTask
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule, TaskFlow
from penstock.model.job import TaskRecord
from penstock.model.limit_changes import KnownScopes

KNOWN = KnownScopes(
    [
        TaskRecord("shop.pay", "money", flow=TaskFlow((RateRule(1, per="card"),), None, FairRule("tenant"))),
        TaskRecord("shop.tip", "money"),
        TaskRecord("shop.idle"),
    ],
    [QueueRecord("money", (ConcurrencyRule(1, "bank"), ConcurrencyRule(9))), QueueRecord("quiet")],
    {"other"},
)


@pytest.mark.parametrize("scope", ["queue:money", "queue:default", "queue:quiet", "queue:other", "task:shop.idle"])
def test_what_is_there_may_be_limited(scope):
    KNOWN.check(scope, [ConcurrencyRule(1), RateRule(1)])


@pytest.mark.parametrize(
    "scope, told",
    [
        ("task:shop.pay", ["card", "tenant", "bank"]),
        ("task:shop.tip", ["bank"]),
        ("queue:money", ["card", "tenant", "bank"]),
        ("queue:quiet", []),
        ("task:shop.idle", []),
    ],
)
def test_limits_count_by_what_is_declared_of_the_task_or_its_queue(scope, told):
    for name in told:
        KNOWN.check(scope, [ConcurrencyRule(1, name)])
    with pytest.raises(InvalidOption, match=", ".join(sorted(told)) or r"Declare one") as caught:
        KNOWN.check(scope, [ConcurrencyRule(1), RateRule(1, per="user")])
    assert caught.value.field == "per"


@pytest.mark.parametrize(
    "scope, error", [("task:shop.none", UnknownTask), ("queue:none", QueueNotFound), ("shop.pay", InvalidOption)]
)
def test_what_is_not_there_may_not(scope, error):
    with pytest.raises(error):
        KNOWN.check(scope, [ConcurrencyRule(1)])
