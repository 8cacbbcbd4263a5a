"""``/stats`` for people: the same figures as text, in nsqd's columns."""

from __future__ import annotations

from datetime import UTC, datetime

from penstock.nsq.door.memory import MemoryStatistics
from penstock.nsq.door.statistics import ChannelStatistics, ClientStatistics, Latency, Statistics, TopicStatistics

__all__ = ["duration_text", "statistics_text"]

_UNITS = ((1_000_000_000.0, "s"), (1_000_000.0, "ms"), (1_000.0, "us"))


def statistics_text(
    found: Statistics, memory: MemoryStatistics | None, *, version: str, health: str, started_at: float, now: float
) -> str:
    """All of it.

    Args:
        found: topics and clients.
        memory: of the process; None: it was not asked for.
        version: the program's, in a line.
        health: ``OK``, or what is wrong.
        started_at: when the door was started, in Unix seconds.
        now: likewise.
    """
    started = datetime.fromtimestamp(started_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [version, f"start_time {started}", f"uptime {duration_text(now - started_at)}", "", f"Health: {health}"]
    if memory is not None:
        lines += ["", "Memory:", *(f"   {name:<25}\t{value}" for name, value in memory.members().items())]
    lines += ["", "Topics:" if found.topics else "Topics: None"]
    for number, topic in enumerate(found.topics or ()):
        lines += ["", *_topic_lines(topic, now)] if number else _topic_lines(topic, now)
    lines += ["", "Producers:" if found.producers else "Producers: None"]
    lines += [f"   {_client_line(client, now)}" for client in found.producers or ()]
    return "\n".join(lines) + "\n"


def _topic_lines(topic: TopicStatistics, now: float) -> list[str]:
    line = (
        f"{'*P ' if topic.paused else '   '}[{topic.topic_name:<15}] depth: {topic.depth:<5} "
        f"be-depth: {topic.backend_depth:<5} msgs: {topic.message_count:<8} "
        f"e2e%: {_latency_text(topic.e2e_processing_latency)}"
    )
    lines = [line]
    for channel in topic.channels:
        lines.append(_channel_line(channel))
        lines += [f"        {_client_line(client, now)}" for client in channel.clients or ()]
    return lines


def _channel_line(channel: ChannelStatistics) -> str:
    return (
        f"{'   *P ' if channel.paused else '      '}[{channel.channel_name:<25}] depth: {channel.depth:<5} "
        f"be-depth: {channel.backend_depth:<5} inflt: {channel.in_flight_count:<4} def: {channel.deferred_count:<4} "
        f"re-q: {channel.requeue_count:<5} timeout: {channel.timeout_count:<5} msgs: {channel.message_count:<8} "
        f"e2e%: {_latency_text(channel.e2e_processing_latency)}"
    )


def _client_line(client: ClientStatistics, now: float) -> str:
    port = client.remote_address.rpartition(":")[2]
    name = f"{client.hostname}:{port} {client.user_agent}"
    connected = duration_text(int(now - client.connect_ts))
    if client.pub_counts:
        total = sum(one.count for one in client.pub_counts)
        topics = ",".join(f"{one.topic}={one.count}" for one in client.pub_counts)
        return f"[{client.version} {name:<21}] msgs: {total:<8} topics: {topics} connected: {connected}"
    return (
        f"[{client.version} {name:<21}] state: {client.state} inflt: {client.in_flight_count:<4} "
        f"rdy: {client.ready_count:<4} fin: {client.finish_count:<8} re-q: {client.requeue_count:<8} "
        f"msgs: {client.message_count:<8} connected: {connected}"
    )


def _latency_text(latency: Latency) -> str:
    return ", ".join(_time_text(one["value"]) for one in latency.percentiles or ())


def _time_text(value_ns: float) -> str:
    for size_ns, unit in _UNITS:
        if value_ns > size_ns:
            return f"{value_ns / size_ns:.1f}{unit}"
    return f"{value_ns:.1f}ns"


def duration_text(seconds: float) -> str:
    """A duration as Go shows it: ``1h2m3.5s``."""
    whole, rest_ns = divmod(round(max(0.0, seconds) * 1_000_000_000), 1_000_000_000)
    fraction = f"{rest_ns:09d}".rstrip("0")
    hours, left = divmod(whole, 3_600)
    minutes, left = divmod(left, 60)
    text = f"{left}.{fraction}s" if fraction else f"{left}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
