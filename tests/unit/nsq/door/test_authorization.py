"""AUTH and what it allows, against servers that are asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from penstock.nsq.door.authorization import Asker, Authorization, Authorizing
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol.errors import ProtocolError

ALL = {"topic": ".*", "channels": [".*"], "permissions": ["publish", "subscribe"]}
SOMEONE = Asker("10.0.0.1")


class Server:
    """An authorization server: answers with ``answer``, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, list[str]]] = []
        self.paths: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        target = urlsplit(head.split(b" ")[1].decode())
        self.paths.append(target.path)
        self.asked.append(parse_qs(target.query, keep_blank_values=True))
        body = json.dumps(self.answer).encode()
        status = b"200 OK" if self.answer is not None else b"500 Broken"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        writer.close()


class Clock:
    """Seconds that pass when a test says so."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


Story = Callable[[Authorizing, Clock], Awaitable[Any]]


def play(story: Story, *servers: Server, suffix: str = "") -> Any:
    async def run() -> Any:
        addresses, running = [], []
        for server in servers:
            running.append(await asyncio.start_server(server.handle, "127.0.0.1", 0))
            address = f"127.0.0.1:{running[-1].sockets[0].getsockname()[1]}"
            addresses.append(f"http://{address}{suffix}" if suffix else address)
        options = DoorOptions(auth_http_addresses=tuple(addresses))
        clock = Clock()
        authorizing = Authorizing(options, steady=clock, logger=logging.getLogger("penstock.nsqd"))
        try:
            return await story(authorizing, clock)
        finally:
            for one in running:
                one.close()

    return asyncio.run(run())


def told(story: Story, *servers: Server) -> str:
    """What the client hears whose story fails."""
    with pytest.raises(ProtocolError) as caught:
        play(story, *servers)
    assert caught.value.fatal
    return caught.value.data.decode()


async def authorized(authorizing: Authorizing) -> Authorization:
    return await authorizing.authorize(None, SOMEONE, b"secret")


def test_a_server_is_told_who_asks():
    server = Server({"ttl": 60, "authorizations": [ALL], "identity": "someone"})

    async def story(authorizing: Authorizing, _: Clock) -> Authorization:
        return await authorizing.authorize(None, Asker("::1", is_encrypted=True, common_name="a b"), b"s&\xff")

    found = play(story, server)
    assert found.permissions.identity == "someone"
    assert server.paths == ["/auth"]
    assert {name: value for name, (value,) in server.asked[0].items() if name != "secret"} == {
        "remote_ip": "::1",
        "tls": "true",
        "common_name": "a b",
    }


def test_the_address_may_be_a_url():
    server = Server({"ttl": 60, "authorizations": [ALL]})

    async def story(authorizing: Authorizing, _: Clock) -> None:
        await authorized(authorizing)

    play(story, server, suffix="/who/may")
    assert server.paths == ["/who/may"]
    assert server.asked[0] == {"remote_ip": ["10.0.0.1"], "tls": ["false"], "common_name": [""], "secret": ["secret"]}


def test_one_server_that_answers_is_enough(caplog):
    broken = Server(None)

    async def story(authorizing: Authorizing, _: Clock) -> None:
        for _ in range(8):
            await authorized(authorizing)

    play(story, broken, Server({"ttl": 60, "authorizations": [ALL]}))
    assert len(caplog.records) == len(broken.asked)


def test_a_client_that_may_do_something():
    async def story(authorizing: Authorizing, _: Clock) -> None:
        known = await authorized(authorizing)
        await authorizing.may(known, "PUB", "orders", "")
        assert authorizing.may_at_once(known, "PUB", "orders", "")
        with pytest.raises(ProtocolError, match=r'E_UNAUTHORIZED.*SUB on "orders" "all"'):
            await authorizing.may(known, "SUB", "orders", "all")

    play(story, Server({"ttl": 60, "authorizations": [{**ALL, "permissions": ["publish"]}]}))


def test_a_client_that_has_not_said_who_it_is():
    async def story(authorizing: Authorizing, _: Clock) -> None:
        await authorizing.may(None, "MPUB", "orders", "")

    assert told(story, Server({})) == "E_AUTH_FIRST AUTH required before MPUB"


def test_the_server_is_asked_again_when_it_is_time():
    server = Server({"ttl": 60, "authorizations": [ALL]})

    async def story(authorizing: Authorizing, clock: Clock) -> None:
        known = await authorized(authorizing)
        clock.now += 59
        await authorizing.may(known, "PUB", "orders", "")
        assert len(server.asked) == 1
        clock.now += 1
        assert not authorizing.may_at_once(known, "PUB", "orders", "")
        await authorizing.may(known, "PUB", "orders", "")
        assert len(server.asked) == 2
        server.answer = {"ttl": 60, "authorizations": []}
        clock.now += 60
        with pytest.raises(ProtocolError, match="E_UNAUTHORIZED"):
            await authorizing.may(known, "PUB", "orders", "")
        server.answer = None
        clock.now += 60

    play(story, server)


def test_when_it_cannot_be_asked_again_nothing_is_allowed():
    server = Server({"ttl": 60, "authorizations": [ALL]})

    async def story(authorizing: Authorizing, clock: Clock) -> None:
        known = await authorized(authorizing)
        clock.now += 60
        server.answer = None
        await authorizing.may(known, "PUB", "orders", "")

    assert told(story, server) == "E_AUTH_FAILED AUTH failed"


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (None, "E_AUTH_FAILED AUTH failed"),
        ({"ttl": 0}, "E_AUTH_FAILED AUTH failed"),
        ({"ttl": 60, "authorizations": []}, "E_UNAUTHORIZED AUTH no authorizations found"),
    ],
)
def test_a_client_that_is_refused(answer, heard):
    async def story(authorizing: Authorizing, _: Clock) -> None:
        await authorized(authorizing)

    assert told(story, Server(answer)) == heard


def test_it_says_who_it_is_once():
    async def story(authorizing: Authorizing, _: Clock) -> None:
        await authorizing.authorize(await authorized(authorizing), SOMEONE, b"other")

    assert told(story, Server({"ttl": 60, "authorizations": [ALL]})) == "E_INVALID AUTH already set"


def test_where_nobody_is_asked():
    async def story(authorizing: Authorizing, _: Clock) -> None:
        await authorized(authorizing)

    assert told(story) == "E_AUTH_DISABLED AUTH disabled"


def test_whether_anybody_is_asked():
    async def story(authorizing: Authorizing, _: Clock) -> bool:
        return bool(authorizing)

    assert play(story) is False
    assert play(story, Server({})) is True
