"""``/v1/limits``: what holds, live changes, and the way back; each refusal says what to send instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule, TaskFlow
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, TaskRecord, checksum

TWO = ConcurrencyRule(2, per="tenant")


def work(count: int, queue: str = "images") -> JobGroup:
    return JobGroup(
        "shop.work", [JobEntry(new_id(), b"m\x92\x90\x80", checksum(b"m\x92\x90\x80")) for _ in range(count)], queue
    )


@pytest.fixture
def limited(door):
    """A gate on a store whose worker has declared limits of a task and of a queue."""
    flow = TaskFlow(limits=(ConcurrencyRule(5), RateRule(100, 60.0, per="customer")), fair=FairRule("customer"))
    tasks = [TaskRecord("shop.work", "images", flow=flow), TaskRecord("shop.plain")]
    door.memory.register_tasks(tasks, [QueueRecord("images", (ConcurrencyRule(3), TWO)), QueueRecord("quiet")])
    return door


def put(door: Any, target: str, body: Any, **headers: str) -> Any:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return door.call("PUT", target, text, **headers)


def shown(scope: str, **members: Any) -> dict[str, Any]:
    """One limit as it is shown, unused, with these members."""
    return {
        "scope": scope,
        "source": "declared",
        "declared": None,
        "in_use": 0,
        "waiting": 0,
        "next_free_at": None,
    } | members


def test_every_limit_is_listed_with_what_is_used_of_it(limited):
    limited.memory.enqueue([work(4)])
    limited.memory.lease(LeaseRequest(b"x" * 16, 3))
    answer = limited.call("GET", "/v1/limits")
    assert answer.status == 200
    assert answer.json == {
        "limits": [
            shown("queue:images", per=None, concurrency=3, order="priority", in_use=3, waiting=1),
            shown("queue:images", per="tenant", concurrency=2, order="priority"),
            shown("task:shop.work", per=None, concurrency=5, order="priority", in_use=3, waiting=1),
            shown("task:shop.work", per="customer", rate=100, per_s=60.0, burst=100),
        ]
    }
    for target in ("/v1/limits?scope=task:shop.work", "/v1/limits/task:shop.work"):
        assert [one["scope"] for one in limited.call("GET", target).json["limits"]] == ["task:shop.work"] * 2
    assert limited.call("GET", "/v1/limits/queue:quiet").json == {"limits": []}


def test_a_live_limit_wins_until_it_is_restored(limited):
    answer = put(limited, "/v1/limits/queue:images", {"concurrency": 1})
    live = shown("queue:images", per=None, concurrency=1, order="priority", source="live")
    live["declared"] = {"per": None, "concurrency": 3, "order": "priority"}
    assert (answer.status, answer.json["limits"][0]) == (200, live)
    assert limited.call("GET", "/v1/limits/queue:images").json == answer.json
    answer = limited.call("DELETE", "/v1/limits/queue:images")
    assert [one["source"] for one in answer.json["limits"]] == ["declared", "declared"]
    assert limited.call("DELETE", "/v1/limits/queue:images").status == 200


def test_limits_of_a_name_and_both_kinds_at_once(limited):
    change = {"concurrency": 1, "order": "fifo", "rate": 5, "per_s": 60, "burst": 10}
    answer = put(limited, "/v1/limits/queue:images?per=tenant", change)
    assert [one for one in answer.json["limits"] if one["per"]] == [
        shown(
            "queue:images",
            per="tenant",
            concurrency=1,
            order="fifo",
            source="live",
            declared={"per": "tenant", "concurrency": 2, "order": "priority"},
        ),
        shown("queue:images", per="tenant", rate=5, per_s=60.0, burst=10, source="live"),
    ]
    put(limited, "/v1/limits/queue:images", {"concurrency": 9})
    answer = limited.call("DELETE", "/v1/limits/queue:images?per=tenant")
    assert [(one["concurrency"], one["source"]) for one in answer.json["limits"]] == [(9, "live"), (2, "declared")]


def test_the_scope_may_stand_in_the_body(limited):
    answer = put(limited, "/v1/limits", {"scope": "task:shop.work", "per": "customer", "concurrency": 7})
    assert answer.json["limits"][1]["concurrency"] == 7
    answer = put(limited, "/v1/limits/task:shop.work", {"scope": "task:shop.work", "rate": 7})
    assert answer.json["limits"][1]["rate"] == 7


def test_a_queue_may_be_limited_that_only_has_jobs(limited):
    limited.memory.enqueue([work(1, "elsewhere")])
    assert put(limited, "/v1/limits/queue:elsewhere", {"concurrency": 1}).status == 200
    assert put(limited, "/v1/limits/queue:quiet", {"concurrency": 1}).status == 200
    assert put(limited, "/v1/limits/queue:default", {"concurrency": 1}).status == 200


@pytest.mark.parametrize(
    "target, body, problem, says",
    [
        ("/v1/limits", {"concurrency": 1}, (422, "invalid-option", "scope"), "queue:NAME or task:NAME"),
        ("/v1/limits/images", {"concurrency": 1}, (422, "invalid-option", "scope"), "write queue:NAME or task:NAME"),
        ("/v1/limits/queue:a b", {"concurrency": 1}, (422, "invalid-option", "scope"), "1 to 64"),
        ("/v1/limits/queue:imges", {"concurrency": 1}, (404, "not-found", None), "mean 'images'"),
        ("/v1/limits/task:shop.wrk", {"concurrency": 1}, (422, "unknown-task", None), "'shop.wrk'"),
        ("/v1/limits/queue:images", {"concurrency": 0}, (422, "invalid-option", "concurrency"), "write 1 to"),
        ("/v1/limits/queue:images", {"rate": -1}, (422, "invalid-option", "rate"), "write 1 to"),
        ("/v1/limits/queue:images", {"rate": 1, "per_s": 0}, (422, "invalid-option", "per_s"), "per_s=1.0"),
        ("/v1/limits/queue:images", {"rate": 1, "burst": 0}, (422, "invalid-option", "burst"), "write 1 to"),
        ("/v1/limits/queue:images", {}, (422, "invalid-option", "concurrency"), "restore"),
        ("/v1/limits/queue:images", {"per_s": 1}, (422, "invalid-option", "per_s"), "give rate too"),
        ("/v1/limits/queue:images", {"order": "fifo"}, (422, "invalid-option", "order"), "concurrency too"),
        ("/v1/limits/queue:images", {"order": "fifo", "rate": 1}, (422, "invalid-option", "order"), "concurrency too"),
        ("/v1/limits/queue:images", {"concurrency": 1, "order": "fifo"}, (422, "invalid-option", "order"), "per="),
        ("/v1/limits/queue:images", {"concurrency": 1, "order": "x"}, (422, "invalid-option", "order"), "order"),
        (
            "/v1/limits/queue:images",
            {"concurency": 1},
            (422, "invalid-option", "concurency"),
            "there is `scope`, `per`, `concurrency`",
        ),
        ("/v1/limits/queue:images", {"concurrency": "1"}, (422, "invalid-option", "concurrency"), "Expected"),
        ("/v1/limits/queue:images?per=tenat", {"concurrency": 1}, (422, "invalid-option", "per"), "customer, tenant"),
        ("/v1/limits/task:shop.plain?per=x", {"concurrency": 1}, (422, "invalid-option", "per"), "Declare one"),
        ("/v1/limits/queue:images?who=x", {"concurrency": 1}, (422, "invalid-option", "who"), "no such parameter"),
        (
            "/v1/limits/queue:images",
            {"scope": "queue:a", "rate": 1},
            (422, "invalid-option", "scope"),
            "in the address",
        ),
        ("/v1/limits/queue:images?per=tenant", {"per": "x", "rate": 1}, (422, "invalid-option", "per"), "in the body"),
        ("/v1/limits/queue:images", [1], (400, "malformed-body", None), "JSON object"),
        ("/v1/limits/queue:images", b"{", (400, "malformed-body", None), "not JSON"),
        ("/v1/limits/queue:images", b'{"a": "\xff"}', (400, "malformed-body", None), "UTF-8"),
        ("/v1/limits/queue:images", b"[" * 2_000, (400, "malformed-body", None), "nested"),
        ("/v1/limits/queue:images", b" " * (limits.GATE_LOOP_BYTES_MAX + 1), (413, "body-too-large", None), "bytes"),
    ],
)
def test_what_cannot_be_put_is_refused_and_nothing_changes(limited, target, body, problem, says):
    before = limited.call("GET", "/v1/limits").json
    answer = put(limited, target, body)
    assert answer.problem == problem, answer.body
    assert says in answer.json["detail"]
    assert limited.call("GET", "/v1/limits").json == before


def test_what_is_no_json_is_refused(limited):
    answer = put(limited, "/v1/limits/queue:images", {"concurrency": 1}, content_type="text/plain")
    assert answer.problem == (415, "unsupported-media-type", None)


@pytest.mark.parametrize(
    "method, target, problem",
    [
        ("DELETE", "/v1/limits/images", (422, "invalid-option", "scope")),
        ("DELETE", "/v1/limits/queue:images?scope=x", (422, "invalid-option", "scope")),
        ("DELETE", "/v1/limits", (405, "method-not-allowed", None)),
        ("POST", "/v1/limits/queue:images", (405, "method-not-allowed", None)),
        ("GET", "/v1/limits?scope=images", (422, "invalid-option", "scope")),
        ("GET", "/v1/limits?x=1", (422, "invalid-option", "x")),
        ("GET", "/v1/limits/queue:imges", (404, "not-found", None)),
        ("DELETE", "/v1/limits/queue:imges", (404, "not-found", None)),
        ("GET", "/v1/limits/task:shop.wrk", (422, "unknown-task", None)),
        ("GET", "/v1/limits/queue:images/x", (404, "not-found", None)),
        ("GET", "/v1/limits/", (404, "not-found", None)),
    ],
)
def test_other_requests_that_are_none(limited, method, target, problem):
    assert limited.call(method, target).problem == problem


def test_what_has_no_limits_is_there_all_the_same(limited):
    assert limited.call("GET", "/v1/limits/task:shop.plain").json == {"limits": []}


def test_who_may_not_ask_may_not_change_either(make_door):
    door = make_door(token="0123456789abcdef")
    assert put(door, "/v1/limits/queue:images", {"concurrency": 1}).problem[:2] == (401, "unauthorized")
    assert door.call("DELETE", "/v1/limits/queue:images").problem[:2] == (401, "unauthorized")


def test_who_has_changed_limits_is_in_the_audit_log(limited, make_door):
    put(limited, "/v1/limits/queue:images?per=tenant", {"concurrency": 1, "rate": 5})
    limited.call("DELETE", "/v1/limits/queue:images")
    assert [(one.by, one.verb, one.subject, one.note) for one in limited.memory.audit().entries] == [
        ("local", "restore", "queue:images", None),
        ("local", "limit", "queue:images", "1 at a time per tenant; 5 in 1 s per tenant"),
    ]


def test_many_limits_are_listed_too(door):
    door.memory.register_tasks([], [QueueRecord(f"q{number}", (ConcurrencyRule(1),)) for number in range(300)])
    assert len(door.call("GET", "/v1/limits").json["limits"]) == 300
