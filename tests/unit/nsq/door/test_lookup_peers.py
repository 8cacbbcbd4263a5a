"""A door's nsqlookupds: they know what the store has, whoever made it, and what becomes of it when they misbehave."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from penstock.http.exchange import HttpExchange
from penstock.http.messages import Answer, ClientGone
from penstock.http.problems import HttpProblem
from penstock.http.server import HttpServer
from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.topics import TopicsPage
from penstock.nsq.door.lookup_peer import Identity
from penstock.nsq.door.lookup_peers import LookupPeers
from penstock.nsq.lookup.conversation import Conversation
from penstock.nsq.lookup.http_api import LookupApi
from penstock.nsq.lookup.registry import Registry
from penstock.nsq.lookup.tcp_server import LookupConnection, LookupConnections
from penstock.process.repeated_faults import Faults
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore

IDENTITY = Identity(broadcast_address="door", hostname="host", tcp_port=4150, http_port=4151, version="1.3.0")
PATIENCE_S = 20.0


class Lookupd:
    """An nsqlookupd in this process."""

    def __init__(self, port: int = 0) -> None:
        self.registry = Registry(300, 45)
        self.tcp = socket.create_server(("127.0.0.1", port))
        self.http = socket.create_server(("127.0.0.1", 0))
        self.http.setblocking(False)
        self.pings = 0
        identity = {"broadcast_address": "127.0.0.1", "http_port": self.http.getsockname()[1]}
        self._identity = msgspec.json.encode(identity)
        self._connections = LookupConnections(self._converse, self._now_ns)
        self._stop = asyncio.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.tcp.getsockname()[1]}"

    def _converse(self, address: str) -> Conversation:
        return Conversation(self.registry, address, self._identity)

    def _now_ns(self) -> int:
        self.pings += 1
        return 0

    async def __aenter__(self) -> Lookupd:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: LookupConnection(self._connections), sock=self.tcp)
        self._serving = asyncio.ensure_future(HttpServer(self, self.http, PATIENCE_S, 8).run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._connections.close_all()
        self._stop.set()
        await self._serving

    async def serve(self, exchange: HttpExchange) -> None:
        api = LookupApi(self.registry, "1.3.0")
        with suppress(ClientGone):
            exchange.answer(*api.answer(exchange.method, exchange.path, exchange.query_string, 0))

    def refuse(self, problem: HttpProblem) -> Answer:
        return problem.answer()

    def told(self) -> list[str]:
        """What the door has registered."""
        return sorted(name for name, _, _ in self.registry.entries() if name != "client::")


class Store:
    """The calls that are used, of a store in memory."""

    def __init__(self) -> None:
        self.memory = MemoryStore(VirtualClock())
        self.is_away = False
        self.asked: Counter[str | None] = Counter()

    async def topics(self, *, topic: str | None = None, cursor: str | None = None) -> TopicsPage:
        if self.is_away:
            raise StoreUnavailable("away")
        self.asked[topic] += 1
        return self.memory.topics(topic=topic, cursor=cursor, limit=2)

    async def create_channel(self, topic: str, channel: str) -> None:
        self.memory.create_channel(topic, channel)


class World:
    """A door's nsqlookupds and its store."""

    def __init__(self) -> None:
        self.store = Store()
        self.faults = Faults(logging.getLogger("test"))
        store: Any = self.store
        self.peers = LookupPeers(
            store, IDENTITY, self.store.create_channel, self.faults, connect_s=PATIENCE_S, request_s=PATIENCE_S
        )

    def make(self, *channels: str) -> None:
        for channel in channels:
            self.store.memory.create_channel(*channel.split(":"))
            self.peers.look_again(channel.partition(":")[0])


def run(story: Callable[[World], Awaitable[None]]) -> None:
    async def scene() -> None:
        world = World()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(world)
        finally:
            await world.peers.close()

    asyncio.run(scene())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_REVIEW_S", 0.01)


def test_an_nsqlookupd_knows_what_the_store_has_whoever_made_it() -> None:
    async def story(world: World) -> None:
        world.make("orders:billing", "orders:audit")
        world.store.memory.create_topic("mail")
        async with Lookupd() as lookupd:
            world.peers.change([lookupd.address])
            await until(
                lambda: (
                    lookupd.told() == ["channel:orders:audit", "channel:orders:billing", "topic:mail:", "topic:orders:"]
                )
            )
            (node,) = lookupd.registry.nodes(0)
            assert (node.peer.node, node.peer.tcp_port, node.peer.version) == ("door:4151", 4150, "1.3.0")
            # Others make and delete some: nobody tells.
            world.store.memory.create_channel("late", "tail")
            world.store.memory.delete_topic("orders")
            await until(lambda: lookupd.told() == ["channel:late:tail", "topic:late:", "topic:mail:"])

    run(story)


def test_what_is_made_here_is_told_without_looking_at_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_REVIEW_S", 3_600.0)

    async def story(world: World) -> None:
        world.make("orders:billing")
        async with Lookupd() as lookupd:
            world.peers.change([lookupd.address])
            await until(lambda: len(lookupd.told()) == 2)
            looked = world.store.asked[None]
            world.make("mail:all")
            await until(lambda: len(lookupd.told()) == 4)
            world.store.memory.delete_topic("orders")
            world.peers.look_again("orders")
            await until(lambda: len(lookupd.told()) == 2)
            assert world.store.asked[None] == looked

    run(story)


def test_an_nsqlookupd_that_comes_back_is_told_all_of_it_again() -> None:
    async def story(world: World) -> None:
        world.make("orders:billing")
        async with Lookupd() as lookupd:
            address = lookupd.address
            world.peers.change([address])
            await until(lambda: len(lookupd.told()) == 2)
        async with Lookupd(int(address.partition(":")[2])) as again:
            await until(lambda: len(again.told()) == 2)

    run(story)


def test_a_name_with_several_addresses_is_tried_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        loop = asyncio.get_running_loop()

        async def resolved(_host: str, port: int, **_named: Any) -> list[Any]:
            return [(0, 0, 0, "", ("127.0.0.1", 1)), (0, 0, 0, "", ("127.0.0.1", port))]

        async with Lookupd() as lookupd:
            with monkeypatch.context() as patched:
                # The addresses themselves are looked up as well: they are numbers, and stay what they are.
                patched.setattr(loop, "getaddrinfo", resolved)
                world.peers.change([lookupd.address.replace("127.0.0.1", "name")])
                await until(lambda: len(lookupd.registry.nodes(0)) == 1)

    run(story)


def test_the_list_changes_while_it_runs() -> None:
    async def story(world: World) -> None:
        world.make("orders:billing")
        async with Lookupd() as first, Lookupd() as second:
            world.peers.change([first.address])
            await until(lambda: len(first.told()) == 2)
            world.peers.change([second.address, second.address])
            await until(lambda: len(second.told()) == 2 and not first.registry.nodes(0))
            assert len(second.registry.nodes(0)) == 1
            world.peers.change([])
            await until(lambda: not second.registry.nodes(0))
            assert not world.peers.is_new("anything")

    run(story)


def test_it_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_PING_S", 0.01)

    async def story(world: World) -> None:
        async with Lookupd() as lookupd:
            world.peers.change([lookupd.address])
            await until(lambda: len(lookupd.registry.nodes(0)) == 1)
            before = lookupd.pings
            await until(lambda: lookupd.pings > before + 3)

    run(story)


@pytest.mark.parametrize(
    "says",
    [b"", b"\0\0\0\x0eE_BAD_PROTOCOL", b"\0\0\0\2OK", b"\0\0\0\2[]", b"SSH-2.0-OpenSSH", b"\0\0\0\2{}" + b"\0" * 100],
)
def test_one_that_answers_rubbish_or_nothing_harms_no_other(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_ANSWER_S", 0.05)

    async def story(world: World) -> None:
        ended: list[asyncio.Task[None]] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await reader.readline()
                writer.write(says)
                await reader.read()
            writer.transport.abort()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ended.append(asyncio.ensure_future(answer(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        bad = server.sockets[0].getsockname()[1]
        async with server, Lookupd() as good:
            good.registry.create("orders", "billing")
            world.peers.change([f"127.0.0.1:{bad}", good.address, "no address"])
            await until(lambda: f"LOOKUPD(127.0.0.1:{bad})" in world.faults.counts)
            await world.peers.prepare("orders")
            await until(lambda: good.told() == ["channel:orders:billing", "topic:orders:"])
            await world.peers.close()
            await asyncio.gather(*ended)

    run(story)


def test_a_new_topic_gets_the_channels_that_nsqlookupds_know_of_it() -> None:
    async def story(world: World) -> None:
        async with Lookupd() as first, Lookupd() as second:
            first.registry.create("orders", "billing")
            second.registry.create("orders", "audit")
            second.registry.create("orders", "tail#ephemeral")
            world.peers.change([first.address, second.address])
            assert world.peers.is_new("orders")
            await asyncio.gather(world.peers.prepare("orders"), world.peers.prepare("orders"))
            assert not world.peers.is_new("orders")
            (topic,) = world.store.memory.topics(topic="orders").topics
            assert [channel.name for channel in topic.channels] == ["audit", "billing"]

    run(story)


def test_a_topic_that_is_there_is_not_asked_for_and_one_that_went_is_new_again() -> None:
    async def story(world: World) -> None:
        world.make("orders:billing")
        async with Lookupd() as lookupd:
            lookupd.registry.create("orders", "audit")
            world.peers.change([lookupd.address])
            await world.peers.prepare("orders")
            (topic,) = world.store.memory.topics(topic="orders").topics
            assert [channel.name for channel in topic.channels] == ["billing"]
            world.store.memory.delete_topic("orders")
            await until(lambda: world.peers.is_new("orders"))

    run(story)


def test_without_nsqlookupds_no_topic_is_asked_for() -> None:
    async def story(world: World) -> None:
        assert not world.peers.is_new("orders")
        await world.peers.prepare("orders")
        world.peers.change(["127.0.0.1:1"])
        await world.peers.prepare("orders")
        assert "asking nsqlookupds for channels" in world.faults.counts

    run(story)


def test_what_is_known_stays_told_while_the_store_is_away() -> None:
    async def story(world: World) -> None:
        world.make("orders:billing")
        async with Lookupd() as lookupd:
            world.peers.change([lookupd.address])
            await until(lambda: len(lookupd.told()) == 2)
            world.store.is_away = True
            await until(lambda: "looking which topics there are" in world.faults.counts)
            assert len(lookupd.told()) == 2
            world.store.is_away = False
            world.make("mail:all")
            await until(lambda: len(lookupd.told()) == 4)

    run(story)


def test_what_an_nsqlookupd_refuses_is_told_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_PING_S", 0.01)
    monkeypatch.setattr(limits, "NSQLOOKUPD_REGISTRATIONS_MAX", 2)

    async def story(world: World) -> None:
        world.make("orders:billing", "mail:all")
        async with Lookupd() as lookupd:
            world.peers.change([lookupd.address])
            await until(lambda: len(lookupd.told()) == 2 and f"LOOKUPD({lookupd.address})" in world.faults.counts)
            monkeypatch.setattr(limits, "NSQLOOKUPD_REGISTRATIONS_MAX", 9)
            await until(lambda: len(lookupd.told()) == 4)

    run(story)


def test_no_more_nsqlookupds_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_PEERS_MAX", 1)

    async def story(world: World) -> None:
        async with Lookupd() as first, Lookupd() as second:
            world.peers.change([first.address, second.address])
            await until(lambda: len(first.registry.nodes(0)) == 1)
            assert "registering" in world.faults.counts
            assert second.registry.nodes(0) == []

    run(story)
