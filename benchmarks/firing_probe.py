"""What a firing costs: `python -m benchmarks.firing_probe DIRECTORY SCHEDULES ROUNDS`, in microseconds.

The engine alone, on a clock of its own: so many schedules whose next slots are days away, and others of which some are
due in each second. Prints in JSON what one of these takes (``firing_us``, processor time, with its job and its commit,
without the sync; the median of the rounds).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.stock import TASK, open_store
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.schedules import Schedule
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock

DUE: Final = 50
"""Schedules that are due in each round: fewer than one step of the chore starts."""
_IN_A_TRANSACTION: Final = 5_000
_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0
_BODY: Final = b"m\x92\x91\x07\x80"
_CALL: Final = JobGroup(TASK, [JobEntry(new_id(), _BODY, checksum(_BODY))])


def main(directory: Path, schedules: int, rounds: int) -> int:
    """Measure. Answers 0."""
    clock = VirtualClock(time.time())
    store = open_store(directory, clock)
    store.database.connection.execute("PRAGMA synchronous=off")
    _fill(store, schedules, clock.time() + 10 * _DAY_S, "far", _DAY_S, 1)
    _fill(store, DUE * rounds, clock.time() + 1.0, "due", _HOUR_S, DUE)
    clock.advance(0.5)
    took = []
    for _ in range(rounds):
        clock.advance(1.0)
        began = time.process_time()
        store.begin()
        store.tick()
        store.commit()
        took.append((time.process_time() - began) / DUE * 1e6)
    fired = store.stats().queues["default"].accepted_total
    assert fired == DUE * rounds, f"{fired} of {DUE * rounds} have fired"
    store.database.connection.execute("PRAGMA synchronous=full")
    store.close()
    print(msgspec.json.encode({"firing_us": median(took)}).decode(), flush=True)
    return 0


def _fill(store: SqliteStore, count: int, start_at: float, name: str, every_s: float, at_once: int) -> None:
    """So many schedules, of which ``at_once`` have their first slot in each second from ``start_at`` on."""
    for first in range(0, count, _IN_A_TRANSACTION):
        store.begin()
        for number in range(first, min(first + _IN_A_TRANSACTION, count)):
            at = start_at + number // at_once
            store.put_schedule(Schedule(f"{name}-{number}", call=_CALL, every_s=every_s, start_at=at))
        store.commit()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
