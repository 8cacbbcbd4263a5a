"""The sockets on which the daemons listen, by the address as NSQ writes it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from penstock.http.listening import bind
from penstock.model import limits
from penstock.model.errors import AddressUnavailable
from penstock.nsq.addresses import Address, is_loopback

__all__ = ["is_own", "listen", "port_of", "shown"]


def listen(address: Address) -> socket.socket:
    """A socket that listens there, for asyncio: it does not block.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: the port is taken, or the address is not ours to have.
    """
    if address.path:
        return _at_path(address.path)
    if address.host:
        return bind(address.host, address.port)
    return _everywhere(address.port)


def port_of(sock: socket.socket) -> int:
    """The port of a listening socket; 0: it is at a path."""
    return 0 if sock.family == socket.AF_UNIX else int(sock.getsockname()[1])


def is_own(sock: socket.socket) -> bool:
    """Whether only this machine reaches a socket."""
    name = sock.getsockname()
    return is_loopback(Address(path=str(name)) if sock.family == socket.AF_UNIX else Address(name[0], name[1]))


def shown(sock: socket.socket) -> str:
    """Where a socket listens, as Go shows it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(name)
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _everywhere(port: int) -> socket.socket:
    """On all interfaces, by IPv6 and IPv4 where the system has both."""
    try:
        if socket.has_dualstack_ipv6():
            sock = socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=limits.HTTP_BACKLOG, dualstack_ipv6=True
            )
        else:
            sock = socket.create_server(("", port), backlog=limits.HTTP_BACKLOG)
    except OSError as error:
        raise AddressUnavailable(f"Cannot listen on port {port}: {error.strerror or error}.") from None
    sock.setblocking(False)
    return sock


def _at_path(path: str) -> socket.socket:
    """At a path, where the socket of a process that has ended may still lie."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_deserted(path)
        sock.bind(path)
        sock.listen(limits.HTTP_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise AddressUnavailable(f"Cannot listen on {path}: {error.strerror or error}.") from None
    return sock


def _remove_deserted(path: str) -> None:
    """Remove a socket on which nobody listens any more; leave everything else as it is."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
