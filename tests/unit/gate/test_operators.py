"""What operators ask for: queues, bulk actions, single jobs, the audit log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.actions import ActionState
from penstock.model.flow import ConcurrencyRule, TaskFlow
from penstock.model.ids import id_text, new_id, parse_id
from penstock.model.job import (
    Buried,
    JobEntry,
    JobError,
    JobGroup,
    LeaseRequest,
    Outcomes,
    Succeeded,
    TaskRecord,
    checksum,
)
from penstock.model.message_ids import new_message_ids
from penstock.model.states import State
from penstock.model.topics import MessageEntry, MessageGroup

HOLDER = b"h" * 16
BODY = b'j[["cat.png"],{}]'


def put(door, count=1, task="images.thumbnail", **options):
    ids = [new_id() for _ in range(count)]
    door.memory.enqueue([JobGroup(task, [JobEntry(one, BODY, checksum(BODY)) for one in ids], **options)])
    return ids


def bury(door, count=1, error="ValueError", **options):
    ids = put(door, count, **options)
    batch = door.memory.lease(LeaseRequest(HOLDER, 1_000))
    buried = [Buried(batch.first_fence + place, JobError(error, "no good")) for place in range(len(batch.jobs))]
    door.memory.settle(Outcomes(HOLDER, buried=buried))
    return ids


def ask(door, method, path, body: Any = None, **headers: str):
    return door.call(method, path, None if body is None else json.dumps(body).encode(), **headers)


def state(door, job):
    (view,) = door.memory.get([job])
    return None if view is None else view.state


def go_on(door):
    """Let the actions of the store go on to their ends."""
    for _ in range(200):
        door.memory.tick()
        door.clock.advance(limits.ACTION_REST_S)


class TestQueues:
    def test_a_page_has_the_counts_and_what_holds_each(self, door) -> None:
        put(door, 2, queue="images")
        put(door, queue="mail", task="any.call")
        door.memory.pause(queue="images", by="ann", note="a deploy")
        door.memory.drain(queue="mail", task="any.call")
        answer = ask(door, "GET", "/v1/queues").json
        images, mail = answer["queues"]
        assert answer["cursor"] is None
        assert (images["name"], images["ready"], images["accepted_total"]) == ("images", 2, 2)
        assert (images["paused"]["by"], images["paused"]["note"]) == ("ann", "a deploy")
        assert (images["draining"], images["closed"], images["tasks"]) == (None, ["paused"], [])
        (line,) = mail["tasks"]
        assert (mail["paused"], line["task"], line["paused"], line["draining"]["by"]) == (None, "any.call", None, "")

    def test_pages_go_on_by_their_cursor(self, door) -> None:
        for name in "cab":
            put(door, queue=name)
        first = ask(door, "GET", "/v1/queues?limit=2").json
        second = ask(door, "GET", f"/v1/queues?limit=2&cursor={first['cursor']}").json
        assert [one["name"] for page in (first, second) for one in page["queues"]] == ["a", "b", "c"]
        for limit in ("0", "x", str(limits.PAGE_QUEUES_MAX + 1)):
            assert ask(door, "GET", f"/v1/queues?limit={limit}").problem == (422, "invalid-option", "limit")

    def test_one_queue_and_one_that_is_not_there(self, door) -> None:
        put(door, queue="images")
        assert ask(door, "GET", "/v1/queues/images").json["ready"] == 1
        answer = ask(door, "GET", "/v1/queues/imagse")
        assert answer.problem == (404, "not-found", None)
        assert "'images'" in answer.json["detail"]

    def test_pause_drain_and_resume(self, door) -> None:
        put(door, queue="images")
        paused = ask(door, "POST", "/v1/queues/images/pause", {"note": "why"}).json
        assert (paused["paused"]["by"], paused["paused"]["note"]) == ("local", "why")
        assert door.memory.lease(LeaseRequest(HOLDER, 1)).jobs == []
        drained = ask(door, "POST", "/v1/queues/images/drain").json
        assert drained["draining"]["note"] is None
        resumed = ask(door, "POST", "/v1/queues/images/resume").json
        assert (resumed["paused"], resumed["draining"]) == (None, None)
        assert ask(door, "POST", "/v1/queues/none/pause").problem == (404, "not-found", None)
        assert ask(door, "POST", "/v1/queues/no%20name/pause").problem == (422, "invalid-option", "queue")
        assert ask(door, "POST", "/v1/queues/images/stop").problem[:2] == (404, "not-found")
        assert ask(door, "GET", "/v1/queues/images/pause").problem[:2] == (405, "method-not-allowed")

    def test_a_job_for_a_draining_queue_is_refused_for_a_while(self, door) -> None:
        put(door, queue="images")
        ask(door, "POST", "/v1/queues/images/drain", {"note": "moving out"})
        answer = door.post({"task": "images.thumbnail", "args": ["x"]})
        assert answer.problem == (503, "queue-draining", None)
        assert answer.headers["retry-after"]
        assert "moving out" in answer.json["detail"]
        both = door.post([{"task": "images.thumbnail", "args": ["x"]}, {"task": "any.call"}])
        assert both.problem[1] == "queue-draining"
        assert door.memory.totals().counts.accepted_total == 1

    def test_a_channel_is_a_queue_that_can_be_paused_and_emptied_and_not_drained(self, door) -> None:
        door.memory.create_channel("orders", "archive")
        paused = ask(door, "POST", "/v1/queues/orders:archive/pause").json
        assert (paused["name"], paused["closed"]) == ("orders:archive", ["paused"])
        assert ask(door, "POST", "/v1/queues/orders:archive/empty").json["matched"] == 0
        drained = ask(door, "POST", "/v1/queues/orders:archive/drain")
        assert drained.problem == (422, "invalid-option", "queue")
        assert "pause it, or delete it" in drained.json["detail"]
        assert ask(door, "POST", "/v1/queues/orders:archive/resume").json["paused"] is None

    def test_a_task_is_held_in_all_queues(self, door) -> None:
        put(door, queue="a")
        ask(door, "POST", "/v1/tasks/images.thumbnail/pause", {"note": "bad release"})
        (hold,) = ask(door, "GET", "/v1/holds").json["holds"]
        assert (hold["queue"], hold["task"], hold["kind"], hold["note"]) == (
            None, "images.thumbnail", "paused", "bad release",
        )  # fmt: skip
        assert ask(door, "POST", "/v1/tasks/images.thumbnail/resume").json["holds"] == []
        assert ask(door, "POST", "/v1/tasks/no.such/pause").problem == (422, "unknown-task", None)

    def test_a_queue_is_emptied_of_what_waits(self, door) -> None:
        (dead,) = bury(door, queue="images")
        waiting = put(door, 2, queue="images") + put(door, queue="images", delay_s=60.0)
        counted = ask(door, "POST", "/v1/queues/images/empty", {"dry_run": True})
        assert (counted.status, counted.json["matched"], counted.json["state"]) == (202, 3, "done")
        answer = ask(door, "POST", "/v1/queues/images/empty").json
        assert (answer["verb"], answer["matched"], answer["where"]) == ("empty", 3, {"queue": "images"})
        go_on(door)
        assert [state(door, job) for job in [dead, *waiting]] == [State.DEAD, None, None, None]
        put(door, task="any.call")
        assert ask(door, "POST", "/v1/tasks/any.call/empty").json["matched"] == 1

    def test_an_empty_queue_is_removed(self, door) -> None:
        (job,) = put(door, queue="old")
        answer = ask(door, "DELETE", "/v1/queues/old")
        assert answer.problem == (409, "conflict", None)
        assert "1 waiting job" in answer.json["detail"]
        door.memory.delete([job])
        assert ask(door, "DELETE", "/v1/queues/old").json == {"name": "old", "removed": True}
        assert ask(door, "GET", "/v1/queues/old").status == 404

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (b'{"note": 1}', (422, "invalid-option", "note")),
            (b'{"why": "x"}', (422, "invalid-option", "why")),
            (b"[1]", (400, "malformed-body", None)),
            (b"{", (400, "malformed-body", None)),
        ],
    )
    def test_what_is_said_with_it_is_checked(self, door, body, problem) -> None:
        put(door, queue="images")
        assert door.call("POST", "/v1/queues/images/pause", body).problem == problem
        assert door.memory.holds() == []

    def test_a_body_of_another_kind_is_not_taken(self, door) -> None:
        put(door, queue="images")
        answer = door.call("POST", "/v1/queues/images/pause", b"why", content_type="text/plain")
        assert answer.problem[1] == "unsupported-media-type"
        assert ask(door, "POST", "/v1/queues/images/resume", {"note": "x"}).problem[2] == "note"


class TestActions:
    def test_a_dry_run_counts_then_the_same_acts(self, door) -> None:
        ids = bury(door, 3, queue="images")
        wanted = {"verb": "retry", "where": {"state": "dead", "queue": "images"}, "dry_run": True}
        answer = ask(door, "POST", "/v1/actions", wanted)
        assert (answer.status, answer.json["matched"], answer.json["changed"]) == (202, 3, 0)
        answer = ask(door, "POST", "/v1/actions", wanted | {"dry_run": False, "note": "fixed"})
        action = answer.json
        assert answer.headers["location"] == f"/v1/actions/{action['id']}"
        assert (action["state"], action["matched"], action["by"], action["note"]) == ("running", 3, "local", "fixed")
        go_on(door)
        done = ask(door, "GET", f"/v1/actions/{action['id']}").json
        assert (done["state"], done["changed"], done["error"]) == ("done", 3, None)
        assert {state(door, job) for job in ids} == {State.READY}
        listed = ask(door, "GET", "/v1/actions").json["actions"]
        assert [one["dry_run"] for one in listed] == [False, True]

    def test_it_can_be_stopped(self, door) -> None:
        put(door, 50, queue="images")
        wanted = {"verb": "cancel", "where": {"queue": "images"}, "per_s": 1}
        action = ask(door, "POST", "/v1/actions", wanted).json
        stopped = ask(door, "DELETE", f"/v1/actions/{action['id']}").json
        assert stopped["state"] == "stopped"
        assert stopped["finished_at"] is not None
        for path in (f"/v1/actions/{id_text(new_id())}", "/v1/actions/nonsense"):
            assert ask(door, "GET", path).problem == (404, "not-found", None)
            assert ask(door, "DELETE", path).problem == (404, "not-found", None)

    def test_the_answer_waits_for_a_count_that_takes_several_steps(self, door, monkeypatch) -> None:
        put(door, 4, queue="images", tags=["x"])
        start, looks = door.memory.start_action, []

        def slow(wanted, **options):
            return replace(start(wanted, **options), state=ActionState.COUNTING, matched=1)

        def actions(ids=None):
            looks.append(ids)
            (found,) = type(door.memory).actions(door.memory, ids)
            return [replace(found, state=ActionState.COUNTING, matched=2) if len(looks) < 3 else found]

        monkeypatch.setattr(door.memory, "start_action", slow)
        monkeypatch.setattr(door.memory, "actions", actions)
        wanted = {"verb": "cancel", "where": {"tag": "x"}, "dry_run": True}
        answer = ask(door, "POST", "/v1/actions", wanted)
        assert (answer.status, answer.json["state"], answer.json["matched"]) == (202, "done", 4)
        assert len(looks) == 3
        monkeypatch.setattr(limits, "GATE_COUNT_S", 0.0)
        late = ask(door, "POST", "/v1/actions", wanted).json
        assert (late["state"], late["matched"]) == ("counting", None)

    def test_a_move_that_finds_nothing_it_can_move_says_why(self, door) -> None:
        door.memory.create_channel("orders", "mail")
        door.memory.enqueue([JobGroup("any.call", [JobEntry(new_id(), BODY, checksum(BODY))], tags=["x"])])
        wanted = {"verb": "move", "where": {"tag": "x"}, "to": "orders:mail"}
        answer = ask(door, "POST", "/v1/actions", wanted).json
        assert (answer["state"], answer["matched"]) == ("done", 0)
        assert answer["reason"].startswith(
            "No job that matches can be moved. orders:mail is a channel: it takes messages"
        )
        assert ask(door, "GET", f"/v1/actions/{answer['id']}").json == answer
        moved = ask(door, "POST", "/v1/actions", {**wanted, "to": "other", "dry_run": True}).json
        assert (moved["matched"], moved["reason"]) == (1, None)

    def test_the_same_id_is_the_same_action(self, door) -> None:
        put(door, queue="images")
        wanted = {"verb": "cancel", "where": {"queue": "images"}, "id": id_text(new_id())}
        first, second = (ask(door, "POST", "/v1/actions", wanted).json for _ in range(2))
        assert first["id"] == second["id"] == wanted["id"]

    def test_jobs_are_chosen_as_a_search_chooses_them(self, door) -> None:
        door.memory.register_tasks([TaskRecord("any.call", flow=TaskFlow(searchable=("order",)))])
        job = JobEntry(new_id(), BODY, checksum(BODY), searchable={"order": "17"})
        door.memory.enqueue([JobGroup("any.call", [job], tags=["x"])])
        put(door, task="any.call")
        for where in (
            {"arg.order": "17"},
            {"arguments": {"order": "17"}},
            {"tag": "x", "task": "any.call", "queue": None},
            {"arg.order": "17", "since": "2001-01-01T00:00:00Z"},
        ):
            wanted = {"verb": "cancel", "where": where, "dry_run": True}
            answer = ask(door, "POST", "/v1/actions", wanted)
            assert answer.json["matched"] == 1, answer
        shown = answer.json["where"]
        assert shown == {"arguments": {"order": "17"}, "since": "2001-01-01T00:00:00.000000Z"}

    def test_a_replay_says_since_when_there_are_records(self, door) -> None:
        store = door.memory
        store.create_channel("orders", "mail")
        wanted = {"verb": "replay", "where": {"queue": "orders:mail"}}
        answer = ask(door, "POST", "/v1/actions", wanted)
        assert (answer.json["matched"], answer.json["oldest_at"]) == (0, None)
        assert "there is a record" in answer.json["reason"]
        store.publish("orders", [MessageGroup([MessageEntry(new_message_ids(1)[0], b"r", checksum(b"r"))])])
        batch = store.lease(LeaseRequest(b"h" * 16, 1, channels=["orders:mail"]))
        store.settle(Outcomes(b"h" * 16, succeeded=[Succeeded(batch.first_fence, 0.0, 0.0)]))
        answer = ask(door, "POST", "/v1/actions", wanted)
        created_at = ask(door, "GET", f"/v1/jobs/{id_text(batch.jobs[0].id)}").json["created_at"]
        assert (answer.json["matched"], answer.json["oldest_at"], answer.json["reason"]) == (1, created_at, None)

    @pytest.mark.parametrize(
        ("wanted", "field", "words"),
        [
            ({"verb": "kill", "where": {"queue": "images"}}, "verb", "retry, cancel, delete, move"),
            ({"verb": "empty", "where": {"queue": "images"}}, "verb", "not 'empty'"),
            ({"verb": "retry", "where": {}}, "where", "`where` is empty"),
            ({"verb": "retry", "where": {"state": "failed"}}, "state", "dead"),
            ({"verb": "retry", "where": {"state": "ready"}}, "where.state", "dead, cancelled or expired"),
            ({"verb": "retry", "where": {"colour": "red"}}, "where.colour", "`state`"),
            ({"verb": "retry", "where": {"queue": 7}}, "where.queue", "a text"),
            ({"verb": "retry", "where": {"arguments": 7}}, "where", "an object"),
            ({"verb": "move", "where": {"queue": "images"}}, "to", "needs `to`"),
            ({"verb": "retry", "where": {"queue": "images"}, "to": "x"}, "to", "takes none"),
            ({"verb": "replay", "where": {"queue": "images"}}, "where.queue", "takes a channel"),
            ({"verb": "retry", "where": {"queue": "images"}, "per_s": 0}, "per_s", "more than 0"),
            ({"verb": "retry", "where": {"queue": "images"}, "id": "1"}, "id", "UUID"),
            ({"verb": "retry", "where": {"since": "yesterday"}}, "since", "2027-01-01T08:00:00Z"),
            (
                {"verb": "retry", "where": {"queue": "images"}, "dry": True},
                "dry",
                "there is `verb`, `where`, `to`, `dry_run`",
            ),
            ({"where": {"queue": "images"}}, "verb", "required"),
        ],
    )
    def test_a_mistake_says_what_to_write_instead(self, door, wanted, field, words) -> None:
        put(door, queue="images")
        answer = ask(door, "POST", "/v1/actions", wanted)
        assert answer.problem == (422, "invalid-option", field), answer
        assert words in answer.json["detail"]
        assert door.memory.actions() == []

    def test_a_queue_that_is_not_there(self, door) -> None:
        put(door, queue="images")
        answer = ask(door, "POST", "/v1/actions", {"verb": "cancel", "where": {"queue": "image"}})
        assert answer.problem == (404, "not-found", None)
        assert "Did you mean 'images'" in answer.json["detail"]
        moved = ask(door, "POST", "/v1/actions", {"verb": "move", "where": {"state": "ready"}, "to": "orders:archive"})
        assert moved.problem == (404, "not-found", None)
        assert "no topic 'orders'" in moved.json["detail"]


class TestJobs:
    def test_a_dead_job_is_retried(self, door) -> None:
        (job,) = bury(door)
        answer = ask(door, "POST", f"/v1/jobs/{id_text(job)}/retry")
        assert (answer.status, answer.json) == (200, {"id": id_text(job), "state": "ready"})
        again = ask(door, "POST", f"/v1/jobs/{id_text(job)}/retry")
        assert again.problem == (409, "conflict", None)
        assert "ready" in again.json["detail"]

    def test_it_is_retried_with_other_arguments_that_are_checked(self, door) -> None:
        (job,) = bury(door)
        path = f"/v1/jobs/{id_text(job)}/retry"
        assert ask(door, "POST", path, {"args": [1]}).problem == (422, "invalid-arguments", "args[0]")
        assert ask(door, "POST", path, {"kwargs": {"width": 3}}).problem[1] == "invalid-arguments"
        assert ask(door, "POST", path, {"arguments": []}).problem[1] == "invalid-option"
        assert door.call("POST", path, b'{"args": ').problem[1] == "malformed-body"
        assert state(door, job) is State.DEAD
        assert ask(door, "POST", path, {"args": ["dog.png"], "kwargs": {"width": 3}}).json["state"] == "ready"
        (view,) = door.memory.get([job], body=True)
        assert json.loads(view.body[1:]) == [["dog.png"], {"width": 3}]
        (entry,) = door.memory.audit().entries
        assert (entry.by, entry.verb) == ("local", "edit and retry")

    def test_what_rules_and_searches_use_is_told_anew(self, blind_door) -> None:
        flow = TaskFlow(searchable=("path",), parameters=(("path", None),))
        record = TaskRecord("images.thumbnail", schema='{"parameters": [{"name": "path"}]}', flow=flow)
        blind_door.memory.register_tasks([record])
        (job,) = bury(blind_door)
        answer = ask(blind_door, "POST", f"/v1/jobs/{id_text(job)}/retry", {"kwargs": {"path": "dog.png"}})
        assert answer.status == 200, answer
        found = ask(blind_door, "GET", "/v1/jobs?arg.path=dog.png").json["jobs"]
        assert [one["id"] for one in found] == [id_text(job)]

    def test_a_job_of_a_task_that_is_not_known_is_not_edited(self, door) -> None:
        (job,) = bury(door, task="app.gone")
        path = f"/v1/jobs/{id_text(job)}/retry"
        assert ask(door, "POST", path, {"args": []}).problem[1] == "unknown-task"
        assert ask(door, "POST", path).status == 200

    def test_a_blocked_job_waits_for_no_time(self, door) -> None:
        door.memory.register_tasks([TaskRecord("app.work", flow=TaskFlow((ConcurrencyRule(1, "tenant"),)))])
        entries = [JobEntry(new_id(), BODY, checksum(BODY), values={"tenant": "acme"}) for _ in range(2)]
        door.memory.enqueue([JobGroup("app.work", entries)])
        blocked = f"/v1/jobs/{id_text(entries[1].id)}"
        answer = ask(door, "POST", f"{blocked}/run-now")
        assert answer.problem == (409, "conflict", None)
        assert "blocked (1 of 1 running for tenant acme)" in answer.json["detail"]
        assert ask(door, "GET", blocked).json["state"] == "blocked"

    def test_a_scheduled_job_is_run_now(self, door) -> None:
        (late,) = put(door, delay_s=60.0)
        assert ask(door, "POST", f"/v1/jobs/{id_text(late)}/run-now").json["state"] == "ready"
        assert ask(door, "POST", f"/v1/jobs/{id_text(late)}/run-now").json["state"] == "ready"
        (dead,) = bury(door)
        assert ask(door, "POST", f"/v1/jobs/{id_text(dead)}/run-now").problem == (409, "conflict", None)
        for what in ("retry", "run-now"):
            assert ask(door, "POST", f"/v1/jobs/{id_text(new_id())}/{what}").problem == (404, "not-found", None)
            assert ask(door, "POST", f"/v1/jobs/nonsense/{what}").problem == (404, "not-found", None)


class TestAudit:
    def test_it_says_who_when_what_and_how_many(self, door) -> None:
        bury(door, 2, queue="images")
        ask(door, "POST", "/v1/queues/images/pause", {"note": "why"})
        action = ask(door, "POST", "/v1/actions", {"verb": "retry", "where": {"state": "dead"}}).json
        go_on(door)
        page = ask(door, "GET", "/v1/audit").json
        latest, first = page["entries"]
        assert (latest["verb"], latest["subject"], latest["count"]) == ("retry", "state=dead", 2)
        assert latest["action"] == action["id"]
        assert (first["by"], first["verb"], first["subject"], first["note"]) == (
            "local", "pause", "queue:images", "why",
        )  # fmt: skip
        assert (first["number"], first["at"][-1], page["cursor"]) == (1, "Z", None)
        short = ask(door, "GET", "/v1/audit?limit=1").json
        rest = ask(door, "GET", f"/v1/audit?limit=1&cursor={short['cursor']}").json
        assert [one["number"] for one in short["entries"] + rest["entries"]] == [2, 1]
        assert ask(door, "GET", "/v1/audit?cursor=x").problem == (422, "invalid-option", "cursor")

    def test_who_has_a_token_is_called_so_and_from_where(self, make_door, make_exchange) -> None:
        door = make_door(token="correct-horse-battery")
        put(door, queue="images")
        bearer = {"authorization": "Bearer correct-horse-battery"}
        ask(door, "POST", "/v1/queues/images/pause", **bearer)
        assert door.memory.holds()[0].by == "token"
        assert door.gate._access.caller("10.0.0.7") == "token@10.0.0.7"

    def test_limits_and_single_jobs_are_in_it(self, door) -> None:
        job = parse_id(door.post({"task": "any.call"}).json["id"])
        ask(door, "DELETE", f"/v1/jobs/{id_text(job)}")
        ask(door, "PUT", "/v1/limits/queue:default", {"concurrency": 2})
        ask(door, "DELETE", "/v1/limits/queue:default")
        told = [(one.verb, one.subject, one.note) for one in door.memory.audit().entries]
        assert told == [
            ("restore", "queue:default", None),
            ("limit", "queue:default", "2 at a time"),
            ("cancel", f"job:{id_text(job)}", None),
        ]
