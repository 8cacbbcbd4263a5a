"""What fairness does and costs in the engine: `python -m benchmarks.fair_probe DIRECTORY JOBS TENANTS`.

With 0 tenants: so many plain jobs are enqueued, then leased and settled in batches. With some: the same with jobs of so
many tenants in turn; then as many are enqueued in their names again, one tenant after another, and it is counted how
many are leased before the one job of a tenant that comes last. Prints what it found in JSON. Nothing waits for the
disk.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.stock import open_store
from penstock.model.flow import FairRule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, Outcomes, TaskRecord, checksum
from penstock.store.sqlite.store import SqliteStore

TASK: Final = "bench.fair"
BATCH: Final = 100
"""Jobs of a lease."""
_BULK: Final = 5_000
_HOLDER: Final = b"benchmarks.fair\x00"
_BODY: Final = b"m\x92\x90\x80" + bytes(180)


def _enqueue(store: SqliteStore, tenants: list[str | None]) -> None:
    """Put one job in for each, in order."""
    sum_of_body = checksum(_BODY)
    for start in range(0, len(tenants), _BULK):
        part = tenants[start : start + _BULK]
        entries = [
            JobEntry(job, _BODY, sum_of_body, values=None if tenant is None else {"tenant": tenant})
            for job, tenant in zip(new_ids(len(part)), part, strict=True)
        ]
        store.enqueue([JobGroup(TASK, entries)])


def _lease(store: SqliteStore) -> list[bytes]:
    """Lease a batch, and let its jobs succeed."""
    batch = store.lease(LeaseRequest(_HOLDER, BATCH))
    first = batch.first_fence
    store.settle(Outcomes(_HOLDER, forgotten=list(range(first, first + len(batch.jobs)))))
    return [job.id for job in batch.jobs]


def _leased_before(store: SqliteStore, jobs: int, names: list[str]) -> int:
    """How many jobs of these tenants, who have so many waiting, are leased before the only one of another."""
    each = jobs // len(names)
    _enqueue(store, [name for name in names for _ in range(each)])
    for _ in range(min(10, jobs // BATCH // 2)):
        _lease(store)
    store.enqueue(
        [JobGroup(TASK, [JobEntry(late := new_ids(1)[0], _BODY, checksum(_BODY), values={"tenant": "late"})])]
    )
    before = 0
    while late not in (leased := _lease(store)):
        before += len(leased)
    return before + leased.index(late)


def main(directory: Path, jobs: int, tenants: int) -> int:
    """Measure. Answers 0."""
    store = open_store(directory)
    store.database.connection.execute("PRAGMA synchronous=off")
    names = [f"tenant {number}" for number in range(tenants)]
    if names:
        store.register_tasks([TaskRecord(TASK, flow=TaskFlow(fair=FairRule("tenant")))])
    _enqueue(store, [None] * BATCH)
    _lease(store)
    whose = [names[number % tenants] if names else None for number in range(jobs)]
    began = time.perf_counter()
    _enqueue(store, whose)
    enqueued = time.perf_counter()
    while _lease(store):
        pass
    found = {"enqueue": jobs / (enqueued - began), "drain": jobs / (time.perf_counter() - enqueued)}
    if names:
        found["before"] = _leased_before(store, jobs, names)
    store.close()
    print(msgspec.json.encode(found).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:4])))
