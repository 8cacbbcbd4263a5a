"""Searching over HTTP, and what is counted of dead jobs."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.gate.job_json import time_of, time_text
from penstock.model import limits
from penstock.model.flow import TaskFlow
from penstock.model.ids import id_text
from penstock.model.job import Buried, JobEntry, JobError, JobGroup, TaskRecord, checksum
from penstock.model.states import State
from penstock.testing.conformance.kit import BODY, put, settle, take, take_one

TIMEOUT = JobError("TimeoutError", "too slow", "Traceback: long")


def found(door: Any, query: str = "") -> list[str]:
    """The ids that a search answers, all pages."""
    ids: list[str] = []
    cursor = ""
    while True:
        answer = door.call("GET", f"/v1/jobs?{query}{cursor}")
        assert answer.status == 200, answer.json
        ids += [job["id"] for job in answer.json["jobs"]]
        if answer.json["cursor"] is None:
            return ids
        cursor = f"&cursor={answer.json['cursor']}"


def texts(ids: list[bytes]) -> list[str]:
    """The newest first."""
    return [id_text(job_id) for job_id in reversed(ids)]


class TestSearch:
    def test_jobs_are_shown_newest_first_as_each_alone_is(self, door: Any) -> None:
        ids = put(door.memory, 3, tags=["t"])
        settle(door.memory, buried=[Buried(take_one(door.memory).fence, TIMEOUT)])
        answer = door.call("GET", "/v1/jobs")
        assert answer.status == 200
        assert [job["id"] for job in answer.json["jobs"]] == texts(ids)
        assert answer.json["cursor"] is None
        alone = door.call("GET", f"/v1/jobs/{id_text(ids[0])}").json
        listed = answer.json["jobs"][2]
        assert alone["error"].pop("traceback") == "Traceback: long"
        assert listed["error"].pop("traceback") is None
        assert listed == alone

    def test_each_parameter_is_a_condition(self, door: Any) -> None:
        store, clock = door.memory, door.clock
        plain = put(store)
        thumbs = put(store, 2, queue="images", task="app.thumb", tags=["x"])
        keyed = JobEntry(bytes(15) + b"k", BODY, checksum(BODY), "order 7", searchable={"order": "7"})
        store.enqueue([JobGroup("app.work", [keyed])])
        clock.advance(60.0)
        late = put(store, queue="late")
        settle(store, buried=[Buried(take_one(store, queues=["late"]).fence, TIMEOUT)])
        at = time_text(clock.time())
        assert found(door, "state=dead") == found(door, "error=TimeoutError") == texts(late)
        assert found(door, "queue=images&tag=x&task=app.thumb") == texts(thumbs)
        assert found(door, "key=order%207") == found(door, "key=order+7&arg.order=7") == texts([keyed.id])
        assert found(door, "arg.order=7&state=dead") == []
        assert found(door, f"since={at}") == texts(late)
        assert sorted(found(door, f"until={at}")) == sorted(texts([*plain, *thumbs, keyed.id]))
        assert found(door, f"since={at}&until={at}") == []
        assert found(door, "queue=orders:archive") == []

    def test_pages_go_on_with_their_cursor(self, door: Any) -> None:
        ids = put(door.memory, 7)
        first = door.call("GET", "/v1/jobs?limit=3").json
        assert [job["id"] for job in first["jobs"]] == texts(ids)[:3]
        assert found(door, "limit=3") == texts(ids)

    def test_a_page_is_filled_up_from_slices(self, door: Any) -> None:
        ids = put(door.memory, 7)
        door.store.jobs_a_slice = 2
        answer = door.call("GET", "/v1/jobs?limit=5").json
        assert [job["id"] for job in answer["jobs"]] == texts(ids)[:5]
        assert answer["cursor"] is not None

    def test_a_search_ends_with_its_time(self, door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = put(door.memory, 7)
        door.store.jobs_a_slice = 2
        monkeypatch.setattr(limits, "GATE_SEARCH_S", 0.0)
        answer = door.call("GET", "/v1/jobs?limit=5").json
        assert [job["id"] for job in answer["jobs"]] == texts(ids)[:2]
        assert found(door, "limit=5") == texts(ids)

    def test_a_large_page_is_whole(self, door: Any) -> None:
        ids = put(door.memory, limits.PAGE_JOBS_MAX)
        answer = door.call("GET", f"/v1/jobs?limit={limits.PAGE_JOBS_MAX}").json
        assert [job["id"] for job in answer["jobs"]] == texts(ids)

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("state=done", "scheduled, blocked, ready, running, succeeded, dead, cancelled, expired"),
            ("since=yesterday", "2027-01-01T08:00:00"),
            ("until=2027-01-01T08:00:00", "with its offset"),
            ("since=", "with its offset"),
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("queue=a%20b", "no name"),
            ("queue=a:b:c", "topic:channel"),
            ("task=7", "no name"),
            ("tag=a%20b", "no name for a tag"),
            ("error=", "such as ValueError"),
            ("cursor=x", "no cursor"),
            ("colour=red", "`arg.NAME`"),
            ("arg.=7", "`arg.NAME`"),
            ("key=a&key=b", "twice"),
        ],
    )
    def test_what_cannot_be_searched_for_is_refused_with_what_can(self, door: Any, query: str, says: str) -> None:
        answer = door.call("GET", f"/v1/jobs?{query}")
        assert answer.problem[:2] == (422, "invalid-option")
        assert answer.json["field"] == query.partition("=")[0]
        assert says in answer.json["detail"]

    def test_an_argument_that_no_task_declares_is_refused_with_those_that_are(self, door: Any) -> None:
        door.memory.register_tasks([TaskRecord("app.work", flow=TaskFlow(searchable=("order", "customer")))])
        answer = door.call("GET", "/v1/jobs?arg.ordre=7")
        assert answer.problem[:2] == (422, "invalid-option")
        assert "customer, order" in answer.json["detail"]
        assert found(door, "arg.order=7") == []

    def test_dead_jobs_are_counted_by_task_and_error(self, door: Any) -> None:
        assert door.call("GET", "/v1/dead").json == {"kinds": [], "others": 0}
        put(door.memory, 2)
        settle(door.memory, buried=[Buried(held.fence, TIMEOUT) for held in take(door.memory)])
        assert door.call("GET", "/v1/dead").json == {
            "kinds": [{"task": "app.work", "error": "TimeoutError", "count": 2}],
            "others": 0,
        }
        assert door.call("GET", "/v1/dead?limit=1").problem[:2] == (422, "invalid-option")


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        ["2027-01-01T08:00:00+01:00", "2027-01-01T08:00:00 01:00", "2027-01-01T07:00:00Z", "2027-01-01 07:00:00Z"],
    )
    def test_a_time_is_read_however_it_is_written(self, text: str) -> None:
        assert time_of(text) == 1_798_786_800.0

    @pytest.mark.parametrize(
        "text", ["", "now", "1798786800", "2027-01-01", "2027-01-01T08:00:00", "2027-13-01T08:00:00Z"]
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            time_of(text)


def test_every_state_can_be_asked_for(door: Any) -> None:
    for state in State:
        assert found(door, f"state={state.value}") == []
