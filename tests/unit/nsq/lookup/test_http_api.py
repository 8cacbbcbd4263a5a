"""The HTTP API of nsqlookupd: statuses, bodies and refusals as clients know them."""

from __future__ import annotations

import json

import pytest

from penstock.model import limits
from penstock.nsq.lookup.http_api import LookupApi
from penstock.nsq.lookup.registry import Peer, Registry

INACTIVE_NS, TOMBSTONE_NS = 300, 45
ONE = Peer(
    remote_address="192.0.2.1:5", hostname="h", broadcast_address="b<1>", tcp_port=1, http_port=2, version="1.3.0"
)
SHOWN = {
    "remote_address": "192.0.2.1:5",
    "hostname": "h",
    "broadcast_address": "b<1>",
    "tcp_port": 1,
    "http_port": 2,
    "version": "1.3.0",
}


@pytest.fixture
def registry() -> Registry:
    made = Registry(INACTIVE_NS, TOMBSTONE_NS)
    made.join(ONE, 0)
    made.register(ONE, "orders", "billing")
    return made


@pytest.fixture
def api(registry: Registry) -> LookupApi:
    return LookupApi(registry, "1.3.0")


def get(api: LookupApi, target: str, now_ns: int = 0) -> object:
    path, _, query = target.partition("?")
    status, _, body = api.answer("GET", path, query, now_ns)
    assert status == 200
    return json.loads(body)


def post(api: LookupApi, target: str, now_ns: int = 0) -> tuple[int, bytes]:
    path, _, query = target.partition("?")
    status, _, body = api.answer("POST", path, query, now_ns)
    return status, body


def test_ping_is_plain_text(api: LookupApi) -> None:
    assert api.answer("GET", "/ping", "", 0) == (200, (("content-type", "text/plain; charset=utf-8"),), b"OK")


def test_what_is_known_is_told_as_json(api: LookupApi) -> None:
    assert get(api, "/info") == {"version": "1.3.0"}
    assert get(api, "/topics") == {"topics": ["orders"]}
    assert get(api, "/channels?topic=orders") == {"channels": ["billing"]}
    assert get(api, "/channels?topic=none") == {"channels": []}
    assert get(api, "/lookup?topic=orders") == {"channels": ["billing"], "producers": [SHOWN]}
    assert get(api, "/nodes") == {"producers": [{**SHOWN, "tombstones": [False], "topics": ["orders"]}]}


def test_answers_say_what_they_are(api: LookupApi) -> None:
    _, headers, body = api.answer("GET", "/nodes", "", 0)
    assert headers == (
        ("content-type", "application/json; charset=utf-8"),
        ("x-nsq-content-type", "nsq; version=1.0"),
    )
    assert b"b\\u003c1\\u003e" in body


def test_debug_tells_of_everybody_in_everything(api: LookupApi, registry: Registry) -> None:
    registry.heard(ONE, 9)
    found = get(api, "/debug")
    assert isinstance(found, dict)
    assert list(found) == ["channel:orders:billing", "client::", "topic:orders:"]
    (entry,) = found["client::"]
    never = -6795364578871345152
    assert (entry["id"], entry["last_update"], entry["tombstoned_at"]) == ("192.0.2.1:5", 9, never)
    registry.tombstone("orders", ONE.node, 10)
    again = get(api, "/debug")
    assert isinstance(again, dict)
    (entry,) = again["topic:orders:"]
    assert (entry["tombstoned"], entry["tombstoned_at"]) == (True, 10)


def test_a_tombstoned_producer_is_not_looked_up_and_still_a_node(api: LookupApi) -> None:
    assert post(api, "/topic/tombstone?topic=orders&node=b%3C1%3E:2") == (200, b"")
    assert get(api, "/lookup?topic=orders") == {"channels": ["billing"], "producers": []}
    nodes = get(api, "/nodes")
    assert isinstance(nodes, dict)
    assert nodes["producers"][0]["tombstones"] == [True]
    later = get(api, "/lookup?topic=orders", TOMBSTONE_NS)
    assert isinstance(later, dict)
    assert len(later["producers"]) == 1


def test_a_producer_that_is_not_heard_of_is_left_out(api: LookupApi) -> None:
    assert get(api, "/nodes", INACTIVE_NS + 1) == {"producers": []}
    assert get(api, "/lookup?topic=orders", INACTIVE_NS + 1) == {"channels": ["billing"], "producers": []}


def test_topics_and_channels_are_made_and_forgotten(api: LookupApi) -> None:
    assert post(api, "/topic/create?topic=mail") == (200, b"")
    assert post(api, "/channel/create?topic=audit&channel=all") == (200, b"")
    assert get(api, "/topics") == {"topics": ["orders", "mail", "audit"]}
    assert post(api, "/channel/delete?topic=audit&channel=all") == (200, b"")
    assert post(api, "/topic/delete?topic=mail") == (200, b"")
    assert post(api, "/topic/delete?topic=mail") == (200, b"")
    assert get(api, "/topics") == {"topics": ["orders", "audit"]}


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/topic/create", 400, "MISSING_ARG_TOPIC"),
        ("/topic/create?topic=a!", 400, "INVALID_ARG_TOPIC"),
        ("/topic/create?topic=" + "a" * 65, 400, "INVALID_ARG_TOPIC"),
        ("/topic/create?topic=", 400, "INVALID_ARG_TOPIC"),
        ("/topic/create?topic=a;b", 400, "INVALID_REQUEST"),
        ("/topic/create?topic=a&x=%zz", 400, "INVALID_REQUEST"),
        ("/topic/delete", 400, "MISSING_ARG_TOPIC"),
        ("/channel/create?channel=b", 400, "MISSING_ARG_TOPIC"),
        ("/channel/create?topic=a", 400, "MISSING_ARG_CHANNEL"),
        ("/channel/create?topic=a&channel=!", 400, "INVALID_ARG_CHANNEL"),
        ("/channel/delete?topic=a&channel=b", 404, "CHANNEL_NOT_FOUND"),
        ("/channel/delete?topic=*&channel=b", 400, "INVALID_ARG_TOPIC"),
        ("/topic/tombstone?topic=a", 400, "MISSING_ARG_NODE"),
        ("/topic/tombstone?node=a", 400, "MISSING_ARG_TOPIC"),
        ("/nowhere", 404, "NOT_FOUND"),
        ("/topics", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_wrong_is_told_in_a_word(api: LookupApi, target: str, status: int, message: str) -> None:
    assert post(api, target) == (status, b'{"message":"%b"}' % message.encode())


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/lookup", 400, "MISSING_ARG_TOPIC"),
        ("/lookup?topic=none", 404, "TOPIC_NOT_FOUND"),
        ("/channels", 400, "MISSING_ARG_TOPIC"),
    ],
)
def test_questions_that_cannot_be_answered(api: LookupApi, target: str, status: int, message: str) -> None:
    path, _, query = target.partition("?")
    found = api.answer("GET", path, query, 0)
    assert (found[0], found[2]) == (status, b'{"message":"%b"}' % message.encode())


def test_what_there_is_no_room_for_is_refused(api: LookupApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_REGISTRATIONS_MAX", 2)
    assert post(api, "/topic/create?topic=mail") == (503, b'{"message":"TOO_MANY_REGISTRATIONS"}')
