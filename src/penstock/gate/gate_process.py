"""The gate as a process: connects to the store, listens, drains at SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.gate.access import Access
from penstock.gate.app import Gate
from penstock.gate.reads import ProcessRecord
from penstock.gate.shared_counters import Seat
from penstock.gate.task_catalog import Catalog, StoreCatalog, app_catalog
from penstock.http.listening import bind
from penstock.http.server import HttpServer
from penstock.model import limits
from penstock.ports import AsyncStore
from penstock.process.descriptors import raise_limit
from penstock.process.loop_faults import note_faults_of
from penstock.process.serving_loop import EXIT_INTERRUPTED, loop_factory, stop_at_signals
from penstock.tasks.task import Task

logger = logging.getLogger("penstock.gate")

_DESCRIPTORS_KEPT = 64
_COLLECT = (20_000, 20, 100)
"""Checking one large job makes thousands of objects and no cycle: Python would look for some at every request."""


def _this_process() -> Sequence[ProcessRecord]:
    return (ProcessRecord("gate", os.getpid()),)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """How a gate runs.

    Attributes:
        host: the address to listen on; not a loopback one only with a token.
        port: 0: any free one.
        token: what clients must show. None: nothing is asked for.
        tasks: of the application, to check arguments against. None: the names that workers recorded in the store.
        listening: a socket that listens there already; the gate closes it. None: it makes its own.
        seat: where it posts its figures, among the gates of its node. None: it is the only one.
        grace_s: how long requests may take to end after SIGTERM.
        processes: the processes of this node, for ``/v1/stats``.
        unready: why the gate should get no work yet, for ``/health/ready``; None: it should.
        on_ready: called once with host and port, when requests are answered.
    """

    host: str = "127.0.0.1"
    port: int = 7367
    token: str | None = None
    tasks: Sequence[Task[..., Any]] | None = None
    listening: socket.socket | None = None
    seat: Seat | None = None
    grace_s: float = limits.GRACE_S
    processes: Callable[[], Sequence[ProcessRecord]] = _this_process
    unready: Callable[[], str | None] = lambda: None
    on_ready: Callable[[str, int], None] | None = None


def run_gate(connect: Callable[[], Awaitable[AsyncStore]], settings: GateSettings) -> int:
    """Serve until SIGTERM or SIGINT; a second one stops at once.

    Args:
        connect: makes the connection to the store, on the gate's event loop.
        settings: everything else.

    Returns:
        0: every request had its answer; 1: some were cut off; 130: a SIGINT stopped it.

    Raises:
        InvalidOption: there is no such host, or the address needs a token.
        AddressUnavailable: the port is taken, or the address is not ours to have.
        StoreUnavailable: the store cannot be reached.
    """
    access = Access(settings.host, settings.token)
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    listening = settings.listening or bind(settings.host, settings.port, field="gate")
    with listening as sock, asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(connect, settings, access, sock))


async def _serve(
    connect: Callable[[], Awaitable[AsyncStore]], settings: GateSettings, access: Access, sock: socket.socket
) -> int:
    stop, signals = stop_at_signals()
    store = await connect()
    try:
        catalog: Catalog = (
            StoreCatalog(store.tasks, store.declared_queues) if settings.tasks is None else app_catalog(settings.tasks)
        )
        port = sock.getsockname()[1]
        access.listening(port)
        gate = Gate(
            store,
            catalog,
            access,
            durability=(await store.capabilities()).durability,
            processes=settings.processes,
            unready=settings.unready,
            seat=settings.seat,
        )
        note_faults_of(asyncio.get_running_loop(), gate.faults)
        gate.start()
        try:
            status = await _answer_until(stop, gate, sock, settings)
            return EXIT_INTERRUPTED if signal.SIGINT in signals else status
        finally:
            gate.stop()
    finally:
        await store.close()


async def _answer_until(stop: asyncio.Event, gate: Gate, sock: socket.socket, settings: GateSettings) -> int:
    host, port = settings.host, sock.getsockname()[1]
    gates = 1 if settings.seat is None else settings.seat.gates
    server = HttpServer(gate, sock, settings.grace_s, _connections_max(gates))
    gate.watch(server.trouble)
    if settings.on_ready is not None:
        asyncio.get_running_loop().call_soon(settings.on_ready, host, port)
    logger.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port, extra={"action": "listening"})
    draining = asyncio.ensure_future(_drain_at(stop, gate))
    try:
        ended = await server.run(stop)
    finally:
        draining.cancel()
    cut_off = gate.admission.statistics().flights
    logger.info("stopped; %d requests cut off", cut_off, extra={"action": "stopped"})
    return 0 if ended and not cut_off else 1


def _connections_max(gates: int) -> int:
    """Of one gate of so many. Each is a descriptor, and some are needed for all else."""
    return max(1, min(limits.GATE_CONNECTIONS_MAX // gates, raise_limit() - _DESCRIPTORS_KEPT))


async def _drain_at(stop: asyncio.Event, gate: Gate) -> None:
    await stop.wait()
    gate.drain()
