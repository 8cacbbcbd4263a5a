"""What is pushed to a statsd, and how."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.door.statsd import Statsd, packets, prefix_of, report
from penstock.nsq.options import DoorOptions


def channel(name="mail", **changed):
    return {
        "channel_name": name, "depth": 3, "backend_depth": 2, "in_flight_count": 1, "deferred_count": 4,
        "message_count": 10, "requeue_count": 5, "timeout_count": 6, "client_count": 7,
        "e2e_processing_latency": {"count": 1, "percentiles": [{"quantile": 0.99, "value": 123.7}]}, **changed,
    }  # fmt: skip


def topic(name="orders", channels=(), **changed):
    return {
        "topic_name": name, "channels": list(channels), "depth": 8, "backend_depth": 9, "message_count": 100,
        "message_bytes": 2_000, "e2e_processing_latency": {"count": 0, "percentiles": None}, **changed,
    }  # fmt: skip


def test_every_figure_that_nsqd_pushes():
    stats = {
        "topics": [topic(channels=[channel()])],
        "memory": {"heap_objects": 1, "heap_in_use_bytes": 2, "gc_total_runs": 9},
    }
    before = {
        "topics": [topic(channels=[channel(message_count=4, requeue_count=5, timeout_count=0)], message_count=90)],
        "memory": {"gc_total_runs": 4},
    }
    assert report(stats, before) == [
        "topic.orders.message_count:10|c",
        "topic.orders.message_bytes:0|c",
        "topic.orders.depth:8|g",
        "topic.orders.backend_depth:9|g",
        "topic.orders.channel.mail.message_count:6|c",
        "topic.orders.channel.mail.requeue_count:0|c",
        "topic.orders.channel.mail.timeout_count:6|c",
        "topic.orders.channel.mail.depth:3|g",
        "topic.orders.channel.mail.backend_depth:2|g",
        "topic.orders.channel.mail.in_flight_count:1|g",
        "topic.orders.channel.mail.deferred_count:4|g",
        "topic.orders.channel.mail.clients:7|g",
        "topic.orders.channel.mail.e2e_processing_latency_99:123|g",
        "mem.heap_objects:1|g",
        "mem.heap_in_use_bytes:2|g",
        "mem.gc_runs:5|c",
    ]


def test_a_topic_or_a_channel_that_is_new_has_risen_by_all_it_has():
    lines = report({"topics": [topic(channels=[channel()])]}, {})
    assert "topic.orders.message_count:100|c" in lines
    assert "topic.orders.channel.mail.message_count:10|c" in lines


def test_a_topic_that_was_made_anew_never_falls():
    lines = report({"topics": [topic(message_count=3)]}, {"topics": [topic()]})
    assert "topic.orders.message_count:3|c" in lines


def test_ephemeral_ones_are_left_out_where_that_is_asked_for():
    stats = {"topics": [topic("a#ephemeral"), topic("b", [channel("c#ephemeral"), channel("d")])]}
    everything = "\n".join(report(stats, {}))
    without = "\n".join(report(stats, {}, exclude_ephemeral=True))
    assert everything.count("#ephemeral") > 0
    assert "#ephemeral" not in without
    assert "topic.b.channel.d.depth" in without


@given(st.lists(st.text("ab.:|", min_size=1, max_size=40), max_size=40), st.integers(1, 100))
def test_packets_hold_all_lines_in_order_and_none_is_cut(lines, size_bytes):
    made = packets(lines, "p.", size_bytes)
    assert b"".join(made) == b"".join(f"p.{line}\n".encode() for line in lines)
    assert all(packet.endswith(b"\n") for packet in made)
    assert all(len(packet) <= size_bytes or packet.count(b"\n") == 1 for packet in made)


@pytest.mark.parametrize(
    "pattern, prefix",
    [
        ("nsq.%s", "nsq.host_example_4151."),
        ("%s.%s.", "host_example_4151.host_example_4151."),
        ("plain", "plain."),
        ("", ""),
    ],
)
def test_the_prefix_names_the_node(pattern, prefix):
    assert prefix_of(pattern, "host.example", 4151) == prefix


def test_the_prefix_of_an_address_with_colons_is_one_name():
    assert prefix_of("nsq.%s", "::1", 4151) == "nsq.[__1]_4151."


async def _received(options, answers, wanted):
    """What comes at a statsd until so many lines are there."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        told = iter(answers)

        async def stats():
            answer = next(told, answers[-1])
            if isinstance(answer, Exception):
                raise answer
            return answer

        statsd = Statsd(options(sock.getsockname()[1]), "nsq.", stats)
        running = asyncio.create_task(statsd.run())
        lines = []
        async with asyncio.timeout(10):
            while len(lines) < wanted:
                lines += (await loop.sock_recv(sock, 65_536)).decode().splitlines()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        return lines


def test_it_reports_what_has_changed_since_it_began_and_goes_on_after_a_failure():
    def options(port):
        return DoorOptions(
            statsd_address=f"127.0.0.1:{port}",
            statsd_interval_s=0.01,
            statsd_mem_stats=False,
            statsd_udp_packet_size_bytes=64,
        )

    first, second = {"topics": [topic()]}, {"topics": [topic(message_count=107)], "memory": {"heap_objects": 1}}
    lines = asyncio.run(_received(options, [first, OSError("gone"), second], 4))
    assert lines[:4] == [
        "nsq.topic.orders.message_count:7|c",
        "nsq.topic.orders.message_bytes:0|c",
        "nsq.topic.orders.depth:8|g",
        "nsq.topic.orders.backend_depth:9|g",
    ]
    assert not any("mem." in line for line in lines)
