"""The sockets on which processes listen.

Processes that share an address have a socket each (SO_REUSEPORT), among which Linux divides new connections evenly; one
socket for all would leave most of a burst to whoever wakes first. All of them are made at once, by whoever starts the
processes, and the first of them without sharing: an address that somebody else listens on is refused, not shared. Where
the system does not divide, all have the same socket.
"""

from __future__ import annotations

import socket
import sys

from penstock.model import limits
from penstock.model.errors import AddressUnavailable, InvalidOption

__all__ = ["bind", "bind_shared"]


def bind(host: str, port: int, *, field: str = "address") -> socket.socket:
    """A listening socket that nobody shares; port 0 is any free one. ``field``: the option that names it.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: the port is taken, or the address is not ours to have.
    """
    return bind_shared(host, port, 1, field=field)[0]


def bind_shared(host: str, port: int, count: int, *, field: str = "address") -> list[socket.socket]:
    """Listening sockets for ``count`` processes that share an address; port 0 is any free one.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: somebody else listens there, or the address is not ours to have.
    """
    try:
        family, _, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidOption(f"Cannot listen on {host} port {port}: {why}.", field=field) from None
    sockets: list[socket.socket] = []
    try:
        sockets.append(_listening(family, protocol, address, shared=False))
        for _ in range(count - 1):
            sockets.append(_another(sockets[0]))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise AddressUnavailable(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from None
    return sockets


def _another(first: socket.socket) -> socket.socket:
    """One more socket at the address of the first, which shares it from now on."""
    if sys.platform != "linux":
        return first.dup()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _listening(first.family, first.proto, first.getsockname(), shared=True)


def _listening(family: int, protocol: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(limits.HTTP_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
