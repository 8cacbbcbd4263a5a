"""Bodies of requests: of which kind they may be, small JSON objects, and bodies where there should be none. What is
refused of an object, through a route: `test_limit_routes.py`."""

from __future__ import annotations

import pytest

from penstock.gate.request_bodies import not_this_object
from penstock.model.ids import id_text, new_id
from penstock.testing.conformance.kit import put


@pytest.mark.parametrize(
    "message, code, field",
    [
        ("Expected `int`, got `str` - at `$.burst`", "invalid-option", "burst"),
        ("Expected `int`, got `str` - at `$.where.since`", "invalid-option", "where"),
        ("Expected `int`, got `str` - at `$.ids[0]`", "invalid-option", "ids"),
        ("Object contains unknown field `x`", "invalid-option", "x"),
        ("Object missing required field `verb`", "invalid-option", "verb"),
        ("Expected `object`, got `array`", "malformed-body", None),
    ],
)
def test_the_member_that_is_to_blame_is_named(message, code, field):
    problem = not_this_object(message)
    assert (problem.code, problem.field) == (code, field)


def test_a_member_that_is_not_known_is_told_with_those_that_are():
    problem = not_this_object(f"Object contains unknown field `{'x' * 1_000}`", known=["note", "per_s"])
    assert problem.field == "x" * 1_000
    assert problem.detail == f"`{'x' * 60}`: no such member here; there is `note`, `per_s`."
    nested = not_this_object("Object contains unknown field `x` - at `$.where`", known=["note"])
    assert "note" not in nested.detail, "those are members of another object"


SENDING = {
    "jobs": ("POST", "/v1/jobs", b'{"task": "any.call"}'),
    "messages": ("POST", "/v1/topics/orders/messages", b'{"body": 1}'),
    "limits": ("PUT", "/v1/limits/queue:default", b'{"concurrency": 1}'),
    "action": ("POST", "/v1/actions", b'{"verb": "cancel", "where": {"state": "ready"}}'),
    "note": ("POST", "/v1/queues/default/pause", b'{"note": "why"}'),
}
"""Requests whose body is read, one of each kind."""


@pytest.mark.parametrize("sending", SENDING.values(), ids=SENDING)
@pytest.mark.parametrize(
    ("headers", "words", "instead"),
    [
        ({"content_encoding": "gzip"}, "'gzip' is not taken", "send it plain"),
        ({"content_type": "application/json; charset=latin-1"}, "'latin-1' is not taken", "send UTF-8"),
        ({"content_type": "text/plain"}, "not 'text/plain'", "Send application/json"),
        ({"content_type": ""}, "there is no Content-Type", "Send application/json"),
    ],
)
def test_every_route_says_alike_what_it_does_not_take(door, sending, headers, words, instead):
    put(door.memory)
    answer = door.call(*sending, **headers)
    assert answer.problem == (415, "unsupported-media-type", None)
    assert words in answer.json["detail"]
    assert instead in answer.json["detail"]


@pytest.mark.parametrize("sending", SENDING.values(), ids=SENDING)
def test_every_route_takes_json_with_its_charset_and_not_encoded(door, sending):
    put(door.memory)
    headers = {"content_type": 'Application/JSON; charset="UTF-8"', "content_encoding": "identity"}
    assert door.call(*sending, **headers).status in (200, 202)


def test_the_charset_of_bytes_is_their_senders_own_affair(door):
    sent = {"content_type": "application/octet-stream; charset=latin-1"}
    assert door.call("POST", "/v1/topics/orders/messages", b"\xff", **sent).status == 202


WITHOUT = [
    ("PUT", "/v1/topics/orders"),
    ("PUT", "/v1/topics/orders/channels/archive"),
    ("DELETE", "/v1/topics/orders"),
    ("DELETE", "/v1/limits/queue:default"),
    ("POST", f"/v1/jobs/{id_text(new_id())}/run-now"),
    ("GET", "/v1/jobs"),
]
"""Requests of which no body is read."""


@pytest.mark.parametrize(("method", "target"), WITHOUT)
@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"retention": 5}', "invalid-option", "retention"),
        (b"[1]", "malformed-body", None),
        (b"5", "malformed-body", None),
        (b"{", "malformed-body", None),
        (b"\xff", "malformed-body", None),
        (b"[" * 100_000, "malformed-body", None),
    ],
)
def test_where_no_body_is_read_one_is_refused_and_nothing_happens(door, method, target, body, code, field):
    put(door.memory)
    door.memory.create_topic("orders")
    before = (door.memory.topics(), door.memory.limits(), door.memory.audit())
    answer = door.call(method, target, body)
    assert answer.problem[1:] == (code, field), answer
    assert "takes no body" in answer.json["detail"]
    assert (door.memory.topics(), door.memory.limits(), door.memory.audit()) == before


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b" { } "])
def test_a_body_that_says_nothing_is_none(door, body):
    assert door.call("PUT", "/v1/topics/orders", body).status == 201
