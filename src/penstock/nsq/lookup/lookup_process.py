"""nsqlookupd as a process: listens for nsqds by TCP and for everybody else by HTTP, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from penstock.http.exchange import HttpExchange
from penstock.http.messages import Answer, ClientGone
from penstock.http.problems import HttpProblem
from penstock.http.server import HttpServer
from penstock.model import limits
from penstock.nsq.addresses import parse_address
from penstock.nsq.http_access import HttpAccess, own_names_of
from penstock.nsq.http_routes import ApiError, go_json
from penstock.nsq.listening import is_own, listen, port_of, shown
from penstock.nsq.loading import NSQ_VERSION
from penstock.nsq.lookup.conversation import Conversation
from penstock.nsq.lookup.http_api import LookupApi
from penstock.nsq.lookup.registry import Registry
from penstock.nsq.lookup.tcp_server import LookupConnection, LookupConnections
from penstock.nsq.options import LookupOptions
from penstock.process.descriptors import raise_limit
from penstock.process.loop_faults import note_faults_of
from penstock.process.repeated_faults import Faults
from penstock.process.serving_loop import stop_at_signals

__all__ = ["Listening", "run_nsqlookupd"]

logger = logging.getLogger("penstock.nsqlookupd")

_DESCRIPTORS_KEPT: Final = 64
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens.

    Attributes:
        tcp: for nsqds.
        http: for everybody else.
    """

    tcp: socket.socket
    http: socket.socket


def run_nsqlookupd(options: LookupOptions, *, on_ready: Callable[[Listening], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        options: checked.
        on_ready: called once when both ports are open.

    Returns:
        0: it was told to stop.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: a port is taken, or an address is not ours to have.
    """
    raise_limit()
    with ExitStack() as stack:
        tcp, http = (
            stack.enter_context(listen(parse_address(address, field)))
            for address, field in ((options.tcp_address, "tcp_address"), (options.http_address, "http_address"))
        )
        with asyncio.Runner() as runner:
            runner.run(_serve(options, Listening(tcp, http), on_ready))
    return 0


async def _serve(options: LookupOptions, listening: Listening, on_ready: Callable[[Listening], None] | None) -> None:
    stop, _ = stop_at_signals()
    loop = asyncio.get_running_loop()
    note_faults_of(loop, Faults(logger))
    now_ns = _steady_clock()
    registry = Registry(
        round(options.inactive_producer_timeout_s * _NS_PER_S), round(options.tombstone_lifetime_s * _NS_PER_S)
    )
    identity = identify_answer(options.broadcast_address, listening)
    connections = LookupConnections(lambda address: Conversation(registry, address, identity), now_ns)
    names = own_names_of(options.http_address, options.broadcast_address, socket.gethostname())
    access = HttpAccess(None, own_names=names if is_own(listening.http) else None)
    connections_max = min(limits.NSQLOOKUPD_HTTP_CONNECTIONS_MAX, (raise_limit() - _DESCRIPTORS_KEPT) // 4)
    http = HttpServer(
        LookupApplication(LookupApi(registry, NSQ_VERSION), access, now_ns),
        listening.http,
        limits.NSQLOOKUPD_GRACE_S,
        max(1, connections_max),
        idle_s=limits.NSQ_HTTP_IDLE_S,
    )
    tcp = await loop.create_server(
        lambda: LookupConnection(connections), sock=listening.tcp, backlog=limits.HTTP_BACKLOG
    )
    logger.info("TCP: listening on %s", shown(listening.tcp))
    logger.info("HTTP: listening on %s", shown(listening.http))
    if on_ready is not None:
        loop.call_soon(on_ready, listening)
    try:
        await http.run(stop)
    finally:
        tcp.close()
        connections.close_all()
    logger.info("TCP: closing")
    logger.info("HTTP: closing")


def identify_answer(broadcast_address: str, listening: Listening) -> bytes:
    """What an nsqd is told when it introduces itself: where this nsqlookupd is reached."""
    return go_json(
        {
            "broadcast_address": broadcast_address,
            "hostname": socket.gethostname(),
            "http_port": port_of(listening.http),
            "tcp_port": port_of(listening.tcp),
            "version": NSQ_VERSION,
        }
    )


class LookupApplication:
    """Answers HTTP requests. No body is read: nothing is said in one.

    Args:
        api: answers.
        access: who may ask. Everybody may ask for ``/ping``.
        now_ns: the registry's clock.
    """

    def __init__(self, api: LookupApi, access: HttpAccess, now_ns: Callable[[], int]) -> None:
        self._api = api
        self._access = access
        self._now_ns = now_ns

    async def serve(self, exchange: HttpExchange) -> None:
        """Answer one request."""
        method, path, query = exchange.method, exchange.path, exchange.query_string
        try:
            if path != "/ping":
                self._access.check(exchange.headers)
            answer = self._api.answer(method, path, query, self._now_ns())
        except ApiError as refusal:
            answer = refusal.answer()
        logger.info("%d %s %s%s", answer[0], method, path, f"?{query}" if query else "")
        with suppress(ClientGone):
            exchange.answer(*answer)

    def refuse(self, problem: HttpProblem) -> Answer:
        """The answer to bytes that are no request."""
        return ApiError(problem.status, problem.detail).answer()


def _steady_clock() -> Callable[[], int]:
    """Nanoseconds since 1970, as they are now and as they go on when nobody sets the clock."""
    began_ns = time.time_ns() - time.monotonic_ns()
    return lambda: began_ns + time.monotonic_ns()
