"""Pushes the door's figures to a statsd by UDP, under nsqd's names.

What is pushed is made of what ``/stats`` answers: counters as their difference from the report before, everything else
as it is. `report` and `packets` are pure; `Statsd` sends.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from penstock.model.topics import is_ephemeral
from penstock.nsq.addresses import parse_address
from penstock.nsq.options import DoorOptions
from penstock.process.repeated_faults import Faults

__all__ = ["Statsd", "packets", "prefix_of", "report"]

logger = logging.getLogger("penstock.nsqd")

Stats = Mapping[str, Any]
"""What ``/stats?format=json`` of nsqd answers, as Python objects."""

_COUNTERS_OF_TOPIC: Final = ("message_count", "message_bytes")
_GAUGES_OF_TOPIC: Final = ("depth", "backend_depth")
_COUNTERS_OF_CHANNEL: Final = ("message_count", "requeue_count", "timeout_count")
_GAUGES_OF_CHANNEL: Final = (
    ("depth", "depth"),
    ("backend_depth", "backend_depth"),
    ("in_flight_count", "in_flight_count"),
    ("deferred_count", "deferred_count"),
    ("clients", "client_count"),
)
_GAUGES_OF_MEMORY: Final = (
    "heap_objects", "heap_idle_bytes", "heap_in_use_bytes", "heap_released_bytes", "gc_pause_usec_100",
    "gc_pause_usec_99", "gc_pause_usec_95", "next_gc_bytes",
)  # fmt: skip
_FAULT: Final = "reporting to statsd"
_MARGIN_S: Final = 1.0
"""The packets of a report are all sent so long before the next one is made."""


def prefix_of(pattern: str, broadcast_address: str, http_port: int) -> str:
    """What names begin with.

    Args:
        pattern: of ``-statsd-prefix``; ``%s`` stands for the address. Empty: nothing.
        broadcast_address: where clients find the node.
        http_port: its port for HTTP.
    """
    if not pattern:
        return ""
    host = f"[{broadcast_address}]" if ":" in broadcast_address else broadcast_address
    key = f"{host}:{http_port}".replace(".", "_").replace(":", "_")
    prefix = pattern.replace("%s", key)
    return prefix if prefix.endswith(".") else f"{prefix}."


def report(stats: Stats, before: Stats, *, exclude_ephemeral: bool = False) -> list[str]:
    """The figures of a report, a line each, without the prefix.

    Args:
        stats: as they are now.
        before: as they were at the last report.
        exclude_ephemeral: nothing is said of ephemeral topics and channels.
    """
    lines: list[str] = []
    topics_before = {topic["topic_name"]: topic for topic in before.get("topics", ())}
    for topic in stats.get("topics", ()):
        name = topic["topic_name"]
        if exclude_ephemeral and is_ephemeral(name):
            continue
        topic_before = topics_before.get(name, {})
        lines += _of_topic(topic, topic_before, f"topic.{name}")
        channels_before = {channel["channel_name"]: channel for channel in topic_before.get("channels", ())}
        for channel in topic["channels"]:
            channel_name = channel["channel_name"]
            if exclude_ephemeral and is_ephemeral(channel_name):
                continue
            key = f"topic.{name}.channel.{channel_name}"
            lines += _of_channel(channel, channels_before.get(channel_name, {}), key)
    if stats.get("memory"):
        lines += _of_memory(stats["memory"], before.get("memory") or {})
    return lines


def packets(lines: Iterable[str], prefix: str, size_bytes: int) -> list[bytes]:
    """The lines in as few packets as may be, none cut; a line that is too long has a packet of its own."""
    found: list[bytes] = []
    packet = b""
    for line in lines:
        told = f"{prefix}{line}\n".encode()
        if packet and len(packet) + len(told) > size_bytes:
            found.append(packet)
            packet = b""
        packet += told
    return [*found, packet] if packet else found


def _of_topic(topic: Stats, before: Stats, key: str) -> list[str]:
    lines = [_rise(key, name, topic, before) for name in _COUNTERS_OF_TOPIC]
    lines += [_gauge(f"{key}.{name}", topic[name]) for name in _GAUGES_OF_TOPIC]
    return lines + _latencies(topic, key)


def _of_channel(channel: Stats, before: Stats, key: str) -> list[str]:
    lines = [_rise(key, name, channel, before) for name in _COUNTERS_OF_CHANNEL]
    lines += [_gauge(f"{key}.{name}", channel[own]) for name, own in _GAUGES_OF_CHANNEL]
    return lines + _latencies(channel, key)


def _of_memory(memory: Stats, before: Stats) -> list[str]:
    lines = [_gauge(f"mem.{name}", memory[name]) for name in _GAUGES_OF_MEMORY if name in memory]
    rise = memory.get("gc_total_runs", 0) - before.get("gc_total_runs", 0)
    return [*lines, f"mem.gc_runs:{rise}|c"]


def _latencies(stats: Stats, key: str) -> list[str]:
    found = (stats.get("e2e_processing_latency") or {}).get("percentiles") or ()
    return [_gauge(f"{key}.e2e_processing_latency_{one['quantile'] * 100:.0f}", one["value"]) for one in found]


def _rise(key: str, name: str, stats: Stats, before: Stats) -> str:
    """How much a counter has risen. One that is lower than before is of a topic that was made anew."""
    now, then = stats[name], before.get(name, 0)
    return f"{key}.{name}:{now - then if now >= then else now}|c"


def _gauge(key: str, value: float) -> str:
    return f"{key}:{int(value)}|g"


class Statsd:
    """Reports to a statsd, from `run` until that is cancelled.

    Args:
        options: of the door; there must be a ``statsd_address``.
        prefix: what names begin with.
        stats: answers what ``/stats`` does.
    """

    def __init__(self, options: DoorOptions, prefix: str, stats: Callable[[], Awaitable[Stats]]) -> None:
        self._address = parse_address(options.statsd_address, "statsd-address")
        self._interval_s = options.statsd_interval_s
        self._size_bytes = options.statsd_udp_packet_size_bytes
        self._memory = options.statsd_mem_stats
        self._exclude_ephemeral = options.statsd_exclude_ephemeral
        self._prefix = prefix
        self._stats = stats
        self._before: Stats | None = None
        self._faults = Faults(logger)

    async def run(self) -> None:
        """Report at every interval. What was counted before this process began is not reported by it."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self._report()
                self._faults.passed(_FAULT, loop.time())
            except Exception as error:  # noqa: BLE001 - whatever it is, the next report may go well
                self._faults.note(_FAULT, error, loop.time(), traceback=not isinstance(error, OSError))
            due = max(due + self._interval_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _report(self) -> None:
        """Send what has changed since the last report; the first one is only what the next is compared with."""
        stats = await self._stats()
        before, self._before = self._before, stats
        if before is not None:
            logger.info("STATSD: pushing stats to %s", self._address)
            await self._send(self._packets(stats, before))

    def _packets(self, stats: Stats, before: Stats) -> list[bytes]:
        told = stats if self._memory else {**stats, "memory": None}
        return packets(report(told, before, exclude_ephemeral=self._exclude_ephemeral), self._prefix, self._size_bytes)

    async def _send(self, made: Sequence[bytes]) -> None:
        """Send packets, spread over the time until the next report, so that they do not come all at once."""
        pause_s = max(0.0, self._interval_s - _MARGIN_S) / max(1, len(made))
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._address.host or "127.0.0.1", self._address.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setblocking(False)
            for packet in made:
                sock.sendto(packet, address)
                await asyncio.sleep(pause_s)
