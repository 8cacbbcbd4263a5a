"""``/v1/schedules``: what is started when, put, changed and looked at over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.job import LeaseRequest
from penstock.model.schedules import Missed, Overlap

NIGHTLY = "/v1/schedules/nightly"
HOURLY = {"task": "images.thumbnail", "args": ["cat.png"], "cron": "0 * * * *"}


def send(door: Any, method: str, target: str, body: Any = None) -> Any:
    return door.call(method, target, None if body is None else json.dumps(body).encode())


def put(door: Any, body: Any = None, target: str = NIGHTLY) -> Any:
    return send(door, "PUT", target, HOURLY if body is None else body)


def test_a_schedule_is_put_and_shown(door):
    wanted = {
        "task": "images.thumbnail",
        "args": ["cat.png"],
        "kwargs": {"width": 400},
        "priority": 7,
        "tags": ["night"],
        "headers": {"a": "b"},
        "cron": "30 2 * * MON-FRI",
        "timezone": "Europe/Paris",
        "start_at": "2027-02-01T00:00:00+01:00",
        "end_at": "2028-01-01T00:00:00Z",
        "jitter_s": 5,
        "overlap": "replace",
        "missed": "all",
        "missed_max": 7,
    }
    answer = put(door, wanted)
    assert answer.status == 200
    assert answer.json == {
        "name": "nightly",
        "task": "images.thumbnail",
        "workflow": None,
        "queue": "images",
        "priority": 7,
        "cron": "30 2 * * MON-FRI",
        "timezone": "Europe/Paris",
        "every_s": None,
        "at": None,
        "start_at": "2027-01-31T23:00:00.000000Z",
        "end_at": "2028-01-01T00:00:00.000000Z",
        "jitter_s": 5.0,
        "overlap": "replace",
        "missed": "all",
        "missed_max": 7,
        "paused": False,
        "declared_by": None,
        "declared": False,
        "changed": False,
        "next_slot": "2027-02-01T01:30:00.000000Z",
        "next_at": answer.json["next_at"],
        "latest": None,
        "problem": None,
    }
    assert send(door, "GET", NIGHTLY).json == answer.json
    stored = door.memory.schedule("nightly").schedule
    assert (stored.call.headers, stored.call.tags) == ({"a": "b"}, ["picture", "night"])
    assert (stored.overlap, stored.missed) == (Overlap.REPLACE, Missed.ALL)


def test_its_job_is_that_of_a_request(door):
    put(door, {**HOURLY, "cron": None, "every_s": 60})
    door.clock.advance(60)
    door.memory.tick()
    (job,) = door.memory.lease(LeaseRequest(b"h" * 16, 9)).jobs
    assert job.body == b'j[["cat.png"],{}]'
    (latest,) = send(door, "GET", f"{NIGHTLY}/runs").json["runs"]
    assert (latest["cause"], latest["state"], latest["workflow"]) == ("slot", "started", None)
    assert send(door, "GET", f"/v1/jobs/{latest['job']}").json["state"] == "running"
    assert send(door, "GET", NIGHTLY).json["latest"] == latest


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"cron": "0 * * * *"}, 422, "invalid-option", "task"),
        ({**HOURLY, "task": "no.such"}, 422, "unknown-task", "task"),
        ({**HOURLY, "args": [5]}, 422, "invalid-arguments", "args[0]"),
        ({**HOURLY, "cron": "soon"}, 422, "invalid-option", "cron"),
        ({**HOURLY, "every_s": 60}, 422, "invalid-option", "every_s"),
        ({"task": "any.call"}, 422, "invalid-option", "cron"),
        ({**HOURLY, "timezone": "Mars"}, 422, "invalid-option", "timezone"),
        ({**HOURLY, "overlap": "allow"}, 422, "invalid-option", "overlap"),
        ({**HOURLY, "missed": "most"}, 422, "invalid-option", "missed"),
        ({**HOURLY, "missed": "all", "missed_max": 10_000}, 422, "invalid-option", "missed_max"),
        ({**HOURLY, "start_at": "2027-02-01T00:00:00"}, 422, "invalid-option", "start_at"),
        ({**HOURLY, "at": 5}, 422, "invalid-option", "at"),
        ({**HOURLY, "queue": "a b"}, 422, "invalid-option", "queue"),
        ({**HOURLY, "delay_s": 5}, 422, "invalid-option", "delay_s"),
        ({**HOURLY, "idempotency_key": "k"}, 422, "invalid-option", "idempotency_key"),
        ({"task": "any.call", "at": "2020-01-01T00:00:00Z"}, 422, "invalid-option", "at"),
        ([], 400, "malformed-body", None),
    ],
)
def test_what_is_no_schedule_is_refused(door, body, status, code, field):
    assert put(door, body).problem == (status, code, field)
    assert door.memory.schedules().schedules == []


def test_a_name_that_is_none_is_refused(door):
    assert put(door, target="/v1/schedules/a b").problem == (422, "invalid-option", "name")


def test_a_schedule_that_is_too_large_is_refused(door):
    body = {"task": "any.call", "every_s": 60, "args": ["x" * limits.SCHEDULE_BYTES_MAX]}
    assert put(door, body).problem == (413, "body-too-large", None)


def test_in_pages_by_name(door):
    for name in "cab":
        put(door, target=f"/v1/schedules/{name}")
    first = send(door, "GET", "/v1/schedules?limit=2").json
    assert [one["name"] for one in first["schedules"]] == ["a", "b"]
    second = send(door, "GET", f"/v1/schedules?cursor={first['cursor']}").json
    assert ([one["name"] for one in second["schedules"]], second["cursor"]) == (["c"], None)
    for bad in ("limit=0", "limit=x", f"limit={limits.PAGE_SCHEDULES_MAX + 1}", "state=paused"):
        assert send(door, "GET", f"/v1/schedules?{bad}").problem[1] == "invalid-option"


def test_paused_resumed_and_run(door):
    put(door)
    paused = send(door, "POST", f"{NIGHTLY}/pause")
    assert (paused.status, paused.json["paused"], paused.json["next_slot"]) == (200, True, None)
    run = send(door, "POST", f"{NIGHTLY}/run")
    assert (run.status, run.json["cause"], run.json["state"]) == (202, "hand", "started")
    assert send(door, "POST", f"{NIGHTLY}/resume").json["paused"] is False
    assert [one.verb for one in door.memory.audit().entries] == ["resume", "run", "pause", "schedule"]


def test_backfilled(door):
    put(door)
    answer = send(
        door, "POST", f"{NIGHTLY}/backfill", {"since": "2027-01-15T00:30:00Z", "until": "2027-01-15T04:00:00+01:00"}
    )
    assert (answer.status, answer.json) == (202, {"name": "nightly", "runs": 3})
    for body in ({"since": "2027-01-15T00:30:00Z"}, {"since": "2027-01-15T00:30:00Z", "until": "2030-01-01T00:00:00Z"}):
        assert send(door, "POST", f"{NIGHTLY}/backfill", body).problem == (422, "invalid-option", "until")


def test_removed(door):
    put(door)
    assert send(door, "DELETE", NIGHTLY).json == {"name": "nightly", "removed": True, "schedule": None}
    for method, target in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/runs"),
        ("POST", "/run"),
        ("POST", "/pause"),
        ("POST", "/resume"),
    ):
        assert send(door, method, NIGHTLY + target).problem[:2] == (404, "not-found")


def test_what_is_declared_is_restored_and_not_removed(door):
    put(door)
    declared = door.memory.schedule("nightly").schedule
    door.memory.remove_schedule("nightly")
    door.memory.register_tasks([], schedules=[declared], application="shop:app")
    assert send(door, "DELETE", NIGHTLY).problem[:2] == (409, "conflict")
    changed = put(door, {**HOURLY, "cron": "0 3 * * *"}).json
    assert (changed["changed"], changed["declared"], changed["declared_by"]) == (True, True, "shop:app")
    restored = send(door, "DELETE", NIGHTLY).json
    assert (restored["removed"], restored["schedule"]["cron"]) == (False, "0 * * * *")


def test_a_gate_without_the_application_knows_what_workers_recorded(blind_door):
    blind_door.memory.register_tasks([task.record() for task in blind_door.app.tasks.values()])
    assert put(blind_door).json["queue"] == "images"
    assert put(blind_door, {**HOURLY, "task": "no.such"}).problem == (422, "unknown-task", "task")


def test_what_takes_no_body_refuses_one(door):
    put(door)
    assert send(door, "POST", f"{NIGHTLY}/run", {"slot": 5}).problem[1] == "invalid-option"
    assert send(door, "POST", NIGHTLY, HOURLY).problem[:2] == (405, "method-not-allowed")
