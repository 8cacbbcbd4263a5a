"""``POST /v1/jobs``: what is accepted, what is answered, what is refused and with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gate.job_json import JobRequest
from penstock.model import limits
from penstock.model.errors import StoreFull, StoreOverloaded, StoreUnavailable
from penstock.model.ids import parse_id
from penstock.model.job import JobView, TaskRecord

THUMBNAIL = {"task": "images.thumbnail", "args": ["cat.png"]}


def stored(door: Any, job_id: str) -> JobView:
    view: JobView | None = door.memory.get([parse_id(job_id)], body=True)[0]
    assert view is not None
    return view


class TestOneJob:
    def test_it_is_answered_with_its_id_state_and_durability(self, door: Any) -> None:
        answer = door.post(THUMBNAIL)
        assert answer.status == 202
        assert answer.headers["content-type"] == "application/json"
        assert answer.json == {"id": answer.json["id"], "state": "ready", "duplicate": False, "durability": "disk"}

    def test_it_takes_what_the_task_says_where_the_request_is_silent(self, door: Any) -> None:
        view = stored(door, door.post(THUMBNAIL).json["id"])
        assert (view.task, view.queue, view.priority, view.tags) == ("images.thumbnail", "images", 5, ["picture"])

    def test_its_arguments_are_stored_as_they_came(self, door: Any) -> None:
        view = stored(door, door.post(b'{"task":"images.thumbnail","args":["c"],"kwargs":{"width" : 1}}').json["id"])
        assert view.body == b'j[["c"],{"width" : 1}]'

    def test_its_options_arrive(self, door: Any) -> None:
        options = {"queue": "q", "priority": -3, "headers": {"a": "b"}, "tags": ["t", "picture"], "expires_s": 9.5}
        view = stored(door, door.post({**THUMBNAIL, **options}).json["id"])
        assert (view.queue, view.priority, view.headers, view.tags) == ("q", -3, {"a": "b"}, ["picture", "t"])
        assert view.expires_at == door.clock.time() + 9.5

    @pytest.mark.parametrize("app", [True, False])
    def test_null_is_as_good_as_absent_in_every_field_but_the_task(self, make_door: Any, app: bool) -> None:
        door = make_door(with_app=app)
        door.memory.register_tasks([TaskRecord("any.call", queue="q", tags=["t"])])
        fields = [name for name in JobRequest.__struct_fields__ if name != "task"]
        absent = stored(door, door.post({"task": "any.call"}).json["id"])
        for body in ({"task": "any.call", **dict.fromkeys(fields)}, *({"task": "any.call", f: None} for f in fields)):
            for spelled in (body, [body]):
                answer = door.post(spelled)
                assert answer.status == 202, answer
                view = stored(door, answer.json["id"] if spelled is body else answer.json["jobs"][0]["id"])
                assert (view.body, view.queue, view.tags) == (absent.body, absent.queue, absent.tags)

    def test_null_and_absent_arguments_are_the_same_call(self, door: Any) -> None:
        first = door.post({"task": "any.call", "idempotency_key": "k"}).json["id"]
        for more in ({"args": None}, {"kwargs": None}, {"args": [], "kwargs": None}, {"args": None, "kwargs": {}}):
            assert door.post({"task": "any.call", "idempotency_key": "k", **more}).json["id"] == first

    @pytest.mark.parametrize("option", [{"delay_s": 5}, {"run_at": "2099-01-01T00:00:00+02:00"}])
    def test_a_delayed_one_is_scheduled(self, door: Any, option: dict[str, Any]) -> None:
        assert door.post({**THUMBNAIL, **option}).json["state"] == "scheduled"

    def test_null_means_as_the_task_says(self, door: Any) -> None:
        silent = dict.fromkeys(("queue", "priority", "delay_s", "run_at", "expires_s", "headers", "tags"))
        assert stored(door, door.post({**THUMBNAIL, **silent}).json["id"]).queue == "images"

    def test_the_same_key_and_arguments_answer_the_first_id(self, door: Any) -> None:
        first = door.post({**THUMBNAIL, "idempotency_key": "k"}).json
        again = door.post({**THUMBNAIL, "idempotency_key": "k"})
        assert again.status == 202
        assert again.json == {"id": first["id"], "state": "ready", "duplicate": True, "durability": "disk"}

    def test_the_same_arguments_in_other_words_are_the_same(self, door: Any) -> None:
        first = door.post({"task": "images.thumbnail", "args": ["cat.png"], "idempotency_key": "k"}).json
        for spelled in (
            b'{"task":"images.thumbnail","args": [ "cat\\u002epng" ],"idempotency_key":"k"}',
            b'{"task":"images.thumbnail","kwargs":{"path":"cat.png"},"idempotency_key":"k"}',
        ):
            assert door.post(spelled).json["id"] == first["id"]

    def test_the_same_key_with_other_arguments_is_a_conflict(self, door: Any) -> None:
        door.post({**THUMBNAIL, "idempotency_key": "k"})
        answer = door.post({"task": "images.thumbnail", "args": ["dog.png"], "idempotency_key": "k"})
        assert answer.problem == (409, "conflict", "idempotency_key")

    def test_a_duplicate_whose_record_is_gone_has_no_state(self, door: Any) -> None:
        first = door.post({**THUMBNAIL, "idempotency_key": "k"}).json
        door.memory.delete([parse_id(first["id"])])
        assert door.post({**THUMBNAIL, "idempotency_key": "k"}).json["state"] is None


UNFIT = ["1e999", "-1e999", "1E+400", "1e0400", "9" * 5_000, "-" + "9" * 4_301, "9" * 400 + ".5", "9" * 300 + "e10"]
FIT = ["1e308", "1e-999", "0e999", "9" * 4_300, "0." + "1" * 5_000, '"1e999"', '"\\"1e999"', '"' + "9" * 5_000 + '"']
PLACES = [
    b'"args":[%b]',
    b'"args":[{"a":[%b]}]',
    b'"kwargs":{"a":%b}',
    b'"kwargs":{"a":{"b":[1,%b]}}',
    b'"kwargs":{"a":1,"a":%b},"args":[2]',
]
BLANKS = [b"", b" " * limits.GATE_LOOP_BYTES_MAX]


class TestNumbers:
    """Those that no worker could read are refused at the door, wherever they stand, in small and in large texts."""

    @pytest.mark.parametrize("app", [True, False])
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("number", UNFIT)
    @pytest.mark.parametrize("blanks", BLANKS)
    def test_one_out_of_range_is_refused(
        self, make_door: Any, app: bool, place: bytes, number: str, blanks: bytes
    ) -> None:
        door = make_door(with_app=app)
        door.memory.register_tasks([TaskRecord("any.call")])
        job = b'{"task":"any.call",' + place % (number.encode() + blanks) + b"}"
        assert door.post(job).problem[:2] == (422, "invalid-arguments")
        answer = door.post(b'[{"task":"any.call"},' + job + b"]")
        assert (answer.json["accepted"], answer.json["rejected"]) == (1, 1)

    @pytest.mark.parametrize("number", UNFIT)
    @pytest.mark.parametrize("blanks", BLANKS)
    def test_so_it_is_in_a_value_that_need_not_be_decoded(self, door: Any, number: str, blanks: bytes) -> None:
        for payload in (number, f'{{"a":{number}}}'):
            job = b'{"task":"hooks.receive","kwargs":{"event":"e","payload":{"a":%b}}}' % (payload.encode() + blanks)
            assert door.post(job).problem[:2] == (422, "invalid-arguments")

    @pytest.mark.parametrize("app", [True, False])
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("number", FIT)
    @pytest.mark.parametrize("blanks", BLANKS)
    def test_one_within_it_is_taken(self, make_door: Any, app: bool, place: bytes, number: str, blanks: bytes) -> None:
        door = make_door(with_app=app)
        door.memory.register_tasks([TaskRecord("any.call")])
        assert door.post(b'{"task":"any.call",' + place % (number.encode() + blanks) + b"}").status == 202

    @pytest.mark.parametrize("field", ["priority", "delay_s", "expires_s"])
    @pytest.mark.parametrize("number", UNFIT)
    def test_in_an_option_too(self, door: Any, field: str, number: str) -> None:
        job = b'{"task":"any.call","%b":%b}' % (field.encode(), number.encode())
        assert door.post(job).problem[1:] == ("invalid-option", field)


class TestOneOfMany:
    def test_what_nobody_thought_of_is_the_problem_of_its_entry(
        self, door: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def check(args: bytes, kwargs: bytes) -> bytes:
            if args != b"[]":
                raise OverflowError("too much")
            return b"j[[],{}]"

        monkeypatch.setattr(door.gate.catalog.get("any.call"), "check", check)
        bad, good = {"task": "any.call", "args": [1]}, {"task": "any.call", "args": []}
        answer = door.post([good, bad, good, bad])
        assert (answer.status, answer.json["accepted"], answer.json["rejected"]) == (202, 2, 2)
        assert answer.json["jobs"][1]["problem"]["code"] == "internal"
        assert len(caplog.records) == 1
        assert door.post(bad).problem[:2] == (500, "internal")


class TestWhatIsSaidOfLongThings:
    """A refusal quotes what was sent, not all of it; and finding out what to quote is one pass."""

    LONG = "x" * 1_000_000

    @pytest.mark.parametrize(
        "job",
        [
            {"task": LONG},
            {"task": "any.call", LONG: 1},
            {"task": "any.call", " - at `$" * 100_000: 1},
            {"task": "any.call", "unknown field `" * 100_000: 1},
            {"task": "any.call", "queue": LONG},
            {"task": "any.call", "tags": [LONG]},
            {"task": "any.call", "idempotency_key": LONG},
            {"task": "any.call", "run_at": LONG},
            {"task": "images.thumbnail", "kwargs": {LONG: 1}},
            {"task": "images.thumbnail", "args": [7], "kwargs": {LONG: 1}},
        ],
    )
    def test_the_answer_is_short(self, door: Any, job: Any) -> None:
        answer = door.post(job)
        assert 400 <= answer.status < 500
        assert len(answer.body) < 5_000
        assert len(door.post([job]).body) < 5_000

    def test_half_a_character_in_a_name_is_answered(self, door: Any) -> None:
        answer = door.post(b'{"task":"images.thumbnail","kwargs":{"\\ud800":1}}')
        assert 400 <= answer.status < 500

    @pytest.mark.parametrize("option", ['"headers":{%s}', '"tags":[%s]', '"headers":{%s},"headers":null', '"x":[%s]'])
    def test_all_but_the_arguments_has_a_limit(self, door: Any, option: str) -> None:
        item = '"a":""' if "headers" in option else '"a"'
        many = (option % ",".join([item] * (limits.JOB_OPTIONS_BYTES_MAX // len(item)))).encode()
        assert door.post(b'{"task":"any.call",' + many + b"}").problem == (413, "body-too-large", None)

    def test_arguments_do_not_count_as_options(self, door: Any) -> None:
        large = "x" * limits.JOB_OPTIONS_BYTES_MAX
        job = {"task": "any.call", "args": [large], "tags": ["a"], "kwargs": {"b": large}, "headers": {"a": "b"}}
        assert door.post(job).status == 202

    def test_the_text_of_a_job_has_a_limit(self, door: Any) -> None:
        job = b'{"task":"any.call"' + b" " * limits.JOB_TEXT_BYTES_MAX + b"}"
        assert door.post(job).problem[:2] == (413, "body-too-large")
        answer = door.post(b"[" + job + b',{"task":"any.call"}]')
        assert (answer.json["accepted"], answer.json["jobs"][0]["problem"]["code"]) == (1, "body-too-large")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b"", (400, "malformed-body", None)),
            (b" \n", (400, "malformed-body", None)),
            (b"{", (400, "malformed-body", None)),
            (b"7", (400, "malformed-body", None)),
            (b'"x"', (400, "malformed-body", None)),
            (b"[]", (400, "malformed-body", None)),
            (b'{"task":"images.thumbnail","args":[NaN]}', (400, "malformed-body", None)),
            (b'{"task":"images.thumbnail","args":["\xff"]}', (400, "malformed-body", None)),
            (b'{"task":"any.call","kwargs":{"a":"\xed\xa0\x80"}}', (400, "malformed-body", None)),
            (b'\xef\xbb\xbf{"task":"images.thumbnail"}', (400, "malformed-body", None)),
            (b'{"task":"any.call","args":[' + b"[" * 100 + b"]" * 100 + b"]}", (400, "malformed-body", None)),
            (b'{"task":"any.call","args":' + b"[" * 100_000, (400, "malformed-body", None)),
            (b"[" * 100_000, (400, "malformed-body", None)),
            (b"{}", (422, "invalid-option", "task")),
            (b'{"task":7}', (422, "invalid-option", "task")),
            (b'{"task":"images.thumbnail","nonsense":1}', (422, "invalid-option", "nonsense")),
            (b'{"task":"no.such"}', (422, "unknown-task", "task")),
            (b'{"task":"images.thumbnail"}', (422, "invalid-arguments", "kwargs.path")),
            (b'{"task":"images.thumbnail","args":[7]}', (422, "invalid-arguments", "args[0]")),
            (b'{"task":"images.thumbnail","args":["a","b"]}', (422, "invalid-arguments", "args")),
            (b'{"task":"images.thumbnail","args":{}}', (422, "invalid-arguments", "args")),
            (b'{"task":"images.thumbnail","kwargs":[]}', (422, "invalid-arguments", "kwargs")),
            (b'{"task":"images.thumbnail","kwargs":null}', (422, "invalid-arguments", "kwargs.path")),
            (b'{"task":null}', (422, "invalid-option", "task")),
            (
                b'{"task":"images.thumbnail","kwargs":{"path":"a","width":"1"}}',
                (422, "invalid-arguments", "kwargs.width"),
            ),
            (
                b'{"task":"images.thumbnail","kwargs":{"path":"a","height":1}}',
                (422, "invalid-arguments", "kwargs.height"),
            ),
            (
                b'{"task":"images.thumbnail","args":["a"],"kwargs":{"path":"a"}}',
                (422, "invalid-arguments", "kwargs.path"),
            ),
            (b'{"task":"geometry.move","args":[{"x":1,"y":"2"},[]]}', (422, "invalid-arguments", "args[0]")),
            (b'{"task":"geometry.move","args":[{"x":1,"y":2},[1e999]]}', (422, "invalid-arguments", "args[1]")),
        ],
    )
    def test_a_body_that_does_not_fit_names_what_is_to_blame(
        self, door: Any, body: bytes, expected: tuple[int, str, str | None]
    ) -> None:
        assert door.post(body).problem == expected
        assert door.memory.stats().queues == {}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("queue", "a b"),
            ("queue", ""),
            ("queue", 7),
            ("priority", 101),
            ("priority", 1.5),
            ("priority", True),
            ("delay_s", -1),
            ("delay_s", "1"),
            ("delay_s", 1e12),
            ("run_at", "tomorrow"),
            ("run_at", "2026-01-01T00:00:00"),
            ("run_at", "9999-01-01T00:00:00Z"),
            ("expires_s", 0),
            ("idempotency_key", ""),
            ("idempotency_key", "k" * 257),
            ("headers", {"a": 1}),
            ("headers", ["a"]),
            ("tags", ["a b"]),
            ("tags", "a"),
            ("tags", [f"t{n}" for n in range(33)]),
        ],
    )
    def test_an_option_outside_what_it_may_be_is_named(self, door: Any, field: str, value: Any) -> None:
        assert door.post({**THUMBNAIL, field: value}).problem == (422, "invalid-option", field)

    def test_delay_and_time_exclude_each_other(self, door: Any) -> None:
        both = {**THUMBNAIL, "delay_s": 1, "run_at": "2030-01-01T00:00:00Z"}
        assert door.post(both).problem == (422, "invalid-option", "run_at")

    @pytest.mark.parametrize("payload", [b"[]", b"null", b'"{}"', b"7", b"[{}]"])
    def test_a_dict_is_an_object_whatever_is_in_it(self, door: Any, payload: bytes) -> None:
        body = b'{"task":"hooks.receive","kwargs":{"event":"push","payload":%b}}'
        assert door.post(body % b'{"a":[1,{"b":null}]}').status == 202
        assert door.post(body % payload).problem == (422, "invalid-arguments", "kwargs.payload")

    @pytest.mark.parametrize(
        "payload", [b'{"a":NaN}', b'{"a":"\\ud800abcdef"}', b'{"a":01}', b'{"a":"\xff"}', b"{1:2}"]
    )
    def test_what_is_in_a_dict_is_json(self, door: Any, payload: bytes) -> None:
        body = b'{"task":"hooks.receive","kwargs":{"event":"push","payload":%b}}'
        assert door.post(body % payload).problem[:2] == (400, "malformed-body")

    def test_headers_over_their_limit_are_too_large(self, door: Any) -> None:
        large = {**THUMBNAIL, "headers": {"a": "x" * limits.JOB_HEADERS_BYTES_MAX}}
        assert door.post(large).problem == (413, "body-too-large", "headers")

    @pytest.mark.parametrize("task", ["images.thumbnail", "any.call"])
    def test_arguments_over_their_limit_are_too_large(self, door: Any, task: str) -> None:
        answer = door.post({"task": task, "args": ["x" * limits.JOB_BODY_BYTES_MAX]})
        assert answer.problem[:2] == (413, "body-too-large")
        assert str(limits.JOB_BODY_BYTES_MAX) in answer.json["detail"]

    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("", 415),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("application/json; charset=latin-1", 415),
            ("application/json; charset=UTF-8", 202),
            ('Application/JSON;charset="utf-8"', 202),
        ],
    )
    def test_the_kind_of_body_is_checked(self, door: Any, kind: str, code: int) -> None:
        answer = door.post(THUMBNAIL, content_type=kind)
        assert answer.status == code
        if code == 415:
            assert answer.problem[1] == "unsupported-media-type"

    def test_a_compressed_body_is_not_taken(self, door: Any) -> None:
        answer = door.post(THUMBNAIL, content_encoding="gzip")
        assert answer.problem[:2] == (415, "unsupported-media-type")
        assert "gzip" in answer.json["detail"]

    @pytest.mark.parametrize(
        ("trouble", "expected"),
        [
            (StoreUnavailable(), (503, "unavailable")),
            (StoreOverloaded(), (503, "overloaded")),
            (StoreFull(), (507, "store-full")),
        ],
    )
    def test_trouble_of_the_store_is_told(self, door: Any, trouble: Any, expected: tuple[int, str]) -> None:
        door.store.trouble = trouble
        answer = door.post(THUMBNAIL)
        assert answer.problem[:2] == expected
        assert ("retry-after" in answer.headers) == (expected[0] == 503)

    @pytest.mark.parametrize("query", ["?atomic=1", "?atomic=true&atomic=true", "?nonsense=1"])
    def test_a_parameter_that_is_not_known_is_refused(self, door: Any, query: str) -> None:
        assert door.post(THUMBNAIL, query).problem == (422, "invalid-option", query[1:].partition("=")[0])


class TestManyJobs:
    def test_all_good_ones_are_answered_in_order(self, door: Any) -> None:
        answer = door.post([THUMBNAIL, {"task": "any.call"}, THUMBNAIL])
        assert answer.status == 202
        assert {name: answer.json[name] for name in ("accepted", "rejected", "durability")} == {
            "accepted": 3,
            "rejected": 0,
            "durability": "disk",
        }
        assert [item["index"] for item in answer.json["jobs"]] == [0, 1, 2]
        assert [stored(door, item["id"]).task for item in answer.json["jobs"]] == [
            "images.thumbnail",
            "any.call",
            "images.thumbnail",
        ]

    def test_one_request_is_one_call_of_the_store_with_neighbours_that_are_alike_together(self, door: Any) -> None:
        door.post([THUMBNAIL, THUMBNAIL, {"task": "any.call"}, THUMBNAIL, {**THUMBNAIL, "priority": 1}])
        assert [[len(group.jobs) for group in groups] for groups in door.store.enqueued] == [[2, 1, 1, 1]]

    def test_a_bad_one_does_not_hold_up_the_others(self, door: Any) -> None:
        bad = {"task": "images.thumbnail", "kwargs": {"path": "a", "width": "wide"}}
        answer = door.post([THUMBNAIL, bad, {**THUMBNAIL, "delay_s": 9}, 7])
        assert answer.status == 202
        assert (answer.json["accepted"], answer.json["rejected"]) == (2, 2)
        first, second, third, fourth = answer.json["jobs"]
        assert first == {"index": 0, "id": first["id"], "state": "ready", "duplicate": False}
        assert (second["index"], second["problem"]["code"]) == (1, "invalid-arguments")
        assert second["problem"]["field"] == "kwargs.width"
        assert third["state"] == "scheduled"
        assert fourth["problem"]["code"] == "malformed-body"

    def test_none_accepted_is_a_422_with_the_same_body(self, door: Any) -> None:
        answer = door.post([{"task": "no.such"}, {"task": "no.such"}])
        assert answer.status == 422
        assert (answer.json["accepted"], answer.json["rejected"], len(answer.json["jobs"])) == (0, 2, 2)

    def test_atomic_with_a_bad_one_accepts_none(self, door: Any) -> None:
        answer = door.post([THUMBNAIL, {"task": "no.such"}], "?atomic=true")
        assert answer.status == 422
        assert [item["problem"]["code"] for item in answer.json["jobs"]] == ["batch-refused", "unknown-task"]
        assert door.memory.stats().queues == {}

    def test_atomic_with_a_conflict_accepts_none(self, door: Any) -> None:
        door.post({**THUMBNAIL, "idempotency_key": "k"})
        other = {"task": "images.thumbnail", "args": ["dog.png"], "idempotency_key": "k"}
        answer = door.post([THUMBNAIL, other], "?atomic=true")
        assert answer.status == 422
        assert [item["problem"]["code"] for item in answer.json["jobs"]] == ["batch-refused", "conflict"]
        assert door.memory.stats().queues["images"].accepted_total == 1

    def test_atomic_with_good_ones_accepts_all(self, door: Any) -> None:
        assert door.post([THUMBNAIL, THUMBNAIL], "?atomic=true").json["accepted"] == 2

    def test_a_key_works_within_the_batch(self, door: Any) -> None:
        keyed = {**THUMBNAIL, "idempotency_key": "k"}
        first, second, third = door.post([keyed, keyed, {**keyed, "args": ["dog.png"]}]).json["jobs"]
        assert (second["id"], second["duplicate"]) == (first["id"], True)
        assert third["problem"]["code"] == "conflict"

    def test_a_job_a_line(self, door: Any) -> None:
        body = b"\r\n".join([json.dumps(THUMBNAIL).encode(), b"", b'{"task":', json.dumps(THUMBNAIL).encode(), b""])
        answer = door.post(body, content_type="application/x-ndjson")
        assert answer.status == 202
        assert [item.get("problem", {}).get("code") for item in answer.json["jobs"]] == [None, "malformed-body", None]

    def test_lines_need_no_length(self, door: Any) -> None:
        lines = json.dumps(THUMBNAIL).encode() + b"\n"
        kind = {"content_type": "application/x-ndjson", "content_length": "", "transfer_encoding": "chunked"}
        assert door.post(lines, "?atomic=true", **kind).status == 202
        assert door.post(lines, **kind).status == 202

    def test_one_line_is_a_batch_too(self, door: Any) -> None:
        assert door.post(THUMBNAIL, content_type="application/x-ndjson").json["accepted"] == 1

    @pytest.mark.parametrize("body", [b"", b"\n\n"])
    def test_no_line_is_malformed(self, door: Any, body: bytes) -> None:
        assert door.post(body, content_type="application/x-ndjson").problem == (400, "malformed-body", None)

    def test_more_than_a_batch_may_have_is_too_large(self, door: Any) -> None:
        lines = b'{"task":"any.call"}\n' * (limits.BATCH_JOBS_MAX + 1)
        for body, kind in (
            (lines, "application/x-ndjson"),
            (b"[%b]" % lines.strip().replace(b"\n", b","), "application/json"),
        ):
            answer = door.post(body, content_type=kind)
            assert answer.problem == (413, "body-too-large", None)
            assert str(limits.BATCH_JOBS_MAX) in answer.json["detail"]

    @pytest.mark.parametrize("body", [b"[" + b'{"task":0},' * 1_200_000 + b"0]", b"[" + b"0," * 1_200_000 + b"0]"])
    def test_millions_of_items_are_refused_before_they_are_made(self, door: Any, body: bytes) -> None:
        assert door.post(body).problem[1] in ("body-too-large", "malformed-body")

    def test_a_full_batch_is_accepted(self, door: Any) -> None:
        answer = door.post(b'{"task":"any.call"}\n' * limits.BATCH_JOBS_MAX, content_type="application/x-ndjson")
        assert answer.json["accepted"] == limits.BATCH_JOBS_MAX
        assert len({item["id"] for item in answer.json["jobs"]}) == limits.BATCH_JOBS_MAX


class TestWithoutTheApplication:
    def test_recorded_tasks_are_known_with_their_defaults(self, blind_door: Any) -> None:
        blind_door.memory.register_tasks([TaskRecord("a.b", queue="other", priority=3, tags=("t",), expires_s=5.0)])
        view = stored(blind_door, blind_door.post({"task": "a.b", "args": [1], "kwargs": {"x": 2}}).json["id"])
        assert (view.queue, view.priority, view.tags, view.body) == ("other", 3, ["t"], b'j[[1],{"x": 2}]')

    def test_a_task_that_nobody_recorded_is_unknown(self, blind_door: Any) -> None:
        assert blind_door.post({"task": "a.b"}).problem == (422, "unknown-task", "task")

    @pytest.mark.parametrize(("field", "value"), [("args", {}), ("args", "[]"), ("kwargs", []), ("kwargs", 0)])
    def test_arguments_must_at_least_be_a_list_and_an_object(self, blind_door: Any, field: str, value: Any) -> None:
        blind_door.memory.register_tasks([TaskRecord("a.b")])
        assert blind_door.post({"task": "a.b", field: value}).problem == (422, "invalid-arguments", field)

    def test_bad_bytes_in_arguments_are_refused(self, blind_door: Any) -> None:
        blind_door.memory.register_tasks([TaskRecord("a.b")])
        for bad in (b'["\xff"]', b"[NaN]", b'["\\ud800"]', b"[" * 101 + b"]" * 101, b"[01]"):
            assert blind_door.post(b'{"task":"a.b","args":%b}' % bad).problem[:2] == (400, "malformed-body")


class TestLargeArguments:
    """Values that fit whatever they are, are not made; what is said of the others is the same as of small ones."""

    LARGE = "[" + "[]," * (limits.GATE_LOOP_BYTES_MAX // 2) + "1]"

    def job(self, task: str, args: str, kwargs: str = "{}", more: str = "") -> bytes:
        return f'{{"task":"{task}","args":{args},"kwargs":{kwargs}{more}}}'.encode()

    def test_they_are_stored_as_they_came(self, door: Any) -> None:
        for args, kwargs in ((f'["e",{{"a":{self.LARGE}}}]', "{}"), ('["e"]', f'{{"payload":{{"a":{self.LARGE}}}}}')):
            answer = door.post(self.job("hooks.receive", args, kwargs))
            assert stored(door, answer.json["id"]).body == f"j[{args},{kwargs}]".encode()

    def test_no_value_is_made_of_what_fits_whatever_it_is(self, door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        task = door.app.get("hooks.receive")
        made: list[bytes] = []
        monkeypatch.setattr(task.codec, "check_json", lambda args, kwargs: made.append(args))
        assert door.post(self.job("hooks.receive", f'["e",{{"a":{self.LARGE}}}]')).status == 202
        assert made == []

    @pytest.mark.parametrize(
        ("args", "kwargs", "field"),
        [
            ("[5,{}]", "{}", "args[0]"),
            ('["e",LARGE]', "{}", "args[1]"),
            ('["e"]', '{"payload":LARGE}', "kwargs.payload"),
            ('["e"]', '{"payload":{"a":LARGE},"event":"f"}', "kwargs.event"),
            ('["e"]', '{"other":LARGE}', "kwargs.other"),
            ("[]", '{"payload":{"a":LARGE}}', "kwargs.event"),
            ('["e",{"a":LARGE},1]', "{}", "args"),
            ('["e",{"a":[LARGE,1e999]}]', "{}", "args[1]"),
            ('["e"]', '{"payload":{"a":[1e999,LARGE]}}', "kwargs.payload"),
        ],
    )
    def test_what_does_not_fit_is_named(self, door: Any, args: str, kwargs: str, field: str) -> None:
        large = self.job("hooks.receive", args.replace("LARGE", self.LARGE), kwargs.replace("LARGE", self.LARGE))
        small = self.job("hooks.receive", args.replace("LARGE", "[[],1]"), kwargs.replace("LARGE", "[[],1]"))
        found, expected = door.post(large), door.post(small)
        assert found.problem == expected.problem == (422, "invalid-arguments", field)
        assert found.json["detail"] == expected.json["detail"]

    @pytest.mark.parametrize(
        "limit, args, most",
        [
            ("JOB_COMPARED_PARTS_MAX", f"[{LARGE}]", 1_000),
            ("JOB_COMPARED_MEMBERS_MAX", "[{" + ",".join(f'"{name:09}" :0' for name in range(10_000)) + "}]", 9_999),
            ("JOB_COMPARED_DIGITS_MAX", "[[" + ",".join(["-" + "1" * 4_000] * 20) + "]]", 79_999),
        ],
        ids=["lists", "members", "digits"],
    )
    def test_with_a_key_they_have_a_limit(
        self, door: Any, monkeypatch: pytest.MonkeyPatch, limit: str, args: str, most: int
    ) -> None:
        job = self.job("any.call", args, "{}", ',"idempotency_key":"k"')
        assert door.post(job).status == 202
        monkeypatch.setattr(limits, limit, most)
        assert door.post(job).problem == (413, "body-too-large", "idempotency_key")
        assert door.post(self.job("any.call", args)).status == 202

    def test_digits_in_text_and_short_numbers_are_no_long_integers(
        self, door: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "JOB_COMPARED_DIGITS_MAX", 1)
        args = f'["{"1" * limits.GATE_LOOP_BYTES_MAX}",[{",".join(["1" * 150] * 10)}]]'
        assert door.post(self.job("any.call", args, "{}", ',"idempotency_key":"k"')).status == 202

    @pytest.mark.parametrize("blank", [b" ", b"\n", b"\r\n", b"\t"])
    def test_blanks_before_and_after_are_passed_over(self, door: Any, blank: bytes) -> None:
        more = blank * limits.GATE_LOOP_BYTES_MAX
        assert door.post(more + b'{"task":"any.call"}' + more).status == 202
        assert door.post(more + b'[{"task":"any.call"}]' + more).json["accepted"] == 1
        assert door.post(more).problem[:2] == (400, "malformed-body")
