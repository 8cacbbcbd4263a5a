"""What each figure must reach, on two cores, and against its control in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.rows import STEPS, SUITE


@dataclass(frozen=True, slots=True)
class Target:
    """A demand on a figure. ``met`` takes the figure and its control's.

    Attributes:
        compares: without a control nothing is asked.
    """

    text: str
    met: Callable[[float, float], bool]
    compares: bool = False


def _at_least(figure: float, text: str = "") -> Target:
    return Target(text or f"≥ {figure:,.0f}", lambda value, _: value >= figure)


def _at_most(figure: float, text: str = "") -> Target:
    return Target(text or f"≤ {figure:,.0f}", lambda value, _: value <= figure)


def _times_control(factor: float, text: str) -> Target:
    return Target(text, lambda value, control: value >= factor * control, compares=True)


def _within(factor: float, text: str) -> Target:
    return Target(text, lambda value, control: value <= factor * control, compares=True)


TARGETS: dict[tuple[str, str], Target] = {
    ("enqueue", "1 process"): _times_control(0.8, "≥ 0.8 × sync rate"),
    ("enqueue", "16 processes"): _times_control(2.0, "≥ 2 × sync rate"),
    ("enqueue", "16 processes, slowest share"): _at_least(0.5, "≥ half its share"),
    ("enqueue", "16 processes, worst wait"): _at_most(250),
    ("enqueue", "64 processes"): _at_least(30_000),
    ("enqueue", "bulk"): _at_least(150_000),
    ("drain", "async, 1 executor"): _at_least(100_000, "≥ 100,000, goal 150,000"),
    ("drain", "async, 2 executors"): _at_least(100_000, "≥ 100,000, goal 150,000"),
    ("drain", "plain, 1 executor"): _at_least(100_000, "≥ 100,000, goal 150,000"),
    ("drain", "plain, 2 executors"): _at_least(100_000, "≥ 100,000, goal 150,000"),
    ("drain", "results on, 1 executor"): _at_least(60_000),
    ("drain", "results on, 2 executors"): _at_least(60_000),
    ("end_to_end", "batches of 100"): _at_least(50_000),
    ("latency", "p50"): Target("≤ 1 ms + 2 × sync", lambda value, control: value <= 1 + 2 * control),
    ("latency", "p99"): Target("≤ 5 ms or 4 × sync", lambda value, control: value <= max(5, 4 * control)),
    ("recovery", "p99"): _at_most(100),
    ("depth", "lease cost, deep over shallow"): _at_most(1.2, "≤ 1.2 ×"),
    ("looking", "longest page of a search"): _at_most(25),
    ("looking", "longest step of a bulk action"): _at_most(25),
    ("looking", "delay of a commit by a search"): _at_most(25),
    ("search", "slowest page that an index leads to"): _at_most(50),
    ("search", "longest slice of a search through all jobs"): _at_most(25),
    ("flow", "500 a second over 8 workers, fewest in 10 s"): _at_least(0.99),
    ("flow", "500 a second over 8 workers, most in 10 s"): _at_most(1.01),
    ("flow", "500 a second over 8 workers, most beyond the bucket"): _at_most(0),
    ("flow", "publish, 3 channels"): _times_control(0.8, "≥ 0.8 × bulk enqueue"),
    ("flow", "bytes written, 100 KB to ten channels"): Target(
        "≤ 1.1 × one channel", lambda value, one: value <= 1.1 * one
    ),
    ("flow", "drain, 1,000 keys of cap 10, 100 tenants, unique, two tags, results kept"): _times_control(
        0.25, "≥ 0.25 × plain, goal 0.4 ×"
    ),
    ("flow", "lease behind 1,000,000 jobs of a capped key"): Target(
        "≤ 1.5 × with ten ahead", lambda value, few: value <= 1.5 * few
    ),
    ("workflow", "chord of 100,000 and its callback"): _within(1.6, "≤ 1.6 × plain jobs"),
    ("workflow", "peak memory of the producer, chord of 1,000,000"): _within(1.1, "≤ 1.1 × a tenth of them"),
    ("workflow", "peak memory of the owner, chord of 1,000,000"): _within(1.1, "≤ 1.1 × a tenth of them"),
    ("workflow", "peak memory of the supervisor, chord of 1,000,000"): _within(1.1, "≤ 1.1 × a tenth of them"),
    ("workflow", "peak memory of an executor, chord of 1,000,000"): _within(1.1, "≤ 1.1 × a tenth of them"),
    ("workflow", "chain of 1,000, a step"): _within(1.5, "≤ 1.5 × idle latency"),
    ("workflow", "a firing, 1,000,000 schedules in the store"): _within(1.5, "≤ 1.5 × with a thousand"),
    ("workflow", "a slot to the body of its job, 1,000,000 schedules, p50"): _at_most(50),
    (SUITE, STEPS): _times_control(5.0, "≥ 5 × the better rival"),
    ("ingest", "300 bytes"): _times_control(0.5, "≥ 0.5 × bare granian"),
    ("ingest", "300 bytes, two gates"): _times_control(0.5, "≥ 0.5 × bare granian"),
    ("ingest", "8 KB webhooks"): _times_control(0.5, "≥ 0.5 × bare granian"),
    ("ingest", "8 KB webhooks, two gates"): _times_control(0.5, "≥ 0.5 × bare granian"),
    ("nsq", "MPUB of 200, 2 connections"): _times_control(0.6, "≥ 0.6 × nsqd, goal 0.9 ×"),
    ("nsq", "pull, RDY 2,500, FIN each"): _times_control(0.6, "≥ 0.6 × nsqd, goal 0.99 ×"),
    ("nsq", "PUB, 2 connections, 100 ahead"): _times_control(1.0, "≥ nsqd, goal 1.6 ×"),
    ("nsq", "PUB, 64 connections, one at a time"): _times_control(0.5, "≥ 0.5 × nsqd, goal 0.76 ×"),
    ("nsq", "PUB, 256 connections, one at a time"): _times_control(0.5, "≥ 0.5 × nsqd, goal 0.76 ×"),
    ("nsq", "PUB to delivery, idle, p50"): Target("≤ 2 ms + 2 × sync", lambda value, sync: value <= 2 + 2 * sync),
    ("nsq", "memory of 1,000 idle consumers"): _at_most(60),
    ("nsq", "processor share of 1,000 idle consumers"): _at_most(2),
    ("nsq", "memory of the door, 10,000,000 messages waiting"): Target(
        "≤ 10 MB over 2,000", lambda value, few: value <= few + 10
    ),
    ("memory", "penstock up, idle"): _at_most(120, "≤ 120, goal 80"),
}
"""By suite and row. A row that is not here is measured for information."""
