"""What authorization servers say, and what it allows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.nsq.door.permissions import Permissions, UnusableAnswer, permissions_of


def permissions(*entries: dict[str, Any], ttl: Any = 60, **more: Any) -> Permissions:
    return permissions_of(json.dumps({"ttl": ttl, "authorizations": entries, **more}).encode(), 1_000.0)


def entry(
    topic: str = ".*", channels: tuple[str, ...] = (".*",), may: tuple[str, ...] = ("publish", "subscribe")
) -> Any:
    return {"topic": topic, "channels": list(channels), "permissions": list(may)}


def test_who_may_do_everything():
    found = permissions(entry(), identity="someone", identity_url="http://someone")
    assert found.allow("topic", "channel")
    assert found.allow("topic", "")
    assert json.loads(found.told()) == {
        "identity": "someone",
        "identity_url": "http://someone",
        "permission_count": 1,
    }


@pytest.mark.parametrize(
    ("what", "topic", "channel", "allowed"),
    [
        (entry(may=("publish",)), "t", "", True),
        (entry(may=("publish",)), "t", "c", False),
        (entry(may=("subscribe",)), "t", "", False),
        (entry(may=("subscribe",)), "t", "c", True),
        (entry(may=()), "t", "", False),
        (entry(topic="^orders$"), "orders", "c", True),
        (entry(topic="^orders$"), "orders2", "c", False),
        (entry(topic="orders"), "my-orders2", "c", True),
        (entry(channels=()), "t", "c", False),
        (entry(channels=()), "t", "", False),
        (entry(channels=("^a$", "^b")), "t", "bc", True),
        (entry(channels=("^a$", "^b")), "t", "c", False),
        (entry(channels=("^a$",)), "t", "", False),
        (entry(topic=""), "t", "c", True),
    ],
)
def test_one_permission(what, topic, channel, allowed):
    assert permissions(what).allow(topic, channel) is allowed


def test_one_of_them_has_to_allow_it():
    found = permissions(entry(topic="^a$", may=("publish",)), entry(topic="^b$", may=("subscribe",)))
    assert [found.allow(*what) for what in (("a", ""), ("a", "c"), ("b", ""), ("b", "c"))] == [True, False, False, True]


def test_no_permissions_are_an_answer():
    assert permissions().permissions == ()
    assert permissions_of(b'{"ttl": 1, "authorizations": null}', 0.0).permissions == ()


def test_they_hold_for_as_long_as_the_server_says():
    found = permissions(entry(), ttl=60)
    assert not found.have_expired(1_059.9)
    assert found.have_expired(1_060.0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "."),
        (b"[]", "."),
        (b'{"ttl": "1"}', "."),
        (b'{"authorizations": []}', "invalid TTL 0"),
        (b'{"ttl": -5}', "invalid TTL -5"),
        (b'{"ttl": 1, "authorizations": [{"permissions": ["publish", "own"]}]}', "unknown permission own"),
        (b'{"ttl": 1, "authorizations": [{"topic": "("}]}', "unable to compile topic"),
        (b'{"ttl": 1, "authorizations": [{"channels": ["[[:alpha:]]"]}]}', "unable to compile channel"),
    ],
)
def test_answers_that_cannot_be_acted_on(answer, why):
    with pytest.raises(UnusableAnswer, match=why):
        permissions_of(answer, 0.0)
