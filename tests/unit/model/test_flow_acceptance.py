"""What may be declared of the flow of jobs. What is refused, with the words: `tests/unit/tasks/test_flow_rules.py`."""

from __future__ import annotations

import pytest

from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule, Retention, TaskFlow
from penstock.model.flow_acceptance import check_flow, check_name, check_queue_record, names_in, parameter_in


def test_names_are_needed_once_each_in_the_order_of_the_rules():
    rules = (ConcurrencyRule(1), RateRule(1, per="b"), ConcurrencyRule(1, "a.c"), ConcurrencyRule(2, "b"))
    assert names_in(rules) == ("b", "a.c")
    assert names_in(rules, FairRule("header:x")) == ("b", "a.c", "header:x")
    assert names_in(rules, FairRule("b")) == ("b", "a.c")


@pytest.mark.parametrize(
    "name, parameter", [("tenant", "tenant"), ("order.customer", "order"), ("header:user", None), ("header:a.b", None)]
)
def test_a_name_leads_into_a_parameter_or_means_a_header(name, parameter):
    check_name(name, "limits")
    assert parameter_in(name) == parameter


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "header:", "a:b", "a\0", "\ud800", "a" * 201])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidOption, match="write a parameter of the task") as caught:
        check_name(name, "limits")
    assert caught.value.field == "limits"


def test_errors_name_the_task_or_the_queue():
    with pytest.raises(InvalidOption, match=r"shop\.work: limits has a limit of 0"):
        check_flow("shop.work", TaskFlow(limits=(ConcurrencyRule(0),)))
    with pytest.raises(InvalidOption, match=r"shop\.work: fair has the weight 0"):
        check_flow("shop.work", TaskFlow(fair=FairRule("a", {"b": 0.0})))
    with pytest.raises(InvalidOption, match="The queue 'images': age_s is 0"):
        check_queue_record(QueueRecord("images", age_s=0.0))
    with pytest.raises(InvalidOption, match="The queue 'images': retention has dead=-1"):
        check_queue_record(QueueRecord("images", retention=Retention(dead=-1)))


def test_what_may_be_passes():
    check_flow("shop.work", TaskFlow((RateRule(1, 60.0, 5, "a"),), None, FairRule("a", {"b": 2.0}), ("c",), ("d",)))
    check_queue_record(QueueRecord("images", (ConcurrencyRule(1, "a", "fifo"),), 60.0, Retention(0, None, 5)))
