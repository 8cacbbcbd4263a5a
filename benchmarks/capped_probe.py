"""What a lease costs behind jobs that a key holds back: `python -m benchmarks.capped_probe DIRECTORY AHEAD`.

So many jobs of one key, of which one may run, are enqueued; then jobs of other keys behind them, which are leased ten
at a time. Prints in JSON what such a lease takes (``lease_us``, of the engine's processor time, the median). Nothing
waits for the disk.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.stock import open_store
from penstock.model.flow import ConcurrencyRule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, TaskRecord, checksum
from penstock.store.sqlite.store import SqliteStore

TASK: Final = "bench.capped"
LEASES: Final = 300
_AT_ONCE: Final = 10
_BULK: Final = 5_000
_HOLDER: Final = b"benchmarks.caps\x00"
_BODY: Final = b"m\x92\x90\x80" + bytes(180)


def _enqueue(store: SqliteStore, keys: list[str]) -> None:
    sum_of_body = checksum(_BODY)
    for start in range(0, len(keys), _BULK):
        part = keys[start : start + _BULK]
        ids = new_ids(len(part))
        entries = [JobEntry(job, _BODY, sum_of_body, values={"key": key}) for job, key in zip(ids, part, strict=True)]
        store.enqueue([JobGroup(TASK, entries)])


def main(directory: Path, ahead: int) -> int:
    """Measure. Answers 0."""
    store = open_store(directory)
    store.database.connection.execute("PRAGMA synchronous=off")
    store.register_tasks([TaskRecord(TASK, flow=TaskFlow(limits=(ConcurrencyRule(1, per="key"),)))])
    _enqueue(store, ["capped"] * ahead)
    _enqueue(store, [f"key {number}" for number in range(LEASES * _AT_ONCE)])
    took = []
    for _ in range(LEASES):
        began = time.process_time()
        assert store.lease(LeaseRequest(_HOLDER, _AT_ONCE)).jobs, "others are not held back"
        took.append(time.process_time() - began)
    store.close()
    print(msgspec.json.encode({"lease_us": 1e6 * median(took)}).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
