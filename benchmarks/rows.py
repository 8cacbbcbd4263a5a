"""The rows of the comparison."""

from __future__ import annotations

SUITE = "side_by_side"

ONE_BY_ONE = "enqueue one by one"
BULK = "enqueue in bulk"
NOOP = "drain, no-op"
RESULT = "drain, no-op, results on"
COMPUTE = "drain, computes 1 ms"
WAIT = "drain, waits 10 ms"
LATENCY_P50 = "idle latency, p50"
LATENCY_P99 = "idle latency, p99"
END_TO_END = "end to end"
COST = "processor time, end to end"
MEMORY_IDLE = "memory, idle"
MEMORY_LOADED = "memory, under load"
RECOVERY = "recovery after a kill"
UNFINISHED = "jobs not back after the kills"
TWICE = "jobs run twice"
STEPS = "drain, functions of 10 durable steps"
CHORD = "chord of 10,000"
CHAIN = "chain of 1,000"
ROWS: dict[str, tuple[str, str]] = {
    ONE_BY_ONE: ("jobs/s", "more"),
    BULK: ("jobs/s", "more"),
    NOOP: ("jobs/s", "more"),
    RESULT: ("jobs/s", "more"),
    COMPUTE: ("jobs/s", "more"),
    WAIT: ("jobs/s", "more"),
    END_TO_END: ("jobs/s", "more"),
    COST: ("s a thousand jobs", "less"),
    LATENCY_P50: ("ms", "less"),
    LATENCY_P99: ("ms", "less"),
    MEMORY_IDLE: ("MB", "less"),
    MEMORY_LOADED: ("MB", "less"),
    RECOVERY: ("s", "less"),
    UNFINISHED: ("jobs", "less"),
    TWICE: ("jobs", "less"),
    STEPS: ("jobs/s", "more"),
    CHORD: ("s", "less"),
    CHAIN: ("s", "less"),
}
"""Unit of each row, and whether more or less of it is better."""
COMPOSED = frozenset((STEPS, CHORD, CHAIN))
"""Rows that only those take part in who name them."""
