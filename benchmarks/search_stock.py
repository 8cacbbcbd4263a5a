"""Fills a store with jobs to search among, straight through the engine, without waiting for the disk at each step.

`python -m benchmarks.search_stock DIRECTORY FINISHED READY`: jobs that have ended, then jobs that wait. They come 4 ms
apart by a clock of their own, so that there are times to search for. Of those that have ended each hundredth is dead,
of one of `ERRORS`, and each thousandth was cancelled; each hundredth has searchable arguments, each thousandth a key.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from benchmarks.stock import RECORDS_MAX
from penstock.model.ids import new_id
from penstock.model.job import (
    Buried,
    JobEntry,
    JobError,
    JobGroup,
    LeaseRequest,
    Outcomes,
    Succeeded,
    checksum,
)
from penstock.ports import Clock
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock

TASKS: Final = ("bench.ship", "bench.bill", "bench.mail")
QUEUES: Final = ("default", "slow")
ERRORS: Final = ("ValueError", "TimeoutError", "ConnectionError", "KeyError", "WorkerLost")
CUSTOMERS: Final = 1_000
APART_S: Final = 0.004
BEGAN: Final = 1_790_000_000.0
_BODY: Final = b"m\x92\x91\x07\x80"
_CRC: Final = checksum(_BODY)
_HOLDER: Final = b"benchmarks.srch."
_STEP: Final = 2_000
_YEAR_S: Final = 365 * 86_400.0


def main(directory: Path, finished: int, ready: int) -> int:
    """Fill a store. Answers 0."""
    clock = VirtualClock(BEGAN)
    store = open_store(directory, clock)
    store.database.connection.execute("PRAGMA synchronous=off")
    for first in range(0, finished, _STEP):
        _finish(store, clock, first, min(_STEP, finished - first))
    for first in range(finished, finished + ready, _STEP):
        _enqueue(store, clock, first, min(_STEP, finished + ready - first))
    store.database.connection.execute("PRAGMA synchronous=full")
    store.close()
    os.sync()
    print("filled", flush=True)
    return 0


def open_store(path: Path, clock: Clock) -> SqliteStore:
    """The engine of a directory that nobody owns, which trims nothing."""
    directory = StoreDirectory(path)
    directory.prepare()
    directory.check_format()
    return SqliteStore(directory.database, clock=clock, records_max=RECORDS_MAX, dead_max=RECORDS_MAX)


def time_of(number: int) -> float:
    """When this job is accepted."""
    return BEGAN + number * APART_S


def _enqueue(store: SqliteStore, clock: VirtualClock, first: int, count: int) -> None:
    clock.jump(time_of(first) - clock.time())
    entries = [_entry(number) for number in range(first, first + count)]
    step = first // _STEP
    store.enqueue([JobGroup(TASKS[step % 3], entries, queue=QUEUES[step % 2], tags=["bench"])])


def _entry(number: int) -> JobEntry:
    at_ms = int(time_of(number) * 1_000)
    job_id = at_ms.to_bytes(6, "big") + new_id()[6:]
    searchable = None if number % 100 else {"order": str(number), "customer": f"customer {number // 100 % CUSTOMERS}"}
    key = None if number % 1_000 else f"key {number}"
    return JobEntry(job_id, _BODY, _CRC, key, searchable=searchable)


def _finish(store: SqliteStore, clock: VirtualClock, first: int, count: int) -> None:
    """Jobs that end as soon as they have come. Called while nothing else waits."""
    store.begin()
    _enqueue(store, clock, first, count)
    batch = store.lease(LeaseRequest(_HOLDER, count))
    now = clock.time()
    outcomes = Outcomes(_HOLDER)
    for place in range(count):
        fence, number = batch.first_fence + place, first + place
        if number % 100 == 50:
            error = JobError(ERRORS[number // 100 % len(ERRORS)], "no good", "Traceback")
            outcomes.buried.append(Buried(fence, error, now, _YEAR_S))
        elif number % 1_000 == 1:
            store.cancel([batch.jobs[place].id])
            outcomes.released.append(fence)
        else:
            outcomes.succeeded.append(Succeeded(fence, now, now, None, 0.0, _YEAR_S))
    store.settle(outcomes)
    store.commit()
    store.tidy()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
