"""What ``penstock nsqd`` does that NSQ's own cannot: each by its flag."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.acceptance.conftest import until
from tests.acceptance.nsq_client import Connection


@pytest.fixture
def connect():
    """Makes connections to a daemon, which are closed after the test."""
    connections = []

    def connected(daemon, **identify):
        connections.append(Connection(daemon.ports["TCP"], **identify))
        return connections[-1]

    yield connected
    for connection in connections:
        connection.socket.close()


def channel_of(daemon, topic, channel):
    topics = json.loads(daemon.ask("/stats?format=json"))["topics"]
    channels = {(one["topic_name"], its["channel_name"]): its for one in topics for its in one["channels"]}
    return channels[topic, channel]


def made(daemon, topic="orders", channel="mail"):
    daemon.ask(f"/topic/create?topic={topic}", b"")
    daemon.ask(f"/channel/create?topic={topic}&channel={channel}", b"")


def test_a_message_that_is_delivered_too_often_is_dead_and_published_again(daemons, connect):
    daemon = daemons.nsqd("-max-attempts=2", "-dead-letter-topic=dead-orders")
    made(daemon)
    client = connect(daemon)
    client.publish("orders", b"7")
    client.subscribe("orders", "mail", 1)
    for attempt in (1, 2):
        message = client.message()
        assert (message.attempts, message.body) == (attempt, b"7")
        client.requeue(message, 0)
    dead = connect(daemon)
    dead.subscribe("dead-orders", "all", 1)
    assert dead.message().body == b"7"
    until(lambda: channel_of(daemon, "orders", "mail")["dead_count"] == 1)
    assert channel_of(daemon, "orders", "mail")["depth"] == 0


def test_a_requeue_need_not_count(daemons, connect):
    daemon = daemons.nsqd("-max-attempts=1", "-no-count-requeues")
    made(daemon)
    client = connect(daemon)
    client.publish("orders", b"7")
    client.subscribe("orders", "mail", 1)
    for _ in range(3):
        message = client.message()
        assert message.attempts == 1
        client.requeue(message, 0)
    client.finish(client.message())
    until(lambda: channel_of(daemon, "orders", "mail")["in_flight_count"] == 0)
    assert channel_of(daemon, "orders", "mail")["dead_count"] == 0


@pytest.mark.parametrize(
    "flag, first, second, other",
    [
        ("body", b"seven", b"seven", b"eight"),
        ("json:order.id", b'{"order": {"id": 7, "n": 1}}', b'{"n": 2, "order": {"id": 7}}', b'{"order": {"id": 8}}'),
    ],
)
def test_a_duplicate_is_answered_ok_and_adds_nothing_also_after_a_restart(daemons, connect, flag, first, second, other):
    options = (f"-dedupe-by={flag}", "-dedupe-window=1h")
    daemon = daemons.nsqd(*options)
    made(daemon)
    client = connect(daemon)
    for body in (first, second, other):
        client.publish("orders", body)
    client.command("MPUB orders", (2).to_bytes(4) + b"".join(len(body).to_bytes(4) + body for body in (first, other)))
    assert client.response() == b"OK"
    daemon.kill()
    again = daemons.nsqd(*options, data_path=daemons.directory / "data-0")
    connect(again).publish("orders", second)
    assert channel_of(again, "orders", "mail")["depth"] == 2


def test_a_duplicate_after_the_window_is_a_message(daemons, connect):
    daemon = daemons.nsqd("-dedupe-by=body", "-dedupe-window=1ms")
    made(daemon)
    client = connect(daemon)

    def another():
        client.publish("orders", b"7")
        return channel_of(daemon, "orders", "mail")["depth"] > 1

    until(another)


def test_messages_with_the_same_value_are_worked_one_after_another(daemons, connect):
    daemon = daemons.nsqd("-order-by=json:customer")
    client = connect(daemon)
    client.subscribe("orders", "mail", 10)
    producer = connect(daemon)
    for number in range(3):
        for customer in ("jo", "al"):
            producer.publish("orders", json.dumps({"customer": customer, "n": number}).encode())
    producer.publish("orders", b"no JSON")
    seen = []
    waiting = [client.message() for _ in range(3)]
    assert sorted(message.body for message in waiting if b"{" not in message.body) == [b"no JSON"]
    while waiting:
        message = waiting.pop(0)
        client.finish(message)
        if b"{" in message.body:
            seen.append(json.loads(message.body))
            if len(seen) < 5:
                waiting.append(client.message())
    for customer in ("jo", "al"):
        assert [one["n"] for one in seen if one["customer"] == customer] == [0, 1, 2]


def test_what_was_finished_can_be_replayed_as_long_as_it_is_kept(daemons, connect, place):
    daemon = daemons.nsqd("-retention=1h", data_path=place.store)
    made(daemon)
    client = connect(daemon)
    client.publish("orders", b"7")
    client.subscribe("orders", "mail", 1)
    client.finish(client.message())
    until(lambda: channel_of(daemon, "orders", "mail")["in_flight_count"] == 0)
    status, output, errors = place.run("topics", "orders:mail", "replay", "--since", "1h", "--wait")
    assert status == 0, output + errors
    message = client.message()
    assert (message.attempts, message.body) == (1, b"7")


def test_in_memory_an_ok_comes_first_and_a_stop_keeps_the_message(daemons, connect):
    daemon = daemons.nsqd("-ack=memory")
    made(daemon)
    client = connect(daemon)
    for _ in range(100):
        client.publish("orders", b"7")
    assert daemon.end() == 0
    again = daemons.nsqd(data_path=daemons.directory / "data-0")
    assert channel_of(again, "orders", "mail")["depth"] == 100


def test_http_asks_for_the_token_everywhere_but_at_ping(daemons, tmp_path):
    (tmp_path / "token").write_text("correct-horse-battery\n")
    daemon = daemons.nsqd(f"-http-token-file={tmp_path / 'token'}")
    assert daemon.ask("/ping") == b"OK"
    for path, body in (("/stats", None), ("/pub?topic=orders", b"7"), ("/info", None), ("/config/log_level", None)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            daemon.ask(path, body)
        with refused.value as answer:
            assert answer.code == 401
    shown = {"authorization": "Bearer correct-horse-battery"}
    request = urllib.request.Request(f"http://{daemon.http}/pub?topic=orders", b"7", shown)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == b"OK"
