"""What a door knows of its topics, channels and clients, as ``/stats`` of nsqd tells it.

Depths and totals are the store's, so they are of all who work a channel: of this door's clients, of another door's, and
of ``@app.consumer`` tasks. What a store does not count (clients, REQs, time-outs, bytes) is this door's alone, since it
was started, as with nsqd.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

from penstock.model import limits
from penstock.model.errors import TopicNotFound
from penstock.model.lines import Closed
from penstock.model.topics import ChannelView, TopicView, channel_queue
from penstock.nsq.options import DoorOptions
from penstock.ports import AsyncStore

__all__ = [
    "ChannelStatistics",
    "ClientStatistics",
    "DoorCounts",
    "Latency",
    "ShownClient",
    "Statistics",
    "TopicStatistics",
    "gather",
]


@dataclass(slots=True, kw_only=True)
class ShownClient:
    """A client of the door, as far as it is told of.

    Attributes:
        client_id: as it has called itself, or its address.
        hostname: likewise.
        user_agent: likewise, or empty.
        remote_address: host and port; of a socket's path what the system says.
        state: 0 new, 3 subscribed, 4 closing, as nsqd numbers them.
        topic: that it has subscribed to; None: none.
        channel: likewise.
        ready_count: its RDY.
        in_flight_count: messages that it has and has not answered.
        message_count: messages that it was sent.
        finish_count: that it has finished.
        requeue_count: that it has sent back.
        connected_at: in Unix seconds.
        sample_rate: of 100, what it wants; 0: all.
        deflate: it is compressed so.
        snappy: likewise.
        tls: it is encrypted.
        tls_version: how, such as ``TLS1.3``; empty: it is not.
        tls_cipher_suite: likewise.
        authed: it has shown a secret that is good for something.
        auth_identity: who it is by that.
        auth_identity_url: likewise.
        published: how many messages it has published, by topic.
    """

    client_id: str
    hostname: str
    user_agent: str
    remote_address: str
    state: int
    topic: str | None
    channel: str | None
    ready_count: int
    in_flight_count: int
    message_count: int
    finish_count: int
    requeue_count: int
    connected_at: float
    sample_rate: int
    deflate: bool
    snappy: bool
    tls: bool
    tls_version: str
    tls_cipher_suite: str
    authed: bool
    auth_identity: str
    auth_identity_url: str
    published: Mapping[str, int]


class Latency(Struct, frozen=True):
    """How long messages took from publishing to FIN.

    Attributes:
        count: of how many messages it is known.
        percentiles: each with ``quantile`` and ``value``, in nanoseconds. None: it is not measured.
    """

    count: int
    percentiles: list[dict[str, float]] | None


class DoorCounts(Protocol):
    """The door, as far as it is told of."""

    @property
    def options(self) -> DoorOptions:
        """In force."""
        ...

    @property
    def started_at(self) -> float:
        """In Unix seconds."""
        ...

    @property
    def connections(self) -> Iterable[ShownClient]:
        """Those that are open."""
        ...

    def requeue_count(self, topic: str, channel: str) -> int:
        """How many messages of a channel were sent back."""
        ...

    def timeout_count(self, topic: str, channel: str) -> int:
        """How many were not answered in time."""
        ...

    def discarded_count(self, topic: str, channel: str) -> int:
        """How many were in no consumer's sample, where all consumers sample."""
        ...

    def published_bytes(self, topic: str) -> int:
        """How large all messages were together that were published to a topic."""
        ...

    def latency(self, topic: str, channel: str | None) -> Latency | None:
        """Of a channel, or of all channels of a topic; None: it is not measured."""
        ...

    def emptied_count(self, topic: str, channel: str) -> int:
        """How many messages a channel had got before it was emptied for the last time: its count goes on."""
        ...


_TOPICS_A_TURN: Final = 50
"""After so many topics it is the turn of clients."""
NOT_MEASURED: Final = Latency(0, None)


class PublishedCount(Struct, frozen=True):
    """How many messages a client has published to a topic."""

    topic: str
    count: int


class ClientStatistics(Struct, frozen=True, omit_defaults=True):
    """A client, with the names of nsqd's fields. See `ShownClient`."""

    client_id: str
    hostname: str
    version: str
    remote_address: str
    state: int
    ready_count: int
    in_flight_count: int
    message_count: int
    finish_count: int
    requeue_count: int
    connect_ts: int
    sample_rate: int
    deflate: bool
    snappy: bool
    user_agent: str
    tls: bool
    tls_cipher_suite: str
    tls_version: str
    tls_negotiated_protocol: str
    tls_negotiated_protocol_is_mutual: bool
    authed: bool = False
    auth_identity: str = ""
    auth_identity_url: str = ""
    pub_counts: list[PublishedCount] = []


class ChannelStatistics(Struct, frozen=True):
    """A channel, with the names of nsqd's fields.

    All that waits is on disk, so ``backend_depth`` is all of ``depth``. Not nsqd's are ``consumer_count``
    (how many take messages from it, wherever they are), ``dead_count`` (messages that are dead) and
    ``discarded_count`` (those that were in no consumer's sample, where all consumers of this door sample).
    """

    channel_name: str
    depth: int
    backend_depth: int
    in_flight_count: int
    deferred_count: int
    message_count: int
    requeue_count: int
    timeout_count: int
    client_count: int
    clients: list[ClientStatistics] | None
    paused: bool
    e2e_processing_latency: Latency
    consumer_count: int
    dead_count: int
    discarded_count: int


class TopicStatistics(Struct, frozen=True):
    """A topic, with the names of nsqd's fields. Its depth is what waits for its first channel."""

    topic_name: str
    channels: list[ChannelStatistics]
    depth: int
    backend_depth: int
    message_count: int
    message_bytes: int
    paused: bool
    e2e_processing_latency: Latency


class Statistics(Struct, frozen=True):
    """All that was asked for.

    Attributes:
        topics: by name. None: the topic that was named is not there.
        producers: the clients that publish. None: clients were not asked for, or none does.
    """

    topics: list[TopicStatistics] | None
    producers: list[ClientStatistics] | None


async def gather(
    store: AsyncStore, door: DoorCounts, *, topic: str = "", channel: str = "", include_clients: bool = True
) -> Statistics:
    """What is known now.

    Args:
        store: of the door.
        door: this.
        topic: only this one; empty: all.
        channel: only channels of this name, and topics that have one; empty: all.
        include_clients: tell of each client, too.
    """
    views = await topic_views(store, topic)
    if views is None:
        return Statistics(None, None)
    closed = {one.queue for one in await store.closed_lines() if one.reason is Closed.PAUSED and one.task is None}
    subscribed: dict[tuple[str, str], list[ShownClient]] = defaultdict(list)
    producers: list[ClientStatistics] = []
    for one in door.connections:
        if one.topic is not None and one.channel is not None:
            subscribed[one.topic, one.channel].append(one)
        if include_clients and one.published:
            producers.append(client_statistics(one, topic))
    found: list[TopicStatistics] = []
    for number, view in enumerate(views, 1):
        if number % _TOPICS_A_TURN == 0:
            await asyncio.sleep(0)
        channels = []
        for known in view.channels:
            if channel in ("", known.name):
                theirs = subscribed.get((view.name, known.name), ())
                told = [client_statistics(one, topic) for one in theirs] if include_clients else None
                channels.append(_channel(door, closed, view.name, known, told, len(theirs)))
        if channels or not channel:
            found.append(_topic(door, view, channels))
    return Statistics(found, producers or None)


async def topic_views(store: AsyncStore, topic: str = "") -> list[TopicView] | None:
    """The topics of a store by name, or the one that is named; None: that is not there."""
    if topic:
        try:
            return (await store.topics(topic=topic)).topics
        except TopicNotFound:
            return None
    found: list[TopicView] = []
    cursor = None
    while True:
        page = await store.topics(cursor=cursor, limit=limits.PAGE_QUEUES)
        found += page.topics
        cursor = page.cursor
        if cursor is None:
            return found


def client_statistics(connection: ShownClient, topic: str) -> ClientStatistics:
    """What is told of a client. ``topic``: only of what it has published to this one; empty: to all."""
    published = [PublishedCount(*pair) for pair in sorted(connection.published.items()) if topic in ("", pair[0])]
    return ClientStatistics(
        client_id=connection.client_id,
        hostname=connection.hostname,
        version="V2",
        remote_address=connection.remote_address,
        state=connection.state,
        ready_count=connection.ready_count,
        in_flight_count=connection.in_flight_count,
        message_count=connection.message_count,
        finish_count=connection.finish_count,
        requeue_count=connection.requeue_count,
        connect_ts=int(connection.connected_at),
        sample_rate=connection.sample_rate,
        deflate=connection.deflate,
        snappy=connection.snappy,
        user_agent=connection.user_agent,
        tls=connection.tls,
        tls_cipher_suite=connection.tls_cipher_suite,
        tls_version=connection.tls_version,
        tls_negotiated_protocol="",
        tls_negotiated_protocol_is_mutual=connection.tls,
        authed=connection.authed,
        auth_identity=connection.auth_identity,
        auth_identity_url=connection.auth_identity_url,
        pub_counts=published,
    )


def _topic(door: DoorCounts, view: TopicView, channels: list[ChannelStatistics]) -> TopicStatistics:
    return TopicStatistics(
        topic_name=view.name,
        channels=channels,
        depth=view.kept,
        backend_depth=view.kept,
        message_count=view.messages_total,
        message_bytes=door.published_bytes(view.name),
        paused=view.paused,
        e2e_processing_latency=door.latency(view.name, None) or NOT_MEASURED,
    )


def _channel(
    door: DoorCounts,
    closed: set[str | None],
    topic: str,
    view: ChannelView,
    clients: list[ClientStatistics] | None,
    client_count: int,
) -> ChannelStatistics:
    counts = view.counts
    depth = counts.ready + counts.blocked
    got = counts.accepted_total + counts.moved_in_total + counts.revived_total
    return ChannelStatistics(
        channel_name=view.name,
        depth=depth,
        backend_depth=depth,
        in_flight_count=counts.running,
        deferred_count=counts.scheduled,
        message_count=got + door.emptied_count(topic, view.name),
        requeue_count=door.requeue_count(topic, view.name),
        timeout_count=door.timeout_count(topic, view.name),
        client_count=client_count,
        clients=clients,
        paused=channel_queue(topic, view.name) in closed,
        e2e_processing_latency=door.latency(topic, view.name) or NOT_MEASURED,
        consumer_count=view.consumers,
        dead_count=counts.dead,
        discarded_count=door.discarded_count(topic, view.name),
    )
