"""Workflows and schedules over HTTP, at a real node: each route of the page does what it says, and tells misuse."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from .conftest import Node, Place, until

FLOWS = """
from pathlib import Path

from penstock import Context, Penstock, Retry, dag, group

app = Penstock()
ONCE = Retry(max_attempts=1)


@app.task
def add(a: int, b: int = 1) -> int:
    return a + b


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(retry=ONCE)
def check(number: int) -> int:
    if not Path("mended").exists():
        raise ValueError("not mended yet")
    return number


@app.task
def approve(ctx: Context, number: int) -> str:
    ctx.publish_value("progress", {"number": number})
    return f"{number} by {ctx.wait_for('approved')['by']}"


@app.task
def report(number: int):
    return (
        dag("report")
        .step("numbers", group(add.s(number, place) for place in range(3)))
        .step("total", total.s(), takes="numbers")
        .step("check", check.s(), takes="total")
        .step("approve", approve.s(), takes="check")
    )
"""
WAIT = "?wait_s=60"


class Door:
    """The gate of a node."""

    def __init__(self, place: Place, node: Node) -> None:
        self.place = place
        self.base = f"http://{node.state().gate}"

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and document of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"content-type": "application/json"}
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def get(self, path: str) -> Any:
        """The document of a GET that is answered."""
        status, document = self.ask("GET", path)
        assert status == 200, document
        return document

    def refuses(self, method: str, path: str, body: Any = None) -> tuple[int, str, str | None]:
        """Status, code and field of a problem."""
        status, problem = self.ask(method, path, body)
        assert problem["status"] == status, problem
        assert problem["detail"]
        return status, problem["code"], problem.get("field")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One node for both: neither leaves anything behind that the other would meet."""
    place = Place(tmp_path_factory.mktemp("node"))
    (place.path / "shop.py").write_text(FLOWS)
    node = Node(place, "--executors", "1")
    try:
        node.wait_ready()
        until(node.is_ready)
        yield Door(place, node)
    finally:
        node.process.terminate()
        node.process.communicate(timeout=90)


def test_the_life_of_a_workflow(door: Door) -> None:
    _, job = door.ask("POST", "/v1/jobs", {"task": "shop.report", "args": [1]})
    became = until(lambda: door.get(f"/v1/jobs/{job['id']}").get("became"))
    flow = f"/v1/workflows/{became}"

    # It fails, and says of what.
    failed = door.get(flow + WAIT)
    assert (failed["state"], failed["error"]["type"]) == ("failed", "ValueError")
    assert "not mended yet" in failed["error"]["message"]
    assert failed["members"] == {"total": 3, "succeeded": 3, "failed": 0, "cancelled": 0}
    assert door.refuses("GET", f"{flow}/result") == (409, "job-failed", None)
    steps = door.get(f"{flow}/steps")["steps"]
    found = {step["name"]: step["state"] for step in steps}
    assert found == {"numbers": "succeeded", "total": "succeeded", "check": "failed", "approve": "cancelled"}
    assert door.get(f"{flow}/steps/numbers/results")["results"] == [1, 2, 3]
    assert door.get(f"{flow}/steps/numbers/results?limit=2&cursor=1")["results"] == [2, 3]
    assert door.get(f"{flow}/steps/total/results")["results"] == [6]

    # What was wrong is mended, and it goes on from there.
    (door.place.path / "mended").touch()
    assert door.ask("POST", f"{flow}/retry")[1]["state"] == "running"
    waiting = until(lambda: door.get(f"{flow}/steps/approve")["job"])
    until(lambda: door.get(f"/v1/jobs/{waiting}").get("reason") == "waits for event 'approved'")
    assert door.get(f"{flow}/values?name=progress")["values"]["progress"]["value"] == {"number": 6}
    assert door.refuses("GET", f"{flow}/result") == (409, "not-finished", None)
    status, signalled = door.ask("POST", f"{flow}/signal", {"event": "approved", "payload": {"by": "ann"}})
    assert (status, signalled) == (200, {"delivered": True, "kept": 0})
    assert door.get(flow + WAIT)["state"] == "succeeded"
    assert door.get(f"{flow}/result") == "6 by ann"
    assert door.get(f"/v1/jobs/{job['id']}/result") == "6 by ann"

    forked = fork(door, became)
    told = [moment["what"] for moment in door.place.json("workflows", became)["timeline"]]
    assert told[0] == "started"
    assert any("approve" in what for what in told)
    status, drawn, errors = door.place.run("workflows", became, "--svg")
    assert status == 0, errors
    assert len([part for part in ET.fromstring(drawn).iter() if part.get("id", "").startswith("step-")]) == 4
    assert door.ask("DELETE", forked)[0] == 200
    assert door.refuses("GET", forked) == (404, "workflow-not-found", None)
    verbs = [entry["verb"] for entry in door.get("/v1/audit")["entries"]]
    assert {"retry", "signal", "fork", "pause", "resume", "cancel", "delete"} <= set(verbs)
    misuse_of_workflows(door, flow)


def fork(door: Door, became: str) -> str:
    """A fork has what came before the step, and a life of its own. Answers where it is."""
    flow, new = f"/v1/workflows/{became}", "01890000-0000-7000-8000-000000000001"
    status, made = door.ask("POST", f"{flow}/fork", {"step": "approve", "id": new})
    assert (status, made) == (202, {"id": new, "forked_from": became, "duplicate": False})
    assert door.ask("POST", f"{flow}/fork", {"step": "approve", "id": new})[1]["duplicate"] is True
    forked = f"/v1/workflows/{new}"
    assert door.get(forked)["forked_from"] == became
    assert door.get(f"{forked}/steps/total/results")["results"] == [6]
    assert door.ask("POST", f"{forked}/pause")[1]["paused"] is True
    assert door.ask("POST", f"{forked}/resume")[1]["paused"] is False
    assert door.refuses("DELETE", forked) == (409, "conflict", None)
    assert door.refuses("DELETE", flow) == (409, "conflict", None), "it is kept as long as its forks"
    until(lambda: door.get(f"{forked}/steps/approve")["state"] == "running")
    assert door.ask("POST", f"{forked}/cancel")[0] in {200, 202}
    assert door.get(forked + WAIT)["state"] == "cancelled"
    assert door.refuses("GET", f"{forked}/result") == (409, "job-cancelled", None)
    assert door.refuses("POST", f"{forked}/signal", {"event": "approved"}) == (404, "workflow-not-found", None)
    listed = door.get("/v1/workflows?name=report")["workflows"]
    assert [one["id"] for one in listed] == [new, became]
    assert [one["id"] for one in door.get("/v1/workflows?state=succeeded")["workflows"]] == [became]
    return forked


def misuse_of_workflows(door: Door, flow: str) -> None:
    """What is asked of a workflow that is over, of one that is not there, or in words that nobody knows."""
    unknown = "/v1/workflows/01890000-0000-7000-8000-00000000ffff"
    for method, path, body, problem in [
        ("GET", unknown, None, (404, "workflow-not-found", None)),
        ("GET", "/v1/workflows/report", None, (404, "workflow-not-found", None)),
        ("GET", f"{flow}/steps/publish", None, (404, "workflow-not-found", None)),
        ("GET", f"{flow}/steps/99", None, (404, "workflow-not-found", None)),
        ("GET", "/v1/workflows?state=done", None, (422, "invalid-option", "state")),
        ("GET", "/v1/workflows?limit=0", None, (422, "invalid-option", "limit")),
        ("GET", f"{flow}?wait=1", None, (422, "invalid-option", "wait")),
        ("GET", f"{flow}/steps/total/results?cursor=x", None, (422, "invalid-option", "cursor")),
        ("POST", f"{flow}/retry", None, (409, "conflict", None)),
        ("POST", f"{flow}/cancel", None, (409, "conflict", None)),
        ("POST", f"{flow}/pause", None, (409, "conflict", None)),
        ("POST", f"{flow}/fork", {"step": "publish"}, (404, "workflow-not-found", None)),
        ("POST", f"{flow}/fork", {"steps": "total"}, (422, "invalid-option", "steps")),
        ("POST", f"{flow}/fork", {"step": "total", "id": "one"}, (422, "invalid-option", "id")),
        ("POST", f"{flow}/signal", {"payload": 1}, (422, "invalid-option", "event")),
        ("POST", f"{flow}/signal", {"event": ""}, (422, "invalid-option", "event")),
        ("POST", f"{flow}/signal", None, (415, "unsupported-media-type", None)),
        ("POST", f"{unknown}/signal", {"event": "approved"}, (404, "workflow-not-found", None)),
        ("PUT", flow, {}, (405, "method-not-allowed", None)),
        ("GET", f"{flow}/approve", None, (404, "not-found", None)),
    ]:
        assert (method, path, door.refuses(method, path, body)) == (method, path, problem)


def test_the_life_of_a_schedule(door: Door) -> None:
    place = "/v1/schedules/nightly"
    wanted = {"task": "shop.add", "args": [1, 2], "cron": "0 3 * * *", "timezone": "Europe/Paris"}
    status, made = door.ask("PUT", place, wanted)
    assert (status, made["task"], made["cron"], made["declared"]) == (200, "shop.add", "0 3 * * *", False)
    assert door.ask("PUT", place, wanted) == (200, made), "the same again changes nothing"
    assert door.get(place)["next_slot"] is not None
    assert [one["name"] for one in door.get("/v1/schedules")["schedules"]] == ["nightly"]

    status, run = door.ask("POST", f"{place}/run")
    assert (status, run["cause"]) == (202, "hand")
    assert door.get(f"/v1/jobs/{run['job']}{WAIT}")["state"] == "succeeded"
    assert door.get(f"/v1/jobs/{run['job']}/result") == 3

    assert door.ask("POST", f"{place}/pause")[1]["paused"] is True
    assert door.get(place)["next_slot"] is None
    assert door.ask("POST", f"{place}/resume")[1]["paused"] is False

    past = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-03T12:00:00+01:00"}
    assert door.ask("POST", f"{place}/backfill", past) == (202, {"name": "nightly", "runs": 3})
    runs = until(lambda: ended_well(door.get(f"{place}/runs")["runs"]))
    assert [(one["cause"], one["slot"]) for one in runs] == [
        ("backfill", "2026-01-03T02:00:00.000000Z"),
        ("backfill", "2026-01-02T02:00:00.000000Z"),
        ("backfill", "2026-01-01T02:00:00.000000Z"),
        ("hand", run["slot"]),
    ]
    page = door.get(f"{place}/runs?limit=3")
    assert (len(page["runs"]), len(door.get(f"{place}/runs?cursor={page['cursor']}")["runs"])) == (3, 1)

    assert door.ask("PUT", place, {"task": "shop.add", "args": [1], "every_s": 3600})[1]["every_s"] == 3600
    misuse_of_schedules(door, place, wanted)
    assert door.ask("DELETE", place) == (200, {"name": "nightly", "removed": True, "schedule": None})
    assert door.refuses("GET", place) == (404, "not-found", None)
    verbs = [entry["verb"] for entry in door.get("/v1/audit")["entries"]]
    assert {"schedule", "run", "pause", "resume", "backfill", "remove"} <= set(verbs)


def ended_well(runs: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return runs if all(run["state"] == "succeeded" for run in runs) else None


def misuse_of_schedules(door: Door, place: str, wanted: dict[str, Any]) -> None:
    """Schedules that are none, and what is asked of one that is not there."""
    for method, path, body, problem in [
        ("PUT", place, wanted | {"every_s": 60}, (422, "invalid-option", "every_s")),
        ("PUT", place, wanted | {"cron": "0 3 * *"}, (422, "invalid-option", "cron")),
        ("PUT", place, wanted | {"timezone": "Europe/Pris"}, (422, "invalid-option", "timezone")),
        ("PUT", place, wanted | {"overlap": "wait"}, (422, "invalid-option", "overlap")),
        ("PUT", place, wanted | {"task": "shop.ad"}, (422, "unknown-task", "task")),
        ("PUT", place, wanted | {"args": ["one"]}, (422, "invalid-arguments", "args[0]")),
        ("PUT", place, wanted | {"delay_s": 1}, (422, "invalid-option", "delay_s")),
        ("PUT", place, {"task": "shop.add", "args": [1]}, (422, "invalid-option", "cron")),
        ("PUT", "/v1/schedules/no%20name", wanted, (422, "invalid-option", "name")),
        (
            "POST",
            f"{place}/backfill",
            {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            (422, "invalid-option", "until"),
        ),
        ("POST", f"{place}/backfill", {"since": "2026-01-01T00:00:00"}, (422, "invalid-option", "since")),
        ("POST", "/v1/schedules/other/run", None, (404, "not-found", None)),
        ("GET", "/v1/schedules/other/runs", None, (404, "not-found", None)),
        ("DELETE", "/v1/schedules/other", None, (404, "not-found", None)),
        ("GET", f"{place}/runs?cursor=x", None, (422, "invalid-option", "cursor")),
        ("GET", f"{place}/run", None, (405, "method-not-allowed", None)),
    ]:
        assert (method, path, door.refuses(method, path, body)) == (method, path, problem)
