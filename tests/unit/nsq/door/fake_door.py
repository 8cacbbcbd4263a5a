"""A door over the in-memory store, as far as its HTTP API sees one, and the API of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.model.errors import PenstockError
from penstock.model.health import StoreHealth
from penstock.model.job import checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.topics import RAW, MessageEntry, MessageGroup
from penstock.nsq.door.http_api import HttpApi
from penstock.nsq.door.statistics import Latency
from penstock.nsq.http_access import HttpAccess
from penstock.nsq.http_application import HttpApplication
from penstock.nsq.options import DoorOptions
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from tests.unit.nsq.http_asking import Said, call


class AsyncMemory:
    """The in-memory store as coroutines. ``trouble`` is raised by every call; ``ill`` is its health."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.trouble: PenstockError | None = None
        self.ill = StoreHealth()

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            if self.trouble is not None:
                raise self.trouble
            return getattr(self.store, name)(*arguments, **named)

        return call

    async def health(self) -> StoreHealth:
        if self.trouble is not None:
            raise self.trouble
        return self.ill


@dataclass
class Connection:
    """A client, as the door tells of it."""

    client_id: str = "worker-1"
    hostname: str = "worker-1.example"
    user_agent: str = "go-nsq/1.1.0"
    remote_address: str = "10.0.0.7:51234"
    state: int = 3
    topic: str | None = "orders"
    channel: str | None = "a"
    ready_count: int = 100
    in_flight_count: int = 2
    message_count: int = 30
    finish_count: int = 27
    requeue_count: int = 1
    connected_at: float = 1_000.5
    sample_rate: int = 0
    deflate: bool = False
    snappy: bool = True
    tls: bool = False
    tls_version: str = ""
    tls_cipher_suite: str = ""
    authed: bool = False
    auth_identity: str = ""
    auth_identity_url: str = ""
    published: dict[str, int] = field(default_factory=dict)


class FakeDoor:
    """What the API asks of a door."""

    def __init__(self, options: DoorOptions | None = None) -> None:
        self.clock = VirtualClock()
        self.memory = MemoryStore(self.clock)
        self.store: Any = AsyncMemory(self.memory)
        self.options = options or DoorOptions(broadcast_address="broker")
        self.started_at = 1_000.0
        self.connections: list[Connection] = []
        self.bytes: Counter[str] = Counter()
        self.latencies: dict[tuple[str, str | None], Latency] = {}
        self.emptied: Counter[tuple[str, str]] = Counter()
        self.gone: list[tuple[str, str]] = []
        self.published: list[tuple[str, list[bytes], float | None]] = []
        api = HttpApi(self.store, self, (4150, 4151))
        self.application = HttpApplication(
            api.routes, HttpAccess(None, own_names=None), logging.getLogger("penstock.nsqd")
        )

    def call(self, method: str, target: str, body: bytes | None = None, **named: Any) -> Said:
        """One request."""
        return call(self.application, method, target, body, **named)

    def post(self, target: str, body: bytes | None = None, **named: Any) -> Said:
        """One POST."""
        return self.call("POST", target, body, **named)

    # --- for the API --------------------------------------------------------------------------------------------------
    def requeue_count(self, topic: str, channel: str) -> int:
        return len(topic + channel)

    def timeout_count(self, topic: str, channel: str) -> int:
        return 2 * len(topic + channel)

    def discarded_count(self, topic: str, channel: str) -> int:
        return 3 * len(topic + channel)

    def published_bytes(self, topic: str) -> int:
        return self.bytes[topic]

    def latency(self, topic: str, channel: str | None) -> Latency | None:
        return self.latencies.get((topic, channel))

    def emptied_count(self, topic: str, channel: str) -> int:
        return self.emptied[topic, channel]

    async def publish(self, topic: str, bodies: Sequence[bytes], delay_s: float | None = None) -> None:
        if self.store.trouble is not None:
            raise self.store.trouble
        self.published.append((topic, list(bodies), delay_s))
        ids = new_message_ids(len(bodies))
        raw = [RAW + body for body in bodies]
        entries = list(map(MessageEntry, ids, raw, map(checksum, raw)))
        self.memory.publish(topic, [MessageGroup(entries, delay_s)])
        self.bytes[topic] += sum(map(len, bodies))

    async def create_topic(self, topic: str) -> None:
        self.memory.create_topic(topic)

    async def create_channel(self, topic: str, channel: str) -> None:
        self.memory.create_channel(topic, channel)

    async def empty_channel(self, topic: str, channel: str, by: str) -> None:
        self.memory.empty_channel(topic, channel, by=by)

    async def channel_gone(self, topic: str, channel: str) -> None:
        self.gone.append((topic, channel))

    def change_options(self, options: DoorOptions) -> None:
        self.options = options
