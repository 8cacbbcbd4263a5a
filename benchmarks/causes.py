"""Why a target is missed, where it is; and which row of the comparison stands nearest to which of Penstock's own."""

from __future__ import annotations

from benchmarks import rows as row

_ADR = "[ADR 12](adr/0012-where-the-time-goes.md)"

CAUSES: dict[tuple[str, str], str] = {
    ("enqueue", "1 process"): (
        "ours: a call spends as long in Python, in two processes and on the way between them, as in its commit, which"
        f" writes three pages where a plain append writes once ({_ADR})."
    ),
    ("enqueue", "16 processes"): f"ours: what a request costs the owner beside its commit ({_ADR}).",
    ("enqueue", "64 processes"): (
        "out of reach of 64 Python processes on two cores: the note of the row says how many jobs they exchange with a"
        f" server that only appends, syncs and answers; the distance from there is ours ({_ADR})."
    ),
    ("enqueue", "bulk"): f"ours: the caller waits while the owner works, and the other way round ({_ADR}).",
    (
        "end_to_end",
        "batches of 100",
    ): f"ours: about 1.35 commits for each batch, and one producer that waits for each ({_ADR}).",
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
