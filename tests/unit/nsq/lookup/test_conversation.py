"""The TCP protocol of nsqlookupd: what is answered to what, whatever the pieces it arrives in."""

from __future__ import annotations

import json
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.nsq.lookup.conversation import MAGIC, Conversation
from penstock.nsq.lookup.registry import Registry

IDENTITY = b'{"version":"1.3.0"}'
WHO = {"hostname": "h", "broadcast_address": "b", "tcp_port": 1, "http_port": 2, "version": "1.3.0"}


def identify(who: object = WHO) -> bytes:
    body = who if isinstance(who, bytes) else json.dumps(who).encode()
    return b"IDENTIFY\n" + struct.pack(">i", len(body)) + body


def answers(sent: bytes) -> list[bytes]:
    found = []
    while sent:
        (size,) = struct.unpack_from(">i", sent)
        found.append(sent[4 : 4 + size])
        sent = sent[4 + size :]
    return found


@pytest.fixture
def registry() -> Registry:
    return Registry(300, 45)


@pytest.fixture
def conversation(registry: Registry) -> Conversation:
    return Conversation(registry, "192.0.2.1:5", IDENTITY)


def test_a_producer_registers_pings_and_takes_itself_off(registry: Registry, conversation: Conversation) -> None:
    said = b"REGISTER orders billing\nREGISTER mail\nPING\nUNREGISTER mail\n"
    assert answers(conversation.take(MAGIC + identify() + said, 7)) == [IDENTITY, b"OK", b"OK", b"OK", b"OK"]
    (node,) = registry.nodes(7)
    assert (node.topics, node.peer.remote_address) == (["orders"], "192.0.2.1:5")
    conversation.leave()
    assert registry.nodes(7) == []
    assert registry.topics() == ["orders", "mail"]


def test_a_ping_keeps_a_producer_and_may_come_before_it_has_said_who_it_is(
    registry: Registry, conversation: Conversation
) -> None:
    assert answers(conversation.take(MAGIC + b"PING\n" + identify(), 0)) == [b"OK", IDENTITY]
    conversation.take(b"PING\r\n", 250)
    assert len(registry.nodes(500)) == 1
    assert registry.nodes(600) == []


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"  V2", b"E_BAD_PROTOCOL"),
        (MAGIC + b"\n", b"E_INVALID invalid command "),
        (MAGIC + b"ping\n", b"E_INVALID invalid command ping"),
        (MAGIC + b"REGISTER orders\n", b"E_INVALID client must IDENTIFY"),
        (MAGIC + b"UNREGISTER orders\n", b"E_INVALID client must IDENTIFY"),
        (MAGIC + identify() + identify(), b"E_INVALID cannot IDENTIFY again"),
        (MAGIC + identify() + b"REGISTER\n", b"E_INVALID REGISTER insufficient number of params"),
        (MAGIC + identify() + b"REGISTER  orders\n", b"E_BAD_TOPIC REGISTER topic name '' is not valid"),
        (MAGIC + identify() + b"UNREGISTER a!\n", b"E_BAD_TOPIC UNREGISTER topic name 'a!' is not valid"),
        (MAGIC + identify() + b"REGISTER %b\n" % (b"a" * 65), b"E_BAD_TOPIC REGISTER topic name '%b' is not valid"),
        (MAGIC + identify() + b"REGISTER a \xff\n", b"E_BAD_CHANNEL REGISTER channel name '\xff' is not valid"),
        (MAGIC + identify(b"{"), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + identify([]), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + identify(b"[" * 50_000), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + identify(None), b"E_BAD_BODY IDENTIFY missing fields"),
        (MAGIC + identify({**WHO, "tcp_port": 0}), b"E_BAD_BODY IDENTIFY missing fields"),
        (MAGIC + identify({**WHO, "tcp_port": 1.0}), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + identify({**WHO, "tcp_port": True}), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + identify({**WHO, "tcp_port": 1 << 63}), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + identify({**WHO, "hostname": 5}), b"E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (MAGIC + b"IDENTIFY\n\xff\xff\xff\xff", b"E_BAD_BODY IDENTIFY failed to read body"),
        (MAGIC + b"IDENTIFY\n\x7f\xff\xff\xff", b"E_BAD_BODY IDENTIFY failed to read body"),
        (MAGIC + b"A" * limits.NSQLOOKUPD_LINE_BYTES_MAX, b"E_INVALID command is too long"),
    ],
)
def test_what_is_wrong_is_told_and_ends_the_connection(conversation: Conversation, said: bytes, answer: bytes) -> None:
    said_last = answers(conversation.take(said + b"PING\n", 0))[-1]
    assert said_last == (answer % (b"a" * 65) if b"%b" in answer else answer)
    assert conversation.ended
    assert conversation.take(b"PING\n", 0) == b""


def test_names_in_identify_count_whatever_their_case_and_null_is_nothing(registry: Registry) -> None:
    who = {"HostName": None, "BROADCAST_ADDRESS": "b", "tcp_port": 3, "TCP_Port": 1, "http_port": 2, "version": "v"}
    conversation = Conversation(registry, "192.0.2.1:5", IDENTITY)
    conversation.take(MAGIC + identify({**who, "remote_address": "elsewhere", "more": [1]}), 0)
    assert conversation.peer is not None
    assert (conversation.peer.hostname, conversation.peer.tcp_port) == ("", 1)
    assert conversation.peer.remote_address == "192.0.2.1:5"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (MAGIC[:2], []),
        (MAGIC + b"PIN", []),
        (MAGIC + b"IDENTIFY\n\0\0", [b"E_BAD_BODY IDENTIFY failed to read body size"]),
        (MAGIC + b"IDENTIFY\n\0\0\0\5{", [b"E_BAD_BODY IDENTIFY failed to read body"]),
    ],
)
def test_a_client_that_stops_in_the_middle_is_told_if_it_was_to_be_answered(
    conversation: Conversation, said: bytes, answer: list[bytes]
) -> None:
    assert conversation.take(said, 0) == b""
    assert answers(conversation.stop_reading()) == answer
    assert conversation.ended


def test_a_producer_with_too_many_topics_stays(
    registry: Registry, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_REGISTRATIONS_MAX", 1)
    said = MAGIC + identify() + b"REGISTER orders\nREGISTER mail\nPING\n"
    refused = b"E_INVALID REGISTER 1 topics and channels are known already"
    assert answers(conversation.take(said, 0)) == [IDENTITY, b"OK", refused, b"OK"]
    assert not conversation.ended
    assert registry.topics() == ["orders"]


commands = st.lists(
    st.one_of(
        st.just(b"PING\n"),
        st.just(identify()),
        st.sampled_from(
            [b"REGISTER a b\n", b"REGISTER a\n", b"UNREGISTER a b\n", b"UNREGISTER a\n", b"REGISTER a !\n"]
        ),
        st.binary(max_size=12),
    ),
    max_size=8,
).map(lambda said: MAGIC + b"".join(said))


@given(said=commands | st.binary(max_size=40), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_the_pieces_in_which_it_arrives_make_no_difference(said: bytes, cuts: list[int]) -> None:
    whole = Conversation(Registry(300, 45), "192.0.2.1:5", IDENTITY)
    pieces = Conversation(Registry(300, 45), "192.0.2.1:5", IDENTITY)
    expected = whole.take(said, 0)
    edges = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    found = [pieces.take(said[begin:end], 0) for begin, end in pairwise(edges)]
    assert b"".join(found) == expected
    assert pieces.ended is whole.ended
    assert pieces.stop_reading() == whole.stop_reading()
