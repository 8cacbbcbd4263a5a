"""Sockets at the addresses that NSQ's flags name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penstock.model.errors import AddressUnavailable
from penstock.nsq.addresses import Address
from penstock.nsq.listening import listen, port_of, shown


def test_a_host_and_a_port() -> None:
    with listen(Address("127.0.0.1", 0)) as sock:
        assert shown(sock) == f"127.0.0.1:{port_of(sock)}"
        assert not sock.getblocking()


def test_no_host_is_all_interfaces() -> None:
    with listen(Address("", 0)) as sock:
        socket.create_connection(("127.0.0.1", port_of(sock))).close()
        assert shown(sock).endswith(f":{port_of(sock)}")
        with pytest.raises(AddressUnavailable, match="in use"):
            listen(Address("", port_of(sock)))


def test_a_path_is_a_unix_socket_and_one_that_is_deserted_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "nsqd.sock")
    for _ in range(2):
        with listen(Address(path=path)) as sock:
            assert (shown(sock), port_of(sock)) == (path, 0)
            with pytest.raises(AddressUnavailable, match="in use"):
                listen(Address(path=path))


def test_a_file_at_the_path_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(AddressUnavailable):
        listen(Address(path=str(path)))
    assert path.read_text() == "mine"
