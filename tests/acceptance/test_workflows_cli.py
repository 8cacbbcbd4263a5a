"""``penstock workflows`` over a real store with a real worker: what a person types and sees."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from penstock import chain, chord, dag, group
from penstock.tasks.app import Penstock

from .conftest import until

FLOWS = """
from penstock import Context, Penstock, Retry

app = Penstock()


@app.task
def add(a: int, b: int = 1) -> int:
    return a + b


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(retry=Retry(max_attempts=1))
def fail(why: str) -> int:
    raise ValueError(why)


@app.task
def approve(ctx: Context, order: int) -> str:
    ctx.step("charge", add, order)
    ctx.publish_value("progress", {"charged": order})
    return ctx.wait_for("approved")["by"]
"""


@pytest.fixture
def app(place):
    """The application, for whoever enqueues."""
    (place.path / "flows.py").write_text(FLOWS)
    app = Penstock(str(place.store))

    @app.task(name="flows.add")
    def add(a: int, b: int = 1) -> int: ...

    @app.task(name="flows.total")
    def total(numbers: list[int]) -> int: ...

    @app.task(name="flows.fail")
    def fail(why: str) -> int: ...

    @app.task(name="flows.approve")
    def approve(order: int) -> str: ...

    yield app
    app.close()


@pytest.fixture
def worker(place, app):
    started = place.start("worker", "flows:app", "--executors", "1")
    yield started
    started.terminate()
    started.communicate(timeout=60)


def test_a_workflow_that_runs_is_listed_shown_waited_for_and_drawn(place, app, worker):
    add, total = app.get("flows.add"), app.get("flows.total")
    sent = chord(group(add.s(number) for number in range(4)), total.s()).enqueue()
    status, said, errors = place.run("workflows", sent.id, "--wait")
    assert status == 0, said + errors
    for words in (sent.id, "succeeded", "4/4", "flows.total", "Time line:"):
        assert words in said, said
    document = place.json("workflows", sent.id)
    assert (document["workflow"]["state"], document["result"]) == ("succeeded", 10)
    assert [step["kind"] for step in document["steps"]] == ["group", "job"]
    assert document["timeline"][0]["what"] == "started"
    (listed,) = place.json("workflows", "--state", "succeeded")["workflows"]
    assert listed["id"] == sent.id
    assert sent.id in place.run("workflows")[1]
    status, drawn, errors = place.run("workflows", sent.id, "--svg")
    assert status == 0, errors
    assert len([part for part in ET.fromstring(drawn).iter() if part.get("id", "").startswith("step-")]) == 2
    assert place.run("workflows", sent.id, "--svg", "graph.svg")[0] == 0
    assert (place.path / "graph.svg").read_text() == drawn
    assert place.json("stats")["workflows"] == {"succeeded": 1}
    assert "workflows: 1 succeeded" in place.run("stats")[1]


def test_one_that_fails_says_so_and_is_retried_forked_and_deleted(place, app, worker):
    add, fail = app.get("flows.add"), app.get("flows.fail")
    plan = dag("report").step("first", add.s(1)).step("second", fail.s("a <b> reason"), after="first")
    sent = plan.enqueue()
    status, said, _ = place.run("workflows", sent.id, "--wait")
    assert status == 1
    for words in ("failed", "ValueError: ", "a <b> reason", "second"):
        assert words in said, said
    assert place.run("workflows", sent.id, "retry", "--timeout", "60")[0] == 1
    status, said, _ = place.run("workflows", sent.id, "fork", "second", "--json")
    fork = json.loads(said)
    assert (status, fork["forked_from"], fork["duplicate"]) == (0, sent.id, False)
    until(lambda: place.json("workflows", fork["id"])["workflow"]["state"] == "failed")
    assert place.run("workflows", fork["id"], "delete") == (0, "Deleted.\n", "")
    status, _, errors = place.run("workflows", fork["id"])
    assert status == 1
    assert f"no record of a workflow {fork['id']}" in errors
    verbs = [entry["verb"] for entry in place.json("audit")["entries"]]
    assert {"retry", "fork", "delete"} <= set(verbs)


def test_a_person_approves_and_the_job_shows_what_it_recorded(place, app, worker):
    sent = chain(app.get("flows.approve").s(7)).enqueue()
    job = until(lambda: place.json("workflows", sent.id)["steps"][0]["job"])
    until(lambda: place.json("job", job).get("reason") == "waits for event 'approved'")
    status, said, _ = place.run("job", job)
    assert status == 0
    for words in (sent.id, "waits for event 'approved'", "Recorded:", "charge", "event"):
        assert words in said, said
    status, said, _ = place.run("workflows", sent.id)
    for words in ("Recorded by step", "charge", "value progress", '{"charged":7}'):
        assert words in said, said
    document = place.json("workflows", sent.id)
    assert [one["state"] for one in document["recorded"]["0"]["recorded"]] == ["done", "waiting"]
    assert place.run("workflows", sent.id, "signal", "approved", '{"by": "ann"}')[:2] == (0, "Delivered.\n")
    assert place.json("workflows", sent.id, "--wait")["result"] == "ann"
    assert place.json("job", job)["workflow"] == sent.id


def test_a_lone_job_is_signalled_by_its_own_id(place, app, worker):
    sent = app.get("flows.approve").enqueue(7)
    until(lambda: place.json("job", sent.id).get("reason") == "waits for event 'approved'")
    assert place.json("workflows", sent.id, "signal", "approved", '{"by": "bob"}') == {"delivered": True, "kept": 0}
    assert place.json("job", sent.id, "--wait")["result"] == "bob"


def test_one_is_paused_resumed_and_cancelled_without_a_worker(place, app):
    add = app.get("flows.add")
    sent = chain(add.s(1), add.s()).enqueue()
    assert place.json("workflows", sent.id, "pause")["paused"] is True
    assert "running, paused" in place.run("workflows", sent.id)[1]
    assert place.run("workflows", sent.id, "resume")[:2] == (0, "The workflow is running.\n")
    assert place.run("workflows", sent.id, "cancel")[0] == 0
    until(lambda: place.json("workflows", sent.id)["workflow"]["state"] == "cancelled")
    status, _, errors = place.run("workflows", sent.id, "pause")
    assert status == 1
    assert "is over (cancelled)" in errors
    assert place.json("workflows", "--name", "nothing of this name")["workflows"] == []


def test_without_a_store_it_cannot_be_reached(place):
    assert place.run("workflows")[0] == 3
