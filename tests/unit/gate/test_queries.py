"""What a query may say, and which host counts: targets of requests, all the way to the gate's answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.http.head_checks import split_target
from penstock.model import limits
from tests.unit.http.test_connection import Peer, play


class TestQueries:
    NOBODY = "/v1/jobs/00000000-0000-7000-8000-000000000000"

    @pytest.mark.parametrize("query", ["wait_s=%", "wait_s=%zz", "%ff=1", "wait_s=%ff"])
    def test_percent_encoding_that_is_none_is_malformed(self, door: Any, query: str) -> None:
        assert door.call("GET", f"{self.NOBODY}?{query}").problem[:2] == (400, "malformed-request")

    @pytest.mark.parametrize(
        "wait_s",
        ["1_0", "%2B5", "+5", "-0", "0x5", "1e1", "5.", ".5", "%D9%A5", "٥", "nan", "inf", "", "%205", "5%20", "5s"]
        + ["9" * 5_000],
    )
    def test_seconds_are_ascii_digits(self, door: Any, wait_s: str) -> None:
        assert door.call("GET", f"{self.NOBODY}?wait_s={wait_s}").problem == (422, "invalid-option", "wait_s")

    @pytest.mark.parametrize("query", ["wait_s=1&wait_s=1", "wait_s=1&wait%5Fs=2", "&".join(["wait_s=1"] * 500)])
    def test_a_parameter_that_is_given_twice_is_refused(self, door: Any, query: str) -> None:
        assert door.call("GET", f"{self.NOBODY}?{query}").problem[:2] == (422, "invalid-option")

    @pytest.mark.parametrize("wait_s", ["0", "0.5", "00.250", "%30"])
    def test_what_is_a_number_of_seconds(self, door: Any, wait_s: str) -> None:
        assert door.call("GET", f"{self.NOBODY}?wait_s={wait_s}&").problem[:2] == (404, "not-found")


def test_the_connection_goes_on_after_what_only_its_request_is_to_blame_for(door: Any) -> None:
    """A query that cannot be decoded was framed well: the next request on the connection is read."""

    async def story() -> list[int]:
        async def handler(exchange: Any) -> None:
            exchange.task = asyncio.current_task()
            await door.gate.serve(exchange)

        peer = Peer(handler)
        head = b" HTTP/1.1\r\nhost: 127.0.0.1:7367\r\n\r\n"
        await peer.send(b"GET /health/live?%zz" + head + b"GET /health/live" + head)
        return [status for status, _, _ in peer.answers()]

    assert play(story) == [400, 200]


def test_a_limit_of_parameters(door: Any) -> None:
    assert limits.HTTP_HEAD_BYTES_MAX > 500
    query = "&".join(f"x{n}=1" for n in range(500))
    assert door.call("GET", f"/v1/stats?{query}").problem[:2] == (422, "invalid-option")


def test_the_host_of_an_absolute_target_is_the_one_that_is_checked(door: Any) -> None:
    headers = {"host": "127.0.0.1:7367"}
    split_target("GET", b"http://evil.example/v1/stats", headers)
    assert door.call("GET", "/v1/stats", **headers).problem[:2] == (403, "forbidden")
