"""What ``/stats`` tells: figures of the store, and of the door's own clients, under nsqd's names."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from penstock.model import limits
from penstock.model.job import Buried, JobError, LeaseRequest, Outcomes, Retried
from penstock.nsq.door.statistics import Latency, Statistics, gather
from tests.unit.nsq.door.fake_door import Connection, FakeDoor

HOLDER = b"h" * 16
ERROR = JobError("Refused", "")


@pytest.fixture
def door() -> FakeDoor:
    """With ``orders`` and its channels ``a`` and ``b``, and ``kept`` without a channel."""
    found = FakeDoor()
    found.memory.create_channel("orders", "b")
    found.memory.create_channel("orders", "a")
    asyncio.run(found.publish("orders", [b"one", b"two", b"three"]))
    asyncio.run(found.publish("orders", [b"later"], 60.0))
    asyncio.run(found.publish("kept", [b"x"]))
    return found


def stats(door: FakeDoor, **asked: Any) -> Any:
    """As JSON."""
    return msgspec.json.decode(msgspec.json.encode(asyncio.run(gather(door.store, door, **asked))))


def test_topics_and_channels_by_name(door: FakeDoor) -> None:
    found = stats(door)["topics"]
    assert [topic["topic_name"] for topic in found] == ["kept", "orders"]
    assert [channel["channel_name"] for channel in found[1]["channels"]] == ["a", "b"]


def test_a_topic(door: FakeDoor) -> None:
    kept, orders = stats(door)["topics"]
    assert kept == {
        "topic_name": "kept",
        "channels": [],
        "depth": 1,
        "backend_depth": 1,
        "message_count": 1,
        "message_bytes": 1,
        "paused": False,
        "e2e_processing_latency": {"count": 0, "percentiles": None},
    }
    assert (orders["depth"], orders["message_count"], orders["message_bytes"]) == (0, 4, 16)


def test_a_channel(door: FakeDoor) -> None:
    memory = door.memory
    fence = memory.lease(LeaseRequest(HOLDER, 2, channels=["orders:a"], tasks=[])).first_fence
    memory.settle(Outcomes(HOLDER, buried=[Buried(fence, ERROR)]))
    door.latencies["orders", "a"] = Latency(7, [{"quantile": 0.99, "value": 1_500.0}])
    channel = stats(door)["topics"][1]["channels"][0]
    assert channel == {
        "channel_name": "a",
        "depth": 1,
        "backend_depth": 1,
        "in_flight_count": 1,
        "deferred_count": 1,
        "message_count": 4,
        "requeue_count": 7,
        "timeout_count": 14,
        "client_count": 0,
        "clients": [],
        "paused": False,
        "e2e_processing_latency": {"count": 7, "percentiles": [{"quantile": 0.99, "value": 1_500.0}]},
        "consumer_count": channel["consumer_count"],
        "dead_count": 1,
        "discarded_count": 21,
    }


def test_what_waits_for_a_retry_is_deferred(door: FakeDoor) -> None:
    fence = door.memory.lease(LeaseRequest(HOLDER, 1, channels=["orders:a"], tasks=[])).first_fence
    door.memory.settle(Outcomes(HOLDER, retried=[Retried(fence, 5.0, ERROR)]))
    channel = stats(door)["topics"][1]["channels"][0]
    assert (channel["depth"], channel["deferred_count"], channel["in_flight_count"]) == (2, 2, 0)


def test_the_count_of_messages_goes_on_over_an_emptying(door: FakeDoor) -> None:
    door.memory.empty_channel("orders", "a")
    door.emptied["orders", "a"] = 4
    asyncio.run(door.publish("orders", [b"x"]))
    channel = stats(door)["topics"][1]["channels"][0]
    assert (channel["depth"], channel["message_count"]) == (1, 5)


def test_a_client_of_a_channel(door: FakeDoor) -> None:
    door.connections += [Connection(), Connection(channel="b"), Connection(topic=None, channel=None, state=0)]
    a, b = stats(door)["topics"][1]["channels"]
    assert (a["client_count"], b["client_count"]) == (1, 1)
    assert a["clients"] == [
        {
            "client_id": "worker-1",
            "hostname": "worker-1.example",
            "version": "V2",
            "remote_address": "10.0.0.7:51234",
            "state": 3,
            "ready_count": 100,
            "in_flight_count": 2,
            "message_count": 30,
            "finish_count": 27,
            "requeue_count": 1,
            "connect_ts": 1_000,
            "sample_rate": 0,
            "deflate": False,
            "snappy": True,
            "user_agent": "go-nsq/1.1.0",
            "tls": False,
            "tls_cipher_suite": "",
            "tls_version": "",
            "tls_negotiated_protocol": "",
            "tls_negotiated_protocol_is_mutual": False,
        }
    ]


def test_what_is_known_of_a_client_by_its_secret(door: FakeDoor) -> None:
    door.connections.append(Connection(authed=True, auth_identity="ann", auth_identity_url="http://a"))
    (client,) = stats(door)["topics"][1]["channels"][0]["clients"]
    assert (client["authed"], client["auth_identity"], client["auth_identity_url"]) == (True, "ann", "http://a")


def test_clients_are_left_out_where_they_are_not_asked_for_but_counted(door: FakeDoor) -> None:
    door.connections += [Connection(), Connection(topic=None, channel=None, published={"orders": 1})]
    found = stats(door, include_clients=False)
    channel = found["topics"][1]["channels"][0]
    assert (channel["client_count"], channel["clients"], found["producers"]) == (1, None, None)


def test_producers_are_those_who_have_published(door: FakeDoor) -> None:
    assert stats(door)["producers"] is None
    door.connections.append(Connection(topic=None, channel=None, published={"orders": 3, "bills": 2}))
    (producer,) = stats(door)["producers"]
    assert producer["pub_counts"] == [{"topic": "bills", "count": 2}, {"topic": "orders", "count": 3}]
    (producer,) = stats(door, topic="orders")["producers"]
    assert producer["pub_counts"] == [{"topic": "orders", "count": 3}]


def test_one_topic_and_one_channel(door: FakeDoor) -> None:
    assert [topic["topic_name"] for topic in stats(door, topic="orders")["topics"]] == ["orders"]
    assert asyncio.run(gather(door.store, door, topic="no")) == Statistics(None, None)
    (topic,) = stats(door, channel="a")["topics"]
    assert [channel["channel_name"] for channel in topic["channels"]] == ["a"]
    assert stats(door, topic="orders", channel="no")["topics"] == []


def test_what_is_paused(door: FakeDoor) -> None:
    door.memory.pause(queue="orders:a")
    topic = stats(door, topic="orders")["topics"][0]
    assert topic["paused"] is False
    assert [channel["paused"] for channel in topic["channels"]] == [True, False]


def test_every_page_of_topics_is_read(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_QUEUES", 1)
    assert [topic["topic_name"] for topic in stats(door)["topics"]] == ["kept", "orders"]
