"""nsqd's HTTP API: what each route does, and how it refuses. That the real nsqd answers so: test_nsq_http.py."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import StoreFull
from penstock.nsq.options import DoorOptions
from tests.unit.nsq.door.fake_door import FakeDoor

OK_HEADERS = {"content-type": "text/plain; charset=utf-8", "x-nsq-content-type": "nsq; version=1.0"}


@pytest.fixture
def door() -> FakeDoor:
    """With the topic ``orders`` and its channel ``a``."""
    found = FakeDoor()
    found.memory.create_channel("orders", "a")
    return found


def counts(door: FakeDoor, channel: str = "a") -> Any:
    (topic,) = door.memory.topics(topic="orders").topics
    return {one.name: one.counts for one in topic.channels}[channel]


class TestPublishing:
    def test_a_message(self, door: FakeDoor) -> None:
        said = door.post("/pub?topic=orders", b"hello\nworld")
        assert (said.status, said.headers, said.body) == (200, OK_HEADERS, b"OK")
        assert door.published == [("orders", [b"hello\nworld"], None)]

    def test_a_topic_that_is_not_there_is_made(self, door: FakeDoor) -> None:
        assert door.post("/pub?topic=new", b"x").body == b"OK"
        assert [topic.name for topic in door.memory.topics().topics] == ["new", "orders"]

    @pytest.mark.parametrize(("text", "delay_s"), [("1000", 1.0), ("%2B1", 0.001), ("3600000", 3_600.0), ("0", None)])
    def test_later(self, door: FakeDoor, text: str, delay_s: float | None) -> None:
        assert door.post(f"/pub?topic=orders&defer={text}", b"x").status == 200
        assert door.published[0][2] == delay_s

    @pytest.mark.parametrize(
        ("target", "body", "told"),
        [
            ("/pub?topic=orders", b"", (400, "MSG_EMPTY")),
            ("/pub", b"", (400, "MSG_EMPTY")),
            ("/pub", b"x", (400, "MISSING_ARG_TOPIC")),
            ("/pub?topic=", b"x", (400, "INVALID_TOPIC")),
            ("/pub?topic=no%20name", b"x", (400, "INVALID_TOPIC")),
            ("/pub?topic=" + "x" * 65, b"x", (400, "INVALID_TOPIC")),
            ("/pub?topic=a;b", b"x", (400, "INVALID_REQUEST")),
            ("/pub?topic=orders&defer=", b"x", (400, "INVALID_DEFER")),
            ("/pub?topic=orders&defer=1s", b"x", (400, "INVALID_DEFER")),
            ("/pub?topic=orders&defer=-1", b"x", (400, "INVALID_DEFER")),
            ("/pub?topic=orders&defer=3600001", b"x", (400, "INVALID_DEFER")),
            ("/pub?topic=orders&defer=" + "9" * 40, b"x", (400, "INVALID_DEFER")),
            ("/pub?topic=orders", b"x" * 1_048_577, (413, "MSG_TOO_BIG")),
            ("/mpub", b"x", (400, "MISSING_ARG_TOPIC")),
            ("/mpub?topic=orders", b"x" * 5_242_881, (413, "BODY_TOO_BIG")),
            ("/mpub?topic=orders", b"a\n" + b"x" * 1_048_577, (413, "MSG_TOO_BIG")),
            ("/mpub?topic=orders&binary=true", b"\0\0\0", (413, "BAD_BODY")),
        ],
    )
    def test_what_is_refused(self, door: FakeDoor, target: str, body: bytes, told: tuple[int, str]) -> None:
        assert door.post(target, body).error == told
        assert door.published == []

    def test_many_by_lines(self, door: FakeDoor) -> None:
        assert door.post("/mpub?topic=orders", b"one\n\ntwo\r\nthree").body == b"OK"
        assert door.published == [("orders", [b"one", b"two\r", b"three"], None)]

    @pytest.mark.parametrize("binary", ["true", "1", "yes", ""])
    def test_many_behind_their_lengths(self, door: FakeDoor, binary: str) -> None:
        body = b"\0\0\0\2" + b"\0\0\0\3a\nb" + b"\0\0\0\1c" + b"rest"
        assert door.post(f"/mpub?topic=orders&binary={binary}", body).body == b"OK"
        assert door.published == [("orders", [b"a\nb", b"c"], None)]

    @pytest.mark.parametrize("binary", ["false", "0"])
    def test_that_is_only_by_lines_if_it_is_said_so(self, door: FakeDoor, binary: str) -> None:
        door.post(f"/mpub?topic=orders&binary={binary}", b"x")
        assert door.published[-1] == ("orders", [b"x"], None)

    def test_very_many_are_published_in_several_requests(self, door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "NSQ_PUBLISH_MESSAGES_MAX", 2)
        assert door.post("/mpub?topic=orders", b"a\nb\nc").body == b"OK"
        assert door.published == [("orders", [b"a", b"b"], None), ("orders", [b"c"], None)]

    def test_none_at_all_makes_the_topic(self, door: FakeDoor) -> None:
        assert door.post("/mpub?topic=new", b"\n\n").body == b"OK"
        assert door.published == []
        assert [topic.name for topic in door.memory.topics().topics] == ["new", "orders"]

    def test_a_store_that_is_full_is_said_so(self, door: FakeDoor) -> None:
        door.store.trouble = StoreFull("There is no room.")
        assert door.post("/pub?topic=orders", b"x").error == (503, "STORE_FULL")

    def test_the_limits_are_options(self) -> None:
        door = FakeDoor(DoorOptions(max_msg_size_bytes=3, max_body_size_bytes=10, max_req_timeout_s=1.0))
        assert door.post("/pub?topic=orders", b"xxxx").error == (413, "MSG_TOO_BIG")
        assert door.post("/pub?topic=orders", b"xxx").status == 200
        assert door.post("/mpub?topic=orders", b"x\n" * 5).status == 200
        assert door.post("/mpub?topic=orders", b"x\n" * 5 + b"x").error == (413, "BODY_TOO_BIG")
        assert door.post("/pub?topic=orders&defer=1001", b"x").error == (400, "INVALID_DEFER")


class TestTopics:
    def test_they_are_made_once(self, door: FakeDoor) -> None:
        for _ in range(2):
            said = door.post("/topic/create?topic=bills")
            assert (said.status, said.body) == (200, b"")
            assert "content-type" not in said.headers
        assert [topic.name for topic in door.memory.topics().topics] == ["bills", "orders"]

    def test_deleting_one_ends_the_consumers_of_its_channels(self, door: FakeDoor) -> None:
        door.memory.create_channel("orders", "b")
        assert door.post("/topic/delete?topic=orders").status == 200
        assert door.memory.topics().topics == []
        assert door.gone == [("orders", "a"), ("orders", "b")]

    def test_emptying_one_throws_away_what_it_keeps(self, door: FakeDoor) -> None:
        door.post("/pub?topic=kept", b"x")
        door.post("/pub?topic=orders", b"x")
        for topic in ("kept", "orders"):
            assert door.post(f"/topic/empty?topic={topic}").status == 200
        assert [topic.kept for topic in door.memory.topics().topics] == [0, 0]
        assert counts(door).ready == 1

    @pytest.mark.parametrize(
        ("target", "told"),
        [
            ("/topic/create", (400, "MISSING_ARG_TOPIC")),
            ("/topic/create?topic=no%20name", (400, "INVALID_TOPIC")),
            ("/topic/delete", (400, "MISSING_ARG_TOPIC")),
            ("/topic/delete?topic=no", (404, "TOPIC_NOT_FOUND")),
            ("/topic/delete?topic=no%20name", (404, "TOPIC_NOT_FOUND")),
            ("/topic/empty", (400, "MISSING_ARG_TOPIC")),
            ("/topic/empty?topic=no%20name", (400, "INVALID_TOPIC")),
            ("/topic/empty?topic=no", (404, "TOPIC_NOT_FOUND")),
            ("/topic/pause", (400, "MISSING_ARG_TOPIC")),
            ("/topic/pause?topic=no", (404, "TOPIC_NOT_FOUND")),
            ("/topic/unpause?topic=no%20name", (404, "TOPIC_NOT_FOUND")),
            ("/topic/pause?topic=%", (400, "INVALID_REQUEST")),
        ],
    )
    def test_what_is_refused(self, door: FakeDoor, target: str, told: tuple[int, str]) -> None:
        assert door.post(target).error == told

    def test_a_body_is_taken_and_says_nothing(self, door: FakeDoor) -> None:
        assert door.post("/topic/create?topic=bills", b"whatever").status == 200


class TestChannels:
    def test_they_are_made_where_the_topic_is(self, door: FakeDoor) -> None:
        assert door.post("/channel/create?topic=orders&channel=b").status == 200
        assert door.post("/channel/create?topic=no&channel=b").error == (404, "TOPIC_NOT_FOUND")
        assert [one.name for one in door.memory.topics().topics[0].channels] == ["a", "b"]

    def test_deleting_one_ends_its_consumers(self, door: FakeDoor) -> None:
        assert door.post("/channel/delete?topic=orders&channel=a").status == 200
        assert door.memory.topics().topics[0].channels == []
        assert door.gone == [("orders", "a")]

    def test_emptying_one(self, door: FakeDoor) -> None:
        door.post("/pub?topic=orders", b"x")
        assert door.post("/channel/empty?topic=orders&channel=a").status == 200
        assert counts(door).ready == 0

    def test_pausing_one_gives_out_nothing_of_it(self, door: FakeDoor) -> None:
        door.memory.create_channel("orders", "b")
        assert door.post("/channel/pause?topic=orders&channel=a", client="10.0.0.1").status == 200
        assert [(one.queue, one.by) for one in door.memory.holds()] == [("orders:a", "nsqd@10.0.0.1")]
        assert door.post("/channel/unpause?topic=orders&channel=a").status == 200
        assert door.memory.holds() == []

    @pytest.mark.parametrize("verb", ["create", "delete", "empty", "pause", "unpause"])
    @pytest.mark.parametrize(
        ("query", "told"),
        [
            ("", (400, "MISSING_ARG_TOPIC")),
            ("?topic=no%20name", (400, "INVALID_ARG_TOPIC")),
            ("?topic=orders", (400, "MISSING_ARG_CHANNEL")),
            ("?topic=orders&channel=no%20name", (400, "INVALID_ARG_CHANNEL")),
            ("?topic=no&channel=a", (404, "TOPIC_NOT_FOUND")),
            ("?topic=orders&channel=no", (404, "CHANNEL_NOT_FOUND")),
        ],
    )
    def test_what_is_refused(self, door: FakeDoor, verb: str, query: str, told: tuple[int, str]) -> None:
        said = door.post(f"/channel/{verb}{query}")
        if (verb, told[1]) == ("create", "CHANNEL_NOT_FOUND"):
            assert said.status == 200
        else:
            assert said.error == told


def test_what_it_is(door: FakeDoor) -> None:
    found = door.call("GET", "/info").json
    assert found.pop("hostname")
    assert found == {
        "version": "1.3.0",
        "broadcast_address": "broker",
        "http_port": 4151,
        "tcp_port": 4150,
        "start_time": 1_000,
        "max_heartbeat_interval": 60_000_000_000,
        "max_output_buffer_size": 65_536,
        "max_output_buffer_timeout": 30_000_000_000,
        "max_deflate_level": 6,
    }
