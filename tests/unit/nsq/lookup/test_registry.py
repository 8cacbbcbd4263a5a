"""What an nsqlookupd knows: after any calls, the same as a list of who has what says."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.model import limits
from penstock.nsq.lookup.registry import ANY, Lookup, Peer, Registry, RegistryFull

INACTIVE_NS = 300
TOMBSTONE_NS = 45
TOPICS = ["orders", "mail", "spill#ephemeral"]
CHANNELS = ["", "billing", "tail#ephemeral"]


def peer(number: int) -> Peer:
    return Peer(
        remote_address=f"192.0.2.1:{number}",
        hostname="host",
        broadcast_address=f"node-{number}",
        tcp_port=4150,
        http_port=4151,
        version="1.3.0",
    )


@pytest.fixture
def registry() -> Registry:
    return Registry(INACTIVE_NS, TOMBSTONE_NS)


@dataclass
class Naive:
    """What is known, as nsqlookupd keeps it: for each name of a registration, who has it and since when hidden."""

    entries: dict[tuple[str, str], dict[str, int | None]] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)

    def drop(self, topic: str, channel: str, address: str) -> None:
        self.entries.get((topic, channel), {}).pop(address, None)

    def forget_if_deserted(self, topic: str, channel: str) -> None:
        if (channel or topic).endswith("#ephemeral") and not self.entries.get((topic, channel)):
            self.entries.pop((topic, channel), None)


class Calls(RuleBasedStateMachine):
    """Any calls in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(INACTIVE_NS, TOMBSTONE_NS)
        self.naive = Naive()
        self.peers: dict[str, Peer] = {}
        self.now_ns = 1_000

    def any_peer(self, index: int) -> Peer:
        return list(self.peers.values())[index % len(self.peers)]

    @rule(number=st.integers(1, 4))
    def join(self, number: int) -> None:
        new = peer(number)
        self.leave_at(new.remote_address)
        self.peers[new.remote_address] = new
        self.naive.heard[new.remote_address] = self.now_ns
        self.registry.join(new, self.now_ns)

    @precondition(lambda self: self.peers)
    @rule(index=st.integers(0, 3), topic=st.sampled_from(TOPICS), channel=st.sampled_from(CHANNELS))
    def register(self, index: int, topic: str, channel: str) -> None:
        one = self.any_peer(index)
        self.registry.register(one, topic, channel)
        for name in {channel, ""}:
            self.naive.entries.setdefault((topic, name), {}).setdefault(one.remote_address, None)

    @precondition(lambda self: self.peers)
    @rule(index=st.integers(0, 3), topic=st.sampled_from(TOPICS), channel=st.sampled_from(CHANNELS))
    def unregister(self, index: int, topic: str, channel: str) -> None:
        one = self.any_peer(index)
        self.registry.unregister(one, topic, channel)
        if not channel:
            for of, name in list(self.naive.entries):
                if of == topic and name:
                    self.naive.drop(of, name, one.remote_address)
        self.naive.drop(topic, channel, one.remote_address)
        self.naive.forget_if_deserted(topic, channel)

    @precondition(lambda self: self.peers)
    @rule(index=st.integers(0, 3))
    def leave(self, index: int) -> None:
        one = self.any_peer(index)
        self.registry.leave(one)
        self.leave_at(one.remote_address)

    def leave_at(self, address: str) -> None:
        self.peers.pop(address, None)
        self.naive.heard.pop(address, None)
        for topic, channel in self.naive.entries:
            self.naive.drop(topic, channel, address)

    @precondition(lambda self: self.peers)
    @rule(index=st.integers(0, 3))
    def heard(self, index: int) -> None:
        one = self.any_peer(index)
        self.registry.heard(one, self.now_ns)
        self.naive.heard[one.remote_address] = self.now_ns

    @rule(topic=st.sampled_from(TOPICS), channel=st.sampled_from(CHANNELS))
    def create(self, topic: str, channel: str) -> None:
        self.registry.create(topic, channel)
        for name in {channel, ""}:
            self.naive.entries.setdefault((topic, name), {})

    @rule(topic=st.sampled_from([*TOPICS, ANY]))
    def delete_topic(self, topic: str) -> None:
        self.registry.delete_topic(topic)
        self.naive.entries = {key: held for key, held in self.naive.entries.items() if topic not in (ANY, key[0])}

    @rule(topic=st.sampled_from(TOPICS), channel=st.sampled_from(CHANNELS[1:]))
    def delete_channel(self, topic: str, channel: str) -> None:
        was_there = self.naive.entries.pop((topic, channel), None) is not None
        assert self.registry.delete_channel(topic, channel) is was_there

    @rule(topic=st.sampled_from([*TOPICS, ANY]), number=st.integers(1, 4))
    def tombstone(self, topic: str, number: int) -> None:
        hidden = peer(number)
        if topic == ANY:
            # Of a producer of several topics one is hidden, whichever is found first.
            return
        self.registry.tombstone(topic, hidden.node, self.now_ns)
        held = self.naive.entries.get((topic, ""), {})
        if hidden.remote_address in held:
            held[hidden.remote_address] = self.now_ns

    @rule(later_ns=st.integers(0, 200))
    def wait(self, later_ns: int) -> None:
        self.now_ns += later_ns

    @invariant()
    def the_answers_are_the_same(self) -> None:
        naive, now_ns = self.naive, self.now_ns
        active = {address for address, since in naive.heard.items() if now_ns - since <= INACTIVE_NS}
        topics = {topic for topic, channel in naive.entries if not channel}
        assert sorted(self.registry.topics()) == sorted(topics)
        for topic in TOPICS:
            channels = sorted(name for of, name in naive.entries if of == topic and name)
            assert sorted(self.registry.channels(topic)) == channels
            hidden = {
                address
                for address, since in naive.entries.get((topic, ""), {}).items()
                if since is not None and now_ns - since < TOMBSTONE_NS
            }
            found = self.registry.lookup(topic, now_ns)
            if topic not in topics:
                assert found is None
                continue
            assert isinstance(found, Lookup)
            assert sorted(found.channels) == channels
            shown = {one.remote_address for one in found.producers}
            assert shown == (set(naive.entries[(topic, "")]) & active) - hidden
        self.the_nodes_are_the_same(active)

    def the_nodes_are_the_same(self, active: set[str]) -> None:
        nodes = {node.peer.remote_address: node for node in self.registry.nodes(self.now_ns)}
        assert set(nodes) == active
        for address, node in nodes.items():
            has = {of: held[address] for (of, name), held in self.naive.entries.items() if not name and address in held}
            hidden = {of: since is not None and self.now_ns - since < TOMBSTONE_NS for of, since in has.items()}
            assert dict(zip(node.topics, node.tombstones, strict=True)) == hidden

    @invariant()
    def what_is_counted_is_there(self) -> None:
        assert self.registry.registrations == len(self.naive.entries)
        assert self.registry.places == sum(map(len, self.naive.entries.values()))
        listed = [name for name, _, _ in self.registry.entries()]
        assert len(listed) == len(self.peers) + self.registry.places


Calls.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCalls = Calls.TestCase


def test_all_topics_are_asked_for_with_a_star(registry: Registry) -> None:
    first, second = peer(1), peer(2)
    for one in (first, second):
        registry.join(one, 0)
    registry.register(first, "orders", "billing")
    registry.register(second, "mail", "billing")
    assert registry.lookup(ANY, 0) == Lookup(["billing", "billing"], [first, second])
    registry.tombstone(ANY, first.node, 0)
    found = registry.lookup(ANY, 0)
    assert found is not None
    assert found.producers == [second]


def test_a_tombstone_is_of_one_topic_and_goes_when_its_producer_comes_again(registry: Registry) -> None:
    one = peer(1)
    registry.join(one, 0)
    for topic in ("orders", "mail"):
        registry.register(one, topic)
    registry.tombstone("orders", one.node, 0)
    hidden, shown = registry.lookup("orders", 1), registry.lookup("mail", 1)
    assert hidden is not None
    assert hidden.producers == []
    assert shown is not None
    assert shown.producers == [one]
    registry.unregister(one, "orders")
    registry.register(one, "orders")
    again = registry.lookup("orders", 1)
    assert again is not None
    assert again.producers == [one]


def test_who_is_replaced_at_its_address_changes_nothing_any_more(registry: Registry) -> None:
    old, new = peer(1), peer(1)
    registry.join(old, 0)
    registry.register(old, "orders")
    registry.join(new, 5)
    registry.register(old, "mail")
    registry.heard(old, 900)
    registry.leave(old)
    assert [(node.peer is new, node.topics) for node in registry.nodes(5)] == [(True, [])]
    assert registry.nodes(400) == []


def test_more_registrations_than_there_may_be_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_REGISTRATIONS_MAX", 2)
    one = peer(1)
    registry.join(one, 0)
    registry.register(one, "orders", "billing")
    with pytest.raises(RegistryFull, match="2 topics and channels"):
        registry.register(one, "mail")
    with pytest.raises(RegistryFull):
        registry.create("mail")
    registry.register(one, "orders", "billing")
    assert registry.topics() == ["orders"]


def test_what_is_ephemeral_and_nobody_has_gives_way_to_what_is_new(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_REGISTRATIONS_MAX", 2)
    gone, one = peer(1), peer(2)
    registry.join(gone, 0)
    registry.register(gone, "orders", "tail#ephemeral")
    registry.leave(gone)
    assert registry.channels("orders") == ["tail#ephemeral"]
    registry.join(one, 0)
    registry.register(one, "mail")
    assert (registry.topics(), registry.channels("orders")) == (["orders", "mail"], [])


def test_more_producers_than_there_may_be_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_PLACES_MAX", 1)
    one, other = peer(1), peer(2)
    for each in (one, other):
        registry.join(each, 0)
    registry.register(one, "orders")
    with pytest.raises(RegistryFull, match="1 producers"):
        registry.register(other, "orders")
    registry.leave(one)
    registry.register(other, "orders")
