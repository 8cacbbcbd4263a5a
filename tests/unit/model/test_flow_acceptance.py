"""What may be declared of the flow of jobs. What is refused, with the words: `tests/unit/tasks/test_flow_rules.py`."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule, Rule, TaskFlow
from penstock.model.flow_acceptance import check_flow, names_in, parameter_in
from penstock.model.job import TaskRecord
from penstock.model.limits_in_force import check_registration

MANY: tuple[Rule, ...] = tuple(RateRule(1, per=f"n{n}") for n in range(limits.FLOW_NAMES_DECLARED_MAX + 1))


def test_names_are_needed_once_each_in_the_order_of_the_rules():
    rules = (ConcurrencyRule(1), RateRule(1, per="b"), ConcurrencyRule(1, "a.c"), ConcurrencyRule(2, "b"))
    assert names_in(rules) == ("b", "a.c")
    assert names_in(rules, FairRule("header:x")) == ("b", "a.c", "header:x")
    assert names_in(rules, FairRule("b")) == ("b", "a.c")


@pytest.mark.parametrize(
    "name, parameter", [("tenant", "tenant"), ("order.customer", "order"), ("header:user", None), ("header:a.b", None)]
)
def test_a_name_leads_into_a_parameter_or_means_a_header(name, parameter):
    assert parameter_in(name) == parameter


@pytest.mark.parametrize(
    "flow, field, says",
    [
        (TaskFlow(fair=FairRule("a", {"b": 0.0})), "fair", "the weight 0 for 'b'; write 0.001 to 1000"),
        (TaskFlow(fair=FairRule("a", {"b": float("nan")})), "fair", "the weight nan"),
        (TaskFlow(fair=FairRule("")), "fair", "name the parameter"),
        (TaskFlow(limits=MANY), "limits", "FLOW_NAMES_DECLARED_MAX"),
        (TaskFlow(limits=MANY[1:], fair=FairRule("z")), "limits", "FLOW_NAMES_DECLARED_MAX"),
        (TaskFlow(searchable=("a.b",), sensitive=("a",)), "searchable", "never searched"),
        (TaskFlow(searchable=tuple("abcdefghi")), "searchable", "at most 8"),
        (TaskFlow(searchable=("",)), "searchable", "1 to 200 bytes"),
        (TaskFlow(searchable=("ü" * 101,)), "searchable", "1 to 200 bytes"),
        (TaskFlow(limits=(RateRule(1, per="ü" * 101),)), "limits", "1 to 200 bytes"),
    ],
)
def test_what_may_not_be_is_refused_by_stores_too(flow, field, says):
    for check in (lambda: check_flow("shop.work", flow), lambda: check_registration([TaskRecord("a", flow=flow)], [])):
        with pytest.raises(InvalidOption, match=says) as caught:
            check()
        assert caught.value.field == field
    with pytest.raises(InvalidOption, match="FLOW_NAMES_DECLARED_MAX"):
        check_registration([], [QueueRecord("images", MANY)])


def test_what_may_be_passes():
    check_flow("shop.work", TaskFlow((RateRule(1, 60.0, 5, "a"),), None, FairRule("a", {"b": 2.0}), ("c",), ("d",)))
