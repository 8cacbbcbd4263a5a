"""Faults of a store that its users have named, each with its number: what must hold, counted and not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import apsw
import pytest

from penstock.model.flow import FairRule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import Filter, JobEntry, JobGroup, LeaseRequest, Outcomes, Succeeded, TaskRecord, checksum
from penstock.model.schedules import Missed, Schedule
from penstock.model.states import State
from penstock.store.sqlite.database import WAL_PAGES_MAX
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock

HOLDER = b"h" * 16
BODY = b"m\x92\x90\x80"
PAGE_BYTES = 4_096


class Steps:
    """How much SQLite has done, in hundreds of the steps of its virtual machine."""

    def __init__(self) -> None:
        self.count = 0

    def tick(self) -> bool:
        self.count += 1
        return False

    def watch(self, connection: apsw.Connection) -> None:
        connection.set_progress_handler(self.tick, 100)


@pytest.fixture
def steps() -> Iterator[Steps]:
    found = Steps()
    apsw.connection_hooks.append(found.watch)
    yield found
    apsw.connection_hooks.remove(found.watch)


def put(store: SqliteStore, count: int, **values: str) -> list[bytes]:
    ids = new_ids(count)
    for start in range(0, count, 5_000):
        jobs = [JobEntry(one, BODY, checksum(BODY), values=values or None) for one in ids[start : start + 5_000]]
        store.enqueue([JobGroup("task", jobs)])
    return ids


def finish(store: SqliteStore, count: int, clock: VirtualClock) -> None:
    """Run so many jobs, and keep their records."""
    while count:
        batch = store.lease(LeaseRequest(HOLDER, min(count, 2_000)))
        assert batch.jobs
        now = clock.time()
        done = [Succeeded(batch.first_fence + at, now, now) for at in range(len(batch.jobs))]
        store.settle(Outcomes(HOLDER, succeeded=done))
        count -= len(batch.jobs)


def cost_with(path: Path, finished: int, steps: Steps, clock: VirtualClock) -> tuple[int, int]:
    """What it takes to open a store with so many finished jobs, and to lease and settle one more."""
    store = SqliteStore(path, clock=clock)
    put(store, finished)
    finish(store, finished, clock)
    store.close()
    before = steps.count
    store = SqliteStore(path, clock=clock)
    opened = steps.count - before
    put(store, 1)
    before = steps.count
    for _ in range(20):
        put(store, 1)
        finish(store, 1, clock)
    store.close()
    return opened, steps.count - before


def test_fault_31_opening_and_leasing_cost_the_same_whatever_has_finished(
    tmp_path: Path, steps: Steps, clock: VirtualClock
) -> None:
    few = cost_with(tmp_path / "few.db", 500, steps, clock)
    many = cost_with(tmp_path / "many.db", 20_000, steps, clock)
    for least, most in zip(few, many, strict=True):
        assert most <= 2 * least + 20, "forty times as many finished jobs, and no more work"


def test_fault_19_a_reader_that_never_ends_bounds_neither_work_nor_the_log(tmp_path: Path, clock: VirtualClock) -> None:
    """A search that goes on and on while jobs come and go."""
    path = tmp_path / "penstock.db"
    store = SqliteStore(path, clock=clock)
    put(store, 3_000)
    cursor = store.query(Filter(tag="none"), limit=10).cursor or store.query(Filter(), limit=10).cursor
    log = path.with_name("penstock.db-wal")
    largest = 0
    for _ in range(60):
        put(store, 500)
        finish(store, 500, clock)
        page = store.query(Filter(), cursor=cursor, limit=10)
        cursor = page.cursor or cursor
        largest = max(largest, log.stat().st_size)
    assert store.totals().counts.succeeded == 30_000
    assert largest < 3 * WAL_PAGES_MAX * PAGE_BYTES
    store.close()


def test_fault_18_a_tenant_with_very_many_jobs_delays_another_by_no_more_than_its_turns(
    tmp_path: Path, clock: VirtualClock
) -> None:
    store = SqliteStore(tmp_path / "penstock.db", clock=clock)
    store.register_tasks([TaskRecord("task", flow=TaskFlow(fair=FairRule("tenant")))])
    put(store, 20_000, tenant="greedy")
    finish(store, 100, clock)
    (late,) = put(store, 1, tenant="small")
    (other,) = put(store, 1, tenant="other")
    leased = [job.id for _ in range(10) for job in store.lease(LeaseRequest(HOLDER, 1)).jobs]
    assert {late, other} <= set(leased[:6]), "no more than twice the tenants that are active"
    assert Counter(leased).most_common(1)[0][1] == 1
    store.close()


@pytest.mark.parametrize(
    ("zone", "night"),
    [("UTC", "2026-06-01"), ("Europe/Paris", "2026-03-29"), ("Europe/Paris", "2026-10-25")],
    ids=["any night", "clocks go forward", "clocks go back"],
)
def test_fault_15_a_clock_that_jumps_fires_no_slot_twice_and_ends_no_lease(
    tmp_path: Path, zone: str, night: str
) -> None:
    """An hour forward, an hour back, back into a minute that was handled, in a night in which clocks are changed too;
    and an owner that dies after each."""
    path = tmp_path / "penstock.db"
    midnight = datetime.fromisoformat(night).replace(tzinfo=ZoneInfo(zone))
    clock = VirtualClock(midnight.timestamp())
    store = SqliteStore(path, clock=clock)
    (long_job,) = put(store, 1)
    (lease,) = store.lease(LeaseRequest(HOLDER, 1)).jobs
    job = JobGroup("slots", [JobEntry(bytes(16), BODY, checksum(BODY))])
    for name, cron in (("nightly", "30 2 * * *"), ("minutely", "* * * * *")):
        store.put_schedule(Schedule(name, call=job, cron=cron, timezone=zone, missed=Missed.ALL, missed_max=1_000))
    for jump_s in (0.0, 3_600.0, -3_600.0, -90.0, -1.0, 61.0, 0.0):
        for _ in range(60):
            clock.advance(60.0)
            store.tick()
        clock.jump(jump_s)
        store.tick()
        store.close()
        store = SqliteStore(path, clock=clock)
    while store.tick().next_s == 0:
        pass
    slots: list[str] = []
    cursor = None
    while True:
        page = store.query(Filter(task="slots"), cursor=cursor, limit=500)
        headers = [view.headers for view in page.jobs if view is not None and view.headers]
        slots += [f"{one['schedule']} {one['slot']}" for one in headers]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(slots) == len(set(slots)), "no slot has two jobs"
    assert sum(slot.startswith("nightly") for slot in slots) == 1
    assert lease.id == long_job
    assert store.query(Filter(state=State.RUNNING), limit=5).jobs[0].id == long_job, "its lease stands"
    store.close()


def firing_cost(path: Path, schedules: int, steps: Steps, clock: VirtualClock) -> int:
    """What it takes to fire one schedule twenty times beside so many that are not due."""
    store = SqliteStore(path, clock=clock)
    job = JobGroup("slots", [JobEntry(bytes(16), BODY, checksum(BODY))])
    store.begin()
    for number in range(schedules):
        store.put_schedule(Schedule(f"idle-{number}", call=job, every_s=1e6))
    store.commit()
    store.put_schedule(Schedule("s", call=job, every_s=60.0))
    before = steps.count
    for _ in range(20):
        clock.advance(60.0)
        store.tick()
        finish(store, 1, clock)
    assert store.totals().counts.succeeded_total == 20
    used = steps.count - before
    store.close()
    return used


def test_what_firing_costs_depends_on_what_is_due_and_not_on_how_many_there_are(
    tmp_path: Path, steps: Steps, clock: VirtualClock
) -> None:
    few = firing_cost(tmp_path / "few.db", 50, steps, clock)
    many = firing_cost(tmp_path / "many.db", 5_000, steps, clock)
    assert many <= 2 * few + 20, "a hundred times as many schedules, and no more work"
