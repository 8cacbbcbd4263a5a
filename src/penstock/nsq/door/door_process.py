"""The door as a process: connects to the store, listens, drains at SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Final

from penstock.model import limits
from penstock.model.deliveries import door_holders
from penstock.nsq.door.door import Door, door_name
from penstock.nsq.door.http_listeners import HttpListeners
from penstock.nsq.door.surroundings import DoorSurroundings
from penstock.nsq.door.tls_contexts import server_context
from penstock.nsq.door_sockets import DoorSockets, listen_all
from penstock.nsq.listening import port_of, shown
from penstock.nsq.options import DoorOptions
from penstock.ports import AsyncStore
from penstock.process.descriptors import raise_limit
from penstock.process.loop_faults import note_faults_of
from penstock.process.serving_loop import EXIT_INTERRUPTED, loop_factory, stop_at_signals

logger = logging.getLogger("penstock.nsqd")

_DESCRIPTORS_KEPT: Final = 256
"""For HTTP, nsqlookupds, the store and the log."""
_COLLECT: Final = (50_000, 20, 100)
"""What is made here has no cycles: Python would look for some all the time."""

Connect = Callable[[Callable[[], list[int]], bytes], Awaitable[AsyncStore]]
"""Connects to the store: with what answers the leases that are held, and the front of the names of their holders."""


def run_nsqd(
    connect: Connect,
    options: DoorOptions,
    *,
    sockets: DoorSockets | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Serve NSQ clients until SIGTERM or SIGINT; a second one stops at once.

    Args:
        connect: makes the connection to the store, on the door's event loop.
        options: as `penstock.nsq.loading.load_door` gives them.
        sockets: what it listens on, which it closes. None: it makes its own.
        on_ready: called once with the address for clients, when they are served.

    Returns:
        0; 130: a SIGINT stopped it.

    Raises:
        InvalidOption: an address is none, or a certificate cannot be used.
        AddressUnavailable: an address is taken, or not ours to have.
        StoreUnavailable: the store cannot be reached.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    tls = server_context(options)
    with (
        closing(sockets or listen_all(options)) as listening,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        return runner.run(_serve(connect, options, listening, tls, on_ready))


async def _serve(
    connect: Connect,
    options: DoorOptions,
    sockets: DoorSockets,
    tls: ssl.SSLContext | None,
    on_ready: Callable[[str], None] | None,
) -> int:
    stop, signals = stop_at_signals()
    loop = asyncio.get_running_loop()
    address = shown(sockets.tcp)
    name = door_name(address)
    listeners = HttpListeners(options, sockets, tls)
    doors: list[Door] = []
    store = await connect(lambda: doors[0].held() if doors else [], door_holders(name))
    try:
        # What a door before this one had in flight when it died.
        await store.reconcile(door_holders(name), [])
        door = Door(store, options, name=name, tls=tls)
        door.connections_max = min(limits.NSQ_CONNECTIONS_MAX, max(1, raise_limit() - _DESCRIPTORS_KEPT))
        doors.append(door)
        note_faults_of(loop, door.faults)
        async with DoorSurroundings(store, door, sockets) as surroundings:
            http = loop.create_task(listeners.serve(store, surroundings.http_door, port_of(sockets.tcp) or -1, stop))
            server = await _server(loop, door, sockets.tcp)
            logger.info("TCP: listening on %s", address)
            listeners.announce()
            if on_ready is not None:
                loop.call_soon(on_ready, address)
            await stop.wait()
            server.close()
            await surroundings.leave()
            await http
            await door.drain()
        logger.info("NSQ: stopping subsystems")
        return EXIT_INTERRUPTED if signal.SIGINT in signals else 0
    finally:
        await store.close()


async def _server(loop: asyncio.AbstractEventLoop, door: Door, sock: socket.socket) -> asyncio.Server:
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(door.connect, sock=sock, backlog=limits.HTTP_BACKLOG)
    return await loop.create_server(door.connect, sock=sock, backlog=limits.HTTP_BACKLOG)
