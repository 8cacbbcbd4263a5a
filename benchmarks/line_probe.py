"""What a lease costs over many lines: `python -m benchmarks.line_probe DIRECTORY QUEUES UNKNOWN PROBES`.

Fills an empty store with jobs of one task, in turn over so many queues, behind so many jobs of a task that the lease
does not name. Prints, in microseconds: what a job costs in a lease of `JOBS`, without the commit and with it, and what
the totals of all queues cost.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.record import percentile
from benchmarks.stock import open_store
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.store.sqlite.store import SqliteStore

JOBS: Final = 100
TASK: Final = "bench.known"
UNKNOWN: Final = "bench.unknown"
_HOLDER: Final = b"benchmarks.lines"
_BODY: Final = b"m\x92\x90\x80" + bytes(180)
_BATCH: Final = 5_000


def _groups(task: str, queues: list[str], each: int) -> list[JobGroup]:
    sum_of_body = checksum(_BODY)
    ids = iter(new_ids(len(queues) * each))
    return [JobGroup(task, [JobEntry(next(ids), _BODY, sum_of_body) for _ in range(each)], queue) for queue in queues]


def _fill(store: SqliteStore, queues: int, unknown: int, jobs: int) -> None:
    store.database.connection.execute("PRAGMA synchronous=off")
    names = [f"q{number}" for number in range(queues)]
    for start in range(0, unknown, _BATCH):
        store.enqueue(_groups(UNKNOWN, names[:1], min(_BATCH, unknown - start)))
    for _ in range(-(-jobs // queues)):
        for start in range(0, queues, _BATCH):
            store.enqueue(_groups(TASK, names[start : start + _BATCH], 1))
    store.database.connection.execute("PRAGMA synchronous=full")


def _timed(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1e6


def main(directory: Path, queues: int, unknown: int, probes: int) -> int:
    """Fill and probe. Answers 0."""
    store = open_store(directory)
    _fill(store, queues, unknown, JOBS * (probes + 1))
    request = LeaseRequest(_HOLDER, JOBS, tasks=[TASK])
    leases: list[float] = []
    commits: list[float] = []
    totals: list[float] = []
    for _ in range(probes):
        store.begin()
        before = time.perf_counter()
        batch = store.lease(request)
        leases.append((time.perf_counter() - before) / JOBS * 1e6)
        store.commit()
        commits.append((time.perf_counter() - before) / JOBS * 1e6)
        store.tidy()
        assert len(batch.jobs) == JOBS, "there are as many jobs as the probes need"
        store.settle(Outcomes(_HOLDER, forgotten=list(range(batch.first_fence, batch.first_fence + JOBS))))
        totals.append(_timed(store.totals))
    store.close()
    found = {"lease_us": leases, "committed_us": commits, "totals_us": totals}
    print(msgspec.json.encode({name: percentile(values, 50) for name, values in found.items()}).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
