"""Where a daemon listens, as NSQ writes it: ``host:port``, ``:port`` (all interfaces), or a socket's path. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from penstock.model.errors import InvalidOption

__all__ = ["Address", "is_loopback", "parse_address"]

_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen.

    Attributes:
        host: a name or a number of an interface; empty: all of them.
        port: 0: any free one.
        path: of a Unix socket; empty: it is host and port.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_address(text: str, flag: str) -> Address:
    """The address that is written so. What has no port is the path of a Unix socket, as with nsqd.

    Raises:
        InvalidOption: it is empty, or its port is none; it is said of this flag.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not text or "\0" in text:
        raise InvalidOption(
            f"-{flag} is {text!r}: use HOST:PORT, or the path of a Unix socket.", field=flag.replace("-", "_")
        )
    if not colon or "/" in text or (":" in host and not bracketed):
        return Address(path=text)
    if not (port.isascii() and port.isdigit() and int(port) <= _PORT_MAX):
        raise InvalidOption(
            f"-{flag} is {text!r}: a port is a number from 0 to {_PORT_MAX}.", field=flag.replace("-", "_")
        )
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def is_loopback(address: Address) -> bool:
    """Whether only this machine reaches it."""
    if address.path or address.host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False
