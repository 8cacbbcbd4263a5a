"""What a lease costs in a store as it is: `python -m benchmarks.probe DIRECTORY PROBES JOBS`, in microseconds a job.

The engine alone, commits left out: they cost what the disk costs, at any depth. Each batch is settled before the next.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from benchmarks.record import percentile
from benchmarks.stock import open_store
from penstock.model.job import LeaseRequest, Outcomes

_HOLDER = b"benchmarks.probe"


def main(directory: Path, probes: int, jobs: int) -> int:
    """Probe. Answers 0."""
    store = open_store(directory)
    leases: list[float] = []
    settles: list[float] = []
    for _ in range(probes):
        store.begin()
        before = time.perf_counter()
        batch = store.lease(LeaseRequest(_HOLDER, jobs))
        leases.append((time.perf_counter() - before) / jobs * 1e6)
        store.commit()
        assert len(batch.jobs) == jobs, "the store is as deep as the probes need"
        store.begin()
        before = time.perf_counter()
        store.settle(Outcomes(_HOLDER, forgotten=list(range(batch.first_fence, batch.first_fence + jobs))))
        settles.append((time.perf_counter() - before) / jobs * 1e6)
        store.commit()
    store.close()
    print(
        msgspec.json.encode(
            {
                "lease_us": percentile(leases, 50),
                "lease_p99_us": percentile(leases, 99),
                "settle_us": percentile(settles, 50),
            }
        ).decode(),
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
