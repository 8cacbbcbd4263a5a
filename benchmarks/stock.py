"""Fills a store to a depth, straight through the engine, without waiting for the disk at each step.

`python -m benchmarks.stock DIRECTORY [--ready N] [--scheduled N] [--finished N]`: so many as there shall be. Every row
is written by the calls that write it in production; only the syncs are left out, and made good by one at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from penstock.model import limits
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, Outcomes, QueueStats, Succeeded, checksum
from penstock.ports import Clock
from penstock.process.clock import SystemClock
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.store import SqliteStore

RECORDS_MAX: Final = 100_000_000
"""Retention, raised so that nothing is trimmed while it is measured."""
TASK: Final = "bench.async_off"
LATER: Final = "later"
"""The queue of what is far in the future, so that it can be counted apart."""
_HOLDER: Final = b"benchmarks.stock"
_YEAR_S: Final = 365 * 86_400.0


def main() -> int:
    """Fill a store. Answers 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--ready", type=int, default=0)
    parser.add_argument("--scheduled", type=int, default=0)
    parser.add_argument("--finished", type=int, default=0)
    options = parser.parse_args()
    store = open_store(options.directory)
    store.database.connection.execute("PRAGMA synchronous=off")
    counts = store.stats().queues
    _finish(store, options.finished - counts.get("default", QueueStats()).succeeded)
    _enqueue(store, options.ready - counts.get("default", QueueStats()).ready, None)
    _enqueue(store, options.scheduled - counts.get(LATER, QueueStats()).scheduled, _YEAR_S)
    store.database.connection.execute("PRAGMA synchronous=full")
    store.close()
    # What is measured next must not wait for pages that were written here.
    os.sync()
    print("filled", flush=True)
    return 0


def open_store(path: Path, clock: Clock | None = None) -> SqliteStore:
    """The engine of a directory that nobody owns. ``clock`` None: the machine's."""
    directory = StoreDirectory(path)
    directory.prepare()
    directory.check_format()
    return SqliteStore(directory.database, clock=clock or SystemClock(), records_max=RECORDS_MAX)


def _enqueue(store: SqliteStore, count: int, delay_s: float | None) -> None:
    body = b"m\x92\x91\x07\x80"
    queue = "default" if delay_s is None else LATER
    for start in range(0, count, limits.BATCH_JOBS_MAX):
        ids = new_ids(min(limits.BATCH_JOBS_MAX, count - start))
        jobs = [JobEntry(job_id, body, checksum(body)) for job_id in ids]
        store.enqueue([JobGroup(TASK, jobs, queue=queue, delay_s=delay_s)])


def _finish(store: SqliteStore, count: int) -> None:
    """Finished jobs with their records. Called while nothing else waits."""
    while count > 0:
        step = min(count, limits.LEASE_JOBS_MAX)
        store.begin()
        _enqueue(store, step, None)
        batch = store.lease(LeaseRequest(_HOLDER, step))
        now = store.clock.time()
        fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
        store.settle(Outcomes(_HOLDER, succeeded=[Succeeded(fence, now, now, None, 0.0, _YEAR_S) for fence in fences]))
        store.commit()
        count -= step


if __name__ == "__main__":
    sys.exit(main())
