"""A bound on something that all clients of a server have together, and on one client's share of it.

A client is an address of another machine (of IPv6 the first 64 bits, for the rest is the machine's to choose). On this
machine any process may be behind an address, so nobody is told from anybody there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["Shares", "client_of"]

_NETWORK_BITS: Final = 64


def client_of(address: Sequence[Any]) -> str | None:
    """Who is behind a socket's address, as far as that tells; None: a process of this machine."""
    try:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except (ValueError, IndexError):
        return None
    if ip.version == 6:
        mapped = ip.ipv4_mapped
        ip = ip if mapped is None else mapped
    if ip.is_loopback:
        return None
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, _NETWORK_BITS), strict=False))


class Shares:
    """How much of something is taken, of which one client may have half.

    Args:
        most: of all clients together.

    Attributes:
        most: of all clients together.
        taken: of it now.
    """

    __slots__ = ("_by_client", "most", "taken")

    def __init__(self, most: int) -> None:
        self.most = most
        self._by_client: dict[str, int] = {}
        self.taken = 0

    def take(self, client: str | None, count: int, *, alone: bool = False) -> bool:
        """Take so much for a client, None being any of this machine; False: there is not so much left for it.

        Args:
            client: as `client_of` tells.
            count: how much.
            alone: take it though there is not so much left.
        """
        if self.taken + count > self.most and not alone:
            return False
        if client is not None:
            share = self._by_client.get(client, 0) + count
            if share > max(1, self.most // 2) and not alone:
                return False
            self._by_client[client] = share
        self.taken += count
        return True

    def give_back(self, client: str | None, count: int) -> None:
        """So much of what was taken for the client is free again."""
        self.taken -= count
        if client is not None:
            share = self._by_client[client] - count
            if share:
                self._by_client[client] = share
            else:
                del self._by_client[client]
