"""The sockets that a door listens on: all of them, or none where one cannot be had."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from penstock.nsq.addresses import parse_address
from penstock.nsq.listening import listen
from penstock.nsq.options import DoorOptions

__all__ = ["DoorSockets", "listen_all"]


@dataclass(frozen=True, slots=True)
class DoorSockets:
    """What a door listens on.

    Attributes:
        tcp: for NSQ's clients.
        http: for HTTP. None: nowhere.
        https: for HTTP in TLS. None: nowhere.
    """

    tcp: socket.socket
    http: socket.socket | None = None
    https: socket.socket | None = None

    def all(self) -> list[socket.socket]:
        """Those that there are."""
        return [sock for sock in (self.tcp, self.http, self.https) if sock is not None]

    def close(self) -> None:
        """Close them all. A second close does nothing."""
        for sock in self.all():
            sock.close()


def listen_all(options: DoorOptions) -> DoorSockets:
    """The sockets that these options ask for. HTTPS is there where there is a certificate.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: an address is taken, or not ours to have.
    """
    wanted = (
        ("tcp-address", options.tcp_address),
        ("http-address", options.http_address),
        ("https-address", options.https_address if options.tls_cert else ""),
    )
    made: list[socket.socket | None] = []
    try:
        for flag, address in wanted:
            made.append(listen(parse_address(address, flag)) if address else None)
    except BaseException:
        for sock in made:
            if sock is not None:
                sock.close()
        raise
    tcp, http, https = made
    assert tcp is not None, "a door has an address for NSQ's clients"
    return DoorSockets(tcp, http, https)
