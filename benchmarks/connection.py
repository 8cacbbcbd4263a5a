"""HTTP without the gate: its own connections beside granian, both answering when the body is synced to a file."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import webhooks
from benchmarks.harness import Bench
from benchmarks.ingest import BODIES, WARM_S, load_alone
from benchmarks.load import Load
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject

ABOUT = (
    "one process that appends each body to a file and syncs it in groups: over the HTTP connections of the gate, and"
    " over granian; the note says the processor time of a request in each"
)


def steps(bench: Bench) -> int:
    return bench.scale.repeats * 2


def run(bench: Bench, subject: Subject) -> None:
    """Measure; only Penstock has connections of its own."""
    if subject.name != "penstock":
        return
    _row(bench, subject, "300 bytes", webhooks.small(BODIES))
    _row(bench, subject, "8 KB webhooks", webhooks.webhooks(BODIES))


def _row(bench: Bench, subject: Subject, name: str, bodies: Sequence[bytes]) -> None:
    granian = Control("bare granian + fdatasync", "requests/s")
    rate = bench.add(Measurement("connection", name, subject.name, "requests/s", [], granian, subject.survives))
    load = Load(bodies, bench.scale.ingest_connections, bench.scale.ingest_s)
    warm = Load(bodies, bench.scale.ingest_connections, WARM_S)
    notes: list[str] = []
    for repeat in bench.repeats():
        with bench.workspace(f"connection: {name}, {repeat + 1}") as workspace:
            # Whoever is first finds a processor that is not warm yet.
            for own in ((True, False), (False, True))[repeat % 2]:
                answered, spent = load_alone(workspace, warm, load, *(("own",) if own else ()))
                (rate.values if own else granian.values).append(answered.rate)
                notes.append(spent)
    rate.note = "; ".join(notes)
