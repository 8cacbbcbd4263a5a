"""What a door does besides serving its clients: nsqlookupds are told of its topics, a statsd of its figures."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Any, Self

import msgspec

from penstock.nsq import log_lines
from penstock.nsq.door.door import Door
from penstock.nsq.door.http_door import HttpDoor
from penstock.nsq.door.lookup_peer import Identity
from penstock.nsq.door.lookup_peers import LookupPeers
from penstock.nsq.door.memory import GarbagePauses, memory_statistics
from penstock.nsq.door.statistics import gather
from penstock.nsq.door.statsd import Statsd, prefix_of
from penstock.nsq.door_sockets import DoorSockets
from penstock.nsq.listening import port_of
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol.version import NSQ_VERSION
from penstock.ports import AsyncStore


class DoorSurroundings:
    """Everything around a door, from entering it until it is left.

    Args:
        store: of the door.
        door: this.
        sockets: where clients reach it.

    Attributes:
        http_door: the door as its HTTP API sees it.
    """

    def __init__(self, store: AsyncStore, door: Door, sockets: DoorSockets) -> None:
        options = door.options
        self._store = store
        self._door = door
        self._sockets = sockets
        self.http_door = HttpDoor(store, door, self._changed)
        self._pauses = GarbagePauses()
        self._lookup = LookupPeers(
            store,
            _identity(options, sockets),
            door.subscriptions.create_alone,
            door.faults,
            connect_s=options.http_client_connect_timeout_s,
            request_s=options.http_client_request_timeout_s,
        )
        self._statsd: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        door, options = self._door, self._door.options
        door.start()
        door.publishing.lookups = self._lookup
        door.subscriptions.prepare = self._lookup.prepare
        door.subscriptions.changed = self._lookup.look_again
        self._lookup.change(options.lookupd_tcp_addresses)
        if options.statsd_address:
            port = options.broadcast_http_port or (port_of(self._sockets.http) if self._sockets.http else 0)
            prefix = prefix_of(options.statsd_prefix, options.broadcast_address, port)
            self._pauses.begin()
            self._statsd = asyncio.get_running_loop().create_task(Statsd(options, prefix, self._stats).run())
        return self

    async def leave(self) -> None:
        """Nobody is sent here any more. A second call does nothing."""
        if self._statsd is not None:
            self._statsd.cancel()
            self._pauses.end()
        await self._lookup.close()

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.leave()

    def _changed(self, options: DoorOptions) -> None:
        self._lookup.change(options.lookupd_tcp_addresses)
        log_lines.set_level(options.log_level)

    async def _stats(self) -> dict[str, Any]:
        found = await gather(self._store, self.http_door, include_clients=False)
        stats: dict[str, Any] = {"topics": msgspec.to_builtins(found.topics)}
        if self._door.options.statsd_mem_stats:
            stats["memory"] = msgspec.to_builtins(memory_statistics(self._pauses))
        return stats


def _identity(options: DoorOptions, sockets: DoorSockets) -> Identity:
    http = sockets.http or sockets.https
    return Identity(
        broadcast_address=options.broadcast_address,
        hostname=socket.gethostname(),
        tcp_port=options.broadcast_tcp_port or port_of(sockets.tcp),
        http_port=options.broadcast_http_port or (0 if http is None else port_of(http)),
        version=NSQ_VERSION,
    )
