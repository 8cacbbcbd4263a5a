"""Options are shown under nsqd's names, and two of them can be changed."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.nsq.options import DoorOptions
from tests.unit.nsq.door.fake_door import FakeDoor


@pytest.fixture
def door() -> FakeDoor:
    """With other options than the defaults."""
    return FakeDoor(
        DoorOptions(broadcast_address="broker", msg_timeout_s=1.5, e2e_processing_latency_percentiles=(0.99, 0.5))
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_level", 2),
        ("msg_timeout", 1_500_000_000),
        ("max_msg_size", 1_048_576),
        ("deflate", True),
        ("nsqlookupd_tcp_addresses", []),
        ("e2e_processing_latency_percentiles", [0.99, 0.5]),
        ("max_rdy_count", 2_500),
        ("tls_required", 0),
        ("mem_queue_size", 10_000),
        ("broadcast_tcp_port", 4150),
        ("broadcast_http_port", 4151),
    ],
)
def test_what_an_option_is(door: FakeDoor, name: str, value: Any) -> None:
    assert door.call("GET", f"/config/{name}").json == value


def test_a_text_is_shown_as_it_is(door: FakeDoor) -> None:
    said = door.call("GET", "/config/broadcast_address")
    assert (said.body, said.headers["content-type"]) == (b"broker", "text/plain; charset=utf-8")
    assert door.call("GET", "/config/statsd_prefix").body == b"nsq.broker_4151."
    said = door.call("GET", "/config/tls_cert")
    assert (said.body, "content-type" in said.headers) == (b"", False)


@pytest.mark.parametrize("name", ["nothing", "verbose", "worker_id", "msg-timeout", "msg_timeout_s", "config"])
def test_one_that_is_none(door: FakeDoor, name: str) -> None:
    assert door.call("GET", f"/config/{name}").error == (400, "INVALID_OPTION")


def test_lookupds_can_be_changed(door: FakeDoor) -> None:
    body = b'["127.0.0.1:4160","127.0.0.2:4160"]'
    assert door.call("PUT", "/config/nsqlookupd_tcp_addresses", body).body == body
    assert door.options.lookupd_tcp_addresses == ("127.0.0.1:4160", "127.0.0.2:4160")
    assert door.call("PUT", "/config/nsqlookupd_tcp_addresses", b"null").body == b"[]"
    assert door.options.lookupd_tcp_addresses == ()


def test_the_log_level_can_be_changed(door: FakeDoor) -> None:
    assert door.call("PUT", "/config/log_level", b"FATAL").body == b"5"
    assert door.options.log_level == "fatal"


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("log_level", b"", (413, "INVALID_VALUE")),
        ("log_level", b"loud", (400, "INVALID_VALUE")),
        ("log_level", b"\xff", (400, "INVALID_VALUE")),
        ("nsqlookupd_tcp_addresses", b"127.0.0.1:4160", (400, "INVALID_VALUE")),
        ("nsqlookupd_tcp_addresses", b"[1]", (400, "INVALID_VALUE")),
        ("nsqlookupd_tcp_addresses", b'["a:b"]', (400, "INVALID_VALUE")),
        ("nsqlookupd_tcp_addresses", b'["\xff"]', (400, "INVALID_VALUE")),
        ("max_rdy_count", b"7", (400, "INVALID_OPTION")),
        ("nothing", b"7", (400, "INVALID_OPTION")),
        ("log_level", b"x" * 1_048_577, (413, "INVALID_VALUE")),
    ],
)
def test_what_is_refused(door: FakeDoor, name: str, body: bytes, told: tuple[int, str]) -> None:
    before = door.options
    assert door.call("PUT", f"/config/{name}", body).error == told
    assert door.options is before
