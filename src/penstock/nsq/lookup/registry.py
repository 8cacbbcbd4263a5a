"""Who has which topics and channels: what an nsqlookupd knows. Pure: it does no I/O, and the time is handed in.

A registration is a topic, or a channel of one, with the producers (the nsqd's) that have it. It stays when its last
producer leaves, so that a consumer that asks for the topic learns that it is known; only an operator's delete takes it
away, and an UNREGISTER of what is ephemeral. A tombstone hides one producer of one topic from lookups for a while.

Times are nanoseconds since 1970, of a clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from penstock.model import limits
from penstock.model.topics import is_ephemeral

__all__ = ["ANY", "Lookup", "Node", "Peer", "Producer", "Registration", "Registry", "RegistryFull"]

ANY: Final = "*"
"""In the place of a topic's name, where something is looked for: all of them."""


class RegistryFull(Exception):
    """There are as many registrations, or producers of them, as there may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A producer as it has introduced itself, on one connection.

    Attributes:
        remote_address: where it connects from, with the port, which tells it from all others.
        hostname: of its machine, as it says.
        broadcast_address: where consumers reach it.
        tcp_port: for consumers.
        http_port: for its HTTP API.
        version: of its nsqd.
    """

    remote_address: str
    hostname: str
    broadcast_address: str
    tcp_port: int
    http_port: int
    version: str

    @property
    def node(self) -> str:
        """How an operator names it."""
        return f"{self.broadcast_address}:{self.http_port}"


@dataclass(slots=True)
class Producer:
    """A peer in one registration.

    Attributes:
        peer: who.
        tombstoned_ns: when it was hidden from lookups of this topic; None: never.
    """

    peer: Peer
    tombstoned_ns: int | None = None

    def is_tombstoned(self, now_ns: int, lifetime_ns: int) -> bool:
        """Whether it is hidden now."""
        return self.tombstoned_ns is not None and now_ns - self.tombstoned_ns < lifetime_ns


@dataclass(frozen=True, slots=True)
class Registration:
    """A topic, or a channel of one.

    Attributes:
        topic: its name.
        channel: of the topic; empty: the topic itself.
    """

    topic: str
    channel: str = ""

    @property
    def is_ephemeral(self) -> bool:
        """Whether it goes when its last producer takes itself off."""
        return is_ephemeral(self.channel or self.topic)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is known of a topic.

    Attributes:
        channels: their names.
        producers: those that have it, are active, and are not hidden.
    """

    channels: list[str]
    producers: list[Peer]


@dataclass(frozen=True, slots=True)
class Node:
    """A producer with all that it has.

    Attributes:
        peer: who.
        topics: their names.
        tombstones: for each of them, whether the producer is hidden there.
    """

    peer: Peer
    topics: list[str]
    tombstones: list[bool]


@dataclass(slots=True)
class _Connected:
    """A peer that is connected.

    Attributes:
        producer: itself.
        heard_ns: when it last said that it is there.
        registrations: what it has, in the order in which it said so.
    """

    producer: Producer
    heard_ns: int
    registrations: dict[Registration, None] = field(default_factory=dict)


Producers = dict[str, Producer]
"""By the peer's remote address."""


class Registry:
    """All registrations.

    Args:
        inactive_producer_timeout_ns: a producer that has said nothing for longer is left out.
        tombstone_lifetime_ns: how long a tombstone hides.
    """

    def __init__(self, inactive_producer_timeout_ns: int, tombstone_lifetime_ns: int) -> None:
        self._inactive_ns = inactive_producer_timeout_ns
        self._tombstone_ns = tombstone_lifetime_ns
        self._peers: dict[str, _Connected] = {}
        self._topics: dict[str, Producers] = {}
        self._channels: dict[str, dict[str, Producers]] = {}
        """By topic, then by channel. A channel may be known of a topic that is not."""
        self._deserted: dict[Registration, None] = {}
        """What is ephemeral and has no producer any more: what is forgotten first."""
        self._registrations = 0
        self._places = 0

    @property
    def registrations(self) -> int:
        """How many there are, with and without producers."""
        return self._registrations

    @property
    def places(self) -> int:
        """How many producers all registrations have together."""
        return self._places

    # --- producers ----------------------------------------------------------------------------------------------------
    def join(self, peer: Peer, now_ns: int) -> None:
        """A producer has introduced itself. An earlier one at its address is gone, whether or not it has said so."""
        earlier = self._peers.get(peer.remote_address)
        if earlier is not None:
            self.leave(earlier.producer.peer)
        self._peers[peer.remote_address] = _Connected(Producer(peer), now_ns)

    def heard(self, peer: Peer, now_ns: int) -> None:
        """A producer says that it is there."""
        connected = self._connected(peer)
        if connected is not None:
            connected.heard_ns = now_ns

    def register(self, peer: Peer, topic: str, channel: str = "") -> None:
        """A producer has a topic, or a channel and its topic.

        Raises:
            RegistryFull: it is not noted, because too much is.
        """
        if channel:
            self._enter(peer, Registration(topic, channel))
        self._enter(peer, Registration(topic))

    def unregister(self, peer: Peer, topic: str, channel: str = "") -> None:
        """A producer no longer has a channel, or a topic with all its channels."""
        if channel:
            self._withdraw(peer, Registration(topic, channel))
            return
        for name in list(self._channels.get(topic, ())):
            self._drop(peer, Registration(topic, name))
        self._withdraw(peer, Registration(topic))

    def leave(self, peer: Peer) -> None:
        """A producer's connection has ended: it has nothing any more."""
        connected = self._connected(peer)
        if connected is None:
            return
        for registration in list(connected.registrations):
            self._drop(peer, registration)
        del self._peers[peer.remote_address]

    # --- operators ----------------------------------------------------------------------------------------------------
    def create(self, topic: str, channel: str = "") -> None:
        """Know a topic, or a channel and its topic, though nobody may have it.

        Raises:
            RegistryFull: too much is known.
        """
        if channel:
            self._known(Registration(topic, channel))
        self._known(Registration(topic))

    def delete_topic(self, topic: str) -> None:
        """Forget a topic, or `ANY`, and its channels."""
        for registration in self._found_channels(topic):
            self._forget(registration)
        for name in self._found_topics(topic):
            self._forget(Registration(name))

    def delete_channel(self, topic: str, channel: str) -> bool:
        """Forget a channel. Answers False where it is not known."""
        if channel not in self._channels.get(topic, ()):
            return False
        self._forget(Registration(topic, channel))
        return True

    def tombstone(self, topic: str, node: str, now_ns: int) -> None:
        """Hide a producer, as `Peer.node` names it, from lookups of a topic."""
        for producer in self._producers_of(topic):
            if producer.peer.node == node:
                producer.tombstoned_ns = now_ns

    # --- questions ----------------------------------------------------------------------------------------------------
    def topics(self) -> list[str]:
        """The names of all topics."""
        return list(self._topics)

    def channels(self, topic: str) -> list[str]:
        """The names of a topic's channels; of `ANY`: of all, a name as often as there are such channels."""
        return [registration.channel for registration in self._found_channels(topic)]

    def lookup(self, topic: str, now_ns: int) -> Lookup | None:
        """What is known of a topic, or of `ANY`; None: nothing."""
        if not self._found_topics(topic):
            return None
        producers = [
            producer.peer
            for producer in self._producers_of(topic)
            if self._is_active(producer.peer, now_ns) and not producer.is_tombstoned(now_ns, self._tombstone_ns)
        ]
        return Lookup(self.channels(topic), producers)

    def nodes(self, now_ns: int) -> list[Node]:
        """All active producers, with what each has; those that are hidden somewhere too."""
        return [
            self._node(connected, now_ns)
            for connected in self._peers.values()
            if self._is_active(connected.producer.peer, now_ns)
        ]

    def entries(self) -> list[tuple[str, Producer, int]]:
        """All producers in all registrations, as nsqlookupd names these (``channel:topic:name``), with when each was
        last heard of."""
        found = [("client::", connected.producer, connected.heard_ns) for connected in self._peers.values()]
        named = [(f"topic:{name}:", producers) for name, producers in self._topics.items()]
        for topic, channels in self._channels.items():
            named += [(f"channel:{topic}:{name}", producers) for name, producers in channels.items()]
        found += [
            (name, producer, self._peers[producer.peer.remote_address].heard_ns)
            for name, producers in named
            for producer in producers.values()
        ]
        return found

    # --- inside -------------------------------------------------------------------------------------------------------
    def _connected(self, peer: Peer) -> _Connected | None:
        connected = self._peers.get(peer.remote_address)
        return connected if connected is not None and connected.producer.peer is peer else None

    def _node(self, connected: _Connected, now_ns: int) -> Node:
        peer = connected.producer.peer
        topics = [registration.topic for registration in connected.registrations if not registration.channel]
        hidden = [
            self._topics[topic][peer.remote_address].is_tombstoned(now_ns, self._tombstone_ns) for topic in topics
        ]
        return Node(peer, topics, hidden)

    def _is_active(self, peer: Peer, now_ns: int) -> bool:
        return now_ns - self._peers[peer.remote_address].heard_ns <= self._inactive_ns

    def _found_topics(self, topic: str) -> list[str]:
        if topic == ANY:
            return list(self._topics)
        return [topic] if topic in self._topics else []

    def _found_channels(self, topic: str) -> list[Registration]:
        topics: Iterable[str] = list(self._channels) if topic == ANY else (topic,)
        return [Registration(name, channel) for name in topics for channel in self._channels.get(name, ())]

    def _producers_of(self, topic: str) -> list[Producer]:
        found: Producers = {}
        for name in self._found_topics(topic):
            for address, producer in self._topics[name].items():
                found.setdefault(address, producer)
        return list(found.values())

    def _producers(self, registration: Registration) -> Producers | None:
        if registration.channel:
            return self._channels.get(registration.topic, {}).get(registration.channel)
        return self._topics.get(registration.topic)

    def _known(self, registration: Registration) -> Producers:
        """The producers of a registration, which is made if it is not there."""
        producers = self._producers(registration)
        if producers is not None:
            return producers
        if self._registrations >= limits.NSQLOOKUPD_REGISTRATIONS_MAX:
            self._make_room()
        producers = {}
        if registration.channel:
            self._channels.setdefault(registration.topic, {})[registration.channel] = producers
        else:
            self._topics[registration.topic] = producers
        self._registrations += 1
        return producers

    def _make_room(self) -> None:
        if not self._deserted:
            raise RegistryFull(f"{self._registrations} topics and channels are known already")
        self._forget(next(iter(self._deserted)))

    def _enter(self, peer: Peer, registration: Registration) -> None:
        connected = self._connected(peer)
        if connected is None or registration in connected.registrations:
            return
        if self._places >= limits.NSQLOOKUPD_PLACES_MAX:
            raise RegistryFull(f"the topics and channels that are known have {self._places} producers already")
        self._known(registration)[peer.remote_address] = Producer(peer)
        connected.registrations[registration] = None
        self._deserted.pop(registration, None)
        self._places += 1

    def _drop(self, peer: Peer, registration: Registration) -> None:
        """The peer no longer has it; it stays known."""
        connected, producers = self._connected(peer), self._producers(registration)
        if connected is None or producers is None or producers.pop(peer.remote_address, None) is None:
            return
        del connected.registrations[registration]
        self._places -= 1
        if not producers and registration.is_ephemeral:
            self._deserted[registration] = None

    def _withdraw(self, peer: Peer, registration: Registration) -> None:
        """The peer no longer has it; what is ephemeral and has no other producer is forgotten."""
        self._drop(peer, registration)
        if registration.is_ephemeral and self._producers(registration) == {}:
            self._forget(registration)

    def _forget(self, registration: Registration) -> None:
        producers = self._producers(registration)
        if producers is None:
            return
        for address in producers:
            del self._peers[address].registrations[registration]
        self._places -= len(producers)
        self._registrations -= 1
        self._deserted.pop(registration, None)
        if not registration.channel:
            del self._topics[registration.topic]
            return
        channels = self._channels[registration.topic]
        del channels[registration.channel]
        if not channels:
            del self._channels[registration.topic]
