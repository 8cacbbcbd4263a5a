"""Searches among the jobs of `benchmarks.search_stock`, in a process of its own.

`python -m benchmarks.search_probe DIRECTORY FINISHED READY`: how long pages of 100 jobs take that an index leads to, by
kind of search, the slowest of several; how long a search takes that all jobs have to be gone through for, and its
longest slice; and what jobs with searchable arguments cost the engine, beside those that have none.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.search_stock import BEGAN, CUSTOMERS, ERRORS, TASKS, open_store, time_of
from penstock.model.ids import new_ids
from penstock.model.job import Filter, JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.model.states import State
from penstock.process.clock import SystemClock
from penstock.store.paging import full_page
from penstock.store.sqlite.store import SqliteStore

PAGES: Final = 20
LIMIT: Final = 100
_JOBS: Final = 2_000
_ROUNDS: Final = 15
_BODY: Final = b"m\x92\x91\x07\x80"
_HOLDER: Final = b"benchmarks.srch."

Draw = Callable[[random.Random], Filter]


class LaterClock(SystemClock):
    """It goes on behind the last job. Slices end by the real time."""

    def __init__(self, began: float) -> None:
        self._ahead_s = began - super().time()

    def time(self) -> float:
        """Unix seconds."""
        return super().time() + self._ahead_s


def main(directory: Path, finished: int, ready: int) -> int:
    """Search. Answers 0."""
    store = open_store(directory, LaterClock(time_of(finished + ready)))
    pages = {name: _slowest_ms(store, draw) for name, draw in _searches(finished).items()}
    before = time.perf_counter()
    longest, slices, cursor = 0.0, 0, None
    while slices == 0 or cursor is not None:
        began = time.thread_time()
        cursor = store.query(Filter(tag="there-is-none"), cursor=cursor).cursor
        longest = max(longest, time.thread_time() - began)
        slices += 1
    walked = time.perf_counter() - before
    counts = _fastest_us(store.dead_counts)
    plain, searchable = _costs(store)
    print(
        msgspec.json.encode(
            {
                "pages_ms": pages,
                "slice_ms": longest * 1e3,
                "slices": slices,
                "walk_s": walked,
                "counts_us": counts,
                "plain_us": plain,
                "searchable_us": searchable,
            }
        ).decode(),
        flush=True,
    )
    store.close()
    return 0


def _searches(finished: int) -> dict[str, Draw]:
    """What is searched for, by name. Numbers are drawn anew for each page."""
    span_s = time_of(finished) - BEGAN

    def hour(draw: random.Random) -> tuple[float, float]:
        since = BEGAN + draw.random() * span_s
        return since, since + 3_600.0

    def number(draw: random.Random, step: int) -> int:
        return draw.randrange(max(1, finished // step)) * step

    def customer(draw: random.Random) -> str:
        return f"customer {draw.randrange(CUSTOMERS)}"

    return {
        "no condition": lambda _: Filter(),
        "succeeded": lambda _: Filter(State.SUCCEEDED),
        "ready": lambda _: Filter(State.READY),
        "an hour": lambda draw: Filter(None, None, None, None, None, None, *hour(draw)),
        "an hour, succeeded": lambda draw: Filter(State.SUCCEEDED, None, None, None, None, None, *hour(draw)),
        "dead": lambda _: Filter(State.DEAD),
        "dead, an hour": lambda draw: Filter(State.DEAD, None, None, None, None, None, *hour(draw)),
        "dead, of an error": lambda draw: Filter(State.DEAD, error=draw.choice(ERRORS)),
        "dead, of a task": lambda draw: Filter(State.DEAD, task=draw.choice(TASKS)),
        "dead, of a task and an error": lambda draw: Filter(
            State.DEAD, task=draw.choice(TASKS), error=draw.choice(ERRORS)
        ),
        "cancelled": lambda _: Filter(State.CANCELLED),
        "expired, of which there are none": lambda _: Filter(State.EXPIRED),
        "key": lambda draw: Filter(key=f"key {number(draw, 1_000)}"),
        "argument that one job has": lambda draw: Filter(arguments={"order": str(number(draw, 100))}),
        "argument that many have": lambda draw: Filter(arguments={"customer": customer(draw)}),
        "argument and state": lambda draw: Filter(State.SUCCEEDED, arguments={"customer": customer(draw)}),
        "two arguments": lambda draw: Filter(arguments={"order": str(number(draw, 100)), "customer": customer(draw)}),
    }


def _slowest_ms(store: SqliteStore, draw: Draw) -> float:
    """The slowest of so many pages, in milliseconds: some first pages, and some that go on from the one before."""
    numbers = random.Random(7)
    times: list[float] = []
    cursor = None
    where = draw(numbers)
    for count in range(PAGES):
        if cursor is None or count % 4 == 0:
            where, cursor = draw(numbers), None
        before = time.perf_counter()
        cursor = full_page(store, where, cursor=cursor, limit=LIMIT).cursor
        times.append(time.perf_counter() - before)
    return max(times) * 1e3


def _fastest_us(ask: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(PAGES):
        before = time.perf_counter()
        ask()
        times.append(time.perf_counter() - before)
    return min(times) * 1e6


def _costs(store: SqliteStore) -> tuple[float, float]:
    """Microseconds of the processor from enqueueing to settling, a job: without searchable arguments, and with two."""
    store.database.connection.execute("PRAGMA synchronous=off")
    both: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for times, searchable in zip(both, (False, True), strict=True):
            times.append(_through(store, searchable=searchable))
    return min(both[0]), min(both[1])


def _through(store: SqliteStore, *, searchable: bool) -> float:
    crc = checksum(_BODY)
    entries = [
        JobEntry(
            job_id,
            _BODY,
            crc,
            searchable={"order": job_id.hex(), "customer": f"customer {at % CUSTOMERS}"} if searchable else None,
        )
        for at, job_id in enumerate(new_ids(_JOBS))
    ]
    before = time.thread_time()
    store.enqueue([JobGroup("bench.cost", entries, queue="cost")])
    batch = store.lease(LeaseRequest(_HOLDER, _JOBS, ["cost"]))
    store.settle(Outcomes(_HOLDER, forgotten=list(range(batch.first_fence, batch.first_fence + len(batch.jobs)))))
    return (time.thread_time() - before) / _JOBS * 1e6


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
