"""Workflows over HTTP: what a client sees of them and can do about them."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import chain, chord, dag, group
from penstock.model import limits
from penstock.model.durable_steps import JobRecords, Record, RecordKind, Suspended
from penstock.model.ids import id_text, new_id, parse_id
from penstock.model.job import Buried, JobEntry, JobError, JobGroup, LeaseRequest, Outcomes, Succeeded, checksum
from penstock.model.states import State
from penstock.model.workflow_views import WorkflowState
from penstock.tasks.app import Penstock

HOLDER = b"h" * 16
pack = msgspec.msgpack.encode


def make_tasks(store):
    app = Penstock(store=store)

    @app.task(name="shop.clean")
    def clean(path: str) -> Any: ...

    @app.task(name="shop.count")
    def count(path: Any) -> int: ...

    @app.task(name="shop.add_up")
    def add_up(counts: list[int]) -> int: ...

    return app


@pytest.fixture
def shop(door):
    return make_tasks(door.memory)


class Shop:
    """Canvases of the application's tasks."""

    def __init__(self, app):
        self.clean, self.count, self.add_up = (app.get(f"shop.{name}") for name in ("clean", "count", "add_up"))

    def chain(self):
        return chain(self.clean.s("a"), self.count.s())

    def chord(self, members=3):
        return chord(group(self.count.s(str(n)) for n in range(members)), self.add_up.s())

    def dag(self):
        return (
            dag("report")
            .step("clean", self.clean.s("a"))
            .step("count", self.count.s(), takes="clean")
            .step("2", self.count.s("b"))
        )


@pytest.fixture
def canvases(shop):
    return Shop(shop)


def run(door, value=None, *, fails=False, times=1_000):
    """Run the jobs that are ready, and those that become ready, to one end."""
    done = []
    for _ in range(times):
        batch = door.memory.lease(LeaseRequest(HOLDER, 100))
        if not batch.jobs:
            door.memory.tick()
            batch = door.memory.lease(LeaseRequest(HOLDER, 100))
            if not batch.jobs:
                break
        outcomes = Outcomes(HOLDER)
        for place, job in enumerate(batch.jobs):
            fence = batch.first_fence + place
            if fails:
                outcomes.buried.append(Buried(fence, JobError("ValueError", "no good", "Traceback: secret")))
            else:
                result = value(job) if callable(value) else value
                outcomes.succeeded.append(Succeeded(fence, *[door.clock.time()] * 2, b"m" + pack(result)))
            done.append(job.id)
        door.memory.settle(outcomes)
    door.memory.tick()
    return done


def ask(door, method, path, body: Any = None, **headers: str):
    return door.call(method, path, None if body is None else json.dumps(body).encode(), **headers)


class TestLooking:
    def test_the_list_has_all_newest_first_in_pages_by_state_and_by_name(self, door, canvases) -> None:
        ids = [canvases.chain().enqueue().id]
        run(door, 1)
        ids += [canvases.chord().enqueue().id, canvases.dag().enqueue().id]
        answer = ask(door, "GET", "/v1/workflows").json
        assert [one["id"] for one in answer["workflows"]] == ids[::-1]
        assert answer["cursor"] is None
        first = ask(door, "GET", "/v1/workflows?limit=2").json
        rest = ask(door, "GET", f"/v1/workflows?limit=2&cursor={first['cursor']}").json
        assert [one["id"] for page in (first, rest) for one in page["workflows"]] == ids[::-1]
        succeeded = ask(door, "GET", "/v1/workflows?state=succeeded").json["workflows"]
        assert [(one["id"], one["state"]) for one in succeeded] == [(ids[0], "succeeded")]
        named = ask(door, "GET", "/v1/workflows?name=report").json["workflows"]
        assert [one["id"] for one in named] == [ids[2]]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("state=done", "state"),
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("page=2", "page"),
            ("cursor=x", "cursor"),
        ],
    )
    def test_a_parameter_that_is_not_what_it_may_be_is_refused(self, door, query, field) -> None:
        assert ask(door, "GET", f"/v1/workflows?{query}").problem == (422, "invalid-option", field)

    def test_one_workflow_tells_how_it_is(self, door, canvases) -> None:
        started = canvases.chord().enqueue()
        view = ask(door, "GET", f"/v1/workflows/{started.id}").json
        assert (view["id"], view["state"], view["paused"], view["error"]) == (started.id, "running", False, None)
        assert view["members"] == {"total": 3, "succeeded": 0, "failed": 0, "cancelled": 0}
        assert sum(view["steps"].values()) == 2
        run(door, fails=True)
        view = ask(door, "GET", f"/v1/workflows/{started.id}").json
        assert (view["state"], view["error"]["type"]) == ("failed", "ValueError")
        assert view["finished_at"] is not None
        assert view["keep_until"] > view["finished_at"]

    def test_lists_have_no_tracebacks_and_single_ones_have(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        run(door, fails=True)
        for path, members in (("/v1/workflows", "workflows"), (f"/v1/workflows/{started.id}/steps", "steps")):
            assert ask(door, "GET", path).json[members][0]["error"]["traceback"] is None
        for path in (f"/v1/workflows/{started.id}", f"/v1/workflows/{started.id}/steps/0"):
            assert ask(door, "GET", path).json["error"]["traceback"] == "Traceback: secret"

    @pytest.mark.parametrize("path", ["", "/steps", "/steps/0", "/steps/0/results", "/result", "/values"])
    def test_one_that_is_not_there_is_not_found(self, door, path) -> None:
        for name in (id_text(new_id()), "none", "0" * 40):
            assert ask(door, "GET", f"/v1/workflows/{name}{path}").problem == (404, "workflow-not-found", None)

    def test_a_client_can_wait_for_the_end(self, door, canvases) -> None:
        started = canvases.chain().enqueue()

        async def waits():
            waiting = asyncio.ensure_future(door.ask("GET", f"/v1/workflows/{started.id}?wait_s=30"))
            await door.store.parked.wait()
            assert not waiting.done()
            run(door, 1)
            door.store.changed.set()
            return await waiting

        assert asyncio.run(waits()).json["state"] == "succeeded"
        assert ask(door, "GET", f"/v1/workflows/{started.id}?wait_s=30").json["state"] == "succeeded"
        assert ask(door, "GET", f"/v1/workflows/{started.id}?wait_s=61").problem == (422, "invalid-option", "wait_s")

    def test_a_gate_that_drains_lets_those_go_that_wait(self, door, canvases) -> None:
        started = canvases.chain().enqueue()

        async def waits():
            waiting = asyncio.ensure_future(door.ask("GET", f"/v1/workflows/{started.id}?wait_s=30"))
            await door.store.parked.wait()
            door.gate.drain()
            return await waiting

        assert asyncio.run(waits()).json["state"] == "running"


class TestSteps:
    def test_a_step_that_has_begun_says_what_its_job_waits_for(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        said = "no worker of queue 'default' has started it yet"
        for path in ("/steps/0", "/steps"):
            found = ask(door, "GET", f"/v1/workflows/{started.id}{path}").json
            assert (found if path == "/steps/0" else found["steps"][0])["reason"] == said

    def test_steps_come_by_number_in_pages(self, door, canvases) -> None:
        started = canvases.dag().enqueue()
        first = ask(door, "GET", f"/v1/workflows/{started.id}/steps?limit=2").json
        rest = ask(door, "GET", f"/v1/workflows/{started.id}/steps?cursor={first['cursor']}").json
        found = [(one["number"], one["name"]) for page in (first, rest) for one in page["steps"]]
        assert [number for number, _ in found] == [0, 1, 2]
        assert {name for _, name in found} == {"clean", "count", "2"}
        assert rest["cursor"] is None

    def test_a_step_says_why_it_waits(self, door, canvases) -> None:
        started = canvases.dag().enqueue()
        step = ask(door, "GET", f"/v1/workflows/{started.id}/steps/count").json
        assert (step["name"], step["kind"], step["task"], step["state"]) == ("count", "job", "shop.count", "waiting")
        assert step["reason"]
        assert step["job"] is None
        by_number = ask(door, "GET", f"/v1/workflows/{started.id}/steps/{step['number']}").json
        assert by_number == step
        (needed,) = step["needs"]
        needed = ask(door, "GET", f"/v1/workflows/{started.id}/steps/{needed}").json
        assert (needed["name"], needed["reason"]) == ("clean", "no worker of queue 'default' has started it yet")
        assert ask(door, "GET", f"/v1/jobs/{needed['job']}").json["workflow"] == started.id

    def test_digits_are_a_number_and_a_name_that_was_mistyped_is_told(self, door, canvases) -> None:
        started = canvases.dag().enqueue()
        assert ask(door, "GET", f"/v1/workflows/{started.id}/steps/2").json["number"] == 2
        answer = ask(door, "GET", f"/v1/workflows/{started.id}/steps/cuont")
        assert answer.problem == (404, "workflow-not-found", None)
        assert "did you mean 'count'" in answer.json["detail"]
        for name in ("3", "999999999", "9" * 40, "a/b"):
            assert ask(door, "GET", f"/v1/workflows/{started.id}/steps/{name}").status == 404

    def test_a_group_is_counted_and_not_listed(self, door, canvases) -> None:
        started = canvases.chord(500).enqueue()
        (members, callback) = ask(door, "GET", f"/v1/workflows/{started.id}/steps").json["steps"]
        assert (members["kind"], members["total"], members["members"]["total"]) == ("group", 500, 500)
        assert (callback["kind"], callback["total"], callback["members"]) == ("job", None, None)


class TestResults:
    def test_the_result_of_a_workflow_is_json(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        path = f"/v1/workflows/{started.id}/result"
        assert ask(door, "GET", path).problem == (409, "not-finished", None)
        run(door, {"a": [1, None]})
        answer = ask(door, "GET", path)
        assert (answer.status, answer.json) == (200, {"a": [1, None]})

    def test_one_that_failed_or_was_cancelled_has_none(self, door, canvases) -> None:
        failed = canvases.chain().enqueue()
        run(door, fails=True)
        answer = ask(door, "GET", f"/v1/workflows/{failed.id}/result")
        assert answer.problem == (409, "job-failed", None)
        assert "ValueError: " in answer.json["detail"]
        cancelled = canvases.chain().enqueue()
        cancelled.cancel()
        run(door)
        answer = ask(door, "GET", f"/v1/workflows/{cancelled.id}/result")
        assert answer.problem == (409, "job-cancelled", None)

    def test_a_result_that_json_cannot_say_is_refused(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        run(door, lambda _: {1: "a", "1": "b"})
        assert ask(door, "GET", f"/v1/workflows/{started.id}/result").problem == (406, "invalid-result", None)

    def test_a_result_of_very_many_jobs_is_read_in_pages(self, door, canvases, monkeypatch) -> None:
        started = canvases.chord(3).enqueue()
        reference = msgspec.msgpack.Ext(80, parse_id(started.id) + (0).to_bytes(4, "big"))
        run(door, lambda job: reference)
        answer = ask(door, "GET", f"/v1/workflows/{started.id}/result")
        assert answer.problem == (406, "invalid-result", None)
        assert f"/v1/workflows/{started.id}/steps/0/results" in answer.json["detail"]

    def test_results_of_a_group_come_in_order_and_in_pages(self, door, canvases) -> None:
        started = canvases.chord(5).enqueue()
        path = f"/v1/workflows/{started.id}/steps/0/results"
        page = ask(door, "GET", path).json
        assert (page["results"], page["missing"], page["total"]) == ([None] * 5, [0, 1, 2, 3, 4], 5)
        run(door, lambda job: msgspec.msgpack.decode(job.body[1:])[0][0], times=1)
        first = ask(door, "GET", f"{path}?limit=2").json
        assert (first["first"], first["results"], first["missing"], first["cursor"]) == (0, ["0", "1"], [], "2")
        rest = ask(door, "GET", f"{path}?cursor={first['cursor']}").json
        assert (rest["first"], rest["results"], rest["cursor"]) == (2, ["2", "3", "4"], None)
        named = ask(door, "GET", f"/v1/workflows/{started.id}/steps").json["steps"][0]["name"]
        assert ask(door, "GET", f"/v1/workflows/{started.id}/steps/{named}/results").json["total"] == 5

    def test_one_result_that_json_cannot_say_does_not_hide_the_others(self, door, canvases) -> None:
        started = canvases.chord(2).enqueue()
        results = iter([{1: "a", "1": "b"}, 7])
        run(door, lambda _: next(results), times=1)
        page = ask(door, "GET", f"/v1/workflows/{started.id}/steps/0/results").json
        assert sorted(page["results"], key=str) == [7, None]
        (note,) = page["notes"].values()
        assert "JSON" in note
        assert page["missing"] == []

    @pytest.mark.parametrize("query", ["cursor=-1", "cursor=x", "limit=1001", "first=3"])
    def test_a_page_that_is_none_is_refused(self, door, canvases, query) -> None:
        started = canvases.chord(2).enqueue()
        answer = ask(door, "GET", f"/v1/workflows/{started.id}/steps/0/results?{query}")
        assert answer.problem[:2] == (422, "invalid-option")


class TestActing:
    @pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "fork", "signal"])
    def test_only_post_acts_and_one_that_is_not_there_is_not_found(self, door, verb) -> None:
        path = f"/v1/workflows/{id_text(new_id())}/{verb}"
        assert ask(door, "GET", path).problem[:2] == (405, "method-not-allowed")
        body = {"fork": {"step": 0}, "signal": {"event": "go"}}.get(verb)
        assert ask(door, "POST", path, body).problem == (404, "workflow-not-found", None)

    def test_cancel_is_answered_at_once_and_told_in_the_audit_log(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        answer = ask(door, "POST", f"/v1/workflows/{started.id}/cancel")
        assert answer.status in (200, 202)
        run(door)
        answer = ask(door, "POST", f"/v1/workflows/{started.id}/cancel")
        assert (answer.status, answer.json["state"]) == (200, "cancelled")
        entries = ask(door, "GET", "/v1/audit").json["entries"]
        assert ("cancel", f"workflow:{started.id}") in [(one["verb"], one["subject"]) for one in entries]
        assert all(one["by"] for one in entries)

    def test_a_paused_one_starts_no_step_until_it_is_resumed(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        assert ask(door, "POST", f"/v1/workflows/{started.id}/pause").json["paused"] is True
        run(door, 1)
        step = ask(door, "GET", f"/v1/workflows/{started.id}/steps/1").json
        assert (step["state"], step["reason"]) == ("waiting", "the workflow is paused")
        assert ask(door, "POST", f"/v1/workflows/{started.id}/resume").json["paused"] is False
        run(door, 1)
        assert ask(door, "GET", f"/v1/workflows/{started.id}").json["state"] == "succeeded"

    def test_a_failed_one_is_retried_from_the_step_that_failed(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        run(door, 1, times=1)
        run(door, fails=True)
        answer = ask(door, "POST", f"/v1/workflows/{started.id}/retry")
        assert (answer.status, answer.json["state"], answer.json["error"]) == (200, "running", None)
        assert len(run(door, 7)) == 1
        assert ask(door, "GET", f"/v1/workflows/{started.id}/result").json == 7

    def test_what_does_not_go_with_its_state_is_a_conflict(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        path = f"/v1/workflows/{started.id}"
        assert ask(door, "POST", f"{path}/retry").problem == (409, "conflict", None)
        assert ask(door, "DELETE", path).problem == (409, "conflict", None)
        run(door, 1)
        for verb in ("cancel", "pause", "resume", "retry"):
            assert ask(door, "POST", f"{path}/{verb}").problem == (409, "conflict", None)

    def test_a_fork_runs_a_step_anew_and_the_same_id_is_one_fork(self, door, canvases) -> None:
        started = canvases.dag().enqueue()
        run(door, 1)
        wanted = {"step": "count", "id": id_text(new_id())}
        answer = ask(door, "POST", f"/v1/workflows/{started.id}/fork", wanted)
        assert (answer.status, answer.json["duplicate"], answer.json["forked_from"]) == (202, False, started.id)
        assert answer.headers["location"] == f"/v1/workflows/{wanted['id']}"
        again = ask(door, "POST", f"/v1/workflows/{started.id}/fork", wanted)
        assert (again.json["id"], again.json["duplicate"]) == (wanted["id"], True)
        assert len(run(door, 2)) == 1
        fork = ask(door, "GET", f"/v1/workflows/{wanted['id']}").json
        assert (fork["state"], fork["forked_from"]) == ("succeeded", started.id)

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({}, (422, "invalid-option", "step")),
            ({"step": None}, (422, "invalid-option", "step")),
            ({"step": 1.5}, (422, "invalid-option", "step")),
            ({"step": "count", "id": "x"}, (422, "invalid-option", "id")),
            ({"step": "count", "stpe": 1}, (422, "invalid-option", "stpe")),
            ({"step": "cuont"}, (404, "workflow-not-found", None)),
            ({"step": -1}, (404, "workflow-not-found", None)),
            ({"step": 10**15}, (404, "workflow-not-found", None)),
            ([], (400, "malformed-body", None)),
        ],
    )
    def test_a_fork_that_is_not_said_well_is_refused(self, door, canvases, body, problem) -> None:
        started = canvases.dag().enqueue()
        assert ask(door, "POST", f"/v1/workflows/{started.id}/fork", body).problem == problem

    def test_a_delete_throws_away_what_is_over(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        run(door, 1)
        answer = ask(door, "DELETE", f"/v1/workflows/{started.id}")
        assert answer.json == {"id": started.id, "deleted": True}
        assert ask(door, "GET", f"/v1/workflows/{started.id}").problem == (404, "workflow-not-found", None)

    def test_an_act_takes_no_body(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        answer = ask(door, "POST", f"/v1/workflows/{started.id}/cancel", {"why": "x"})
        assert answer.problem == (422, "invalid-option", "why")
        assert ask(door, "GET", f"/v1/workflows/{started.id}").json["state"] == "running"


def suspended_job(door, event="approved"):
    """A lone job that waits for an event."""
    job = new_id()
    body = b"m" + pack([["a"], {}])
    door.memory.enqueue([JobGroup("shop.clean", [JobEntry(job, body, checksum(body))])])
    batch = door.memory.lease(LeaseRequest(HOLDER, 1))
    steps = [Record(0, "charge", RecordKind.STEP, value=b"m" + pack("private"))]
    door.memory.record([JobRecords(batch.first_fence, job, steps, published={"progress": b"m" + pack([1, 2])})])
    wait = Suspended(batch.first_fence, Record(1, event, RecordKind.EVENT))
    door.memory.settle(Outcomes(HOLDER, suspended=[wait]))
    return job


class TestSignals:
    def test_a_signal_is_kept_for_a_workflow_until_it_is_waited_for(self, door, canvases) -> None:
        started = canvases.chain().enqueue()
        path = f"/v1/workflows/{started.id}/signal"
        answer = ask(door, "POST", path, {"event": "approved", "payload": {"by": "ann"}})
        assert (answer.status, answer.json) == (200, {"delivered": False, "kept": 1})
        assert ask(door, "POST", path, {"event": "approved"}).json["kept"] == 2
        run(door, 1)
        assert ask(door, "POST", path, {"event": "approved"}).problem == (404, "workflow-not-found", None)

    @pytest.mark.parametrize("kind", ["jobs", "workflows"])
    def test_a_lone_job_that_waits_runs_on(self, door, kind) -> None:
        job = suspended_job(door)
        path = f"/v1/{kind}/{id_text(job)}/signal"
        assert ask(door, "POST", path, {"event": "approved", "payload": 2**64 - 1}).json["delivered"] is True
        (view,) = door.memory.get([job])
        assert view.state is State.READY
        history = door.memory.history(job)
        assert history.records[1].value == b"m" + pack(2**64 - 1)

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({}, (422, "invalid-option", "event")),
            ({"event": ""}, (422, "invalid-option", "event")),
            ({"event": "x" * 201}, (422, "invalid-option", "event")),
            ({"event": None}, (422, "invalid-option", "event")),
            ({"event": "go", "paylaod": 1}, (422, "invalid-option", "paylaod")),
            ("go", (400, "malformed-body", None)),
        ],
    )
    def test_a_signal_that_is_not_said_well_is_refused(self, door, canvases, body, problem) -> None:
        started = canvases.chain().enqueue()
        assert ask(door, "POST", f"/v1/workflows/{started.id}/signal", body).problem == problem

    @pytest.mark.parametrize(
        ("payload", "problem"),
        [
            (b"1e999", (422, "invalid-option", "payload")),
            (b"1" * 5_000, (422, "invalid-option", "payload")),
            (b"NaN", (400, "malformed-body", None)),
            (b"[" * 101 + b"]" * 101, (400, "malformed-body", None)),
            (b'"\xff"', (400, "malformed-body", None)),
        ],
    )
    def test_a_payload_that_is_no_json_of_ours_is_refused(self, door, canvases, payload, problem) -> None:
        started = canvases.chain().enqueue()
        body = b'{"event":"go","payload":' + payload + b"}"
        answer = door.call("POST", f"/v1/workflows/{started.id}/signal", body)
        assert answer.problem == problem

    def test_a_large_payload_is_taken_and_one_that_is_too_large_is_not(self, door) -> None:
        job = suspended_job(door)
        path = f"/v1/jobs/{id_text(job)}/signal"
        large = {"event": "approved", "payload": "x" * limits.RECORD_BYTES_MAX}
        assert ask(door, "POST", path, large).problem[:2] == (413, "body-too-large")
        large["payload"] = "x" * (limits.RECORD_BYTES_MAX // 2)
        assert ask(door, "POST", path, large).json["delivered"] is True

    def test_more_than_may_be_kept_are_refused(self, door, canvases, monkeypatch) -> None:
        monkeypatch.setattr(limits, "SIGNALS_KEPT_MAX", 2)
        started = canvases.chain().enqueue()
        answers = [ask(door, "POST", f"/v1/workflows/{started.id}/signal", {"event": "go"}) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 507]
        assert answers[2].problem[1] == "store-full"


class TestValues:
    @pytest.mark.parametrize("kind", ["jobs", "workflows"])
    def test_published_values_are_json_each_with_when(self, door, kind) -> None:
        job = suspended_job(door)
        answer = ask(door, "GET", f"/v1/{kind}/{id_text(job)}/values").json
        assert answer["values"]["progress"]["value"] == [1, 2]
        assert answer["values"]["progress"]["at"].endswith("Z")
        assert ask(door, "GET", f"/v1/{kind}/{id_text(job)}/values?name=other").json == {"values": {}}
        assert "progress" in ask(door, "GET", f"/v1/{kind}/{id_text(job)}/values?name=progress").json["values"]


class TestJobs:
    def test_a_job_shows_what_it_recorded_and_what_it_waits_for_and_no_values(self, door) -> None:
        job = suspended_job(door)
        answer = ask(door, "GET", f"/v1/jobs/{id_text(job)}")
        view = answer.json
        assert (view["state"], view["reason"]) == ("scheduled", "waits for event 'approved'")
        shown = [(one["place"], one["name"], one["kind"], one["state"]) for one in view["recorded"]]
        assert shown == [(0, "charge", "step", "done"), (1, "approved", "event", "waiting")]
        assert (view["checkpoint"], view["more"]) == (False, False)
        assert b"private" not in answer.body

    def test_a_job_of_a_workflow_names_it_with_its_step_and_place(self, door, canvases) -> None:
        started = canvases.chord(3).enqueue()
        batch = door.memory.lease(LeaseRequest(HOLDER, 3))
        views = [ask(door, "GET", f"/v1/jobs/{id_text(job.id)}").json for job in batch.jobs]
        assert {(view["workflow"], view["step"]) for view in views} == {(started.id, 0)}
        assert sorted(view["place"] for view in views) == [0, 1, 2]

    def test_a_lone_job_has_nothing_of_it(self, door) -> None:
        job = new_id()
        body = b"m" + pack([["a"], {}])
        door.memory.enqueue([JobGroup("shop.clean", [JobEntry(job, body, checksum(body))])])
        view = ask(door, "GET", f"/v1/jobs/{id_text(job)}").json
        assert not {"workflow", "step", "place", "became", "recorded"} & set(view)


class TestFigures:
    def test_workflows_are_counted_by_state(self, door, canvases) -> None:
        def told():
            lines = door.call("GET", "/metrics").body.decode().splitlines()
            rows = [line for line in lines if line.startswith("penstock_workflows{")]
            return {state: int(count) for state, count in (re.findall(r'"(.*)"} (.*)', row)[0] for row in rows)}

        assert set(told()) == set(WorkflowState)
        assert sum(told().values()) == 0
        first, second = canvases.chain().enqueue(), canvases.chain().enqueue()
        assert told()["running"] == 2
        run(door, 1)
        assert (told()["running"], told()["succeeded"]) == (0, 2)
        assert ask(door, "GET", "/v1/stats").json["workflows"] == {"succeeded": 2}
        ask(door, "DELETE", f"/v1/workflows/{first.id}")
        assert told()["succeeded"] == 1
        assert ask(door, "GET", f"/v1/workflows/{second.id}").status == 200


class TestOddInput:
    """Whatever comes, the answer is one of ours, and never that the gate failed."""

    ANY = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    BODIES = st.one_of(
        st.binary(max_size=60),
        ANY.map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries({}, optional={"event": ANY, "payload": ANY, "step": ANY, "id": ANY}).map(
            lambda value: json.dumps(value).encode()
        ),
    )

    @pytest.fixture(autouse=True)
    def _known(self, door, canvases) -> None:
        door.known = canvases.dag().enqueue().id

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(body=BODIES, verb=st.sampled_from(["signal", "fork"]), known=st.booleans())
    def test_bodies(self, door, body, verb, known) -> None:
        subject = door.known if known else id_text(new_id())
        answer = door.call("POST", f"/v1/workflows/{subject}/{verb}", body)
        assert answer.status < 500, (body, answer)
        assert isinstance(answer.json, dict)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        tail=st.text(max_size=20),
        under=st.sampled_from(["", "/steps", "/steps/", "/steps/0/results", "/result", "/values", "/retry"]),
        name=st.sampled_from(["limit", "cursor", "state", "name", "wait_s"]),
        value=st.text(max_size=12),
        method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    )
    def test_addresses(self, door, tail, under, name, value, method) -> None:
        subject = door.known
        for path in (f"/v1/workflows/{subject}{under}{tail}", f"/v1/workflows/{tail}{under}"):
            answer = ask(door, method, f"{path.replace('?', '')}?{name}={quote(value)}")
            assert answer.status < 500, (path, answer)
