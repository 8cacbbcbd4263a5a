"""Limits and what tasks declare, as JSON. What is refused of a change: `test_limit_routes.py`."""

from __future__ import annotations

import msgspec

from penstock.gate.limits_json import LimitChange, flow_json, limit_json
from penstock.model.flow import ConcurrencyRule, FairRule, RateRule, TaskFlow, UniqueRule
from penstock.model.limits_in_force import LimitView
from penstock.model.states import State


def test_a_rate_says_when_the_next_job_may_start():
    view = LimitView("task:a.b", RateRule(5, 60.0, per="tenant"), "live", 5, 7, 1_795_000_000.5, RateRule(1, burst=3))
    assert limit_json(view) == {
        "scope": "task:a.b",
        "per": "tenant",
        "rate": 5,
        "per_s": 60.0,
        "burst": 5,
        "source": "live",
        "declared": {"per": None, "rate": 1, "per_s": 1.0, "burst": 3},
        "in_use": 5,
        "waiting": 7,
        "next_free_at": "2026-11-18T11:06:40.500000Z",
    }


def test_a_change_is_rules():
    assert LimitChange(concurrency=2).rules() == [ConcurrencyRule(2)]
    assert LimitChange(rate=5, per_s=60, burst=9, per="a").rules() == [RateRule(5, 60, 9, "a")]
    both = LimitChange(concurrency=1, order="fifo", rate=5, per="a").rules()
    assert both == [ConcurrencyRule(1, "a", "fifo"), RateRule(5, 1.0, None, "a")]


def test_what_a_task_declares_can_be_printed():
    flow = TaskFlow(
        (ConcurrencyRule(2, "tenant"),),
        UniqueRule(("a",), states=(State.READY,)),
        FairRule("t", {"x": 2.0}),
        ("a",),
        ("c",),
    )
    found = msgspec.json.decode(msgspec.json.encode(flow_json(flow)))
    assert found["limits"] == [{"per": "tenant", "concurrency": 2, "order": "priority"}]
    assert found["fair"] == {"by": "t", "weights": {"x": 2.0}}
    assert (found["unique"]["names"], found["unique"]["states"]) == (["a"], ["ready"])
    assert (found["searchable"], found["sensitive"]) == (["a"], ["c"])
