"""Why a target is missed, where it is; and which row of the comparison stands nearest to which of Penstock's own."""

from __future__ import annotations

from benchmarks import rows as row

_ADR = "[ADR 12](adr/0012-where-the-time-goes.md)"

CAUSES: dict[tuple[str, str], str] = {
    ("enqueue", "1 process"): (
        f"ours: a commit writes about five pages before its `fdatasync`, a plain append writes once ({_ADR})."
    ),
    ("enqueue", "16 processes"): f"ours: what a client's recorded answer costs the owner ({_ADR}).",
    ("enqueue", "64 processes"): (
        f"ours in part: the recorded answers, and 64 processes that take turns on the cores ({_ADR})."
    ),
    ("enqueue", "bulk"): f"ours: the caller waits while the owner works, and the other way round ({_ADR}).",
    ("end_to_end", "batches of 100"): f"ours: about one and a half commits for each batch ({_ADR}).",
    ("latency", ""): f"ours in part: everything is cold after some milliseconds of quiet ({_ADR}).",
    ("ingest", ""): f"ours: processor time of gate and owner on saturated cores ({_ADR}).",
    ("drain", ""): "the cores are shared with others during the run, or slower than those of the target.",
    ("memory", ""): "not yet explained; the rows of the suite name the process.",
}
"""By suite and row; a row of "" stands for all others of its suite."""

COMPARED: dict[tuple[str, str], str] = {
    ("enqueue", "1 process"): row.ONE_BY_ONE,
    ("enqueue", "bulk"): row.BULK,
    ("drain", "async, 2 executors"): row.NOOP,
    ("drain", "plain, 2 executors"): row.NOOP,
    ("drain", "results on, 2 executors"): row.RESULT,
    ("end_to_end", "batches of 100"): row.END_TO_END,
    ("latency", "p50"): row.LATENCY_P50,
    ("latency", "p99"): row.LATENCY_P99,
    ("recovery", "p99"): row.RECOVERY,
    ("memory", "penstock up, idle"): row.MEMORY_IDLE,
}
"""From suite and row to a row of the comparison."""
