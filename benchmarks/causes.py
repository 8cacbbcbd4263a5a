"""Why a target is missed, where it is; and which row of the comparison stands nearest to which of Penstock's own."""

from __future__ import annotations

from benchmarks import rows as row

_ADR = "[ADR 12](adr/0012-where-the-time-goes.md)"
_REDO = "[ADR 14](adr/0014-redo-log.md)"

CAUSES: dict[tuple[str, str], str] = {
    ("enqueue", "1 process"): (
        "this disk syncs faster than two Python processes hand a job over: the note of the row says how many they"
        f" exchange with a server that only appends, syncs and answers; the distance from there is ours ({_REDO})."
    ),
    ("enqueue", "16 processes"): (
        "this disk syncs fast; the note of the row says what 16 processes exchange without a store, and the distance"
        f" from there is ours ({_ADR}, {_REDO})."
    ),
    ("enqueue", "64 processes"): (
        "the note of the row says how many jobs 64 processes exchange with a server that only appends, syncs and"
        f" answers; the distance from there is ours ({_ADR})."
    ),
    ("enqueue", "bulk"): f"ours: the caller waits while the owner works, and the other way round ({_ADR}).",
    (
        "end_to_end",
        "batches of 100",
    ): f"ours: about 1.35 commits for each batch, and one producer that waits for each ({_ADR}).",
    ("latency", ""): f"ours in part: everything is cold after some milliseconds of quiet ({_ADR}).",
    ("ingest", ""): f"ours: processor time of gate and owner on saturated cores ({_ADR}).",
    ("workflow", ""): "not yet explained; the note of the row says what each process spends.",
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
    ("workflow", "drain, functions of 10 durable steps"): row.STEPS,
    ("latency", "p50"): row.LATENCY_P50,
    ("latency", "p99"): row.LATENCY_P99,
    ("recovery", "p99"): row.RECOVERY,
    ("memory", "penstock up, idle"): row.MEMORY_IDLE,
}
"""From suite and row to a row of the comparison."""
