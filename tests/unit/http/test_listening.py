"""Sockets that processes listen on: taken whole or not at all, shared among themselves alone."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from penstock.http.listening import bind, bind_shared
from penstock.model.errors import AddressUnavailable, InvalidOption

CONNECTIONS = 64


@pytest.fixture
def three() -> Iterator[list[socket.socket]]:
    sockets = bind_shared("127.0.0.1", 0, 3)
    yield sockets
    for sock in sockets:
        sock.close()


def accepted(listening: socket.socket) -> int:
    """How many connections wait; they are taken."""
    count = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_port_that_is_taken_is_no_wrong_usage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AddressUnavailable, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["a..b", "no such host"])
def test_a_host_that_cannot_be_is_wrong_usage(host: str) -> None:
    with pytest.raises(InvalidOption, match="port 7") as caught:
        bind(host, 7, field="gate")
    assert caught.value.field == "gate"


def test_all_have_one_address(three: list[socket.socket]) -> None:
    assert len({sock.getsockname() for sock in three}) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes share one socket")
def test_connections_are_divided_among_all(three: list[socket.socket]) -> None:
    clients = [socket.create_connection(three[0].getsockname()) for _ in range(CONNECTIONS)]
    counts = [accepted(sock) for sock in three]
    for client in clients:
        client.close()
    assert sum(counts) == CONNECTIONS
    assert min(counts) > 0


@pytest.mark.parametrize("count", [1, 2])
def test_nobody_else_gets_a_part_of_them(three: list[socket.socket], count: int) -> None:
    with pytest.raises(AddressUnavailable, match="in use"):
        bind_shared("127.0.0.1", three[0].getsockname()[1], count)


def test_nobody_else_gets_a_part_of_one_that_is_not_shared() -> None:
    with bind("127.0.0.1", 0) as alone, pytest.raises(AddressUnavailable, match="in use"):
        bind_shared("127.0.0.1", alone.getsockname()[1], 2)


def test_when_they_are_closed_the_port_is_free(three: list[socket.socket]) -> None:
    port = three[0].getsockname()[1]
    for sock in three:
        sock.close()
    bind("127.0.0.1", port).close()
