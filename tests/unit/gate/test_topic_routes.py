"""``/v1/topics``: publishing, topics and channels; a refusal says what is to blame, and nothing is published then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.job import Filter, LeaseRequest

MESSAGES = "/v1/topics/orders/messages"


def publish(door: Any, body: Any, kind: str = "application/json", target: str = MESSAGES) -> Any:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return door.call("POST", target, text, content_type=kind)


def bodies(door: Any) -> list[bytes]:
    """Of all messages that are ready in the channel ``orders:a``."""
    batch = door.memory.lease(LeaseRequest(b"h" * 16, 1_000, tasks=[], channels=["orders:a"]))
    return [job.body for job in batch.jobs]


@pytest.fixture
def topic(door):
    """A gate on a store with a topic of two channels."""
    for channel in ("a", "b"):
        door.memory.create_channel("orders", channel)
    return door


def test_one_message_is_answered_with_its_id(topic):
    answer = publish(topic, {"body": {"n": 1}, "headers": {"source": "shop"}, "key": "jo"})
    assert answer.status == 202
    assert answer.json == {
        "id": answer.json["id"],
        "accepted": 1,
        "channels": 2,
        "duplicate": False,
        "durability": "disk",
    }
    views = topic.memory.query(Filter(), limit=10).jobs
    assert [view.headers for view in views] == [{"source": "shop", "key": "jo"}] * 2


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        ('"text é"', "rtext é".encode()),
        ('"\\u0041"', b"rA"),
        ("[1, 2]", b"r[1, 2]"),
        ("null", b"rnull"),
        ('{"a": 1.50}', b'r{"a": 1.50}'),
        ('""', b"r"),
    ],
)
def test_text_is_published_as_it_is_and_any_other_value_as_its_json(topic, sent, body):
    assert publish(topic, f'{{"body": {sent}}}'.encode()).status == 202
    assert bodies(topic) == [body]


def test_the_bytes_of_one_message_are_published_as_they_are(topic):
    assert publish(topic, b"\x00\xff{", "application/octet-stream").json["channels"] == 2
    assert bodies(topic) == [b"r\x00\xff{"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'[{"body": "1"}, {"body": "2", "headers": {"h": "x"}}, {"body": "3"}]', "application/json"),
        (b'{"body": "1"}\n\n{"body": "2"}\r\n{"body": "3"}', "application/x-ndjson"),
    ],
)
def test_several_messages_come_in_their_order(topic, body, kind):
    answer = publish(topic, body, kind)
    assert (answer.status, answer.json) == (202, {"accepted": 3, "channels": 2, "durability": "disk"})
    assert bodies(topic) == [b"r1", b"r2", b"r3"]


def test_many_messages_are_read_beside_the_event_loop(topic):
    count = limits.GATE_LOOP_BYTES_MAX // 10
    assert publish(topic, [{"body": f"{number:06}"} for number in range(count)]).json["accepted"] == count
    assert bodies(topic)[:2] == [b"r000000", b"r000001"]


def test_a_topic_that_is_not_there_is_made_and_keeps_what_it_gets(door):
    assert publish(door, {"body": "x"}).json["channels"] == 0
    assert door.call("GET", "/v1/topics/orders").json["kept"] == 1


def test_an_idempotency_key_adds_a_message_once(topic):
    first = publish(topic, {"body": "x", "idempotency_key": "k"})
    again = publish(topic, {"body": "x", "idempotency_key": "k"})
    assert (again.json["id"], again.json["duplicate"], again.json["accepted"]) == (first.json["id"], True, 0)
    other = publish(topic, {"body": "y", "idempotency_key": "k"})
    assert other.problem == (409, "conflict", "idempotency_key")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, (422, "invalid-option", "body")),
        ({"body": 1, "more": 2}, (422, "invalid-option", "more")),
        ({"body": 1, "headers": {"x": 1}}, (422, "invalid-option", "headers")),
        ({"body": 1, "headers": {"key": "a"}, "key": "b"}, (422, "invalid-option", "key")),
        ({"body": 1, "headers": {"h": "x" * limits.JOB_HEADERS_BYTES_MAX}}, (413, "body-too-large", "headers")),
        ({"body": 1, "delay_s": -1}, (422, "invalid-option", "delay_s")),
        ({"body": 1, "delay_s": "x"}, (422, "invalid-option", "delay_s")),
        ({"body": 1, "key": 3}, (422, "invalid-option", "key")),
        ({"body": 1, "idempotency_key": ""}, (422, "invalid-option", "idempotency_key")),
        ([], (400, "malformed-body", None)),
        (b"", (400, "malformed-body", None)),
        (b'{"body": 1', (400, "malformed-body", None)),
        (b'{"body": NaN}', (400, "malformed-body", None)),
        (b'{"body": "\xff"}', (400, "malformed-body", None)),
        (b'[{"body": ' + b"[" * 200 + b"]" * 200 + b"}]", (400, "malformed-body", None)),
        ([{"body": 1}, 3], (400, "malformed-body", None)),
        ([{"body": 0}] * (limits.BATCH_JOBS_MAX + 1), (413, "body-too-large", None)),
        ({"body": "x" * limits.JOB_BODY_BYTES_MAX}, (413, "body-too-large", None)),
    ],
)
def test_what_cannot_be_published_is_refused_whole(topic, body, problem):
    assert publish(topic, body).problem == problem
    assert bodies(topic) == []


def test_one_message_of_many_that_is_wrong_is_named(topic):
    answer = publish(topic, [{"body": 1}, {"body": 2, "delay_s": -1}])
    assert answer.json["detail"].startswith("Message 1: ")
    assert bodies(topic) == []


def test_bodies_of_other_kinds_and_names_that_are_none_are_refused(topic):
    assert publish(topic, b"x", "text/plain").problem == (415, "unsupported-media-type", None)
    assert publish(topic, {"body": 1}, target="/v1/topics/a b/messages").problem == (422, "invalid-option", "topic")
    assert topic.call("GET", MESSAGES).problem[:2] == (405, "method-not-allowed")


def test_topics_are_listed_with_their_channels(topic):
    publish(topic, {"body": 1})
    topic.memory.create_topic("quiet")
    listed = topic.call("GET", "/v1/topics").json
    assert [(one["name"], one["messages_total"], one["kept"]) for one in listed["topics"]] == [
        ("orders", 1, 0),
        ("quiet", 0, 0),
    ]
    channels = listed["topics"][0]["channels"]
    assert [(one["name"], one["ready"], one["consumers"], one["reason"]) for one in channels] == [
        ("a", 1, 0, None),
        ("b", 1, 0, None),
    ]


def test_topics_come_in_pages(topic):
    topic.memory.create_topic("quiet")
    first = topic.call("GET", "/v1/topics?limit=1").json
    second = topic.call("GET", f"/v1/topics?limit=1&cursor={first['cursor']}").json
    assert [one["name"] for page in (first, second) for one in page["topics"]] == ["orders", "quiet"]
    for bad in ("limit=0", "limit=x", "limit=1001", "cursor=nonsense", "more=1"):
        assert topic.call("GET", f"/v1/topics?{bad}").problem[:2] == (422, "invalid-option")


def test_topics_and_channels_are_made_and_deleted(door):
    assert door.call("PUT", "/v1/topics/news").status == 201
    assert door.call("PUT", "/v1/topics/news").status == 200
    made = door.call("PUT", "/v1/topics/news/channels/all")
    assert (made.status, [one["name"] for one in made.json["channels"]]) == (201, ["all"])
    assert door.call("PUT", "/v1/topics/news/channels/all").status == 200
    assert door.call("DELETE", "/v1/topics/news/channels/all").status == 200
    assert door.call("DELETE", "/v1/topics/news/channels/all").problem[:2] == (404, "not-found")
    assert door.call("DELETE", "/v1/topics/news").status == 200
    assert door.call("GET", "/v1/topics/news").problem[:2] == (404, "not-found")


@pytest.mark.parametrize(
    "path",
    ["/v1/topics/", "/v1/topics/a/channels", "/v1/topics/a/channels/", "/v1/topics/a/other/b", "/v1/topics/a//b"],
)
def test_other_paths_are_nothing(door, path):
    assert door.call("GET", path).problem[:2] == (404, "not-found")


def test_names_that_no_channel_has_are_refused(door):
    assert door.call("PUT", "/v1/topics/a/channels/b c").problem == (422, "invalid-option", "channel")
    assert door.call("PUT", "/v1/topics/a/channels/b/c").problem == (422, "invalid-option", "channel")


def test_who_deletes_is_in_the_audit_log(topic):
    publish(topic, {"body": 1})
    for target in ("/v1/topics/orders/channels/b", "/v1/topics/orders"):
        assert topic.call("DELETE", target).status == 200
    noted = [(entry.by, entry.verb, entry.subject, entry.count) for entry in topic.memory.audit().entries]
    assert noted == [("local", "delete", "topic:orders", 1), ("local", "delete", "queue:orders:b", 1)]


def test_a_topic_is_paused_and_resumed_with_all_its_channels(topic):
    answer = publish(topic, {"note": "a deploy"}, target="/v1/topics/orders/pause")
    assert (answer.status, answer.json["paused"]) == (200, True)
    assert {one["reason"] for one in answer.json["channels"]} == {"paused"}
    (hold,) = topic.memory.holds()
    assert (hold.queue, hold.note) == ("orders:", "a deploy")
    refused = publish(topic, {"note": "x"}, target="/v1/topics/orders/resume")
    assert refused.problem == (422, "invalid-option", "note")
    answer = topic.call("POST", "/v1/topics/orders/resume")
    assert (answer.status, answer.json["paused"]) == (200, False)
    assert topic.call("POST", "/v1/topics/other/pause").status == 404
    assert topic.call("POST", "/v1/topics/no%20name/pause").status == 422
