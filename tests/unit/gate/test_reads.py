"""Single jobs, results, cancelling, figures, health."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.health import Fault, StoreHealth
from penstock.model.ids import new_id, parse_id
from penstock.model.job import (
    Buried,
    Extension,
    JobError,
    LeaseRequest,
    Outcomes,
    Progress,
    Succeeded,
)
from penstock.testing.conformance.kit import put

HOLDER = bytes(16)
JOB = {"task": "any.call", "args": [1], "tags": ["t"]}
NOBODY = "01890000-0000-7000-8000-000000000000"


def accept(door: Any, **options: Any) -> str:
    job_id: str = door.post({**JOB, **options}).json["id"]
    return job_id


def lease(door: Any) -> int:
    fence: int = door.memory.lease(LeaseRequest(HOLDER, 1)).first_fence
    return fence


def succeed(door: Any, result: bytes | None) -> None:
    now = door.clock.time()
    door.memory.settle(Outcomes(HOLDER, succeeded=[Succeeded(lease(door), now, now, result)]))


class TestJob:
    def test_a_waiting_one_is_shown_whole(self, door: Any) -> None:
        job_id = accept(door)
        answer = door.call("GET", f"/v1/jobs/{job_id}")
        assert answer.status == 200
        created_at = answer.json["created_at"]
        assert created_at.endswith("Z")
        assert answer.json == {
            "id": job_id,
            "task": "any.call",
            "queue": "default",
            "state": "ready",
            "attempt": 0,
            "max_attempts": limits.MAX_ATTEMPTS,
            "created_at": created_at,
            "run_at": answer.json["run_at"],
            "started_at": None,
            "finished_at": None,
            "progress": None,
            "error": None,
            "tags": ["t"],
        }

    def test_progress_and_error_are_shown(self, door: Any) -> None:
        job_id = accept(door)
        fence = lease(door)
        door.memory.extend(Extension(HOLDER, [fence], progress=[(fence, Progress(3, 10, "half"))]))
        shown = door.call("GET", f"/v1/jobs/{job_id}").json
        assert (shown["state"], shown["attempt"]) == ("running", 1)
        assert shown["progress"] == {"done": 3, "total": 10, "note": "half"}
        door.memory.settle(Outcomes(HOLDER, buried=[Buried(fence, JobError("ValueError", "bad", "Traceback…"))]))
        shown = door.call("GET", f"/v1/jobs/{job_id}").json
        assert shown["error"] == {"type": "ValueError", "message": "bad", "traceback": "Traceback…"}

    @pytest.mark.parametrize("subject", [NOBODY, "nonsense", "x" * 36, "{" + NOBODY[1:], NOBODY + "0"])
    @pytest.mark.parametrize(("method", "more"), [("GET", ""), ("GET", "/result"), ("DELETE", "")])
    def test_one_that_is_not_there_is_not_found(self, door: Any, subject: str, method: str, more: str) -> None:
        assert door.call(method, f"/v1/jobs/{subject}{more}").problem == (404, "not-found", None)

    @pytest.mark.parametrize("wait_s", ["-1", "61", "nan", "inf", "x", ""])
    def test_a_wait_is_a_number_of_seconds_in_its_range(self, door: Any, wait_s: str) -> None:
        answer = door.call("GET", f"/v1/jobs/{accept(door)}?wait_s={wait_s}")
        assert answer.problem == (422, "invalid-option", "wait_s")

    def test_waiting_ends_with_the_job(self, door: Any) -> None:
        job_id = accept(door)

        async def story() -> Any:
            asking = asyncio.ensure_future(door.ask("GET", f"/v1/jobs/{job_id}?wait_s=60"))
            await door.store.parked.wait()
            assert door.gate.admission.statistics().waiters == 1
            succeed(door, b"j1")
            door.store.changed.set()
            return await asking

        assert asyncio.run(story()).json["state"] == "succeeded"
        assert door.gate.admission.statistics().waiters == 0

    def test_waiting_ends_with_the_gate(self, door: Any) -> None:
        job_id = accept(door)

        async def story() -> Any:
            asking = asyncio.ensure_future(door.ask("GET", f"/v1/jobs/{job_id}?wait_s=60"))
            await door.store.parked.wait()
            door.gate.drain()
            return await asking

        answer = asyncio.run(story())
        assert (answer.status, answer.json["state"]) == (200, "ready")

    def test_waiting_ends_with_the_client(self, door: Any, make_exchange: Any) -> None:
        job_id = accept(door)
        exchange = make_exchange([])

        async def story() -> Any:
            asking = asyncio.ensure_future(door.send("GET", f"/v1/jobs/{job_id}?wait_s=60", exchange))
            await door.store.parked.wait()
            exchange.leaver.set_result(None)
            return await asking

        answer = asyncio.run(story())
        assert (answer.status, answer.json["state"]) == (200, "ready")
        assert door.gate.admission.statistics().waiters == 0

    def test_only_so_many_may_wait(self, make_door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_WAITERS_MAX", 0)
        door = make_door()
        answer = door.call("GET", f"/v1/jobs/{accept(door)}?wait_s=1")
        assert answer.problem[:2] == (503, "overloaded")
        assert answer.headers["retry-after"]


class TestResult:
    @pytest.mark.parametrize(
        ("stored", "shown"),
        [
            (b"j [1]", b" [1]"),
            (b"m\xc0", b"null"),
            (b"m" + msgspec.msgpack.encode({"a": [1, "é", b"x"]}), '{"a":[1,"é","eA=="]}'.encode()),
        ],
    )
    def test_it_is_json(self, door: Any, stored: bytes, shown: bytes) -> None:
        job_id = accept(door)
        succeed(door, stored)
        answer = door.call("GET", f"/v1/jobs/{job_id}/result")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.body == shown

    def test_before_the_end_it_is_not_finished(self, door: Any) -> None:
        assert door.call("GET", f"/v1/jobs/{accept(door)}/result").problem[:2] == (409, "not-finished")

    def test_one_that_was_not_kept_has_expired(self, door: Any) -> None:
        job_id = accept(door)
        succeed(door, None)
        assert door.call("GET", f"/v1/jobs/{job_id}/result").problem[:2] == (410, "result-expired")

    def test_a_dead_job_says_why_it_has_none(self, door: Any) -> None:
        job_id = accept(door)
        door.memory.settle(Outcomes(HOLDER, buried=[Buried(lease(door), JobError("ValueError", "bad"))]))
        answer = door.call("GET", f"/v1/jobs/{job_id}/result")
        assert answer.problem[:2] == (409, "job-failed")
        assert "ValueError: bad" in answer.json["detail"]

    def test_a_cancelled_job_has_none(self, door: Any) -> None:
        job_id = accept(door)
        door.memory.cancel([parse_id(job_id)])
        assert door.call("GET", f"/v1/jobs/{job_id}/result").problem[:2] == (409, "job-cancelled")

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ({1: "a", 2.5: "b"}, b'{"1":"a","2.5":"b"}'),
            ((1, {"k": (2,)}), b'[1,{"k":[2]}]'),
            (dt.time(1, 2), b'"01:02:00"'),
            (Path("a/b"), b'"a/b"'),
            (Decimal("1.50"), b'"1.50"'),
            (float("nan"), b"null"),
            (b"ab", b'"YWI="'),
        ],
    )
    def test_what_json_has_no_type_for_is_said_as_well_as_it_can(self, door: Any, value: Any, text: bytes) -> None:
        job_id = accept(door)
        succeed(door, door.app.get("any.value").encode_result(value))
        answer = door.call("GET", f"/v1/jobs/{job_id}/result")
        assert (answer.status, answer.body) == (200, text)

    @pytest.mark.parametrize("value", [{None: 1}, [{"a": {(1, 2): 3}}], {1: "a", "1": "b"}, {True: 1}])
    def test_a_result_that_json_cannot_say_is_a_problem(self, door: Any, value: Any) -> None:
        job_id = accept(door)
        succeed(door, door.app.get("any.value").encode_result(value))
        answer = door.call("GET", f"/v1/jobs/{job_id}/result")
        assert answer.problem[:2] == (406, "invalid-result")
        assert "not said in JSON" in answer.json["detail"]

    def test_a_damaged_result_is_a_problem_too(self, door: Any) -> None:
        job_id = accept(door)
        succeed(door, b"m\xc1")
        assert door.call("GET", f"/v1/jobs/{job_id}/result").problem[:2] == (406, "invalid-result")


class TestCancel:
    def test_a_waiting_job_is_cancelled_at_once(self, door: Any) -> None:
        job_id = accept(door)
        answer = door.call("DELETE", f"/v1/jobs/{job_id}")
        assert (answer.status, answer.json) == (200, {"id": job_id, "state": "cancelled"})

    def test_a_running_job_is_asked(self, door: Any) -> None:
        job_id = accept(door)
        lease(door)
        answer = door.call("DELETE", f"/v1/jobs/{job_id}")
        assert (answer.status, answer.json["state"]) == (202, "running")

    def test_a_second_time_changes_nothing(self, door: Any) -> None:
        job_id = accept(door)
        assert door.call("DELETE", f"/v1/jobs/{job_id}").json == door.call("DELETE", f"/v1/jobs/{job_id}").json


class TestFiguresAndHealth:
    def test_stats_have_every_count_of_every_queue(self, door: Any) -> None:
        accept(door)
        found = door.call("GET", "/v1/stats").json
        assert found["processes"] == []
        counts = found["queues"]["default"]
        states = ("scheduled", "blocked", "ready", "running", "succeeded", "dead", "cancelled", "expired")
        totals = ("accepted", "succeeded", "dead", "cancelled", "expired", "discarded")
        assert {*states, *(f"{name}_total" for name in totals), "oldest_ready_age_s"} <= counts.keys()
        assert (counts["ready"], counts["accepted_total"]) == (1, 1)

    def test_stats_come_in_pages_with_the_sum_of_all(self, door: Any) -> None:
        for name in ("a", "b", "c"):
            put(door.memory, queue=name)
        first = door.call("GET", "/v1/stats?limit=2").json
        assert list(first["queues"]) == ["a", "b"]
        second = door.call("GET", f"/v1/stats?limit=2&cursor={first['cursor']}").json
        assert (list(second["queues"]), second["cursor"]) == (["c"], None)
        assert first["totals"]["accepted_total"] == second["totals"]["accepted_total"] == 3

    def test_a_short_page_of_the_store_is_filled_up(self, door: Any) -> None:
        for name in ("a", "b", "c"):
            put(door.memory, queue=name)
        door.store.queues_a_slice = 1
        found = door.call("GET", "/v1/stats?limit=2").json
        assert list(found["queues"]) == ["a", "b"]
        assert list(door.call("GET", f"/v1/stats?cursor={found['cursor']}").json["queues"]) == ["c"]

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=1001", "limit=-1", "limit=1_0", "limit=", "cursor=x", "cursor="]
    )
    def test_a_page_of_stats_that_there_is_not_is_refused(self, door: Any, query: str) -> None:
        answer = door.call("GET", f"/v1/stats?{query}")
        assert answer.problem[:2] == (422, "invalid-option")
        assert answer.json["field"] == query.partition("=")[0]

    def test_live_is_200_whatever_the_store_says(self, door: Any) -> None:
        door.store.trouble = StoreUnavailable()
        assert door.call("GET", "/health/live").status == 200

    def test_ready_needs_the_store_and_the_node(self, door: Any) -> None:
        assert door.call("GET", "/health/ready").status == 200
        door.unready = "No executor is ready."
        assert door.call("GET", "/health/ready").json["detail"] == "No executor is ready."
        door.unready = None
        door.store.trouble = StoreUnavailable()
        assert door.call("GET", "/health/ready").problem[:2] == (503, "unavailable")

    def test_a_full_disk_is_degraded_because_jobs_are_still_worked_off(self, door: Any) -> None:
        door.store.ill = StoreHealth(disk_full=True, results_dropped=7)
        answer = door.call("GET", "/health/ready")
        assert (answer.status, answer.json["status"]) == (200, "degraded")
        assert "disk is full" in answer.json["problems"][0]
        assert door.call("GET", "/v1/stats").json["store"]["results_dropped"] == 7

    def test_what_goes_on_failing_is_not_ready(self, door: Any) -> None:
        fault = Fault("promoting due jobs", "CorruptError: malformed", 1, 9.0, 0.5)
        door.store.ill = StoreHealth(faults=[fault])
        assert door.call("GET", "/health/ready").json["status"] == "degraded"
        door.store.ill = StoreHealth(faults=[msgspec.structs.replace(fault, count=3)])
        answer = door.call("GET", "/health/ready")
        assert answer.problem[:2] == (503, "unavailable")
        assert "promoting due jobs fails (3 times in 9 s): CorruptError: malformed" in answer.json["detail"]

    def test_what_keeps_the_server_from_letting_anybody_in_is_told(self, door: Any) -> None:
        trouble: list[str | None] = ["No connection can be accepted: Too many open files."]
        door.gate.watch(lambda: trouble[0])
        answer = door.call("GET", "/health/ready")
        assert answer.problem[:2] == (503, "unavailable")
        assert answer.json["detail"] == trouble[0]
        trouble[0] = None
        assert door.call("GET", "/health/ready").status == 200

    def test_a_gate_that_stops_is_not_ready(self, door: Any) -> None:
        door.gate.drain()
        assert door.call("GET", "/health/ready").problem[:2] == (503, "unavailable")


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PUT", "/v1/jobs", "GET, HEAD, POST"),
            ("PUT", f"/v1/jobs/{NOBODY}", "DELETE, GET, HEAD"),
            ("POST", f"/v1/jobs/{NOBODY}/result", "GET, HEAD"),
            ("POST", "/v1/stats", "GET, HEAD"),
            ("OPTIONS", "/metrics", "GET, HEAD"),
            ("DELETE", "/health/live", "GET, HEAD"),
        ],
    )
    def test_another_method_is_refused_with_those_there_are(
        self, door: Any, method: str, path: str, allow: str
    ) -> None:
        answer = door.call(method, path)
        assert answer.problem[:2] == (405, "method-not-allowed")
        assert answer.headers["allow"] == allow

    @pytest.mark.parametrize("path", ["/", "/v1", "/v1/jobs/", "/v1/jobs//result", "/v1/jobs/a/b", "/v2/jobs", "*", ""])
    def test_another_path_is_not_found(self, door: Any, path: str) -> None:
        assert door.call("GET", path).problem[:2] == (404, "not-found")

    def test_head_is_get(self, door: Any) -> None:
        assert door.call("HEAD", f"/v1/jobs/{accept(door)}").status == 200

    @pytest.mark.parametrize("path", ["/v1/stats", "/metrics", "/health/live", f"/v1/jobs/{NOBODY}/result"])
    def test_a_parameter_that_means_nothing_is_refused(self, door: Any, path: str) -> None:
        assert door.call("GET", f"{path}?x=1").problem == (422, "invalid-option", "x")

    def test_an_error_of_ours_is_a_problem_too(self, door: Any, caplog: pytest.LogCaptureFixture) -> None:
        door.store.stats = None
        assert door.call("GET", "/v1/stats").problem[:2] == (500, "internal")
        assert "NoneType" in caplog.text

    def test_an_error_of_ours_that_comes_again_is_told_once(self, door: Any, caplog: pytest.LogCaptureFixture) -> None:
        door.store.stats = None
        for _ in range(20):
            assert door.call("GET", "/v1/stats").problem[:2] == (500, "internal")
        assert len([record for record in caplog.records if record.exc_info]) == 1

    def test_ids_are_shown_as_everywhere(self, door: Any) -> None:
        from penstock.gate.job_json import job_id_text
        from penstock.model.ids import id_text

        job_id = new_id()
        assert job_id_text(job_id) == id_text(job_id)
        assert json.loads(json.dumps(job_id_text(job_id))) == id_text(job_id)
