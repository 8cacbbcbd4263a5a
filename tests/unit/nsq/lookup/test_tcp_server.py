"""Connections to nsqlookupd: whose they are, how many there may be, and who gives way."""

from __future__ import annotations

import asyncio
import struct

import pytest

from penstock.model import limits
from penstock.nsq.lookup.conversation import MAGIC, Conversation
from penstock.nsq.lookup.registry import Registry
from penstock.nsq.lookup.tcp_server import LookupConnection, LookupConnections

IDENTIFY = b'{"hostname":"h","broadcast_address":"b","tcp_port":1,"http_port":2,"version":"v"}'
HELLO = MAGIC + b"IDENTIFY\n" + struct.pack(">i", len(IDENTIFY)) + IDENTIFY


class Transport(asyncio.Transport):
    """A client's end."""

    def __init__(self, address: object = ("127.0.0.1", 5)) -> None:
        super().__init__({"peername": address})
        self.sent = b""
        self.state = "open"
        self.reads = True

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.sent += data

    def close(self) -> None:
        self.state = "closing"

    def abort(self) -> None:
        self.state = "aborted"

    def is_closing(self) -> bool:
        return self.state != "open"

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class World:
    """All connections, and a clock."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.registry = Registry(300, 45)
        self.connections = LookupConnections(
            lambda address: Conversation(self.registry, address, b"{}"), lambda: self.now_ns
        )

    def connect(self, address: object = ("127.0.0.1", 5)) -> tuple[LookupConnection, Transport]:
        connection, transport = LookupConnection(self.connections), Transport(address)
        connection.connection_made(transport)
        return connection, transport


@pytest.fixture
def world() -> World:
    return World()


def test_a_producer_is_known_by_its_address_until_it_is_gone(world: World) -> None:
    connection, transport = world.connect(("2001:db8::1", 5, 0, 0))
    connection.data_received(HELLO)
    assert transport.sent == b"\0\0\0\2{}"
    assert world.registry.nodes(0)[0].peer.remote_address == "[2001:db8::1]:5"
    connection.connection_lost(None)
    assert (world.registry.nodes(0), len(world.connections)) == ([], 0)


def test_producers_by_a_unix_socket_are_told_apart(world: World) -> None:
    for _ in range(2):
        connection, _ = world.connect("")
        connection.data_received(HELLO)
    assert len(world.registry.nodes(0)) == 2


def test_an_error_is_sent_before_the_connection_ends(world: World) -> None:
    connection, transport = world.connect()
    connection.data_received(b"GET ")
    assert (transport.sent, transport.state) == (b"\0\0\0\x0eE_BAD_PROTOCOL", "closing")


def test_who_hangs_up_half_way_is_told_what_was_missing(world: World) -> None:
    connection, transport = world.connect()
    connection.data_received(MAGIC + b"IDENTIFY\n")
    connection.eof_received()
    assert b"E_BAD_BODY" in transport.sent


def test_who_does_not_take_its_answers_is_not_read_from(world: World) -> None:
    connection, transport = world.connect()
    connection.pause_writing()
    assert not transport.reads
    connection.resume_writing()
    assert transport.reads


def test_one_too_many_is_closed_unless_another_has_been_silent_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_CONNECTIONS_MAX", 2)
    world.connections = LookupConnections(world.connections.converse, world.connections.now_ns)
    (first, first_end), (_, second_end) = world.connect(), world.connect()
    assert world.connect()[1].state == "aborted"
    world.now_ns = round(limits.NSQLOOKUPD_SILENT_S * 1e9)
    first.data_received(MAGIC)
    assert world.connect()[1].state == "open"
    assert (first_end.state, second_end.state) == ("open", "aborted")
    assert world.connect()[1].state == "aborted"


def test_another_machine_has_half_of_the_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NSQLOOKUPD_CONNECTIONS_MAX", 4)
    world.connections = LookupConnections(world.connections.converse, world.connections.now_ns)
    states = [world.connect(("192.0.2.1", port))[1].state for port in range(3)]
    assert states == ["open", "open", "aborted"]
    assert world.connect(("192.0.2.2", 1))[1].state == "open"


def test_all_end_when_it_stops(world: World) -> None:
    ends = [world.connect()[1] for _ in range(3)]
    world.connections.close_all()
    assert {end.state for end in ends} == {"aborted"}
