"""``/stats`` for people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.nsq.door.memory import MemoryStatistics
from penstock.nsq.door.statistics import (
    ChannelStatistics,
    Latency,
    Statistics,
    TopicStatistics,
    client_statistics,
)
from penstock.nsq.door.statistics_text import duration_text, statistics_text
from tests.unit.nsq.door.fake_door import Connection

NONE = Latency(0, None)
SLOW = Latency(9, [{"quantile": 0.99, "value": 2_500_000_000.0}, {"quantile": 0.5, "value": 900.0}])


def channel(name: str, *connections: Connection, paused: bool = False, latency: Latency = NONE) -> ChannelStatistics:
    clients = [client_statistics(one, "") for one in connections]
    return ChannelStatistics(name, 5, 5, 2, 1, 8, 3, 4, len(clients), clients, paused, latency, 1, 0, 0)


def text_of(found: Statistics, memory: MemoryStatistics | None = None) -> str:
    return statistics_text(
        found, memory, version="nsqd v1.3.0 (built w/here)", health="OK", started_at=1_000.0, now=1_061.5
    )


def test_without_anything() -> None:
    assert text_of(Statistics([], None)) == (
        "nsqd v1.3.0 (built w/here)\nstart_time 1970-01-01T00:16:40Z\nuptime 1m1.5s\n\nHealth: OK\n"
        "\nTopics: None\n\nProducers: None\n"
    )
    assert text_of(Statistics(None, None)) == text_of(Statistics([], None))


def test_topics_channels_and_clients() -> None:
    consumer = Connection()
    producer = replace(consumer, topic=None, channel=None, published={"orders": 3, "bills": 4})
    found = Statistics(
        [
            TopicStatistics("bills", [], 7, 7, 12, 100, True, NONE),
            TopicStatistics(
                "orders", [channel("a", consumer, latency=SLOW), channel("b", paused=True)], 0, 0, 8, 9, False, SLOW
            ),
        ],
        [client_statistics(producer, "")],
    )
    _, _, shown = text_of(found).partition("\nTopics:\n")
    client = "worker-1.example:51234 go-nsq/1.1.0"
    assert shown == (
        "*P [bills          ] depth: 7     be-depth: 7     msgs: 12       e2e%: \n"
        "\n"
        "   [orders         ] depth: 0     be-depth: 0     msgs: 8        e2e%: 2.5s, 900.0ns\n"
        "      [a                        ] depth: 5     be-depth: 5     inflt: 2    def: 1    re-q: 3     "
        "timeout: 4     msgs: 8        e2e%: 2.5s, 900.0ns\n"
        f"        [V2 {client}] state: 3 inflt: 2    rdy: 100  fin: 27       re-q: 1        msgs: 30       "
        "connected: 1m1s\n"
        "   *P [b                        ] depth: 5     be-depth: 5     inflt: 2    def: 1    re-q: 3     "
        "timeout: 4     msgs: 8        e2e%: \n"
        "\nProducers:\n"
        f"   [V2 {client}] msgs: 7        topics: bills=4,orders=3 connected: 1m1s\n"
    )


def test_memory() -> None:
    shown = text_of(Statistics([], None), MemoryStatistics(1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert "\nMemory:\n   heap_objects             \t1\n   heap_idle_bytes          \t2\n" in shown
    assert "   gc_total_runs            \t9\n\nTopics: None\n" in shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (59, "59s"),
        (60, "1m0s"),
        (3_661.000001, "1h1m1.000001s"),
        (90_000, "25h0m0s"),
        (-1, "0s"),
    ],
)
def test_durations_as_go_shows_them(seconds: float, shown: str) -> None:
    assert duration_text(seconds) == shown
